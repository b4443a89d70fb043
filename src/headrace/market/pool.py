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

from headrace.market.columns import Flags, Integers, Reals
from headrace.market.index import NO_PRICE, Bits, ProgramIndex, members, to_bits

_ACTIVE = 96
# How far above the lowest price `nearly_two` may be.
_SLACK = 1.25
# Prices that are looked at in one go: 2**16 are half a MiB.
_AT_ONCE = 1 << 16
# How many offers that came to be cheaper are noted one by one.
_MOST_FALLS = 16
# What rounding may have added to a chord, or to a lock.
DOUBT = 1 - 1e-12


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
        "_able",
        "_bits",
        "_floors",
        "_heard",
        "_lines",
        "_prices",
        "_rest",
        "_slots",
        "_weights",
        "index",
        "lock_per_price",
    )

    def __init__(
        self, index: ProgramIndex, bits: Bits, units: int, lock_per_price: int = 0
    ) -> None:
        """
        `bits` are the slots of `index` that let the shape through; `units` those of the job that
        asks first. Its provider locks up at least `lock_per_price` times the price, if it isn't the
        requester: those who can't for one unit are left out of all but `cheapest`.
        """
        self.index = index
        self.lock_per_price = lock_per_price
        self._bits = bits
        self._able = bits
        if lock_per_price:
            slots = members(bits)
            one = index.base[slots] + index.per_unit[slots]
            able = np.zeros(index.size, dtype=np.bool_)
            able[slots[self._covered(slots, one, 0)]] = True
            self._able = to_bits(able)
        self._fill(units)

    def _fill(self, units: int) -> None:
        """Take those that are the cheapest for `units` of those that have room."""
        index = self.index
        slots = members(self._able & index.alive)
        self._heard = len(index.fallen)
        self._rest: Integers = slots[:0].astype(np.int32)
        if len(slots) > _ACTIVE:
            parted = np.argpartition(self._priced(slots, units), _ACTIVE)
            self._rest = slots[parted[_ACTIVE:]].astype(np.int32)
            slots = np.sort(slots[parted[:_ACTIVE]])
        self._slots: Integers = slots
        # Their prices are one product: of (1, units) and (base prices now, prices per unit).
        self._weights: Reals = np.ones(2)
        self._lines: Reals = np.array((index.now[slots], index.per_unit[slots]))
        self._prices: Reals = np.empty(len(slots))
        self._floors: dict[int, float] = {}

    def _priced(self, slots: Integers, units: int) -> Reals:
        """What these offers ask for `units` now."""
        prices: Reals = self.index.now[slots] + self.index.per_unit[slots] * units
        return prices

    def _floor(self, units: int) -> float:
        """A price that none of the rest is below."""
        if not len(self._rest):
            return NO_PRICE
        power = units.bit_length() - 1
        low, high = self._floor_at(power), self._floor_at(power + 1)
        start = 1 << power
        return (low + (high - low) * (units - start) / start) * DOUBT

    def _floor_at(self, power: int) -> float:
        found = self._floors.get(power)
        if found is None:
            # Prices of the rest don't fall until the next filling, so this will do till then.
            found = self._floors[power] = float(self._priced(self._rest, 1 << power).min())
        return found

    def _is_current(self) -> bool:
        """
        Take note of the offers that came to be cheaper; False if that takes more than a filling.
        """
        fallen, index = self.index.fallen, self.index
        if len(fallen) == self._heard:
            return True
        if len(fallen) - self._heard > _MOST_FALLS:
            return False
        active = self._slots.tolist()
        for slot in fallen[self._heard :]:
            if self._able >> slot & 1 and slot not in active:
                self._rest = np.append(self._rest, np.int32(slot))
                base, per_unit = index.now.item(slot), index.per_unit.item(slot)
                for power, floor in self._floors.items():
                    self._floors[power] = min(floor, base + per_unit * (1 << power))
        self._heard = len(fallen)
        return True

    def size(self) -> int:
        """How many of the offers have room now."""
        return (self._bits & self.index.alive).bit_count()

    def has(self, slot: int) -> bool:
        """Whether it lets an offer's slot through, with room or without."""
        return bool(self._bits >> slot & 1)

    def was_empty(self) -> bool:
        """Whether none had room when prices were last looked at."""
        return not len(self._slots)

    def about_two(self, units: Integers) -> tuple[Reals, Reals]:
        """
        The lowest price and the second lowest for a job of each of these units, as far as the
        active go: good for an order among jobs. NO_PRICE where there is none.
        """
        lowest, second = np.full((2, len(units)), NO_PRICE)
        step = _AT_ONCE // _ACTIVE
        for start in range(0, len(units) if len(self._slots) else 0, step):
            prices = self._lines[0] + self._lines[1] * units[start : start + step, None]
            rows = np.arange(len(prices))
            first = prices.argmin(axis=1)
            lowest[start : start + step] = prices[rows, first]
            prices[rows, first] = NO_PRICE
            second[start : start + step] = prices.min(axis=1)
        return lowest, second

    def two(self, units: int) -> Two | None:
        """The two lowest for one job of what has room now; None if nothing has."""
        if self._is_current():
            found = self._two_active(units)
            if found is None and not len(self._rest):
                return None
            if found is not None and found.second_price <= self._floor(units):
                return found
        # Of these units the active are the cheapest now, and more than two if there are any others.
        self._fill(units)
        return self._two_active(units)

    def nearly_two(self, units: int) -> Two | None:
        """
        The same in less time where prices lie close, which bids make them do. The first may cost up
        to a quarter more than the lowest; if it may, the second is the first again, at its price.
        """
        if self._is_current():
            found = self._two_active(units)
            if found is None and not len(self._rest):
                return None
            if found is not None:
                floor = self._floor(units)
                if found.second_price <= floor:
                    return found
                if found.price <= floor * _SLACK:
                    return Two(found.first, found.first, found.price, found.price)
        self._fill(units)
        return self._two_active(units)

    def _two_active(self, units: int) -> Two | None:
        # A plan spends a good part of its time here: no new arrays, and no more calls than needed.
        slots, prices = self._slots, self._prices
        if not len(slots):
            return None
        self._lines[0] = self.index.now[slots]
        self._weights[1] = units
        self._weights.dot(self._lines, prices)
        at = prices.argmin()
        price = prices.item(at)
        if price == NO_PRICE:
            return None
        first = second = slots.item(at)
        prices[at] = NO_PRICE
        at = prices.argmin()
        second_price = prices.item(at)
        if second_price != NO_PRICE:
            second = slots.item(at)
        return Two(first, second, price, second_price)

    def _covered(self, slots: Integers, prices: Reals, least_lock: int) -> Flags:
        """Whose providers may still be able, and willing, to lock up what these prices take."""
        locks = np.maximum(prices * self.lock_per_price, least_lock) * DOUBT
        covered: Flags = locks <= self.index.can_lock(slots)
        return covered

    def cheapest(self, units: int, count: int, least_lock: int | None = None) -> list[int]:
        """
        `count` slots with room with the lowest prices of `units`, the lowest first; all if there
        are fewer. If there is a `least_lock`, without those whose providers can't lock that up, or
        not what the price takes.
        """
        slots = members(self._bits & self.index.alive)
        prices = self.index.base[slots] + self.index.per_unit[slots] * units
        if least_lock is not None:
            slots = slots[self._covered(slots, prices, least_lock)]
            prices = self.index.base[slots] + self.index.per_unit[slots] * units
        if count < len(prices):
            # With all that cost the same as the last, so that the first slots of those stay.
            slots = slots[prices <= np.partition(prices, count - 1)[count - 1]]
            prices = self.index.base[slots] + self.index.per_unit[slots] * units
        order = np.argsort(prices, kind="stable")[:count]
        found: list[int] = slots[order].tolist()
        return found
