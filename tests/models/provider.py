"""Python twin of a provider's word: its packing, and what the ends of jobs make of it.

Twin of contracts/modules/provider_word.vy and reputation.vy in exact integers.
"""

from dataclasses import dataclass, replace

ACTIVE, EXITING, EXITED = 1, 2, 3
NODES, LANES = 8, 16
MAX_WEIGHT = 2**40 - 1
MAX_COMPLETIONS = 2**20 - 1
MAX_COUNT = 2**12 - 1


def decay(weight: int, elapsed: int, half_life: int) -> int:
    """Halved for every whole half-life, then straight towards the next half, rounded down."""
    left = weight >> elapsed // half_life
    return left - -(-left * (elapsed % half_life) // (2 * half_life))


def grow(weight: int, elapsed: int, half_life: int) -> int:
    """What is to be added to a sum `elapsed` seconds old, for `weight` to be left of it now."""
    weight = min(weight, MAX_WEIGHT)
    grown = weight + -(-weight * (elapsed % half_life) // half_life)
    return min(grown << min(elapsed // half_life, 40), MAX_WEIGHT)


def add(weight: int, more: int) -> int:
    """A sum that stops at the maximum."""
    return min(weight + more, MAX_WEIGHT)


def fault_rate(good: int, bad: int) -> int:
    """Basis points of the bad weight in both."""
    return bad * 10_000 // (good + bad) if good + bad else 0


@dataclass(frozen=True)
class Word:
    """A provider's word; weights as of `last_seen`."""

    status: int = 0
    is_available: int = 0
    has_payout: int = 0
    epoch: int = 0
    revoked_lanes: int = 0
    last_seen: int = 0
    active: tuple[int, ...] = (0,) * NODES
    completions: int = 0
    faults: int = 0
    no_shows: int = 0
    declines: int = 0
    good: int = 0
    bad: int = 0

    def pack(self) -> int:
        """The 256 bits."""
        word = 0
        for value, bits in self._layout():
            assert 0 <= value < 1 << bits
            word = word << bits | value
        return word

    def _layout(self) -> list[tuple[int, int]]:
        return [
            (self.status, 2),
            (self.is_available, 1),
            (self.has_payout, 1),
            (self.epoch, 20),
            (self.revoked_lanes, 16),
            (self.last_seen, 32),
            *((count, 6) for count in reversed(self.active)),
            (self.completions, 20),
            (self.faults, 12),
            (self.no_shows, 12),
            (self.declines, 12),
            (self.good, 40),
            (self.bad, 40),
        ]

    def fields(self) -> list[int]:
        """Every field, active jobs as their sum."""
        return [
            self.status,
            self.is_available,
            self.has_payout,
            self.epoch,
            self.revoked_lanes,
            self.last_seen,
            sum(self.active),
            self.completions,
            self.faults,
            self.no_shows,
            self.declines,
            self.good,
            self.bad,
        ]

    def weights(self, now: int, half_life: int) -> tuple[int, int]:
        """Good and bad weight as of `now`."""
        elapsed = now - self.last_seen
        return decay(self.good, elapsed, half_life), decay(self.bad, elapsed, half_life)

    def taken(self, node: int, count: int) -> "Word":
        """`count` more jobs on a node (fewer if negative)."""
        active = list(self.active)
        active[node] += count
        return replace(self, active=tuple(active))

    def seen(self, more_good: int, now: int, half_life: int) -> "Word":
        """After a sign of life that brought `more_good`."""
        good, bad = self.weights(now, half_life)
        return replace(self, last_seen=min(now, 2**32 - 1), good=add(good, more_good), bad=bad)

    def blamed(self, more_bad: int, now: int, half_life: int) -> "Word":
        """After something bad, which is no sign of life."""
        return replace(self, bad=add(self.bad, grow(more_bad, now - self.last_seen, half_life)))

    def ended(
        self, ending: str, weight: int, count: int, now: int, half_life: int, weight_cap: int
    ) -> "Word":
        """After `count` jobs ended in one way; places are not touched."""
        if ending == "COMPLETION":
            after = self.seen(min(weight, weight_cap * count), now, half_life)
            return replace(after, completions=min(after.completions + count, MAX_COMPLETIONS))
        if ending == "FAULT":
            after = self.blamed(weight, now, half_life)
            return replace(after, faults=min(after.faults + count, MAX_COUNT))
        if ending == "NO_SHOW":
            after = self.blamed(weight, now, half_life)
            return replace(after, no_shows=min(after.no_shows + count, MAX_COUNT))
        if ending == "DECLINE":
            return replace(self, declines=min(self.declines + count, MAX_COUNT))
        assert ending == "VOID"
        return self
