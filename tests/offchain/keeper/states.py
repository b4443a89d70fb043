"""States of a keeper's world made by hand, and a small model of what its moves do to them."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from eth_utils.crypto import keccak

from headrace.chain.jobs import Attempt, Job
from headrace.chain.views import JobState, Outcome, Verdict
from headrace.daemon.actions import Action
from headrace.keeper.decide import Move, Policy, plan
from headrace.keeper.state import Fee, Kept, State, asks_verifier, may_be_due
from headrace.market.book import Book, OpenJob
from headrace.terms.money import exclusion_after
from headrace.terms.words import Record, Terms, claim_id, excluded_hash
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


@dataclass
class Model:
    """What the contracts do with moves: enough of it to see that nothing is left to do."""

    jobs: dict[bytes, Job]
    now: int
    outcomes: dict[bytes, Outcome | None] = field(default_factory=dict)
    fees: list[Fee] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    world: World = field(default_factory=World)

    def state(self) -> State:
        """What a reader would see."""
        world = replace(self.world, now=self.now, book=Book(asks=self.world.book.asks()))
        for job in self.jobs.values():
            assert job.id not in self.world.providers
        return make_state(
            self.now,
            *self.jobs.values(),
            world=world,
            outcomes={
                job.id: self.outcomes.get(job.id)
                for job in self.jobs.values()
                if job.state.is_claimed and asks_verifier(job)
            },
            fees=tuple(self.fees),
            kept=tuple(self.kept),
        )

    def apply(self, actions: Iterable[Action]) -> None:
        """Carry moves out, each as the contract would; a move that would revert is an error."""
        for action in actions:
            assert action.key not in self.done, f"{action.key} twice"
            assert action.is_good(self.now), f"{action.key} not now"
            self.done.append(action.key)
            getattr(self, action.function)(*action.args)

    def _end(self, job_id: bytes, state: JobState, *, reopens: bool) -> None:
        job = self.jobs[job_id]
        last = job.attempts[-1]
        if (
            reopens
            and job.attempt < job.terms.max_attempts
            and self.now <= job.terms.final_deadline
        ):
            excluded = (*job.excluded, exclusion_after(last.record))
            self.jobs[job_id] = replace(job, state=JobState.OPEN, excluded=excluded)
        else:
            self.jobs[job_id] = replace(job, state=state)

    def finalise(self, job_id: bytes, record: Record, commitment: bytes) -> None:
        job = self.jobs[job_id]
        assert job.state.is_claimed
        assert (job.record, job.commitment) == (record, commitment)
        if asks_verifier(job):
            outcome = self.outcomes[job_id]
            assert outcome is not None
            assert outcome.verdict == Verdict.STANDS
            assert self.now > outcome.not_before
        else:
            assert self.now > job.claimed_at + record.window
        self.jobs[job_id] = replace(job, state=JobState.FINAL)

    def finalise_batch(self, record: Record, items: list[tuple[bytes, bytes]]) -> None:
        assert 1 < len(items) <= 32
        for job_id, commitment in items:
            self.finalise(job_id, record, commitment)

    def expire(self, job_id: bytes, record: Record) -> None:
        job = self.jobs[job_id]
        assert job.state == JobState.MATCHED
        assert job.record == record
        assert self.now > job.claim_until
        self._end(job_id, JobState.EXPIRED, reopens=True)

    def refute(self, job_id: bytes, record: Record, commitment: bytes) -> None:
        job = self.jobs[job_id]
        assert job.state.is_claimed
        assert (job.record, job.commitment) == (record, commitment)
        outcome = self.outcomes[job_id]
        assert outcome is not None
        assert outcome.verdict == Verdict.FALLS
        self._end(job_id, JobState.REFUTED, reopens=True)

    def void_claim(self, job_id: bytes, record: Record, commitment: bytes) -> None:
        job = self.jobs[job_id]
        outcome = self.outcomes.get(job_id)
        assert asks_verifier(job)
        assert self.now > job.claimed_at + self.world.snapshot.delay_max + 2 * 86_400
        assert outcome is None or outcome.verdict == Verdict.PENDING
        self.jobs[job_id] = replace(job, state=JobState.EXPIRED)

    def cancel(self, terms: Terms, excluded: tuple[Any, ...]) -> None:
        job = next(job for job in self.jobs.values() if job.terms == terms)
        assert job.state == JobState.OPEN
        assert job.excluded == excluded
        assert self.now > terms.final_deadline
        self.jobs[job.id] = replace(job, state=JobState.CANCELLED)

    def match(self, terms: Terms, bid: bytes, ask: Any, signature: bytes, *rest: Any) -> None:
        job = next(job for job in self.jobs.values() if job.terms == terms)
        assert job.state == JobState.OPEN
        assert terms.valid_from <= self.now <= terms.final_deadline
        self._take_a_place(ask.provider, ask.node)
        record = make_record(terms, provider=ask.provider, matched_at=self.now)
        attempts = (*job.attempts, Attempt(record, ask_hash=b"\xab" * 32))
        self.jobs[job.id] = replace(
            job, state=JobState.MATCHED, attempt=job.attempt + 1, attempts=attempts
        )

    def _take_a_place(self, provider: str, index: int) -> None:
        """The node has one place less from now on; none is given twice."""
        state = self.world.providers[provider]
        node = state.nodes[index]
        assert node.active < node.word >> 200 & 0xFF
        taken = {**state.nodes, index: replace(node, active=node.active + 1)}
        self.world.providers[provider] = replace(state, nodes=taken)

    def settle_demand(self, job_id: bytes, record: Record, attempt: int) -> None:
        claim = claim_id(job_id, attempt, record.provider)
        self.fees = [fee for fee in self.fees if fee.claim_id != claim]

    def sweep(self, provider: str) -> None:
        self.kept = [kept for kept in self.kept if kept.provider != provider]


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
    "Model",
    "decide",
    "make_job",
    "make_record",
    "make_state",
    "stands",
]
