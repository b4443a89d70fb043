"""How late a deed may be: per task, by who had to do it and by what happened meanwhile.

A task that is posted in block P is seen there by the first in its row, who sends at once: done in
block P + 1, which is a delay of 0. Each further place in the row waits a stagger more. Nothing else
costs a block as long as the chain waits for the clerks; what does is a mishap, and each has its
price (see `Scene`): no constant is left for luck.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from headrace.keeper.rank import rank


@dataclass(frozen=True, slots=True)
class Mishap:
    """Something at head `block` that may cost what is under way up to `cost` blocks."""

    block: int
    cost: int


def responsible(
    task: int,
    posted: int,
    keepers: Iterable[str],
    ended: Mapping[str, int],
    stagger: int,
    mishaps: Sequence[Mishap] = (),
) -> int:
    """
    The rank of the keeper who had to do a task that was posted in block `posted`: the first in the
    row that outlived its turn, and what mishaps may have cost it until then. `ended` is the head at
    which a keeper was killed; one that is killed at its own turn may have done it or not, and isn't
    counted on. ValueError if nobody is left.
    """
    row = list(keepers)
    task_id = task.to_bytes(32)
    for place, keeper in enumerate(sorted(row, key=lambda who: rank(task_id, who, row))):
        turn = posted + place * stagger
        if keeper not in ended or ended[keeper] > turn + cost(posted, turn, mishaps):
            return place
    raise ValueError(f"nobody is left to do task {task}")


def cost(posted: int, until: int, mishaps: Iterable[Mishap]) -> int:
    """
    What the mishaps of a task cost at most, in blocks: those from the block before its own, as it
    may have been posted under one, until `until`.
    """
    return sum(mishap.cost for mishap in mishaps if posted - 1 <= mishap.block <= until)


def allowed(
    posted: int, done: int, place: int, stagger: int, mishaps: Iterable[Mishap] = ()
) -> int:
    """The most blocks that a deed of rank `place` may lie behind the block after the task's."""
    return place * stagger + cost(posted, done, mishaps)
