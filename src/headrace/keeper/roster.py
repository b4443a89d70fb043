"""Which keepers are about: those that have matched something lately, and those one is told of.

A match's record names its keeper, so the chain itself is the list. Anybody can get onto it for the
gas of a match, and everybody on it makes others wait for a stagger at some jobs: only the latest
few count, so that no number of names delays a job by more than a handful of staggers.
"""

from collections.abc import Iterable

from headrace.chain.abi import checksummed

# Seconds of chain time after its last match for which a keeper counts as being about.
HORIZON = 3_600
# The most others that are waited for.
MOST = 8


class Roster:
    """The keepers that one keeper takes turns with."""

    def __init__(self, me: str, told: Iterable[str] = ()) -> None:
        """`told` are always on it, beside `me`."""
        self._always = {checksummed(keeper) for keeper in (me, *told)}
        self._seen: dict[str, int] = {}

    def saw(self, keeper: str, at: int) -> None:
        """`keeper` has matched at chain time `at`; order doesn't matter."""
        keeper = checksummed(keeper)
        self._seen[keeper] = max(at, self._seen.get(keeper, 0))

    def keepers(self, now: int) -> tuple[str, ...]:
        """
        Those that are about at chain time `now`, sorted. Same for everybody who has seen the same
        matches, but for the names that each is told of.
        """
        self._seen = {keeper: at for keeper, at in self._seen.items() if now - at <= HORIZON}
        latest = sorted(
            (keeper for keeper in self._seen if keeper not in self._always),
            key=lambda keeper: (-self._seen[keeper], keeper),
        )
        return tuple(sorted(self._always | set(latest[:MOST])))
