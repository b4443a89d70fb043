"""Whose turn a job is among several keepers: pure, the same for all who know the same keepers.

For each job the keepers stand in a row of their own, by hash. The first may act at once, each
further one a stagger later: whoever is alive acts, and the others see that it is done before their
turn comes. It is only manners, to save gas: the contract's guard decides.

The stagger is so many blocks, since what the one before has sent has to get into one, in seconds of
chain time at the pace that each keeper measures for itself (`chain.pace`). One that is some blocks
behind may measure another stretch: then the two shift their turns against each other, the more the
later their places. At three blocks, two neighbours still come a block apart (and a second for
rounding) as long as the one at place n, counted from 0, measures less than 2 / 3n more than the one
after it: two thirds for the second in a row, a tenth for the eighth. Measures of neighbouring
stretches share three quarters of their blocks.
"""

from collections.abc import Iterable
from fractions import Fraction
from math import ceil

from eth_utils.crypto import keccak


def place(job_id: bytes, keeper: str) -> bytes:
    """By what keepers stand in a job's row: the hash of the job and the keeper's address."""
    return keccak(job_id + bytes.fromhex(keeper.removeprefix("0x")))


def rank(job_id: bytes, me: str, keepers: Iterable[str]) -> int:
    """
    How many of `keepers` stand before `me` at a job: 0 is first. `me` need not be among them;
    addresses may be in any case, and more than once.
    """
    mine = place(job_id, me)
    others = {bytes.fromhex(keeper.removeprefix("0x")) for keeper in keepers}
    others.discard(bytes.fromhex(me.removeprefix("0x")))
    return sum(keccak(job_id + other) < mine for other in others)


def turn_at(
    job_id: bytes,
    me: str,
    keepers: Iterable[str],
    due_at: int,
    stagger_seconds: Fraction | int,
) -> int:
    """
    When it is our turn, chain time in seconds, rounded up: `due_at` is when the deed became
    possible.
    """
    return due_at + ceil(rank(job_id, me, keepers) * stagger_seconds)


def may_act(
    job_id: bytes,
    me: str,
    keepers: Iterable[str],
    due_at: int,
    now: int,
    stagger_seconds: Fraction | int,
) -> bool:
    """Whether at chain time `now` it is our turn, or was and nobody has acted."""
    return now >= turn_at(job_id, me, keepers, due_at, stagger_seconds)
