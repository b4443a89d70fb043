"""What a watcher does next about each claim: pure, from one block's state."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from headrace.chain.views import DisputeStatus
from headrace.terms.words import FaultProofSettings


class Step(Enum):
    """One step with a claim."""

    EXAMINE = "examine"  # recompute, and look for the fault if the claim is wrong
    READ = "read"  # get the trace that was published on chain, then examine again
    PROVE = "prove"
    DEMAND = "demand"
    SILENCE = "silence"


class Verdict(Enum):
    """What is known of a claim."""

    UNKNOWN = "unknown"
    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """
    An open claim, as chain and watcher know it. `has_fault`: a proof is at hand. `has_read`: the
    trace that was published on chain has been looked at. `is_mine`: this watcher demanded the trace
    that is due at `due`. Times are unix seconds.
    """

    claim_id: bytes
    claimed_at: int
    settings: int
    verdict: Verdict = Verdict.UNKNOWN
    has_fault: bool = False
    has_read: bool = False
    is_running: bool = False
    status: DisputeStatus = DisputeStatus.NONE
    due: int = 0
    is_mine: bool = False

    @property
    def window_until(self) -> int:
        """The last second of a first demand or proof."""
        return self.claimed_at + FaultProofSettings.unpack(self.settings).window

    @property
    def prove_until(self) -> int:
        """The last second of a proof."""
        if self.status == DisputeStatus.NONE:
            return self.window_until
        return self.claimed_at + FaultProofSettings.unpack(self.settings).delay


@dataclass(frozen=True, slots=True)
class Move:
    """A step with one claim. `until` is the last second in which the chain takes it, if any is."""

    claim_id: bytes
    step: Step
    until: int | None = None


def decide(claims: Iterable[Watched], now: int) -> list[Move]:
    """The moves at block time `now`, the most urgent claim first."""
    moves = []
    for claim in sorted(claims, key=lambda claim: (claim.prove_until, claim.claim_id)):
        moves += [Move(claim.claim_id, step, _until(claim, step)) for step in _steps(claim, now)]
    return moves


def _until(claim: Watched, step: Step) -> int | None:
    """The contract's own edge for a step on chain; silence can be called out at any time."""
    if step == Step.PROVE:
        return claim.prove_until
    return claim.window_until if step == Step.DEMAND else None


def _steps(claim: Watched, now: int) -> list[Step]:
    is_demanded = claim.status == DisputeStatus.DEMANDED
    if claim.status in (DisputeStatus.REFUTED, DisputeStatus.SETTLED):
        return []
    if is_demanded and now > claim.due:
        # Whoever demanded it has the reward; a claim known to be wrong falls all the same.
        return [Step.SILENCE] if claim.is_mine or claim.verdict == Verdict.BAD else []
    if claim.verdict == Verdict.GOOD:
        return []
    look = [] if claim.is_running else [Step.EXAMINE]
    if claim.verdict == Verdict.UNKNOWN:
        return look if now <= claim.prove_until else []
    if now > claim.prove_until:
        return []
    if claim.has_fault:
        return [Step.PROVE]
    if claim.status == DisputeStatus.NONE:
        return [Step.DEMAND, *look]
    if claim.status == DisputeStatus.PUBLISHED and not claim.has_read:
        return [] if claim.is_running else [Step.READ]
    # Demanded: the trace may still turn up in the store, which is faster than the chain.
    return look if is_demanded else []
