"""The order book: jobs that can be matched and asks that are alive, indexed by program.

It holds what a keeper has heard of, and takes nobody's word for more than that: what is true on
chain comes in with the snapshot of `market.matching`. Most of a large book are jobs that nobody has
tried yet; those are kept as rows of `terms.compact`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from headrace.terms.compact import Shapes, shape_of, valid_from_of
from headrace.terms.money import held_for
from headrace.terms.unmet import NOT_ON_RECORD, OPEN
from headrace.terms.words import Ask, Exclusion, Terms, programs_proof, programs_root


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenJob:
    """
    A job that can be matched: posted and open (`state` 1, with its `digest` and the providers
    `excluded` behind it, in order; `declined_at` is when a decline opened it, else 0), or only
    signed (`state` 0, with the requester's `signature`). A signed batch is one of these too: its
    `job_id` is the batch's digest, `inputs` are the members still to be matched.
    """

    job_id: bytes
    terms: Terms
    state: int = OPEN
    digest: int = 0
    declined_at: int = 0
    excluded: tuple[Exclusion, ...] = ()
    signature: bytes = b""
    inputs: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.state not in (NOT_ON_RECORD, OPEN):
            raise ValueError(f"state: {self.state} can't be matched")
        if (self.state == NOT_ON_RECORD) != bool(self.signature):
            raise ValueError("signature: a job that isn't on record has one, one on record has not")
        if self.inputs and self.state != NOT_ON_RECORD:
            raise ValueError("inputs: a batch isn't on record as such")

    @property
    def held(self) -> int:
        """What is put aside for it already."""
        return held_for(self.terms, self.excluded) if self.state == OPEN else 0

    @property
    def count(self) -> int:
        """How many jobs a match of this makes."""
        return len(self.inputs) or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveAsk:
    """An ask that its maker has published: who signed it, and the programs behind its root."""

    ask_hash: bytes
    ask: Ask
    signature: bytes
    signer: str
    programs: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if programs_root(self.programs) != self.ask.programs:
            raise ValueError("programs: they aren't those of the ask")

    def proof(self, program: bytes) -> list[bytes]:
        """Leads from a listed program to the ask's root; ValueError if it isn't listed."""
        return programs_proof(self.programs, program)


class Book:
    """
    Jobs by id and asks by hash. Adding what is there replaces it, dropping what isn't does nothing:
    events may come twice. Iteration is in the order of ids, so equal books give equal plans.
    """

    def __init__(
        self,
        jobs: Iterable[OpenJob] = (),
        asks: Iterable[LiveAsk] = (),
        shapes: Shapes | None = None,
        posted: dict[bytes, bytes] | None = None,
    ) -> None:
        """
        Start with some. `posted` are jobs on record that nobody has tried, as `add_posted` takes
        them; the dict is the book's own from now on, not copied. `shapes` is what packed them.
        """
        self.shapes = Shapes() if shapes is None else shapes
        # Posted and untried, as rows; whatever else is open, as it is.
        self._posted: dict[bytes, bytes] = {} if posted is None else posted
        self._jobs: dict[bytes, OpenJob] = {}
        self._asks: dict[bytes, LiveAsk] = {}
        self._by_program: dict[bytes, dict[bytes, LiveAsk]] = {}
        for job in jobs:
            self.add_job(job)
        for ask in asks:
            self.add_ask(ask)

    def __len__(self) -> int:
        """How many jobs can be matched; a batch counts once."""
        return len(self._posted) + len(self._jobs)

    def add_job(self, job: OpenJob) -> None:
        """Note that a job can be matched."""
        if job.state == OPEN and not (job.digest or job.excluded or job.declined_at):
            self._jobs.pop(job.job_id, None)
            self.add_posted(job.job_id, self.shapes.pack(job.terms))
        else:
            self._posted.pop(job.job_id, None)
            self._jobs[job.job_id] = job

    def add_posted(self, job_id: bytes, row: bytes) -> None:
        """
        Note that a job that is on record and that nobody has tried can be matched; `row` is what
        the book's `shapes` made of its terms. Both are kept as they are, not copied.
        """
        self._posted[job_id] = row

    def drop_job(self, job_id: bytes) -> None:
        """Forget a job: it is matched, cancelled or over."""
        self._posted.pop(job_id, None)
        self._jobs.pop(job_id, None)

    def job(self, job_id: bytes) -> OpenJob | None:
        """The job with this id, if it is open as far as is known."""
        row = self._posted.get(job_id)
        if row is not None:
            return OpenJob(job_id=job_id, terms=self.shapes.terms_of(row))
        return self._jobs.get(job_id)

    def posted(self, job_id: bytes) -> bytes | None:
        """The row, as `add_posted` has it, of a job that is on record and untried."""
        return self._posted.get(job_id)

    def job_ids(self) -> list[bytes]:
        """The ids of all jobs, the longest waiting first."""
        # Twice a stable order by little keys takes a third of the memory of one by pairs.
        ids = sorted((*self._posted, *self._jobs))
        ids.sort(key=self._valid_from)
        return ids

    def _valid_from(self, job_id: bytes) -> int:
        row = self._posted.get(job_id)
        return valid_from_of(row) if row else self._jobs[job_id].terms.valid_from

    def jobs(self) -> Iterator[OpenJob]:
        """All of them, the longest waiting first."""
        for job_id in self.job_ids():
            job = self.job(job_id)
            if job is not None:
                yield job

    def parties(self) -> set[tuple[bytes, str]]:
        """The program and the requester of every job."""
        found = {(job.terms.program, job.terms.requester) for job in self._jobs.values()}
        shapes = map(self.shapes.shape, {shape_of(row) for row in self._posted.values()})
        return found | {(shape.program, shape.requester) for shape in shapes}

    def add_ask(self, ask: LiveAsk) -> None:
        """Note an offer."""
        self._asks[ask.ask_hash] = ask
        for program in ask.programs:
            self._by_program.setdefault(program, {})[ask.ask_hash] = ask

    def drop_ask(self, ask_hash: bytes) -> None:
        """Forget an offer."""
        ask = self._asks.pop(ask_hash, None)
        for program in ask.programs if ask else ():
            listed = self._by_program[program]
            del listed[ask_hash]
            if not listed:
                del self._by_program[program]

    def ask(self, ask_hash: bytes) -> LiveAsk | None:
        """The offer with this hash, if it is known."""
        return self._asks.get(ask_hash)

    def asks(self) -> Iterator[LiveAsk]:
        """All offers."""
        yield from (self._asks[key] for key in sorted(self._asks))

    def asks_for(self, program: bytes) -> Iterator[LiveAsk]:
        """The offers that list a program."""
        listed = self._by_program.get(program, {})
        yield from (listed[key] for key in sorted(listed))

    def prune(self, now: int) -> list[bytes]:
        """
        Drop the asks that have expired at `now`, and the signed jobs whose deadline is over (a
        posted one still has to be closed). Returns what was dropped.
        """
        asks = [key for key, ask in self._asks.items() if now > ask.ask.expiry]
        jobs = [
            key
            for key, job in self._jobs.items()
            if job.state == NOT_ON_RECORD and now > job.terms.final_deadline
        ]
        for key in asks:
            self.drop_ask(key)
        for key in jobs:
            self.drop_job(key)
        return sorted(asks) + sorted(jobs)
