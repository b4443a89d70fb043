"""The offers that jobs of one shape can have: who wants the same of a node, of an ask, of a check.

A requester's jobs mostly differ in their input and their size alone, so a large market has many
jobs of few shapes. The offers that let a shape through are found once; what is left for each job is
to find the two lowest of their prices, which are straight lines in the units of work.

Only the `_ACTIVE` cheapest are looked at. The lowest price among all the others is a concave
function of the units, so it is nowhere below the chord between two points of it. Those are kept for
each power of two, and say when the others have to be looked at as well.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.market.columns import Integers
from headrace.market.index import Bits, ProgramIndex, members

Reals = npt.NDArray[np.float64]

_ACTIVE = 64
# Prices that are looked at in one go: 2**18 are 2 MiB.
_AT_ONCE = 1 << 18
# What rounding may have added to a chord.
_DOUBT = 1 - 1e-12
NO_PRICE = float("inf")


class Two(NamedTuple):
    """
    The slots of the lowest and of the second lowest price, and these prices. If there is only one,
    it is both, and `second_price` is NO_PRICE.
    """

    first: int
    second: int
    price: float
    second_price: float


class Pool:
    """The offers of one program that let one shape through."""

    __slots__ = (
        "_active",
        "_base",
        "_bits",
        "_floors",
        "_per_unit",
        "_powers",
        "_prices",
        "_rest",
        "_slots",
        "index",
    )

    def __init__(self, index: ProgramIndex, bits: Bits, units: int) -> None:
        """
        `bits` are the slots of `index` that let the shape through; `units` those of the job that
        asks first.
        """
        self.index = index
        self._bits = bits
        self._powers: Reals = 2.0 ** np.arange(units.bit_length() + 1)
        self._fill(units)

    def _fill(self, units: int) -> None:
        """Take those that are the cheapest for `units` of those that have room."""
        index = self.index
        slots = members(self._bits & index.alive)
        self._rest: Integers = slots[:0]
        if len(slots) > _ACTIVE:
            prices = index.base[slots] + index.per_unit[slots] * units
            parted = np.argpartition(prices, _ACTIVE)
            self._rest = slots[parted[_ACTIVE:]]
            slots = np.sort(slots[parted[:_ACTIVE]])
        self._slots: Integers = slots
        self._active: list[int] = slots.tolist()
        # Infinite where the room is known to be gone.
        self._base: Reals = index.base[slots]
        self._per_unit: Reals = index.per_unit[slots]
        self._prices: Reals = np.empty(len(slots))
        self._price_rest()

    def _price_rest(self) -> None:
        rest, index = self._rest, self.index
        self._floors: list[float] = []
        if len(rest):
            lines = index.base[rest] + index.per_unit[rest] * self._powers[:, None]
            self._floors = lines.min(axis=1).tolist()

    def _floor(self, units: int) -> float:
        """A price that none of the rest is below."""
        if not self._floors:
            return NO_PRICE
        power = units.bit_length() - 1
        if power + 1 >= len(self._floors):
            self._powers = 2.0 ** np.arange(power + 2)
            self._price_rest()
        low, high = self._floors[power], self._floors[power + 1]
        start = 1 << power
        return (low + (high - low) * (units - start) / start) * _DOUBT

    def size(self) -> int:
        """How many offers there are; some may have no room any more."""
        return len(self._slots) + len(self._rest)

    def best_two(self, units: Integers) -> list[Two]:
        """
        For a job of each of these units the two lowest. An empty pool is a ValueError; all of its
        offers have to have room still.
        """
        if not len(self._slots):
            raise ValueError("pool: it is empty")
        count = len(self._slots)
        found: list[Two] = []
        step = max(_AT_ONCE // count, 1)
        for start in range(0, len(units), step):
            some = units[start : start + step]
            prices = self._base + self._per_unit * some[:, None]
            rows = np.arange(len(some))
            first = prices.argmin(axis=1)
            lowest = prices[rows, first]
            prices[rows, first] = NO_PRICE
            second = prices.argmin(axis=1) if count > 1 else first
            second_lowest = prices[rows, second]
            found += map(
                Two,
                self._slots[first].tolist(),
                self._slots[second].tolist(),
                lowest.tolist(),
                second_lowest.tolist(),
            )
            if len(self._rest):
                floors = [self._floor(each) for each in some.tolist()]
                for row in np.flatnonzero(second_lowest > np.array(floors)).tolist():
                    found[start + row] = self._two_of_all(int(some[row])) or found[start + row]
        return found

    def two(self, units: int) -> Two | None:
        """The two lowest for one job of what has room now; None if nothing has."""
        found = self._two_active(units)
        if not self._floors or (found is not None and found.second_price <= self._floor(units)):
            return found
        self._fill(units)
        found = self._two_active(units)
        if self._floors and (found is None or found.second_price > self._floor(units)):
            found = self._two_of_all(units)
        return found

    def _two_active(self, units: int) -> Two | None:
        is_open, slots = self.index.is_open, self._active
        if not slots:
            return None
        # A plan spends a good part of its time here: a real factor, one array for all of them.
        prices = np.multiply(self._per_unit, float(units), out=self._prices)
        prices += self._base
        first, lowest = -1, NO_PRICE
        while True:
            at = int(prices.argmin())
            price = prices.item(at)
            if price == NO_PRICE:
                return None if first < 0 else Two(first, first, lowest, NO_PRICE)
            slot = slots[at]
            if not is_open[slot]:
                self._base[at] = NO_PRICE
            elif first < 0:
                first, lowest = slot, price
            else:
                return Two(first, slot, lowest, price)
            prices[at] = NO_PRICE

    def _two_of_all(self, units: int) -> Two | None:
        found = self.cheapest(units, 2)
        if not found:
            return None
        base, per_unit = self.index.base, self.index.per_unit
        first, second = found[0], found[-1]
        price, second_price = (float(base[s] + per_unit[s] * units) for s in (first, second))
        if len(found) == 1:
            second_price = NO_PRICE
        return Two(first, second, price, second_price)

    def cheapest(self, units: int, count: int) -> list[int]:
        """
        `count` slots with room with the lowest prices of `units`, the lowest first; all if there
        are fewer.
        """
        slots = members(self._bits & self.index.alive)
        prices = self.index.base[slots] + self.index.per_unit[slots] * units
        if count < len(prices):
            # With all that cost the same as the last, so that the first slots of those stay.
            slots = slots[prices <= np.partition(prices, count - 1)[count - 1]]
            prices = self.index.base[slots] + self.index.per_unit[slots] * units
        order = np.argsort(prices, kind="stable")[:count]
        found: list[int] = slots[order].tolist()
        return found
