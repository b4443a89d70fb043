"""Takes the picture that a keeper decides on: everything in it is as of one block.

The fold of the events says where to look; what counts is what the contracts say at that block. Most
of it they have said before, and nothing has changed it since (`keeper.known`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fractions import Fraction

from headrace.chain import pace
from headrace.chain.jobs import Job
from headrace.chain.views import JobState, Slot
from headrace.daemon.context import Context, View
from headrace.keeper.endings import Endings
from headrace.keeper.known import Known
from headrace.keeper.market import Constants, Market
from headrace.keeper.offers import Offers
from headrace.keeper.reads import Reads, slot_key
from headrace.keeper.state import State, agrees, claims_of, may_be_due
from headrace.keeper.verifiers import NodeFees
from headrace.market.book import Book, OpenJob
from headrace.terms import eip712
from headrace.terms.compact import final_deadline_of
from headrace.terms.words import Record


class Reader:
    """Takes pictures."""

    def __init__(self, context: Context, offers: Offers) -> None:
        """Reads what never changes. Unreachable and RetryLater if that can't be done now."""
        self._context = context
        self._offers = offers
        constants = Constants.read(context)
        self.known = Known(context, Reads(context), constants.half_life)
        self._market = Market(context, self.known, constants)
        self._endings = Endings(context, self.known)
        self._node_fees = NodeFees(context)
        self._claims: dict[bytes, tuple[bytes, int, Record]] = {}
        self._members: dict[bytes, dict[bytes, bytes]] = {}
        self._paid: set[str] = set()
        self.take(context.jobs.jobs)

    def take(self, job_ids: Iterable[bytes]) -> None:
        """
        Note the claims of touched jobs, and whom final jobs were done by. Of jobs that are over
        only the claims stay for which a fee is to be sent on. Asks the node for nothing.
        """
        unsettled = self._context.disputes.unsettled | self._context.games.unsettled
        for job_id in job_ids:
            job = self._context.jobs.jobs.get(job_id)
            if job is None:
                continue
            for claim, number, record in claims_of(job):
                if job.state.is_live or claim in unsettled:
                    self._claims[claim] = (job_id, number, record)
                else:
                    self._claims.pop(claim, None)
            if job.state == JobState.FINAL and job.record is not None:
                self._paid.add(job.record.provider)

    def read(
        self,
        view: View,
        *,
        with_kept: bool = False,
        busy: Iterable[bytes] = (),
        barred: Iterable[tuple[bytes, bytes]] = (),
        keepers: Iterable[str] = (),
        seen: Mapping[str, int] | None = None,
        max_fee: int = 0,
        block_seconds: Fraction = pace.DEFAULT,
    ) -> State:
        """
        The picture at the end of `view`'s block, whose jobs were taken; what is kept for the sink
        only on demand. Jobs that nobody has tried are taken from the events as they are: they are
        too many to ask for each, and a match of one is asked for before it is sent.
        """
        self.known.follow(view)
        table = self._context.jobs.jobs
        posted = {
            job_id: packed
            for job_id, packed in table.untried()
            if view.now <= final_deadline_of(packed)
        }
        jobs = [table[job_id] for job_id in sorted(self._context.jobs.live) if job_id not in posted]
        wanted = [job for job in jobs if job.state == JobState.OPEN or may_be_due(job, view.now)]
        slots = self._slots(job.id for job in wanted)
        sure = [(job, slot) for job, slot in zip(wanted, slots, strict=True) if agrees(job, slot)]
        due = tuple(job for job, _ in sure if job.state != JobState.OPEN)
        book, batches = self._book(view, sure, posted)
        return State(
            book=book,
            snapshot=self._market.snapshot(view, book),
            attempted={job.id: job for job, _ in sure if job.attempts},
            overdue=tuple(
                job
                for job, _ in sure
                if job.state == JobState.OPEN and view.now > job.terms.final_deadline
            ),
            due=due,
            outcomes=self._endings.outcomes(view, [job for job in due if job.state.is_claimed]),
            batches=batches,
            fees=self._endings.fees(view, self._claims),
            node_fees=self._node_fees.read(view, self._claims),
            kept=self._endings.kept(self._paid) if with_kept else (),
            busy=frozenset(busy),
            barred=frozenset(barred),
            keepers=tuple(keepers),
            seen=dict(seen or {}),
            max_fee=max_fee,
            block_seconds=block_seconds,
        )

    def check(self) -> bool:
        """
        Read a piece of what is known a second time (`Known.check`); whether all of it was right.
        """
        wrong = self.known.check()
        if wrong:
            self._context.observer.metrics.known_mismatches.inc(wrong)
        return not wrong

    def _slots(self, job_ids: Iterable[bytes]) -> list[Slot]:
        return self.known.words([slot_key(job_id) for job_id in job_ids])

    # ---- the book

    def _book(
        self,
        view: View,
        sure: Iterable[tuple[Job, Slot]],
        posted: dict[bytes, bytes],
    ) -> tuple[Book, dict[bytes, tuple[bytes, ...]]]:
        shapes = self._context.jobs.jobs.shapes
        book = Book(asks=self._offers.asks, shapes=shapes, posted=posted)
        batches: dict[bytes, tuple[bytes, ...]] = {}
        known = self._on_record()
        for bid in self._offers.bids:
            if not bid.inputs:
                if bid.job_id not in known:
                    book.add_job(bid)
                continue
            left = tuple(
                input_id for input_id, job_id in self._job_ids(bid).items() if job_id not in known
            )
            if left:
                book.add_job(replace(bid, inputs=left))
                batches[bid.job_id] = bid.inputs
        book.prune(view.now)
        for job, slot in sure:
            if job.state == JobState.OPEN and view.now <= job.terms.final_deadline:
                book.add_job(
                    OpenJob(
                        job_id=job.id,
                        terms=job.terms,
                        digest=slot.digest,
                        declined_at=slot.time >> 2,
                        excluded=job.excluded,
                    )
                )
        return book, batches

    def _on_record(self) -> set[bytes]:
        """Which of the signed jobs on the board are on record, live or over, or revoked."""
        wanted: list[bytes] = []
        for bid in self._offers.bids:
            wanted += self._job_ids(bid).values() if bid.inputs else [bid.job_id]
        jobs = self._context.jobs
        found = {job_id for job_id in wanted if job_id in jobs.jobs or job_id in jobs.revoked}
        # What has ended is no longer among the jobs.
        unsure = [job_id for job_id in wanted if job_id not in found]
        return found | {
            job_id
            for job_id, slot in zip(unsure, self._slots(unsure), strict=True)
            if slot.state != JobState.NONE
        }

    def _job_ids(self, batch: OpenJob) -> dict[bytes, bytes]:
        """The job id of each of a batch's inputs."""
        if batch.job_id not in self._members:
            self._members[batch.job_id] = {
                input_id: eip712.job_id(
                    replace(batch.terms, input_id=input_id), self._context.domain
                )
                for input_id in batch.inputs
            }
        return self._members[batch.job_id]
