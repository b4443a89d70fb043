"""States of a keeper's world made by hand."""

from dataclasses import replace
from typing import Any

from eth_utils.crypto import keccak

from headrace.chain.jobs import Attempt, Job
from headrace.chain.views import JobState, Outcome, Verdict
from headrace.keeper.decide import Move, Policy, plan
from headrace.keeper.state import State, asks_verifier, may_be_due
from headrace.market.book import OpenJob
from headrace.terms.words import Record, Terms, excluded_hash
from tests.offchain.market.worlds import World
from tests.offchain.terms.examples import (
    KEEPER,
    PROVIDER,
    REQUESTER,
    SETTINGS,
    T0,
    UNIT,
    VERIFIER,
    address,
    make_terms,
)

WINDOW = 600
OTHER_KEEPER = address(0xE1)
COMMITMENT = b"\xcc" * 32
# Nothing is left to others: what is due is due at once.
EAGER = Policy(patience=0, stagger_blocks=0, sweep_from=1)


def make_record(terms: Terms, **changes: Any) -> Record:
    """What a match of `terms` at T0 has agreed, the keeper being ours."""
    values: dict[str, Any] = {
        "requester": terms.requester,
        "price": 3 * UNIT,
        "no_show_bps": terms.no_show_bps,
        "provider": PROVIDER,
        "lock": 60 * UNIT,
        "node": 0,
        "max_attempts": terms.max_attempts,
        "declines": 0,
        "keeper": KEEPER,
        "tip": UNIT // 10,
        "charge_bps": 50,
        "verifier": VERIFIER,
        "settings": SETTINGS,
        "price_cap": terms.price_cap,
        "levy": 0,
        "damage_cap": terms.damage_cap,
        "keeper_fee": UNIT // 4,
        "matched_at": T0,
        "final_deadline": terms.final_deadline,
        "ack_seconds": terms.ack_seconds,
        "operator": PROVIDER,
        "window": WINDOW,
    }
    return Record(**(values | changes))


def make_job(state: JobState, salt: int = 1, **changes: Any) -> Job:
    """A job in `state`; its attempt was matched at T0 and, if claimed, claimed at T0 + 10."""
    record_changes = {k: changes.pop(k) for k in list(changes) if k in Record.__slots__}
    terms = changes.pop("terms", None) or make_terms(salt=salt)
    job = Job(id=keccak(repr(terms.pack()).encode()), terms=terms, posted_in=1, state=state)
    if state in (JobState.OPEN, JobState.CANCELLED):
        return replace(job, **changes)
    attempt = Attempt(make_record(terms, **record_changes), ask_hash=b"\xaa" * 32)
    if state != JobState.MATCHED:
        attempt = replace(attempt, commitment=COMMITMENT, claimed_at=T0 + 10)
    return replace(job, **({"attempts": (attempt,), "attempt": 1} | changes))


def make_state(now: int, *jobs: Job, **changes: Any) -> State:
    """The picture that a reader would take of these jobs at `now`."""
    world = changes.pop("world", None) or World(now=now)
    for job in jobs:
        if job.state == JobState.OPEN and now <= job.terms.final_deadline:
            world.book.add_job(
                OpenJob(
                    job_id=job.id,
                    terms=job.terms,
                    digest=excluded_hash(job.excluded),
                    declined_at=job.declined_at,
                    excluded=job.excluded,
                )
            )
    values: dict[str, Any] = {
        "book": world.book,
        "snapshot": replace(world.snapshot, now=now),
        "attempted": {job.id: job for job in jobs if job.state == JobState.OPEN and job.attempts},
        "overdue": tuple(
            job for job in jobs if job.state == JobState.OPEN and now > job.terms.final_deadline
        ),
        "due": tuple(job for job in jobs if may_be_due(job, now)),
        "outcomes": {
            job.id: Outcome(Verdict.PENDING, 0, address(0), ())
            for job in jobs
            if job.state.is_claimed and asks_verifier(job)
        },
    }
    return State(**(values | changes))


def decide(state: State, policy: Policy, me: str = KEEPER) -> list[Move]:
    """What is due at the time of the picture."""
    return list(plan(state, state.snapshot.now, me, policy).moves)


def stands(not_before: int) -> Outcome:
    """The verdict of a contested claim that was good."""
    return Outcome(Verdict.STANDS, not_before, address(0), ())


FALLS = Outcome(Verdict.FALLS, 0, address(0xD1), ())


__all__ = [
    "COMMITMENT",
    "EAGER",
    "FALLS",
    "KEEPER",
    "OTHER_KEEPER",
    "PROVIDER",
    "REQUESTER",
    "T0",
    "UNIT",
    "WINDOW",
    "decide",
    "make_job",
    "make_record",
    "make_state",
    "stands",
]
