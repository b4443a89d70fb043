"""Tensors cut into planes and leaves by compiled code: encoding.encode, 2 to 10 times as fast.

Needs numba (extra `fast`), like keccak_lanes.py.
"""

from collections.abc import Callable
from typing import Any

from numba import njit, uint8, uint32


def _planes(source: Any, split: int, block: int, pack: int, size: int, out: Any) -> None:
    """Write the leaves of `source`, (R, width) unsigned, to `out`, (leaves, leaf_bytes) uint8."""
    rows, width = source.shape
    part = size * block
    for row in range(rows):
        group = row // pack
        inside = (row - group * pack) * part
        for piece in range(split):
            first = piece * block
            count = max(min(block, width - first), 0)
            values = source[row, first : first + count]
            for plane in range(size):
                start = inside + plane * block
                target = out[group * split + piece, start : start + block]
                shift = uint32(8 * (size - 1 - plane))
                zero = uint8(0)
                if plane == 0:
                    zero = uint8(128)  # the sign bit flipped is the offset
                for column in range(count):
                    target[column] = uint8(values[column] >> shift) ^ zero
                for column in range(count, block):
                    target[column] = zero
    for row in range(rows, out.shape[0] // split * pack):
        group = row // pack
        inside = (row - group * pack) * part
        for piece in range(split):
            target = out[group * split + piece, inside : inside + part]
            target[:block] = 128
            target[block:] = 0


def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    made: Callable[..., None]
    try:
        made = njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no folder that could be written
        made = njit(nogil=True)(function)
    return made


planes_into = _compiled(_planes)
