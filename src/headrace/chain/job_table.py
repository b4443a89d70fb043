"""Jobs by id, most of them as bytes.

Nearly all jobs that a keeper of a large market knows of are posted and untried. Each of those is
kept as its terms' 256 bytes and the number of its block, a third of what it takes as an object, and
made into a `Job` when somebody asks for it.
"""

from collections.abc import Callable, Iterator, MutableMapping
from typing import Generic, TypeVar

from headrace.chain.job import Job
from headrace.terms.compact import SIZE, compact, terms_of

Item = TypeVar("Item")


class CompactTable(MutableMapping[bytes, Item], Generic[Item]):
    """
    A mapping by 32-byte ids. `pack` gives the bytes of an item that has nothing else to it, None
    for any other; `unpack` gives the item back.
    """

    __slots__ = ("_items", "_pack", "_rows", "_unpack")

    def __init__(
        self,
        pack: Callable[[Item], bytes | None],
        unpack: Callable[[bytes, bytes], Item],
    ) -> None:
        """An empty one."""
        self._pack = pack
        self._unpack = unpack
        self._rows: dict[bytes, bytes] = {}
        self._items: dict[bytes, Item] = {}

    def __getitem__(self, key: bytes) -> Item:
        row = self._rows.get(key)
        return self._items[key] if row is None else self._unpack(key, row)

    def __setitem__(self, key: bytes, item: Item) -> None:
        row = self._pack(item)
        if row is None:
            self._rows.pop(key, None)
            self._items[key] = item
        else:
            self._items.pop(key, None)
            self._rows[key] = row

    def __delitem__(self, key: bytes) -> None:
        if self._rows.pop(key, None) is None:
            del self._items[key]

    def __contains__(self, key: object) -> bool:
        return key in self._rows or key in self._items

    def __iter__(self) -> Iterator[bytes]:
        yield from self._rows
        yield from self._items

    def __len__(self) -> int:
        return len(self._rows) + len(self._items)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Those that are kept as bytes: the ids and the bytes themselves."""
        return iter(self._rows.items())

    def whole(self) -> Iterator[Item]:
        """All others."""
        return iter(self._items.values())


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

    def tried(self) -> Iterator[Job]:
        """The other jobs."""
        return self.whole()


def _packed(job: Job) -> bytes | None:
    if job != Job(id=job.id, terms=job.terms, posted_in=job.posted_in):
        return None
    return compact(job.terms) + job.posted_in.to_bytes(8)


def _unpacked(job_id: bytes, row: bytes) -> Job:
    return Job(id=job_id, terms=terms_of(row), posted_in=int.from_bytes(row[SIZE:]))
