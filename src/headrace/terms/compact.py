"""Terms as rows of 90 bytes: what a job has of its own, and the number of what it shares.

A keeper with a hundred thousand open jobs keeps each as a row and takes the fields out when it
looks at one, about eight times faster than `Terms.unpack`. A requester's jobs mostly agree in all
but their input, size, price and times; the rest is their shape, and is kept once (`Shapes`). Only
what was once checked may be kept so: nothing is checked again. Addresses are shared between all
terms that name them.
"""

import struct
from functools import lru_cache
from typing import NamedTuple

from eth_utils.address import to_checksum_address

from headrace.terms.words import Terms

SIZE = 90
# The number of the shape, the fields of `Glance`, the input and the salt. Integers of 5 bytes are
# one and four (BI), those of 10 are two and eight (HQ).
_ROW = struct.Struct(">IBIBIHQHQII32s16s")
_GLANCE = struct.Struct(">IBIBIHQHQII")
_NUMBER = struct.Struct(">I")
_VALID_FROM = slice(4, 9)
_FINAL_DEADLINE = slice(9, 14)
# What a shape is made of, as docs/encoding.md has the fields.
_SHAPE = struct.Struct(">20s20s12s32s32s10s10s10sHHBIII3s")
_LOW_4, _LOW_8 = (1 << 32) - 1, (1 << 64) - 1
# Shapes that are kept taken apart.
_MOST_APART = 1 << 12

_set = object.__setattr__
_int = int.from_bytes


@lru_cache(maxsize=1 << 16)
def _address(raw: bytes) -> str:
    return to_checksum_address(raw)


def valid_from_of(row: bytes) -> int:
    """The field `valid_from` of what `Shapes.pack` gave."""
    return _int(row[_VALID_FROM])


def final_deadline_of(row: bytes) -> int:
    """The field `final_deadline` of what `Shapes.pack` gave."""
    return _int(row[_FINAL_DEADLINE])


def shape_of(row: bytes) -> int:
    """The number of the row's shape."""
    return int(_NUMBER.unpack_from(row)[0])


class Glance(NamedTuple):
    """What tells jobs of one shape apart, but for their input; `shape` is its number."""

    shape: int
    units: int
    input_bytes: int
    valid_from: int
    final_deadline: int
    price_start: int
    price_cap: int


def glance(row: bytes) -> Glance:
    """The fields of `Glance` from what `pack` gave, in a fraction of `terms_of`'s time."""
    (
        shape,
        valid_high,
        valid_low,
        final_high,
        final_low,
        start_high,
        start_low,
        cap_high,
        cap_low,
        units,
        input_bytes,
    ) = _GLANCE.unpack_from(row)
    return Glance(
        shape,
        units,
        input_bytes,
        valid_high << 32 | valid_low,
        final_high << 32 | final_low,
        start_high << 64 | start_low,
        cap_high << 64 | cap_low,
    )


class Shape(NamedTuple):
    """The fields that terms of one shape agree in."""

    requester: str
    verifier: str
    settings: int
    requirement: int
    program: bytes
    damage_cap: int
    tip_fixed: int
    tip_max: int
    tip_share_bps: int
    no_show_bps: int
    max_attempts: int
    ramp_seconds: int
    ack_seconds: int
    attempt_seconds: int
    epoch: int


