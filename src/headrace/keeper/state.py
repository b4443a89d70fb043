"""All that a keeper decides on, at one block, and what follows from it about a job.

`keeper.reading` makes it. A job whose slot doesn't say what the fold of the events says is left out
until it does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from headrace.chain import pace
from headrace.chain.jobs import Job
from headrace.chain.views import JobState, Outcome, Slot
from headrace.keeper.verifiers import NodeFee
from headrace.market.book import Book
from headrace.market.snapshot import Snapshot
from headrace.terms.words import Record, claim_digest, claim_id, excluded_hash, record_hash

# The hook by which a verifier wants to be asked for the outcome of every claim (IVerifier.vyi).
_ASK_ALWAYS = 1 << 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Fee:
    """The fee of a demand whose claim has ended; `since` is when it could be foreseen at least."""

    claim_id: bytes
    job_id: bytes
    record: Record
    attempt: int
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the Registry's book keeps for the sink of a provider's final jobs."""

    provider: str
    amount: int
    completions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """
    What is decided on, all at one block.

    `book` and `snapshot` are the market. `attempted` are the open jobs that somebody has tried,
    `overdue` the open ones whose deadline is over, `due` those whose attempt may have run out or
    whose claim may have its verdict. `outcomes` has the verifier's answer for each claim that it
    has to be asked about, None where it gave none. `batches` are all inputs of each signed batch by
    its digest. `busy` are jobs with a `finalise` of ours in no block yet. `keepers` are those one
    takes turns with, `seen` says since when a match could be made, by its key, in seconds of chain
    time; `max_fee` is what a unit of gas may cost now, in wei, `block_seconds` the chain time from
    a block to the next.
    """

    book: Book
    snapshot: Snapshot
    attempted: Mapping[bytes, Job] = field(default_factory=dict)
    overdue: tuple[Job, ...] = ()
    due: tuple[Job, ...] = ()
    outcomes: Mapping[bytes, Outcome | None] = field(default_factory=dict)
    batches: Mapping[bytes, tuple[bytes, ...]] = field(default_factory=dict)
    fees: tuple[Fee, ...] = ()
    node_fees: tuple[NodeFee, ...] = ()
    kept: tuple[Kept, ...] = ()
    busy: frozenset[bytes] = frozenset()
    barred: frozenset[tuple[bytes, bytes]] = frozenset()
    keepers: tuple[str, ...] = ()
    seen: Mapping[str, int] = field(default_factory=dict)
    max_fee: int = 0
    block_seconds: Fraction = pace.DEFAULT

    def match_key(self, job_id: bytes) -> str:
        """The key of a match of this job, or of this signed batch."""
        if job_id in self.batches:
            return f"match_batch:{job_id.hex()}"
        job = self.attempted.get(job_id)
        attempt, declines = (0, 0) if job is None else (job.attempt, job.declines)
        return f"match:{job_id.hex()}:{attempt}:{declines}"


def asks_verifier(job: Job) -> bool:
    """Whether a claimed job's end depends on what its verifier answers."""
    record = job.record
    return job.state == JobState.CONTESTED or (
        record is not None and record.settings & _ASK_ALWAYS != 0
    )


def may_be_due(job: Job, now: int) -> bool:
    """Whether somebody may have to end the job's attempt at `now`."""
    record = job.record
    if record is None:
        return False
    if job.state == JobState.MATCHED:
        return now > job.claim_until
    if job.state.is_claimed:
        return asks_verifier(job) or now > job.claimed_at + record.window
    return False


def agrees(job: Job, slot: Slot) -> bool:
    """Whether the contract has on record what the fold says."""
    if (slot.state, slot.attempt) != (job.state, job.attempt):
        return False
    if job.state == JobState.OPEN:
        return slot.digest == excluded_hash(job.excluded)
    if job.record is None:
        return False
    if job.state == JobState.MATCHED:
        return slot.digest == record_hash(job.record)
    return job.commitment is not None and slot.digest == claim_digest(job.record, job.commitment)


def claims_of(job: Job) -> Iterable[tuple[bytes, int, Record]]:
    """Every claim that was made for a job: its id, the attempt's number, and the record."""
    number = 0
    for attempt in job.attempts:
        # A declined attempt gives its number back.
        if attempt.outcome != "declined":
            number += 1
        if attempt.commitment is not None:
            yield claim_id(job.id, number, attempt.record.provider), number, attempt.record
