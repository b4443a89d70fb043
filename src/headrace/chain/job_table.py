"""Jobs by id, most of them as bytes.

Nearly all jobs that a keeper of a large market knows of are posted and untried. Each of those is
kept as a row of `terms.compact` and the number of its block, a tenth of what it takes as an object,
and made into a `Job` when somebody asks for it.
"""

from collections.abc import Iterator, MutableMapping

from headrace.chain.job import Job
from headrace.terms.compact import SIZE, Shapes

# With them behind it a row is as large as an object of 128 bytes can be; no chain has more blocks.
_BLOCK_BYTES = 5
_BLOCKS = 1 << 8 * _BLOCK_BYTES
# Shapes more than rows, beside a quarter of the rows, that may be there for nothing.
_SPARE_SHAPES = 1_024


class JobTable(MutableMapping[bytes, Job]):
    """
    Jobs by id; those that were posted and that nobody has tried are kept as bytes. `shapes` is what
    these mean something to; it is another one now and then.
    """

    __slots__ = ("_jobs", "_rows", "shapes")

    def __init__(self) -> None:
        """An empty one."""
        self.shapes = Shapes()
        self._rows: dict[bytes, bytes] = {}
        self._jobs: dict[bytes, Job] = {}

    def __getitem__(self, key: bytes) -> Job:
        row = self._rows.get(key)
        if row is None:
            return self._jobs[key]
        block = int.from_bytes(row[SIZE:])
        return Job(id=key, terms=self.shapes.terms_of(row), posted_in=block)

    def __setitem__(self, key: bytes, job: Job) -> None:
        if _is_untried(job) and key == job.id:
            self._jobs.pop(key, None)
            self._rows[key] = self.shapes.pack(job.terms) + job.posted_in.to_bytes(_BLOCK_BYTES)
            if len(self.shapes) > len(self._rows) * 5 // 4 + _SPARE_SHAPES:
                self._shed_shapes()
        else:
            self._rows.pop(key, None)
            self._jobs[key] = job

    def __delitem__(self, key: bytes) -> None:
        if self._rows.pop(key, None) is None:
            del self._jobs[key]

    def __contains__(self, key: object) -> bool:
        return key in self._rows or key in self._jobs

    def __iter__(self) -> Iterator[bytes]:
        yield from self._rows
        yield from self._jobs

    def __len__(self) -> int:
        return len(self._rows) + len(self._jobs)

    def untried(self) -> Iterator[tuple[bytes, bytes]]:
        """
        The jobs that were posted and that nobody has tried, by id: their terms as `shapes.pack` has
        them, with more bytes behind.
        """
        return iter(self._rows.items())

    def tried(self) -> Iterator[Job]:
        """The other jobs."""
        return iter(self._jobs.values())

    def _shed_shapes(self) -> None:
        """
        Let go of the shapes of jobs that aren't there any more. Whoever has the old ones and rows
        of theirs can still read them.
        """
        shapes = Shapes()
        for key, row in self._rows.items():
            self._rows[key] = shapes.pack_again(row, self.shapes)
        self.shapes = shapes


def _is_untried(job: Job) -> bool:
    fresh = Job(id=job.id, terms=job.terms, posted_in=job.posted_in)
    return job.posted_in < _BLOCKS and job == fresh
