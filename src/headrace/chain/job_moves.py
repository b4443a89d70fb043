"""What each event of JobEscrow makes of a job. ValueError if what it carries can't be read."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from headrace.chain.abi import Event
from headrace.chain.job import Attempt, Job
from headrace.chain.views import JobState
from headrace.terms.money import exclusion_after
from headrace.terms.words import Record, Terms


@dataclass(frozen=True, slots=True)
class Batch:
    """What the members of a batch that was matched have in common, from an event BatchMatched."""

    id: bytes
    tx: bytes
    terms: Terms
    record: Record
    ask_hash: bytes

    @classmethod
    def of(cls, event: Event) -> "Batch":
        """The batch of an event BatchMatched."""
        return cls(
            id=event.args["batch_id"],
            tx=event.log.tx_hash,
            terms=Terms.unpack(event.args["terms"]),
            record=Record.unpack(event.args["record"]),
            ask_hash=event.args["ask_hash"],
        )

    def member(self, event: Event) -> Job:
        """The job of an event MemberMatched of this batch."""
        attempt = Attempt(self.record, self.ask_hash, txs=(event.log.tx_hash,))
        return Job(
            id=event.args["job_id"],
            terms=replace(self.terms, input_id=event.args["input_id"]),
            posted_in=event.log.block_number,
            state=JobState.MATCHED,
            attempt=1,
            batch_id=self.id,
            attempts=(attempt,),
        )


def posted(event: Event) -> Job:
    """The job of an event Posted."""
    return Job(
        id=event.args["job_id"],
        terms=Terms.unpack(event.args["terms"]),
        posted_in=event.log.block_number,
    )


def bid_matched(event: Event) -> Job:
    """The job of an event BidMatched: one that was signed and never posted."""
    return _matched(posted(event), event)


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


MOVES: dict[str, Callable[[Job, Event], Job]] = {
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
