"""What the keeper does about a state: a pure function, the same state always giving the same moves.

Every move has a key that names the deed: `expire:<job>:<attempt>:<declines>`. A declined attempt
gives its number back, so both are needed to tell attempts apart.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from eth_utils.crypto import keccak

from headrace.chain.jobs import Job
from headrace.chain.views import JobState, Outcome, Verdict
from headrace.daemon.actions import Action
from headrace.keeper.state import State, asks_verifier
from headrace.market.matching import Match, propose
from headrace.terms.words import Record

# A verifier that hasn't answered this long after the longest delay has failed (JobEscrow).
VOID_GRACE = 2 * 86_400
# The most claims that one transaction makes final.
MAX_BATCH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    What a keeper is willing to do. A move that pays somebody else, or nobody, is left to others for
    `patience` seconds, and then for up to `spread` more: several keepers don't do it at once. What
    is kept for the sink is sent on from `sweep_from` token units on. Matches are made for a tip of
    at least `min_tip`, in token units.
    """

    patience: int = 15
    spread: int = 15
    sweep_from: int = 1_000_000
    min_tip: int = 0


def decide(state: State, policy: Policy) -> list[Action]:
    """
    What is due now, the most urgent first: verdicts, no-shows, matches, payments, leftovers.
    """
    return [
        *_refutes(state, policy),
        *_expiries(state),
        *_matches(state, policy),
        *_payments(state, policy),
        *_voids(state, policy),
        *_cancels(state, policy),
        *_fees(state, policy),
        *_sweeps(state, policy),
    ]


def name(job: Job) -> str:
    """A job and its attempt, as keys have them."""
    return f"{job.id.hex()}:{job.attempt}:{job.declines}"


def is_my_turn(state: State, policy: Policy, subject: bytes, since: int) -> bool:
    """Whether a move that was due after `since` and doesn't pay me is mine to make by now."""
    draw = int.from_bytes(keccak(subject + bytes.fromhex(state.me[2:]))[:4])
    return state.now > since + policy.patience + draw % (policy.spread + 1)


# ---- claims


def _claimed(state: State) -> Iterator[tuple[Job, Record, bytes]]:
    for job in state.due:
        if job.state.is_claimed and job.record is not None and job.commitment is not None:
            yield job, job.record, job.commitment


def _refutes(state: State, policy: Policy) -> Iterator[Action]:
    for job, record, commitment in _claimed(state):
        outcome = state.outcomes.get(job.id)
        if outcome is None or outcome.verdict != Verdict.FALLS:
            continue
        if record.keeper == state.me or is_my_turn(state, policy, job.id, job.claimed_at):
            yield Action(
                key=f"refute:{name(job)}",
                contract="JobEscrow",
                function="refute",
                args=(job.id, record, commitment),
                note=f"the verifier says that the claim of {record.provider} falls",
            )


def stands_since(job: Job, record: Record, outcome: Outcome | None) -> int | None:
    """The last second before a claim may be made final; None if it isn't known to stand."""
    if not asks_verifier(job):
        return job.claimed_at + record.window
    if outcome is None or outcome.verdict != Verdict.STANDS:
        return None
    return outcome.not_before


def _payments(state: State, policy: Policy) -> Iterator[Action]:
    together: defaultdict[Record, list[tuple[Job, bytes]]] = defaultdict(list)
    for job, record, commitment in _claimed(state):
        since = stands_since(job, record, state.outcomes.get(job.id))
        if since is None or state.now <= since or job.id in state.busy:
            continue
        if record.keeper == state.me or is_my_turn(state, policy, job.id, since):
            together[record].append((job, commitment))
    for record, claims in together.items():
        for start in range(0, len(claims), MAX_BATCH):
            yield _payment(record, claims[start : start + MAX_BATCH])


