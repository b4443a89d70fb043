"""A follower over a chain that logs what it is told to, with a misbehaving node in between."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from headrace.chain.abi import Log
from headrace.chain.db import ChainDb
from headrace.chain.endpoints import connect
from headrace.chain.follower import Follower, Step
from headrace.chain.rpc import Rpc
from headrace.errors import RetryLater, Unreachable
from tests.emitter import Emitter, Row, emitter, rows_of
from tests.misbehaving_rpc import Proxy


@dataclass
class Mirror:
    """What a daemon makes of the steps: the logs by subject, folded and refolded."""

    by_subject: dict[bytes, list[Log]] = field(default_factory=dict)

    def follow(self, step: Step, db: ChainDb) -> None:
        """Take in a step, as the books of the daemons do."""
        subjects = {log.topics[1] for log in step.removed}
        for subject in subjects:
            self.by_subject[subject] = db.logs_about([subject])
        for log in step.added:
            self.by_subject.setdefault(log.topics[1], []).append(log)

    def rows(self) -> list[tuple[int, int, bytes]]:
        """Where the logs are, in order."""
        return sorted(
            (log.block_number, log.log_index, log.block_hash)
            for logs in self.by_subject.values()
            for log in logs
        )


class Reading:
    """A database, a follower and a mirror, from the first block after `source.head()` on."""

    def __init__(self, source: Emitter, folder: Path, *urls: str, **options: int) -> None:
        """`urls` are the nodes, by default the right one; `options` are the Follower's."""
        self.source = source
        self.folder = folder
        self.urls = urls or (source.url,)
        self.start = source.head() + 1
        self.options = options
        self.mirror = Mirror()
        self.open()

    def open(self) -> None:
        """Open everything, as a started process does."""
        self.db = self.source.db(self.folder)
        self.rpc: Rpc = connect(
            ",".join(self.urls),
            timeout=1.0,
            chain_id=self.source.chain_id,
            genesis=self.source.genesis,
        )
        self.follower = Follower(
            self.rpc, self.db, [self.source.address], start=self.start, **self.options
        )

    def close(self) -> None:
        """Close everything."""
        self.db.close()
        self.rpc.close()

    def step(self) -> Step:
        """One step, mirrored."""
        step = self.follower.step()
        self.mirror.follow(step, self.db)
        return step

    def catch_up(self, tries: int = 200, until: Callable[[], bool] = lambda: True) -> None:
        """Step until the head is reached and `until` says so, through passing failures."""
        for _ in range(tries):
            with suppress(RetryLater, Unreachable):
                if self.step().is_caught_up and until():
                    return
        raise AssertionError(f"never caught up: {self.db.cursor()} of {self.source.head()}")

    @property
    def rows(self) -> list[Row]:
        """What was read."""
        return rows_of(self.db)

    @property
    def truth(self) -> list[Row]:
        """What should have been."""
        return [row for row in self.source.truth() if row[0] >= self.start]

    def check(self) -> None:
        """Table and mirror have the canonical chain's logs, each once."""
        assert self.rows == self.truth
        assert self.mirror.rows() == [row[:3] for row in self.truth]


@pytest.fixture(scope="module")
def source() -> Iterator[Emitter]:
    """A chain for the tests of one file."""
    with emitter() as made:
        yield made


@pytest.fixture
def proxy(source: Emitter) -> Iterator[Proxy]:
    """A misbehaving node in front of it."""
    with Proxy(source.url) as made:
        yield made
