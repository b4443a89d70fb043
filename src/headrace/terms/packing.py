"""Packing named fields into words and back, with a check of every field.

A layout lists a word's fields from the most significant bit down. Values that don't fit, and spare
bits that are set, are a ValueError that names the field.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Any, ClassVar, Self

from eth_utils.address import is_checksum_address, to_checksum_address

# A word as its fields with their widths in bits; "" is spare. An address is 160 bits.
Word = tuple[tuple[str, int], ...]
# A struct as its members: a packed word, or the name of a field that takes a whole word.
Struct = tuple[Word | str, ...]


@lru_cache(maxsize=4096)
def _checksummed(name: str, value: str) -> str:
    try:
        address = to_checksum_address(value)
    except (ValueError, TypeError):
        raise ValueError(f"{name}: {value!r} is not an address") from None
    digits = value[2:]
    if digits not in (digits.lower(), digits.upper()) and not is_checksum_address(value):
        raise ValueError(f"{name}: {value} has a wrong checksum")
    return address


def checked_address(name: str, value: object) -> str:
    """`value` as a checksummed address; ValueError naming `name` if it is not one."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise ValueError(f"{name}: {value!r} is not an address")
    return _checksummed(name, value)


def checked_hash(name: str, value: object) -> bytes:
    """`value` if it is 32 bytes; ValueError naming `name` otherwise."""
    if not isinstance(value, bytes) or len(value) != 32:
        raise ValueError(f"{name}: expected 32 bytes, got {value!r}")
    return bytes(value)


def checked_uint(name: str, value: object, bits: int) -> int:
    """`value` if it is an integer of at most `bits` bits; ValueError naming `name` otherwise."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name}: expected an integer, got {value!r}")
    if not 0 <= value < 1 << bits:
        raise ValueError(f"{name}: {value} does not fit {bits} bits")
    return int(value)


def _join(word: Word, values: Mapping[str, Any]) -> int:
    packed = 0
    for name, bits in word:
        value = values[name] if name else 0
        packed = packed << bits | (int(value, 16) if isinstance(value, str) else value)
    return packed


def _split(word: Word, packed: int, where: str) -> dict[str, Any]:
    rest = checked_uint(where, packed, 256)
    values: dict[str, Any] = {}
    for name, bits in reversed(word):
        part = rest & ((1 << bits) - 1)
        rest >>= bits
        if not name:
            if part:
                raise ValueError(f"{where}: spare bits are set")
        elif bits == 160:
            values[name] = _checksummed(name, f"0x{part:040x}")
        else:
            values[name] = part
    return values


class _Fields:
    """Checks each field of a dataclass against the width that its layout gives it."""

    __slots__ = ()
    _WIDTHS: ClassVar[Mapping[str, int]]

    def __post_init__(self) -> None:
        for name, value in self._values().items():
            bits = self._WIDTHS.get(name)
            checked: object
            if bits is None:
                checked = checked_hash(name, value)
            elif bits == 160:
                checked = checked_address(name, value)
            else:
                checked = checked_uint(name, value, bits)
            if checked is not value:
                object.__setattr__(self, name, checked)

    def _values(self) -> dict[str, Any]:
        names = (field.name for field in fields(self))  # type: ignore[arg-type]
        return {name: getattr(self, name) for name in names}


class PackedStruct(_Fields):
    """A dataclass that is a struct on chain."""

    __slots__ = ()
    _LAYOUT: ClassVar[Struct]

    def pack(self) -> tuple[int | bytes, ...]:
        """The struct as calldata wants it: a tuple of integers and 32-byte strings."""
        values = self._values()
        return tuple(
            values[part] if isinstance(part, str) else _join(part, values) for part in self._LAYOUT
        )

    @classmethod
    def unpack(cls, packed: Sequence[Any]) -> Self:
        """
        The fields of a struct as `pack` gives it (or as web3 decodes it). ValueError if it has the
        wrong length or a spare bit is set.
        """
        if len(packed) != len(cls._LAYOUT):
            raise ValueError(
                f"{cls.__name__}: expected {len(cls._LAYOUT)} words, got {len(packed)}"
            )
        values: dict[str, Any] = {}
        for index, (part, member) in enumerate(zip(cls._LAYOUT, packed, strict=True)):
            if isinstance(part, str):
                values[part] = bytes(member) if isinstance(member, bytes) else member
            else:
                values |= _split(part, member, f"{cls.__name__} word {index}")
        return cls(**values)


class PackedWord(_Fields):
    """A dataclass that is one word on chain, or the low bits of one."""

    __slots__ = ()
    _WORD: ClassVar[Word]

    def pack(self) -> int:
        """The word."""
        return _join(self._WORD, self._values())

    @classmethod
    def unpack(cls, packed: int) -> Self:
        """The fields of a word; ValueError if it is too long or a spare bit is set."""
        bits = sum(width for _, width in cls._WORD)
        checked_uint(cls.__name__, packed, bits)
        return cls(**_split(cls._WORD, packed, cls.__name__))


def widths_of(
    layout: Iterable[Word | str], whole: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Width of each field in bits; `whole` are fields that take a word of their own."""
    widths = dict(whole or {})
    for part in layout:
        if not isinstance(part, str):
            widths |= {name: bits for name, bits in part if name}
    return widths
