"""What a daemon knows of jobs and claims, kept to the size of what is going on.

A job that has ended goes with the next look, unless a fee of one of its claims is still to be sent
on, or was in a block that may be taken back. A claim is kept while its job waits for it, or while
it has such a fee. Now and then the tables are told what is wanted still, so that a restart reads
that and no history (decision 21).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from headrace.chain.abi import Log
from headrace.chain.db import ChainDb
from headrace.chain.follower import Step
from headrace.chain.job import Job
from headrace.chain.jobs import JobBook
from headrace.daemon.disputes import DisputeBook
from headrace.daemon.games import GameBook

# Logs after which another checkpoint is worth its writing; more if many jobs are going on.
CHECKPOINT_EVERY = 5_000


@dataclass(slots=True)
class Books:
    """The folds of all that is followed, over one set of tables. One thread."""

    db: ChainDb
    escrow: str
    fault_proof: str
    graph_proof: str | None
    jobs: JobBook
    disputes: DisputeBook
    games: GameBook
    # The claims that live jobs wait for, both ways.
    _claim_of: dict[bytes, bytes] = field(default_factory=dict)
    _job_of: dict[bytes, bytes] = field(default_factory=dict)
    # Claims that may be over.
    _doubtful: set[bytes] = field(default_factory=set)
    # Claims that were logged about above the final block, with the last such block.
    _moved: dict[bytes, int] = field(default_factory=dict)
    _since: int = 0

    @classmethod
    def load(
        cls,
        db: ChainDb,
        *,
        escrow: str,
        fault_proof: str,
        graph_proof: str | None,
        keeps_ended: bool = False,
    ) -> "Books":
        """
        The books over what `db` has of the contracts at these addresses: of what is going on, or of
        everything if it `keeps_ended`.
        """
        disputes = DisputeBook.load(db, fault_proof)
        games = GameBook() if graph_proof is None else GameBook.load(db, graph_proof)

        made = cls(db, escrow, fault_proof, graph_proof, JobBook(), disputes, games)
        made._begin(keeps_ended)
        return made

    def _begin(self, keeps_ended: bool) -> None:
        final = int(self.db.note("final") or -1)
        for place in self._verifiers:
            self._note_moves(e for e in self.db.logs_wanted(place) if e.block_number > final)
        self.jobs = JobBook.load(
            self.db, self.escrow, keeps_ended=keeps_ended, is_needed=self._has_fee
        )
        self._since = self.db.logs_since_checkpoint()
        for job in self.jobs.jobs.tried():
            self._wait_for(job.id)
        # A claim that was quiet for long is not among what was logged about lately.
        self._look_up(self._job_of)
        self._doubtful |= self.disputes.claims.keys() | self.games.claims.keys()

    @property
    def _verifiers(self) -> tuple[str, ...]:
        return (self.fault_proof, *([] if self.graph_proof is None else [self.graph_proof]))

    def _note_moves(self, logs: Iterable[Log]) -> None:
        for entry in logs:
            if entry.address in self._verifiers and len(entry.topics) > 1:
                self._moved[entry.topics[1]] = entry.block_number

    def _has_fee(self, job: Job) -> bool:
        books = (self.disputes.unsettled, self.games.unsettled, self._moved)
        return any(books) and any(claim in book for claim, _ in job.claims for book in books)

    def follow(
        self, step: Step, final: int, *, is_first: bool = True
    ) -> tuple[set[bytes], set[bytes]]:
        """
        Take in a step of the follower; what is up to block `final` can't be taken back. Returns the
        ids of the jobs and of the claims that were touched. Steps of one look are all but one not
        its `is_first`: what they end stays until the next.
        """
        if step.added or step.removed:
            self._moved = {claim: at for claim, at in self._moved.items() if at > final}
            self._forget_claims()
            self._note_moves(step.added)
        jobs = self.jobs.follow(step, self.db, self.escrow, is_first=is_first)
        claims = self.disputes.follow(step, self.db, self.fault_proof)
        if self.graph_proof is not None:
            claims |= self.games.follow(step, self.db, self.graph_proof)
        for job_id in jobs:
            self._wait_for(job_id)
        if step.removed:
            # A job that goes on after all may wait for a claim that was let go of.
            self._look_up(self._claim_of[job_id] for job_id in jobs if job_id in self._claim_of)
        self._doubtful |= claims
        self.jobs.latest.settle(final)
        self._since += len(step.added)
        return jobs, claims

    def _look_up(self, claims: Iterable[bytes]) -> None:
        wanted = list(claims)
        self.disputes.look_up(wanted, self.db, self.fault_proof)
        if self.graph_proof is not None:
            self.games.look_up(wanted, self.db, self.graph_proof)

    def _wait_for(self, job_id: bytes) -> None:
        """Note the claim that a job waits for now; that of before may be over."""
        before = self._claim_of.pop(job_id, None)
        if before is not None:
            del self._job_of[before]
            self._doubtful.add(before)
        job = self.jobs.jobs.get(job_id)
        claim = None if job is None else job.claim_id
        if claim is not None:
            self._claim_of[job_id] = claim
            self._job_of[claim] = job_id

    def _forget_claims(self) -> None:
        if self.jobs.keeps_ended:
            return
        owed = self.disputes.unsettled | self.games.unsettled | self._moved.keys()
        for claim in self._doubtful - owed - self._job_of.keys():
            self.disputes.claims.pop(claim, None)
            self.games.claims.pop(claim, None)
        self._doubtful &= owed

    def keep_checkpoint(self, final: int) -> bool:
        """
        Tell the tables what is wanted of what was logged up to block `final`, if that is worth it
        by now; returns whether it was.
        """
        before = self.db.checkpoint
        if self.jobs.keeps_ended or final < 0 or (before is not None and final <= before):
            return False
        if before is not None and self._since < max(CHECKPOINT_EVERY, len(self.jobs.jobs) // 4):
            return False
        self.db.keep_checkpoint(final, self._wanted(), (self.escrow, *self._verifiers))
        self._since = self.db.logs_since_checkpoint()
        return True

    def _wanted(self) -> Iterator[bytes]:
        yield from self.jobs.wanted()
        yield from self._job_of
        yield from self.disputes.claims
        yield from self.games.claims
