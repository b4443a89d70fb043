"""Whose turn a job is among several keepers: pure, the same for all who know the same keepers.

For each job the keepers stand in a row of their own, by hash. The first may act at once, each
further one `stagger_seconds` of chain time later: whoever is alive acts, and the others see that it
is done before their turn comes. It is only manners, to save gas: the contract's guard decides.
"""

from collections.abc import Iterable

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
    job_id: bytes, me: str, keepers: Iterable[str], due_at: int, stagger_seconds: int
) -> int:
    """When it is our turn, chain time in seconds: `due_at` is when the deed became possible."""
    return due_at + rank(job_id, me, keepers) * stagger_seconds


def may_act(
    job_id: bytes,
    me: str,
    keepers: Iterable[str],
    due_at: int,
    now: int,
    stagger_seconds: int,
) -> bool:
    """Whether at chain time `now` it is our turn, or was and nobody has acted."""
    return now >= turn_at(job_id, me, keepers, due_at, stagger_seconds)
