"""A job and its attempts, as JobEscrow's events tell them."""

from collections.abc import Iterator
from dataclasses import dataclass

from headrace.chain.views import JobState
from headrace.terms.words import Exclusion, Record, Terms, claim_id


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

    @property
    def claims(self) -> Iterator[tuple[bytes, Attempt]]:
        """Every claim that was made for the job: its id, and the attempt."""
        number = 0
        for attempt in self.attempts:
            # A declined attempt gives its number back.
            if attempt.outcome != "declined":
                number += 1
            if attempt.commitment is not None:
                yield claim_id(self.id, number, attempt.record.provider), attempt