class Shapes:
    """
    The shapes of many terms, each once. A row means something only to the shapes that packed it;
    none is ever forgotten or changed, so that rows stay good as long as these are kept.
    """

    __slots__ = ("_apart", "_numbers", "_shapes")

    def __init__(self) -> None:
        """None yet."""
        self._shapes: list[bytes] = []
        self._numbers: dict[bytes, int] = {}
        self._apart: dict[int, Shape] = {}

    def __len__(self) -> int:
        """How many different ones there are."""
        return len(self._shapes)

    def _number_of(self, shape: bytes) -> int:
        number = self._numbers.get(shape)
        if number is None:
            number = self._numbers[shape] = len(self._shapes)
            self._shapes.append(shape)
        return number

    def pack(self, terms: Terms) -> bytes:
        """The row of `terms`, `SIZE` bytes."""
        shape = _SHAPE.pack(
            bytes.fromhex(terms.requester[2:]),
            bytes.fromhex(terms.verifier[2:]),
            terms.settings.to_bytes(12),
            terms.requirement.to_bytes(32),
            terms.program,
            terms.damage_cap.to_bytes(10),
            terms.tip_fixed.to_bytes(10),
            terms.tip_max.to_bytes(10),
            terms.tip_share_bps,
            terms.no_show_bps,
            terms.max_attempts,
            terms.ramp_seconds,
            terms.ack_seconds,
            terms.attempt_seconds,
            terms.epoch.to_bytes(3),
        )
        return _ROW.pack(
            self._number_of(shape),
            terms.valid_from >> 32,
            terms.valid_from & _LOW_4,
            terms.final_deadline >> 32,
            terms.final_deadline & _LOW_4,
            terms.price_start >> 64,
            terms.price_start & _LOW_8,
            terms.price_cap >> 64,
            terms.price_cap & _LOW_8,
            terms.units,
            terms.input_bytes,
            terms.input_id,
            terms.salt.to_bytes(16),
        )

    def pack_again(self, row: bytes, shapes: "Shapes") -> bytes:
        """A row of other `shapes` as one of these; what follows its `SIZE` bytes stays."""
        number = self._number_of(shapes._shapes[shape_of(row)])
        return _NUMBER.pack(number) + row[_NUMBER.size :]

    def shape(self, number: int) -> Shape:
        """The fields of the shape of this number."""
        found = self._apart.get(number)
        if found is None:
            if len(self._apart) >= _MOST_APART:
                self._apart.clear()
            found = self._apart[number] = _taken_apart(self._shapes[number])
        return found

    def terms_of(self, row: bytes) -> Terms:
        """
        The terms that `pack` was given. What follows the `SIZE` bytes is not looked at;
        `struct.error` if there are fewer.
        """
        (
            number,
            valid_high,
            valid_low,
            final_high,
            final_low,
            start_high,
            start_low,
            cap_high,
            cap_low,
            units,
            input_bytes,
            input_id,
            salt,
        ) = _ROW.unpack_from(row)
        (
            requester,
            verifier,
            settings,
            requirement,
            program,
            damage_cap,
            tip_fixed,
            tip_max,
            tip_share_bps,
            no_show_bps,
            max_attempts,
            ramp_seconds,
            ack_seconds,
            attempt_seconds,
            epoch,
        ) = self._apart.get(number) or self.shape(number)
        terms = object.__new__(Terms)
        _set(terms, "requester", requester)
        _set(terms, "verifier", verifier)
        _set(terms, "settings", settings)
        _set(terms, "requirement", requirement)
        _set(terms, "program", program)
        _set(terms, "input_id", input_id)
        _set(terms, "price_start", start_high << 64 | start_low)
        _set(terms, "price_cap", cap_high << 64 | cap_low)
        _set(terms, "damage_cap", damage_cap)
        _set(terms, "tip_fixed", tip_fixed)
        _set(terms, "tip_max", tip_max)
        _set(terms, "tip_share_bps", tip_share_bps)
        _set(terms, "no_show_bps", no_show_bps)
        _set(terms, "max_attempts", max_attempts)
        _set(terms, "valid_from", valid_high << 32 | valid_low)
        _set(terms, "ramp_seconds", ramp_seconds)
        _set(terms, "final_deadline", final_high << 32 | final_low)
        _set(terms, "ack_seconds", ack_seconds)
        _set(terms, "attempt_seconds", attempt_seconds)
        _set(terms, "units", units)
        _set(terms, "input_bytes", input_bytes)
        _set(terms, "epoch", epoch)
        _set(terms, "salt", _int(salt))
        return terms


def _taken_apart(shape: bytes) -> Shape:
    (
        requester,
        verifier,
        settings,
        requirement,
        program,
        damage_cap,
        tip_fixed,
        tip_max,
        tip_share_bps,
        no_show_bps,
        max_attempts,
        ramp_seconds,
        ack_seconds,
        attempt_seconds,
        epoch,
    ) = _SHAPE.unpack(shape)
    return Shape(
        _address(requester),
        _address(verifier),
        _int(settings),
        _int(requirement),
        program,
        _int(damage_cap),
        _int(tip_fixed),
        _int(tip_max),
        tip_share_bps,
        no_show_bps,
        max_attempts,
        ramp_seconds,
        ack_seconds,
        attempt_seconds,
        _int(epoch),
    )
