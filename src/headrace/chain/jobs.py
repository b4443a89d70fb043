"""The life of every job, folded from JobEscrow's events.

The fold is pure: the same events in the same order give the same jobs. After a reorganisation the
jobs that it touched are folded again from what is left (`JobBook.undo`). An event that can't be
read, or one about a job that was never seen, is counted and left out; it stops nothing else.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from headrace.chain.abi import BadAnswer, Event, Log
from headrace.chain.contracts import JobEscrow
from headrace.chain.db import ChainDb
from headrace.chain.follower import Step
from headrace.chain.job_table import CompactTable
from headrace.chain.views import JobState
from headrace.terms.compact import SIZE, compact, terms_of
from headrace.terms.money import exclusion_after
from headrace.terms.words import Exclusion, Record, Terms, claim_id

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt:
    """
    One provider's try at a job. `outcome` is running, claimed, final, refuted, expired, declined or
    voided; the amounts say where its slash went, in token units. `refuter` is who convicted; for an
    expired attempt `keeper` is who ended it. `txs` are the transactions of its moves, from match to
    end.
    """

    record: Record
    ask_hash: bytes
    outcome: str = "running"
    commitment: bytes | None = None
    claimed_at: int = 0
    refuter: str | None = None
    keeper: str | None = None
    slash: int = 0
    to_requester: int = 0
    to_refuter: int = 0
    to_keeper: int = 0
    to_sink: int = 0
    txs: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """
    A job as the events tell it. `attempt` counts those used or running (a declined one is neither),
    `excluded` are the exclusions that `match` and `cancel` want. `record` is that of the attempt
    that runs, or of the last one if none does; `declined_at` is when a decline opened the job (unix
    seconds, 0 if none did), where the ramp starts anew; `posted_in` is the number of the block that
    showed the job first.
    """

    id: bytes
    terms: Terms
    posted_in: int
    state: JobState = JobState.OPEN
    attempt: int = 0
    declines: int = 0
    declined_at: int = 0
    excluded: tuple[Exclusion, ...] = ()
    batch_id: bytes | None = None
    attempts: tuple[Attempt, ...] = ()
    cancel_tx: bytes | None = None

    @property
    def record(self) -> Record | None:
        """What was agreed at the last match; None before the first."""
        return self.attempts[-1].record if self.attempts else None

    @property
    def commitment(self) -> bytes | None:
        """What the last attempt claims."""
        return self.attempts[-1].commitment if self.attempts else None

    @property
    def claimed_at(self) -> int:
        """When the last attempt was claimed, in unix seconds; 0 if it was not."""
        return self.attempts[-1].claimed_at if self.attempts else 0

    @property
    def provider(self) -> str | None:
        """Who runs the job now; None while it is open or over."""
        record = self.record
        is_held = self.state == JobState.MATCHED or self.state.is_claimed
        return record.provider if record is not None and is_held else None

    @property
    def claim_until(self) -> int:
        """The last second of the running attempt's claim; 0 if none runs."""
        record = self.record
        if record is None or self.state != JobState.MATCHED:
            return 0
        return record.matched_at + self.terms.attempt_seconds

    @property
    def decline_until(self) -> int:
        """The last second in which the running attempt may be declined; 0 if none runs."""
        record = self.record
        if record is None or self.state != JobState.MATCHED:
            return 0
        return record.matched_at + record.ack_seconds

    @property
    def claim_id(self) -> bytes | None:
        """What the verifier calls the claim; None while there is none."""
        record = self.record
        if record is None or not self.state.is_claimed:
            return None
        return claim_id(self.id, self.attempt, record.provider)


class JobTable(CompactTable[Job]):
    """Jobs by id; those that were posted and that nobody has tried are kept as bytes."""

    __slots__ = ()

    def __init__(self) -> None:
        """An empty one."""
        super().__init__(_packed, _unpacked)

    def untried(self) -> Iterator[tuple[bytes, bytes]]:
        """
        The jobs that were posted and that nobody has tried, by id: their terms as `terms.compact`
        has them, with more bytes behind.
        """
        return self.rows()


def _packed(job: Job) -> bytes | None:
    if job != Job(id=job.id, terms=job.terms, posted_in=job.posted_in):
        return None
    return compact(job.terms) + job.posted_in.to_bytes(8)


def _unpacked(job_id: bytes, row: bytes) -> Job:
    return Job(id=job_id, terms=terms_of(row), posted_in=int.from_bytes(row[SIZE:]))


