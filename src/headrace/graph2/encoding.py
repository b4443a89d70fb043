"""Tensors as the bytes of leaves: planes, blocks and padding (docs/int8-graph-2.md, "Tensors")."""

import sys
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.graph2.views import View

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]

ZERO_BYTE = 128
_KERNEL = "headrace.graph2.planes_lanes"
_MANY = 4_096
"""Fewer elements than this aren't worth numba's import."""
LEAF_PREFIX = b"\x00"


def encode(view: View, tensor: Array) -> Bytes:
    """Return the leaves, (leaves, leaf_bytes) uint8, of a (R, view.width) tensor."""
    pays = tensor.size >= _MANY or _KERNEL in sys.modules
    kernel = _compiled() if pays else None
    if kernel is None:
        return plain_encode(view, tensor)
    leaves = np.empty((-(-tensor.shape[0] // view.pack) * view.split, view.leaf_bytes), np.uint8)
    unsigned = np.ascontiguousarray(tensor, dtype=view.dtype).view(f"u{view.size}")
    kernel.planes_into(unsigned, view.split, view.block, view.pack, view.size, leaves)
    return leaves


@cache
def _compiled() -> ModuleType | None:
    try:
        return import_module(_KERNEL)
    except (ImportError, OSError):
        # OSError: the process may make no executable memory, as under a strict systemd unit.
        return None


def plain_encode(view: View, tensor: Array) -> Bytes:
    """Return the same with numpy alone."""
    rows = tensor.shape[0]
    split, block, pack, size = view.split, view.block, view.pack, view.size
    groups = -(-rows // pack)
    whole = np.zeros((groups * pack, split, size, block), dtype=np.uint8)
    whole[:, :, 0, :] = ZERO_BYTE
    # big-endian bytes of x, the sign bit flipped, are those of x + 2^(8 size - 1)
    swapped = np.ascontiguousarray(tensor, dtype=view.dtype.newbyteorder(">"))
    planes = swapped.view(np.uint8).reshape(rows, view.width, size)
    for part in range(split):
        first = part * block
        last = min(first + block, view.width)
        if first >= last:
            break
        for plane in range(size):
            source = planes[:, first:last, plane]
            target = whole[:rows, part, plane, : last - first]
            if plane:
                target[...] = source
            else:
                np.bitwise_xor(source, ZERO_BYTE, out=target)
    return whole.reshape(groups * split, view.leaf_bytes)


def decode(view: View, leaves: Bytes, units: int) -> Array:
    """Return the (R, view.width) tensor of leaves; their padding isn't looked at."""
    rows = view.rows * units
    split, block, size = view.split, view.block, view.size
    whole = np.ascontiguousarray(leaves).reshape(-1, split, size, block)[:rows]
    columns = whole.transpose(0, 1, 3, 2).reshape(rows, split * block, size)[:, : view.width]
    plain = np.array(columns, order="C")  # a copy: the leaves stay as they are
    plain[:, :, 0] ^= ZERO_BYTE
    big = plain.view(view.dtype.newbyteorder(">")).reshape(rows, view.width)
    return big.astype(view.dtype)


def leaf_of_tensor(view: View, tensor: Array, number: int) -> bytes:
    """Return the bytes of leaf `number` of a (R, width) tensor; IndexError if there is none."""
    group, piece = divmod(number, view.split)
    if number < 0 or group * view.pack >= tensor.shape[0]:
        raise IndexError(f"the tensor has no leaf {number}")
    rows = tensor[group * view.pack : (group + 1) * view.pack]
    leaf: bytes = plain_encode(view, rows)[piece].tobytes()
    return leaf


def element_of_leaf(view: View, leaf: bytes, row: int, column: int) -> int:
    """Return element (row, column) of a tensor from the bytes of the leaf that holds it."""
    unsigned = 0
    for plane in range(view.size):
        unsigned = unsigned << 8 | leaf[view.place_of(row, column, plane)]
    return unsigned + view.low


def position_in_leaf(view: View, number: int, place: int) -> tuple[int, int]:
    """Return the (row, column) of a byte of a leaf; past the rows or the width: padding."""
    group, piece = divmod(number, view.split)
    inside, rest = divmod(place, view.row_part)
    return group * view.pack + inside, piece * view.block + rest % view.block
