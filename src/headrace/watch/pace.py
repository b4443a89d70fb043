"""How long a block takes on this chain, as far as one can see."""

from headrace.chain.rpc import Header, Rpc
from headrace.daemon.loop import PASSING

# Blocks that the average is taken over.
SPAN = 16
# Seconds, where the chain shows nothing: a young one, or a node that has forgotten.
_UNKNOWN = 12


class Pace:
    """Reads one header for each block that it is asked at."""

    def __init__(self, rpc: Rpc) -> None:
        """Nothing is read yet."""
        self._rpc = rpc
        self._known: tuple[bytes, int] = b"", _UNKNOWN

    def at(self, head: Header) -> int:
        """
        Seconds a block at `head`, the average of the last ones, rounded up; at least 1. What was
        known last, if the node can't say.
        """
        if self._known[0] != head.hash:
            try:
                before = self._rpc.header(max(0, head.number - SPAN))
            except PASSING:
                return self._known[1]
            self._known = head.hash, pace(before, head)
        return self._known[1]


def pace(before: Header | None, head: Header) -> int:
    """Seconds a block between two blocks, rounded up; at least 1."""
    if before is None or before.number >= head.number:
        return _UNKNOWN
    return max(1, -((before.timestamp - head.timestamp) // (head.number - before.number)))