def _payment(record: Record, claims: Sequence[tuple[Job, bytes]]) -> Action:
    if len(claims) == 1:
        ((job, commitment),) = claims
        return Action(
            key=f"finalise:{name(job)}",
            contract="JobEscrow",
            function="finalise",
            args=(job.id, record, commitment),
            note=f"the claim of {record.provider} stands",
        )
    items = [(job.id, commitment) for job, commitment in claims]
    names = " ".join(name(job) for job, _ in claims)
    return Action(
        key=f"finalise_batch:{keccak(text=names).hex()}",
        contract="JobEscrow",
        function="finalise_batch",
        args=(record, items),
        note=f"{len(items)} claims of {record.provider} stand",
    )


def _voids(state: State, policy: Policy) -> Iterator[Action]:
    for job, record, commitment in _claimed(state):
        if not asks_verifier(job):
            continue
        since = job.claimed_at + state.snapshot.delay_max + VOID_GRACE
        if state.now <= since or _has_verdict(state, state.outcomes.get(job.id)):
            continue
        if record.keeper == state.me or is_my_turn(state, policy, job.id, since):
            yield Action(
                key=f"void:{name(job)}",
                contract="JobEscrow",
                function="void_claim",
                args=(job.id, record, commitment),
                note=f"the verifier {record.verifier} has failed",
            )


def _has_verdict(state: State, outcome: Outcome | None) -> bool:
    if outcome is None:
        return False
    if outcome.verdict == Verdict.STANDS:
        return state.now > outcome.not_before
    return outcome.verdict == Verdict.FALLS


# ---- attempts and open jobs


def _expiries(state: State) -> Iterator[Action]:
    for job in state.due:
        if job.state == JobState.MATCHED and job.record is not None and state.now > job.claim_until:
            yield Action(
                key=f"expire:{name(job)}",
                contract="JobEscrow",
                function="expire",
                args=(job.id, job.record),
                note=f"{job.record.provider} has not claimed in time",
            )


def _cancels(state: State, policy: Policy) -> Iterator[Action]:
    for job in state.open.values():
        if is_my_turn(state, policy, job.id, job.terms.final_deadline):
            yield Action(
                key=f"cancel:{name(job)}",
                contract="JobEscrow",
                function="cancel",
                args=(job.terms, job.excluded),
                note=f"nobody took the job of {job.terms.requester} in time",
            )


# ---- matches


def _matches(state: State, policy: Policy) -> Iterator[Action]:
    plan = propose(state.book, state.snapshot, state.barred)
    for match in plan.matches:
        if match.quote.tip >= policy.min_tip:
            yield _match(state, match)


def _match(state: State, match: Match) -> Action:
    job, offer = match.job, match.ask
    proof = offer.proof(job.terms.program)
    note = f"{offer.ask.provider} for {match.quote.total}, tip {match.quote.tip}"
    if job.inputs:
        inputs = state.batches[job.job_id]
        return Action(
            key=f"match_batch:{job.job_id.hex()}",
            contract="JobEscrow",
            function="match_batch",
            args=(job.terms, inputs, job.signature, offer.ask, offer.signature, proof),
            note=f"{len(job.inputs)} jobs to {note}",
            ground=offer.ask_hash,
        )
    posted = state.open.get(job.job_id)
    args: tuple[Any, ...] = (job.terms, job.signature, offer.ask, offer.signature, proof)
    return Action(
        key=f"match:{job.job_id.hex()}:0:0" if posted is None else f"match:{name(posted)}",
        contract="JobEscrow",
        function="match",
        args=(*args, job.excluded),
        note=note,
        ground=offer.ask_hash,
    )


# ---- what is left over


def _fees(state: State, policy: Policy) -> Iterator[Action]:
    for fee in state.fees:
        if is_my_turn(state, policy, fee.claim_id, fee.since):
            yield Action(
                key=f"settle_demand:{fee.claim_id.hex()}",
                contract="FaultProof",
                function="settle_demand",
                args=(fee.job_id, fee.record, fee.attempt),
                note="the fee of a demand whose claim has ended",
            )


def _sweeps(state: State, policy: Policy) -> Iterator[Action]:
    for kept in state.kept:
        if kept.amount >= max(policy.sweep_from, 1):
            yield Action(
                key=f"sweep:{kept.provider}:{kept.completions}",
                contract="ProviderRegistry",
                function="sweep",
                args=(kept.provider,),
                note=f"{kept.amount} for the sink",
            )
