"""The asks of one program, as sets of bits: which of them a job's bounds let through.

Each bound of a job (`vram >= 24`, `region in {3, 7}`) is a set of asks, and a set is one Python
integer with a bit per ask. To intersect a dozen of them takes about a microsecond for a thousand
asks, so a job costs hardly more in a large market than in a small one. The sets are made when a job
first asks for them.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

import numpy as np

from headrace.market.columns import Columns, Integers, Reals
from headrace.terms.words import ZERO_ADDRESS, Terms

NO_PRICE = float("inf")

# Sets that are kept per bound. Jobs with more different bounds than that have theirs made anew.
_MOST_SETS = 2_048

Bits = int


def to_bits(flags: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Bits:
    """The set of the positions that are true."""
    return int.from_bytes(np.packbits(flags, bitorder="little").tobytes(), "little")


def members(bits: Bits) -> Integers:
    """The positions in a set, ascending."""
    raw = np.frombuffer(bits.to_bytes((bits.bit_length() + 7) // 8, "little"), dtype=np.uint8)
    return np.flatnonzero(np.unpackbits(raw, bitorder="little"))


class _Levels:
    """The sets `figure >= bound`, or `<=`: there are no more of them than different figures."""

    def __init__(self, figures: Integers, *, at_least: bool) -> None:
        self._figures = figures
        self._at_least = at_least
        self._steps: list[int] = np.unique(figures).tolist()
        self._sets: dict[int, Bits] = {}

    def step(self, bound: int) -> int:
        """Bounds with the same step have the same set."""
        find = bisect_left if self._at_least else bisect_right
        return find(self._steps, bound)

    def within(self, bound: int) -> Bits:
        """Those whose figure is at least (at most) `bound`."""
        step = self.step(bound)
        bits = self._sets.get(step)
        if bits is None:
            if len(self._sets) >= _MOST_SETS:
                self._sets.clear()
            flags = self._figures >= bound if self._at_least else self._figures <= bound
            bits = self._sets[step] = to_bits(flags)
        return bits


class ProgramIndex:
    """The asks that list one program; a slot is a place in the order of their records."""

    def __init__(self, columns: Columns, rows: Sequence[int]) -> None:
        """`rows` are those of `columns`."""
        found = np.array(rows, dtype=np.int32)
        order = np.argsort(columns.standing[found])
        self.rows = array("i", found[order].tobytes())
        self.size = len(self.rows)
        self._columns = columns
        # The same, to index with.
        self._found: Integers = np.asarray(self.rows)
        self.base = columns.base[self._found]
        self.per_unit = columns.per_unit[self._found]
        self.all: Bits = (1 << self.size) - 1
        # Those that nothing bars and whose node has room, as far as the plan has come.
        is_alive = [not columns.dead[r] and columns.room[columns.places[r]] > 0 for r in self.rows]
        self.is_open = bytearray(is_alive)
        self.alive: Bits = to_bits(np.array(is_alive, dtype=np.bool_))
        # What an offer asks for no units now: its base price, and what is bid for a place at its
        # node; infinite while there is no room. In `fallen` are the slots that came to be lower.
        self.now: Reals = np.where(is_alive, self.base, NO_PRICE)
        self.fallen: list[int] = []
        self._counterparties = {columns.asks[row].ask.counterparty for row in self.rows}
        self._levels: dict[str, _Levels] = {}
        self._values: dict[str, dict[object, Bits]] = {}
        self._masks: dict[tuple[str, int], Bits] = {}
        self._steps: dict[tuple[int, int], tuple[int, int]] = {}

    def slot_of(self, row: int) -> int:
        """The slot of a row; ValueError if the ask doesn't list the program."""
        return self.rows.index(row)

    # ---- sets by bound

    def at_least(self, name: str, bound: int) -> Bits:
        """The asks whose figure `name` is at least `bound`."""
        return self._level(name, at_least=True).within(bound)

    def at_most(self, name: str, bound: int) -> Bits:
        """The asks whose figure `name` is at most `bound`."""
        return self._level(name, at_least=False).within(bound)

    def among(self, name: str, mask: int) -> Bits:
        """The asks whose figure `name` is a bit of `mask`."""
        found = self._masks.get((name, mask))
        if found is None:
            if len(self._masks) >= _MOST_SETS:
                self._masks.clear()
            found = 0
            for value, bits in self._by_value(name).items():
                if mask >> int(value) & 1:  # type: ignore[call-overload]
                    found |= bits
            self._masks[name, mask] = found
        return found

    def _level(self, name: str, *, at_least: bool) -> _Levels:
        levels = self._levels.get(name)
        if levels is None:
            figures = self._columns.figures[name][self._found]
            levels = self._levels[name] = _Levels(figures, at_least=at_least)
        return levels

    def _by_value(self, name: str) -> dict[object, Bits]:
        sets = self._values.get(name)
        if sets is None:
            figures = self._columns.figures[name][self._found]
            sets = self._values[name] = {
                value: to_bits(figures == value) for value in np.unique(figures).tolist()
            }
        return sets

    def _by_ask(self, name: str, key_of: Callable[[int], object]) -> dict[object, Bits]:
        """The asks by what `key_of` says of their row."""
        sets = self._values.get(name)
        if sets is None:
            slots: dict[object, list[int]] = {}
            for slot, row in enumerate(self.rows):
                slots.setdefault(key_of(row), []).append(slot)
            sets = self._values[name] = {key: self._of_slots(found) for key, found in slots.items()}
        return sets

    def _of_slots(self, slots: list[int]) -> Bits:
        flags = np.zeros(self.size, dtype=np.bool_)
        flags[slots] = True
        return to_bits(flags)

    # ---- sets by a job's terms

    def of_provider(self, provider: str) -> Bits:
        """The asks of a provider."""
        asks = self._columns.asks
        return self._by_ask("provider", lambda row: asks[row].ask.provider).get(provider, 0)

    def of_verifier(self, accepted: bytes) -> Bits:
        """The asks that accept a verifier, by its digest in `terms.verifier_terms`."""
        asks = self._columns.asks
        return self._by_ask("verifier", lambda row: asks[row].ask.verifier_terms).get(accepted, 0)

    def of_counterparty(self, *accounts: str) -> Bits:
        """The asks that are for any of these accounts, or for everybody."""
        asks = self._columns.asks
        sets = self._by_ask("counterparty", lambda row: asks[row].ask.counterparty)
        found = sets.get(ZERO_ADDRESS, 0)
        for account in accounts:
            found |= sets.get(account, 0)
        return found

    def shape_of(self, terms: Terms, accepted: bytes) -> tuple[object, ...]:
        """Terms with equal shapes are let through by the same asks."""
        for_one = len(self._counterparties) > 1 or ZERO_ADDRESS not in self._counterparties
        return (
            terms.requirement,
            accepted,
            terms.requester if for_one else "",
            self._level("ack_seconds", at_least=False).step(terms.ack_seconds),
            self._level("attempt_seconds", at_least=False).step(terms.attempt_seconds),
            self.steps_of(terms.units, terms.input_bytes),
        )

    def steps_of(self, units: int, input_bytes: int) -> tuple[int, int]:
        """The part of a shape that is a job's size."""
        found = self._steps.get((units, input_bytes))
        if found is None:
            if len(self._steps) >= _MOST_SETS:
                self._steps.clear()
            found = self._steps[units, input_bytes] = (
                self._level("units", at_least=True).step(units),
                self._level("input_bytes", at_least=True).step(input_bytes),
            )
        return found

    def by_requirement(self, word: int) -> dict[str, Bits]:
        """The asks that each bound of a requirement lets through, by the bound's name."""
        # The layout of `words.Requirement`, whose own `unpack` takes most of a job's time.
        models, regions = word >> 160, word >> 128 & 0xFFFF_FFFF
        latency, flags, faults = word >> 96 & 0xFF, word >> 88 & 0xFF, word >> 24 & 0xFFFF
        sets = {}
        if models:
            sets["gpu_model"] = self.among("gpu_model", models)
        if regions:
            sets["region"] = self.among("region", regions)
        for name, least in (
            ("vram", word >> 112 & 0xFFFF),
            ("gpu_count", word >> 104 & 0xFF),
            ("benchmark", word >> 56 & 0xFFFF_FFFF),
            ("completions", word >> 40 & 0xFFFF),
            ("weight", word & 0xFF_FFFF),
        ):
            if least:
                sets[name] = self.at_least(name, least)
        if latency:
            sets["latency"] = self.at_most("latency", latency)
        if faults:
            sets["fault_rate"] = self.at_most("fault_rate", faults)
        if flags:
            found = 0
            for offered, bits in self._by_value("attestation").items():
                if flags & ~int(offered) == 0:  # type: ignore[call-overload]
                    found |= bits
            sets["attestation"] = found
        return sets

    def by_terms(self, terms: Terms, accepted: bytes, keeper: str, delay: int) -> dict[str, Bits]:
        """The same for what asks want of a job's terms, and of its check, which takes `delay`."""
        return {
            "delay": self.at_least("delay", delay),
            "units": self.at_least("units", terms.units),
            "input_bytes": self.at_least("input_bytes", terms.input_bytes),
            "ack_seconds": self.at_most("ack_seconds", terms.ack_seconds),
            "attempt_seconds": self.at_most("attempt_seconds", terms.attempt_seconds),
            "verifier": self.of_verifier(accepted),
            "counterparty": self.of_counterparty(terms.requester, keeper),
        }

    def let_through(self, terms: Terms, accepted: bytes, keeper: str, delay: int) -> Bits:
        """The asks that stand against nothing in the terms but, maybe, the money."""
        found = self.all
        for bits in self.by_requirement(terms.requirement).values():
            found &= bits
        for bits in self.by_terms(terms, accepted, keeper, delay).values():
            found &= bits
        return found

    # ---- what changes while a plan is made

    def can_lock(self, slots: Integers) -> Reals:
        """The most that these offers' providers can still lock up, and that the offers allow."""
        rows = self._found[slots]
        most: Reals = np.minimum(self._columns.means[rows], self._columns.most[rows])
        return most

    def bid(self, slot: int, level: float) -> None:
        """Note what a place at an offer's node costs above the price, no less than before."""
        self.now[slot] = self.base[slot] + level

    def take(self, slot: int) -> None:
        """Note that an offer's node has no room left."""
        self.alive &= ~(1 << slot)
        self.is_open[slot] = 0
        self.now[slot] = NO_PRICE

    def give(self, slot: int) -> None:
        """Note that an offer's node has room again, at the offer's own price."""
        self.alive |= 1 << slot
        self.is_open[slot] = 1
        self.now[slot] = self.base[slot]
        self.fallen.append(slot)