@dataclass(frozen=True, slots=True)
class _Batch:
    terms: Terms
    record: Record
    ask_hash: bytes


@dataclass(slots=True)
class JobBook:
    """
    Jobs by id; `live` are those in which somebody still has a move, `unread` counts events that
    could not be used. `revoked` are signed jobs cancelled before anybody saw them. A job that has
    ended is kept, unless `keeps_ended` is false: then it goes with the next step, so that memory
    doesn't grow with what is over. A reorganisation brings it back, from the logs.
    """

    jobs: JobTable = field(default_factory=JobTable)
    live: set[bytes] = field(default_factory=set)
    revoked: set[bytes] = field(default_factory=set)
    batches: dict[bytes, _Batch] = field(default_factory=dict)
    unread: int = 0
    keeps_ended: bool = True
    _ended: set[bytes] = field(default_factory=set)

    # ---- from a ChainDb

    @classmethod
    def load(cls, db: ChainDb, escrow: str) -> "JobBook":
        """The book over everything in `db` that the contract at `escrow` has logged."""
        book = cls()
        book.fold(entry for entry in db.logs() if entry.address == escrow)
        return book

    def follow(self, step: Step, db: ChainDb, escrow: str) -> set[bytes]:
        """Take in what a step of the follower changed; returns the ids of the jobs it touched."""
        if step.added or step.removed:
            self.forget_ended()
        removed = [entry for entry in step.removed if entry.address == escrow]
        added = [entry for entry in step.added if entry.address == escrow]
        touched = self.undo(removed, db.logs_about, escrow) if removed else set()
        return touched | self.fold(added)

    def forget_ended(self) -> None:
        """Drop the jobs that have ended, unless they are to be kept."""
        if self.keeps_ended:
            return
        for job_id in self._ended:
            self.jobs.pop(job_id, None)
        self._ended.clear()

    def undo(
        self,
        removed: Iterable[Log],
        logs_about: Callable[[Iterable[bytes]], Sequence[Log]],
        escrow: str,
    ) -> set[bytes]:
        """
        Fold again what the `removed` logs were about, from the logs that are left of it; returns
        the touched ids.
        """
        # A batch goes with all its members' matches: they are one transaction.
        subjects = {entry.topics[1] for entry in removed if len(entry.topics) > 1}
        for subject in subjects:
            self.batches.pop(subject, None)
            self.jobs.pop(subject, None)
            self.live.discard(subject)
            self.revoked.discard(subject)
        self.fold(entry for entry in logs_about(subjects) if entry.address == escrow)
        return subjects

    # ---- the fold

    def fold(self, logs: Iterable[Log]) -> set[bytes]:
        """
        Take in logs of JobEscrow in the chain's order; returns the ids of the jobs they touch.
        """
        abi = JobEscrow.abi()
        touched: set[bytes] = set()
        for entry in logs:
            try:
                event = abi.event(entry)
                job_id = None if event is None else self.apply(event)
            except (BadAnswer, ValueError, LookupError) as error:
                self.unread += 1
                log.error(
                    "event left out",
                    extra={"block": entry.block_number, "log": entry.log_index, "why": repr(error)},
                )
            else:
                if job_id is not None:
                    touched.add(job_id)
        return touched

    def apply(self, event: Event) -> bytes | None:
        """
        Take in one event; returns its job's id, None if it is about none. LookupError if the job is
        unknown, ValueError if what it carries can't be read.
        """
        if event.name == "BatchMatched":
            self._batch(event)
            return None
        move = _MOVES.get(event.name)
        if event.name == "Posted":
            job = Job(
                id=event.args["job_id"],
                terms=Terms.unpack(event.args["terms"]),
                posted_in=event.log.block_number,
            )
        elif event.name == "BidMatched":
            job = _bid(event)
        elif event.name == "MemberMatched":
            job = self._member(event)
        elif event.name == "Cancelled" and event.args["job_id"] not in self.jobs:
            self.revoked.add(event.args["job_id"])
            return bytes(event.args["job_id"])
        elif move is not None:
            job = move(self.jobs[event.args["job_id"]], event)
        else:
            return None
        self.jobs[job.id] = job
        self.note(job)
        return job.id

    def note(self, job: Job) -> None:
        """A job is as it is now: somebody has a move in it, or it has ended."""
        if job.state.is_live:
            self.live.add(job.id)
            self._ended.discard(job.id)
        else:
            self.live.discard(job.id)
            self._ended.add(job.id)

    def _batch(self, event: Event) -> None:
        self.batches[event.args["batch_id"]] = _Batch(
            terms=Terms.unpack(event.args["terms"]),
            record=Record.unpack(event.args["record"]),
            ask_hash=event.args["ask_hash"],
        )

    def _member(self, event: Event) -> Job:
        batch_id = event.args["batch_id"]
        batch = self.batches[batch_id]
        job_id = event.args["job_id"]
        attempt = Attempt(batch.record, batch.ask_hash, txs=(event.log.tx_hash,))
        return Job(
            id=job_id,
            terms=replace(batch.terms, input_id=event.args["input_id"]),
            posted_in=event.log.block_number,
            state=JobState.MATCHED,
            attempt=1,
            batch_id=batch_id,
            attempts=(attempt,),
        )


