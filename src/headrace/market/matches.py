"""The matches of a plan in columns: a large plan has a hundred thousand, and few are looked at."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np

from headrace.market.book import LiveAsk
from headrace.market.plan import Match

_LARGE = -1
_LEAST_LARGE = 1 << 63


@dataclass(slots=True)
class Amounts:
    """
    Token units by number, eight bytes each. An amount has up to eighty bits; the few that take more
    than 63 are kept aside.
    """

    _small: "array[int]" = field(default_factory=lambda: array("q"))
    _large: dict[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._small)

    def __getitem__(self, number: int) -> int:
        """The amount that was appended as the `number`-th, or set there since; not negative."""
        amount = self._small[number]
        return self._large[number] if amount == _LARGE else amount

    def __setitem__(self, number: int, amount: int) -> None:
        if amount < _LEAST_LARGE:
            self._small[number] = amount
        else:
            self._small[number] = _LARGE
            self._large[number] = amount

    def append(self, amount: int) -> None:
        """Add one behind the others."""
        if amount < _LEAST_LARGE:
            self._small.append(amount)
        else:
            self._large[len(self._small)] = amount
            self._small.append(_LARGE)


@dataclass(slots=True, eq=False)
class Matches(Sequence[Match]):
    """
    Matches in the order of serving, or of `order` once `sort` was called. `places` are those of the
    jobs in `job_ids`, `rows` those of the asks in `asks`; each may be replaced, none is taken away.
    It is equal to any sequence of the same matches.
    """

    job_ids: Sequence[bytes]
    asks: Sequence[LiveAsk]
    places: "array[int]" = field(default_factory=lambda: array("i"))
    rows: "array[int]" = field(default_factory=lambda: array("i"))
    totals: Amounts = field(default_factory=Amounts)
    tips: Amounts = field(default_factory=Amounts)
    locks: Amounts = field(default_factory=Amounts)
    order: "array[int] | None" = None

    def add(self, place: int, row: int, total: int, tip: int, lock: int) -> None:
        """Append a match; what they are is in `plan.Match`."""
        self.places.append(place)
        self.rows.append(row)
        self.totals.append(total)
        self.tips.append(tip)
        self.locks.append(lock)

    def replace(self, number: int, row: int, total: int, tip: int, lock: int) -> None:
        """Give the job of the `number`-th in the order of serving another ask."""
        self.rows[number] = row
        self.totals[number] = total
        self.tips[number] = tip
        self.locks[number] = lock

    def sort(self) -> None:
        """Put the longest waiting first."""
        order = np.argsort(np.asarray(self.places), kind="stable").astype(np.int32)
        self.order = array("i", order.tobytes())

    def __len__(self) -> int:
        """How many matches there are."""
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Match: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Match, ...]: ...

    def __getitem__(self, index: int | slice) -> Match | tuple[Match, ...]:
        """The match at `index`, made on demand."""
        if isinstance(index, slice):
            return tuple(self[number] for number in range(*index.indices(len(self))))
        # An array counts backwards too, and says when there are no more.
        number = (range(len(self)) if self.order is None else self.order)[index]
        return Match(
            self.job_ids[self.places[number]],
            self.asks[self.rows[number]],
            self.totals[number],
            self.tips[number],
            self.locks[number],
        )

    def __iter__(self) -> Iterator[Match]:
        """All, made one by one."""
        return (self[index] for index in range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Whether `other` is a sequence of the same matches."""
        return isinstance(other, Sequence) and tuple(self) == tuple(other)
