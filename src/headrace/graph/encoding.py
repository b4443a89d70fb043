"""Tensors as bytes: offset-binary, padded rows, mirrored weight rows."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from headrace.graph.merkle import keccak

Int8 = npt.NDArray[np.int8]

WORD = 32
GROUP = 4
ZERO_BYTE = 128
LEAF_PREFIX = b"\x00"
OPERATOR_PREFIX = b"\x01"
PARAMETER_PREFIX = b"\x02"


def padded(width: int) -> int:
    """Return how many bytes a row of `width` elements has: the next multiple of 32."""
    return -(-width // WORD) * WORD


def encode_tensor(tensor: Int8) -> bytes:
    """Return the rows of a (T, width) tensor, each padded, one after the other."""
    rows, width = tensor.shape
    out = np.full((rows, padded(width)), ZERO_BYTE, dtype=np.uint8)
    # x + 128 as a byte is x's two's complement with the sign bit flipped
    out[:, :width] = np.ascontiguousarray(tensor).view(np.uint8) ^ ZERO_BYTE
    return out.tobytes()


def encode_rows(tensor: Int8) -> tuple[bytes, ...]:
    """Return the padded rows of a (T, width) tensor."""
    return split_rows(encode_tensor(tensor), padded(tensor.shape[1]))


def split_rows(data: bytes, size: int) -> tuple[bytes, ...]:
    """Cut `data` into rows of `size` bytes."""
    return tuple(data[start : start + size] for start in range(0, len(data), size))


def decode_rows(rows: Sequence[bytes], width: int) -> Int8:
    """Return the (T, width) tensor of padded rows of equal length; the padding isn't looked at."""
    raw = np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(len(rows), padded(width))
    return (raw[:, :width] ^ ZERO_BYTE).view(np.int8)


def has_zero_padding(row: bytes, width: int) -> bool:
    """Say whether every byte of `row` from `width` on is 128."""
    return row[width:] == bytes([ZERO_BYTE]) * (len(row) - width)


def mirror(row: bytes) -> bytes:
    """Reverse the eight 4-byte groups of every 32-byte word; its own inverse."""
    words = np.frombuffer(row, dtype=np.uint8).reshape(-1, WORD // GROUP, GROUP)
    return words[:, ::-1, :].tobytes()


def leaf(row: bytes) -> bytes:
    """Return the leaf of a padded row."""
    return keccak(LEAF_PREFIX + row)


def parameter_word(bias: int, mult: int, shift: int) -> int:
    """Return a column's parameter word: bias + 2^31 (32 bits), mult (32), shift (8)."""
    return (bias + (1 << 31)) << 40 | mult << 8 | shift


def parameter_leaf(word: int) -> bytes:
    """Return the leaf of a parameter word."""
    return keccak(PARAMETER_PREFIX + word.to_bytes(WORD, "big"))


def abi_words(*values: int | bytes) -> bytes:
    """Return `abi_encode` of values that take one word each: unsigned integers and bytes32."""
    return b"".join(v.to_bytes(WORD, "big") if isinstance(v, int) else v for v in values)