def _bid(event: Event) -> Job:
    job = Job(
        id=event.args["job_id"],
        terms=Terms.unpack(event.args["terms"]),
        posted_in=event.log.block_number,
    )
    return _matched(job, event)


def _matched(job: Job, event: Event) -> Job:
    record = Record.unpack(event.args["record"])
    attempt = Attempt(record, event.args["ask_hash"], txs=(event.log.tx_hash,))
    return replace(
        job,
        state=JobState.MATCHED,
        attempt=job.attempt + 1,
        declined_at=0,
        attempts=(*job.attempts, attempt),
    )


def _claimed(job: Job, event: Event) -> Job:
    return replace(
        job,
        state=JobState.CLAIMED,
        attempts=_last(
            job,
            event,
            "claimed",
            commitment=event.args["commitment"],
            claimed_at=event.log.timestamp,
        ),
    )


def _contested(job: Job, event: Event) -> Job:
    return replace(job, state=JobState.CONTESTED, attempts=_last(job, event, "claimed"))


def _finalised(job: Job, event: Event) -> Job:
    return replace(job, state=JobState.FINAL, attempts=_last(job, event, "final"))


def _voided(job: Job, event: Event) -> Job:
    return replace(job, state=JobState.EXPIRED, attempts=_last(job, event, "voided"))


def _declined(job: Job, event: Event) -> Job:
    job = replace(job, attempt=job.attempt - 1, declines=job.declines + 1)
    job = _reopened(job, event, JobState.CANCELLED, _last(job, event, "declined"))
    return replace(job, declined_at=event.log.timestamp) if event.args["is_open"] else job


def _expired(job: Job, event: Event) -> Job:
    amounts = _amounts(event, "keeper", "slash", "to_requester", "to_keeper", "to_sink")
    return _reopened(job, event, JobState.EXPIRED, _last(job, event, "expired", **amounts))


def _refuted(job: Job, event: Event) -> Job:
    amounts = _amounts(
        event, "refuter", "slash", "to_requester", "to_refuter", "to_keeper", "to_sink"
    )
    return _reopened(job, event, JobState.REFUTED, _last(job, event, "refuted", **amounts))


def _cancelled(job: Job, event: Event) -> Job:
    return replace(job, state=JobState.CANCELLED, cancel_tx=event.log.tx_hash)


def _reopened(job: Job, event: Event, closed: JobState, attempts: tuple[Attempt, ...]) -> Job:
    if not event.args["is_open"]:
        return replace(job, state=closed, attempts=attempts)
    excluded = (*job.excluded, exclusion_after(attempts[-1].record))
    return replace(job, state=JobState.OPEN, attempts=attempts, excluded=excluded)


def _last(job: Job, event: Event, outcome: str, **changes: Any) -> tuple[Attempt, ...]:
    last = job.attempts[-1]
    ended = replace(last, outcome=outcome, txs=(*last.txs, event.log.tx_hash), **changes)
    return (*job.attempts[:-1], ended)


def _amounts(event: Event, *names: str) -> dict[str, Any]:
    return {name: event.args[name] for name in names}


_MOVES: dict[str, Callable[[Job, Event], Job]] = {
    "Matched": _matched,
    "Claimed": _claimed,
    "Contested": _contested,
    "Finalised": _finalised,
    "Voided": _voided,
    "Declined": _declined,
    "Expired": _expired,
    "Refuted": _refuted,
    "Cancelled": _cancelled,
}
