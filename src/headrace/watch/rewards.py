"""When a watcher commits to a fault before it shows it, and when it opens the commitment.

A proof lies open in the pool, and whoever copies it into an earlier place is paid for it. So the
watcher first commits to the fault, which tells nobody what it is, and proves it a block later:
GraphProof pays the earliest commitment to any fault of the claim, however a proof gets onto the
chain. The commitment only earns something. Where it could cost the conviction, for want of time or
because it can't be sent, the fault is proven at once.

Pure: everything is decided from one block's state.
"""

from dataclasses import dataclass
from enum import Enum

from headrace.chain.graph_rules import REWARD_BLOCKS
from headrace.daemon.games import Game, Promise

TX_BLOCKS = 3
"""Blocks that a transaction may take into a block."""

ROOM_BLOCKS = 2 * TX_BLOCKS + 2
"""
Blocks that must be left to commit and then prove. A commitment counts in later blocks than its own,
and a call is simulated at the latest one: so one block lies between, and one is to spare.
"""

PATIENCE_BLOCKS = 5
"""
Blocks for which an earlier commitment is taken for an honest watcher's, who is about to prove: much
less than the blocks in which one can still be opened.
"""


class Step(Enum):
    """What to do about a fault that is known."""

    WAIT = "wait"  # for a block, for somebody else's proof, or for nothing any more
    COMMIT = "commit"
    PROVE = "prove"
    CLAIM = "claim"  # prove it with the commitment, for the reward


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """
    A wrong claim whose fault is known, at block `block` of time `now`. It can be proven wrong until
    `edge`, with commitments longer but never after `end`; both unix seconds. A block takes `pace`
    seconds. `promises` are all commitments to its faults, `own` is this watcher's to this fault.

    `may_commit`: commitments are wanted, and none was put off lately. `is_refused`: the chain
    doesn't take the proof with the commitment now. `proven_in` is the block of the first proof, 0
    while there is none, `holds` whether the reward is this watcher's, for which an earlier
    commitment may still come until block `open_until`.
    """

    block: int
    now: int
    edge: int
    end: int
    pace: int
    promises: tuple[Promise, ...] = ()
    own: Promise | None = None
    may_commit: bool = True
    is_refused: bool = False
    proven_in: int = 0
    open_until: int = 0
    holds: bool = False

    @property
    def is_provable(self) -> bool:
        """Whether a transaction of the next block can still prove the claim wrong."""
        if self.now <= self.edge:
            return True
        last = max((promise.block for promise in self.promises), default=-REWARD_BLOCKS)
        return self.block < last + REWARD_BLOCKS and self.now <= self.end

    @property
    def has_to_prove(self) -> bool:
        """Whether a proof with the own commitment is still to come: money is kept for it."""
        return self.own is not None and not self.proven_in and self.is_provable

    @property
    def until(self) -> int:
        """
        The last second of a proof or, once there is one, of the reward. Where the contract counts
        blocks it is an estimate at `pace`, and never before `now` while a block of them is left.
        """
        if self.proven_in:
            return min(self.end, self._after(self.open_until))
        last = max((promise.block for promise in self.promises), default=None)
        if last is None:
            return self.edge
        return max(self.edge, min(self.end, self._after(last + REWARD_BLOCKS)))

    def _after(self, block: int) -> int:
        """About when a block comes."""
        return self.now + (block - self.block) * self.pace

    def has_room(self, until: int, blocks: int) -> bool:
        """Whether at least `blocks` blocks are left until the second `until`."""
        return until - self.now >= blocks * self.pace

    def is_fresh(self, promise: Promise) -> bool:
        """Whether whoever made a commitment may still be about to prove."""
        return self.block < promise.block + PATIENCE_BLOCKS


def next_step(standing: Standing) -> Step:
    """What to do now."""
    if standing.proven_in:
        return _after_a_proof(standing)
    if not standing.is_provable:
        return Step.WAIT
    own = standing.own
    if own is not None and not standing.is_refused:
        return _with_a_commitment(standing, own)
    # The first commitment alone: who makes one in every block must not hold us up for longer.
    first = min(standing.promises, key=lambda promise: promise.number, default=None)
    if (
        first is not None
        and standing.is_fresh(first)
        and standing.has_room(standing.edge, ROOM_BLOCKS + 1)
        and not standing.is_refused
    ):
        return Step.WAIT
    if standing.may_commit and own is None and standing.has_room(standing.edge, ROOM_BLOCKS):
        return Step.COMMIT
    return Step.PROVE


def _with_a_commitment(standing: Standing, own: Promise) -> Step:
    """The claim isn't proven: who is first is paid at once, others after those before them."""
    if standing.block <= own.block:
        return Step.WAIT
    are_ahead = any(
        promise.number < own.number and standing.is_fresh(promise) for promise in standing.promises
    )
    if are_ahead and standing.has_room(standing.end, ROOM_BLOCKS):
        return Step.WAIT
    return Step.CLAIM


def _after_a_proof(standing: Standing) -> Step:
    """The claim falls whatever we do: what is left is whose the reward is."""
    own = standing.own
    if own is None or standing.holds or own.block >= standing.proven_in:
        return Step.WAIT
    if standing.block >= standing.open_until or standing.now > standing.end:
        return Step.WAIT
    # Whoever was before us goes first: what we pay for a proof would be lost.
    if own.number > 1 and standing.block < standing.proven_in + PATIENCE_BLOCKS:
        return Step.WAIT
    return Step.CLAIM


def is_falling(game: Game | None) -> bool:
    """Whether somebody has proven the claim wrong."""
    return game is not None and game.refuter is not None


def can_claim(game: Game, block: int) -> bool:
    """Whether the reward of a proven claim may still go to somebody who had committed before."""
    return bool(game.promises) and block < game.open_until


def carries_out(game: Game, me: str, block: int) -> bool:
    """
    Whether to end a claim whose reward is ours for good: nobody has to, and keepers, who are paid
    for it, come first.
    """
    return game.refuter == me and game.open_until != 0 and block > game.open_until + PATIENCE_BLOCKS
