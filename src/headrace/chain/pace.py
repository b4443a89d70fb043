"""How fast a chain goes, by the headers that are kept of it: pure, but for the asking for a header.

Several keepers measure it, each for itself, and act by it one after the other. Both ends of the
stretch that is measured are multiples of ANCHOR, so that whoever is at the same head, or at one a
few blocks away, measures the same stretch. It is a fraction and isn't rounded: of two who measure
stretches next to each other, neither finds itself on another side of an edge.
"""

from collections.abc import Callable
from fractions import Fraction

from headrace.chain.rpc import Header

# Blocks that are measured, the most that there are headers for.
STRETCHES = (64, 48, 32, 16)
ANCHOR = 16
# Seconds a block where too few headers are kept.
DEFAULT = Fraction(2)
# A block's least and most seconds. A chain that stood still is not a slow one.
LEAST, MOST = Fraction(1), Fraction(60)

TimeOf = Callable[[int], int | None]


def block_seconds(head: int, time_of: TimeOf) -> Fraction:
    """
    Chain time from one block to the next, on average over up to 64 blocks below `head`, from LEAST
    to MOST; DEFAULT if too few are kept. `time_of` gives a block's time, None if it isn't kept.
    """
    last = head - head % ANCHOR
    end = time_of(last)
    if end is None:
        return DEFAULT
    for blocks in STRETCHES:
        start = time_of(last - blocks) if blocks <= last else None
        if start is not None:
            return min(max(Fraction(end - start, blocks), LEAST), MOST)
    return DEFAULT


def made_at(number: int, head: Header, seconds: Fraction, time_of: TimeOf) -> int:
    """
    When block `number` was made, in seconds; reckoned back from `head` at `seconds` a block if its
    header isn't kept any more.
    """
    found = time_of(number)
    if found is not None:
        return found
    return head.timestamp - int(max(0, head.number - number) * seconds)
