"""Decoders made once per event: words at fixed places are cut out, without walking a type tree.

Only for types of a fixed size; `decoder_of` gives None for others, which eth-abi decodes. What is
refused is what eth-abi refuses: too little data, and padding that is not what the type says.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any

from eth_utils.address import to_checksum_address

Reader = Callable[[bytes], Any]
_WORD = 32
_ZEROS = bytes(32)


@lru_cache(maxsize=65_536)
def _address(word: bytes) -> str:
    if word[:12] != _ZEROS[:12]:
        raise ValueError("address padding")
    return to_checksum_address(word[12:])


def _uint(bits: int) -> Reader:
    limit = 1 << bits

    def read(word: bytes) -> int:
        value = int.from_bytes(word)
        if value >= limit:
            raise ValueError("uint padding")
        return value

    return int.from_bytes if bits == 256 else read


def _int(bits: int) -> Reader:
    limit = 1 << bits - 1

    def read(word: bytes) -> int:
        value = int.from_bytes(word, signed=True)
        if not -limit <= value < limit:
            raise ValueError("int padding")
        return value

    return read


def _bool(word: bytes) -> bool:
    value = int.from_bytes(word)
    if value > 1:
        raise ValueError("bool padding")
    return value == 1


def _fixed_bytes(length: int) -> Reader:
    padding = _ZEROS[length:]

    def read(word: bytes) -> bytes:
        if word[length:] != padding:
            raise ValueError("bytes padding")
        return word[:length]

    return bytes if length == _WORD else read


def _reader(kind: str) -> Reader | None:
    if kind == "address":
        return _address
    if kind == "bool":
        return _bool
    match = re.fullmatch(r"(uint|int|bytes)([0-9]+)", kind)
    if match is None:
        return None
    family, size = match[1], int(match[2])
    if family == "bytes":
        return _fixed_bytes(size)
    return _uint(size) if family == "uint" else _int(size)


def decoder_of(
    kinds: Sequence[str], members: Callable[[str], Sequence[str]]
) -> Callable[[bytes], list[Any]] | None:
    """
    A function from data to the values of `kinds`, which raises ValueError if it does not hold them;
    None if one of them has no fixed size or nests structs. `members` gives the types in a struct.
    """
    # Each kind is one word, or several that become one tuple or list.
    groups: list[tuple[list[Reader], type | None]] = []
    for kind in kinds:
        shape: type | None = None
        parts: Sequence[str] = [kind]
        if array := re.fullmatch(r"(\w+)\[([0-9]+)\]", kind):
            shape, parts = list, [array[1]] * int(array[2])
        elif kind.startswith("(") and kind.endswith(")"):
            shape, parts = tuple, members(kind)
        readers = [_reader(part) for part in parts]
        if not readers or None in readers:
            return None
        groups.append(([reader for reader in readers if reader is not None], shape))
    size = _WORD * sum(len(readers) for readers, _ in groups)
    flat = [reader for readers, _ in groups for reader in readers]
    cut = Struct("32s" * len(flat)).unpack_from

    def read_plain(data: bytes) -> list[Any]:
        if len(data) < size:
            raise ValueError("too little data")
        return [reader(word) for reader, word in zip(flat, cut(data), strict=True)]

    if all(shape is None for _, shape in groups):
        return read_plain

    def read(data: bytes) -> list[Any]:
        words = read_plain(data)
        values: list[Any] = []
        at = 0
        for readers, shape in groups:
            if shape is None:
                values.append(words[at])
            else:
                values.append(shape(words[at : at + len(readers)]))
            at += len(readers)
        return values

    return read
