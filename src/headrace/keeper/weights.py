"""What a provider's record weighs later, from what it weighed when it was read.

The Registry keeps both weights as of `last_seen` and answers with what is left of them at the block
of the read, rounded. They fall with every block, and nothing happens that would tell of it. What
was kept can't be had exactly out of what is left, but it lies between two bounds; as long as
all between them leave the same, that is the weight, to the unit (contracts/modules/reputation.vy).
"""

from dataclasses import dataclass, replace

from headrace.chain.views import Provider

MAX_WEIGHT = 2**40 - 1


def decay(weight: int, elapsed: int, half_life: int) -> int:
    """
    What is left of `weight` after `elapsed` seconds: halved for every whole half-life, and falling
    in a straight line towards the next half in between, rounded down.
    """
    halvings, seconds = divmod(elapsed, half_life)
    return (weight >> halvings) * (2 * half_life - seconds) // (2 * half_life)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the most that a weight may have been; both may."""

    least: int
    most: int

    @classmethod
    def of(cls, left: int, elapsed: int, half_life: int) -> "Bounds":
        """What `left` may be left of."""
        halvings, seconds = divmod(elapsed, half_life)
        whole = 2 * half_life
        rest = whole - seconds
        least = -(-left * whole // rest)
        most = -(-(left + 1) * whole // rest) - 1
        return cls(least << halvings, min(((most + 1) << halvings) - 1, MAX_WEIGHT))

    def left(self, elapsed: int, half_life: int) -> int | None:
        """What is left of it then; None if that can't be told."""
        left = decay(self.most, elapsed, half_life)
        if self.least == self.most or decay(self.least, elapsed, half_life) == left:
            return left
        return None


class Ageing:
    """A provider's record as it was read, and as it is at a later block if nothing has happened."""

    __slots__ = ("_bad", "_good", "_half_life", "_is_weightless", "_read")

    def __init__(self, read: Provider, now: int, half_life: int) -> None:
        """`read` at a block of time `now`; `half_life` in seconds is the Registry's."""
        elapsed = now - read.last_seen
        self._read = read
        self._half_life = half_life
        # Nothing left stays nothing.
        self._is_weightless = read.good_weight == read.bad_weight == 0
        self._good = Bounds.of(read.good_weight, elapsed, half_life)
        self._bad = Bounds.of(read.bad_weight, elapsed, half_life)

    def at(self, now: int) -> Provider | None:
        """
        The record at a block of time `now`, not before that of the read; None if it has to be read
        again. The same object as before if it weighs the same.
        """
        read = self._read
        if self._is_weightless:
            return read
        elapsed = now - read.last_seen
        good = self._good.left(elapsed, self._half_life)
        bad = self._bad.left(elapsed, self._half_life)
        if good is None or bad is None:
            return None
        if (good, bad) != (read.good_weight, read.bad_weight):
            self._read = replace(read, good_weight=good, bad_weight=bad)
        return self._read
