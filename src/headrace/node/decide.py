"""What a node does next about each job it was matched with: pure, from one block's state."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from headrace.chain.views import DisputeStatus, JobState
from headrace.node.record import AttemptKey, Entry, Stage

# How long before the edge of its acknowledgement a job is declined that still has no usable input:
# a third of the time, within these bounds, in seconds. It is also the time to get into a block.
_LEAST_MARGIN = 2
_MOST_MARGIN = 60


class Step(Enum):
    """One step with an attempt."""

    FETCH = "fetch"  # get the input and run the model; again if it has failed
    PUBLISH = "publish"  # trace and result, where others look
    CLAIM = "claim"
    DECLINE = "decline"
    GIVE_UP = "give up"  # too late for anything: note it
    ANSWER = "answer"  # publish the demanded trace on chain
    RECALL = "recall"  # get the trace of a claim back that isn't kept any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """
    An attempt of this node, as chain and record have it. Times are last seconds (unix), `trouble`
    is why the input could not be used when it was last tried ("" if it wasn't, `is_final` if no
    later try can differ), `demand` the claim's dispute and `due` its edge. `has_trace`: of the
    claim, kept here.
    """

    key: AttemptKey
    state: JobState
    matched_at: int
    decline_until: int
    claim_until: int
    entry: Entry | None
    is_running: bool = False
    trouble: str = ""
    is_final: bool = False
    demand: DisputeStatus = DisputeStatus.NONE
    due: int = 0
    has_trace: bool = True


@dataclass(frozen=True, slots=True)
class Move:
    """A step with one attempt, and why."""

    key: AttemptKey
    step: Step
    reason: str = ""


def margin(ack_seconds: int) -> int:
    """How many seconds before the last one a job without a usable input is declined."""
    return min(max(ack_seconds // 3, _LEAST_MARGIN), _MOST_MARGIN, ack_seconds)


def decide(attempts: Iterable[Held], now: int) -> list[Move]:
    """The moves at block time `now`, the most urgent attempt first."""
    moves = []
    for held in sorted(attempts, key=lambda held: (held.due or held.claim_until, held.key)):
        moves += _matched(held, now) if held.state == JobState.MATCHED else _claimed(held, now)
    return moves


def _matched(held: Held, now: int) -> list[Move]:
    entry = held.entry or Entry()
    if now > held.claim_until:
        is_noted = entry.stage in (Stage.FAILED, Stage.DECLINED)
        return [] if is_noted else [Move(held.key, Step.GIVE_UP, held.trouble or "too late")]
    if entry.root is not None:
        # What is on record is what is claimed, whatever else happens.
        publish = [] if entry.is_published else [Move(held.key, Step.PUBLISH)]
        return [*publish, Move(held.key, Step.CLAIM)]
    may_decline = now <= held.decline_until
    if entry.stage == Stage.DECLINED and may_decline:
        return [Move(held.key, Step.DECLINE, entry.reason)]
    if held.is_running:
        return []
    if held.trouble and may_decline:
        least = held.decline_until - margin(held.decline_until - held.matched_at)
        if held.is_final or now >= least:
            return [Move(held.key, Step.DECLINE, held.trouble)]
    if held.is_final:
        return [] if entry.stage == Stage.FAILED else [Move(held.key, Step.GIVE_UP, held.trouble)]
    return [Move(held.key, Step.FETCH)]


def _claimed(held: Held, now: int) -> list[Move]:
    moves = []
    entry = held.entry or Entry()
    if entry.root is not None and not entry.is_published and held.has_trace:
        moves.append(Move(held.key, Step.PUBLISH))
    if held.state == JobState.CONTESTED and held.demand == DisputeStatus.DEMANDED:
        if now > held.due:
            return moves
        if held.has_trace:
            moves.append(Move(held.key, Step.ANSWER))
        elif not held.is_running:
            moves.append(Move(held.key, Step.RECALL))
    return moves
