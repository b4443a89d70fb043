"""The life of every job, folded from JobEscrow's events.

The fold is pure: the same events in the same order give the same jobs. After a reorganisation the
jobs that it touched are folded again from what is left (`JobBook.undo`). An event that can't be
read, or one about a job that was never seen, is counted and left out; it stops nothing else.

A book that is for what is going on lets go of jobs that have ended, and is loaded from what a
checkpoint of the tables says is still wanted: neither memory nor a restart grows with what is over.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from headrace.chain.abi import BadAnswer, Event, Log
from headrace.chain.contracts import JobEscrow
from headrace.chain.db import ChainDb
from headrace.chain.follower import Step
from headrace.chain.job import Attempt, Job
from headrace.chain.job_moves import MOVES, Batch, bid_matched, posted
from headrace.chain.job_table import JobTable
from headrace.chain.latest import Latest

__all__ = ["Attempt", "Job", "JobBook", "JobTable"]

log = logging.getLogger(__name__)

# Logs after which a book that is loaded lets go of what has ended.
_AT_ONCE = 2_000
# Ended jobs that wait for the end of a look; far behind there may be a whole history of them.
_MOST_ENDED = 5_000
# Logs by their second topics, in the chain's order.
About = Callable[[Iterable[bytes]], Sequence[Log]]


def _never(job: Job) -> bool:
    return False


@dataclass(slots=True)
class JobBook:
    """
    Jobs by id; `live` are those in which somebody still has a move, `unread` counts events that
    could not be used. `revoked` are signed jobs cancelled before anybody saw them. A job that has
    ended, or was revoked, is kept, unless `keeps_ended` is false: then it goes with the next look,
    or as soon as it isn't `is_needed` any more, so that memory doesn't grow with what is over. A
    reorganisation brings it back, from the logs.
    """

    jobs: JobTable = field(default_factory=JobTable)
    live: set[bytes] = field(default_factory=set)
    revoked: set[bytes] = field(default_factory=set)
    unread: int = 0
    keeps_ended: bool = True
    is_needed: Callable[[Job], bool] = _never
    latest: Latest = field(default_factory=Latest)
    _ended: set[bytes] = field(default_factory=set)
    # The last event BatchMatched: its members' matches come right behind it.
    _batch: Batch | None = None

    # ---- from a ChainDb

    @classmethod
    def load(
        cls,
        db: ChainDb,
        escrow: str,
        *,
        keeps_ended: bool = True,
        is_needed: Callable[[Job], bool] = _never,
    ) -> "JobBook":
        """
        The book over everything in `db` that the contract at `escrow` has logged. One that doesn't
        keep what has ended is folded from what the checkpoint left; until the first step it also
        has the jobs of `latest`.
        """
        book = cls(keeps_ended=keeps_ended, is_needed=is_needed)
        if keeps_ended:
            book.fold(db.logs(escrow), db.logs_about)
            return book
        final = int(db.note("final") or -1)
        for piece in _pieces(db.logs_wanted(escrow)):
            book.forget_ended()
            book.fold(piece, db.logs_about)
            book.latest.settle(final)
        missing = {job_id for job_id in book.latest.jobs() if job_id not in book.jobs}
        book.fold(
            (each for each in db.logs_about(missing) if each.address == escrow), db.logs_about
        )
        book.latest.settle(final)
        return book

    def follow(self, step: Step, db: ChainDb, escrow: str, *, is_first: bool = True) -> set[bytes]:
        """
        Take in what a step of the follower changed; returns the ids of the jobs it touched. What
        ended in a step goes with the next that `is_first` of a look: those who get to see the
        touched jobs after several steps find them all, unless very many have ended.
        """
        if (step.added or step.removed) and (is_first or len(self._ended) > _MOST_ENDED):
            self.forget_ended()
        removed = [entry for entry in step.removed if entry.address == escrow]
        added = [entry for entry in step.added if entry.address == escrow]
        touched = self.undo(removed, db.logs_about, escrow) if removed else set()
        return touched | self.fold(added, db.logs_about)

    def forget_ended(self) -> None:
        """Drop the jobs that have ended, unless they are to be kept or still needed."""
        if self.keeps_ended:
            return
        self.revoked.clear()
        needed = set()
        for job_id in self._ended:
            job = self.jobs.get(job_id)
            if job is not None and self.is_needed(job):
                needed.add(job_id)
            else:
                self.jobs.pop(job_id, None)
        self._ended = needed

    def wanted(self) -> Iterator[bytes]:
        """The ids of the jobs that a checkpoint has to keep."""
        yield from self.jobs
        yield from self.latest.jobs()

    def undo(self, removed: Iterable[Log], about: About, escrow: str) -> set[bytes]:
        """
        Fold again what the `removed` logs were about, from the logs that are left `about` it;
        returns the touched ids.
        """
        # A batch goes with all its members' matches: they are one transaction.
        subjects = {entry.topics[1] for entry in removed if len(entry.topics) > 1}
        for subject in subjects:
            self.jobs.pop(subject, None)
            self.live.discard(subject)
            self.revoked.discard(subject)
            self._ended.discard(subject)
        self.latest.undo(subjects)
        self.fold((entry for entry in about(subjects) if entry.address == escrow), about)
        return subjects

    # ---- the fold

    def fold(self, logs: Iterable[Log], about: About | None = None) -> set[bytes]:
        """
        Take in logs of JobEscrow in the chain's order; returns the ids of the jobs they touch.
        `about` finds the batch of a member whose own logs alone are folded.
        """
        abi = JobEscrow.abi()
        touched: set[bytes] = set()
        for entry in logs:
            try:
                event = abi.event(entry)
                job_id = None if event is None else self.apply(event, about)
            except (BadAnswer, ValueError, LookupError) as error:
                self.unread += 1
                log.error(
                    "event left out",
                    extra={"block": entry.block_number, "log": entry.log_index, "why": repr(error)},
                )
            else:
                if job_id is not None:
                    touched.add(job_id)
        self._batch = None
        return touched

    def apply(self, event: Event, about: About | None = None) -> bytes | None:
        """
        Take in one event; returns its job's id, None if it is about none. LookupError if the job or
        its batch is unknown, ValueError if what it carries can't be read.
        """
        if event.name == "BatchMatched":
            self._batch = Batch.of(event)
            return None
        move = MOVES.get(event.name)
        if event.name == "Posted":
            job = posted(event)
        elif event.name == "BidMatched":
            job = bid_matched(event)
        elif event.name == "MemberMatched":
            job = self._batch_of(event, about).member(event)
        elif event.name == "Cancelled" and event.args["job_id"] not in self.jobs:
            self.revoked.add(event.args["job_id"])
            return bytes(event.args["job_id"])
        elif move is not None:
            job = move(self.jobs[event.args["job_id"]], event)
        else:
            return None
        self.jobs[job.id] = job
        self.note(job, event.log.block_number)
        return job.id

    def note(self, job: Job, block: int = 0) -> None:
        """A job is as it is since `block`: somebody has a move in it, or it has ended."""
        if job.state.is_live:
            self.live.add(job.id)
            self._ended.discard(job.id)
        else:
            self.live.discard(job.id)
            self._ended.add(job.id)
            if not self.keeps_ended:
                self.latest.ended(job, block)

    def _batch_of(self, event: Event, about: About | None) -> Batch:
        """What a member's batch was matched with in the member's own transaction."""
        batch_id, entry, last = event.args["batch_id"], event.log, self._batch
        if last is not None and (last.id, last.tx) == (batch_id, entry.tx_hash):
            return last
        abi, found = JobEscrow.abi(), None
        for other in () if about is None else about([batch_id]):
            if other.tx_hash == entry.tx_hash and other.log_index < entry.log_index:
                told = abi.event(other)
                if told is not None and told.name == "BatchMatched":
                    found = told
        if found is None:
            raise LookupError(f"batch 0x{batch_id.hex()} was never seen")
        return Batch.of(found)


def _pieces(logs: Iterator[Log]) -> Iterator[list[Log]]:
    while piece := list(islice(logs, _AT_ONCE)):
        yield piece
