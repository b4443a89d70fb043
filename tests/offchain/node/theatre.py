"""A node's daemon on a chain in memory, with a fuse that kills it at any step."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headrace.chain.jobs import Job
from headrace.graph.encoding import Int8
from headrace.graph.model import Model
from headrace.graph.trace import Trace, run
from headrace.node.asks import Market
from headrace.node.config import NodeConfig
from headrace.node.daemon import NodeDaemon
from headrace.node.record import Entry, NodeRecord
from headrace.node.work import NumpyWorker, StorePublisher
from headrace.node.workshop import Workshop
from headrace.store.blobs import BlobStore
from tests.offchain.node.fakes import (
    DOMAIN,
    OWNER,
    Crash,
    FakeChain,
    Fuse,
    Fused,
)
from tests.offchain.node.test_asks import make_offer
from tests.offchain.terms.examples import CODE_HASH, VERIFIER, address

TTL = 1_000
RECORDED = ("see", "compute", "published", "claim", "decline", "fail", "add_ask")
# More steps than any of these stories has.
MANY = 100


class Counting(NumpyWorker):
    """Counts its runs."""

    def __init__(self) -> None:
        self.runs = 0

    def run(self, model: Model, tensor: Int8) -> Trace:
        self.runs += 1
        return super().run(model, tensor)


class Theatre:
    """A node's daemon on a chain in memory; `restart` is a new process on the same files."""

    def __init__(self, folder: Path) -> None:
        self.world = FakeChain(folder)
        self.worker: Any = Counting()
        self.publisher: Any = StorePublisher(self.world.store)
        self.models = {self.world.model.program: self.world.model}
        self.fuse = Fuse()
        self.restart()

    def restart(self) -> None:
        self.world.reload()
        self.world.fuse = self.fuse
        self.record = NodeRecord(self.world.folder / "node.db", {})
        config = NodeConfig(
            provider=OWNER, index=0, capacity=2, offer=make_offer(), models=self.models
        )
        market = Market(verifier=VERIFIER, code_hash=CODE_HASH, token=address(0x53), domain=DOMAIN)
        record: Any = Fused(self.record, self.fuse, *RECORDED)
        publisher: Any = Fused(self.publisher, self.fuse, "publish")
        self.workshop = Workshop(
            config,
            record,
            self.world.store,
            BlobStore(self.world.home),
            worker=self.worker,
            publisher=publisher,
        )
        self.daemon = NodeDaemon(
            self.world,  # type: ignore[arg-type]
            config,
            {"FaultProof": market},
            record,
            self.workshop,
            heartbeat_ttl=TTL,
        )

    def tick(self, rounds: int = 1) -> None:
        """Rounds in one block; what runs beside them is waited for."""
        for _ in range(rounds):
            self.daemon.tick()
            end = time.monotonic() + 5
            while self.workshop.running and time.monotonic() < end:
                if not self.workshop._bench._done.empty():
                    break
                time.sleep(0.001)

    def settle(self) -> None:
        """Rounds until nothing more can happen in this block, crashes and restarts included."""
        for _ in range(MANY):
            before = (len(self.world.moves), len(self.world.refused))
            try:
                self.tick(3)
            except Crash:
                self.record.close()
                self.restart()
                continue
            if before == (len(self.world.moves), len(self.world.refused)):
                return
        raise AssertionError("it never settles")

    def right(self, job: Job) -> Trace:
        """What an honest run gives."""
        terms, model = job.terms, self.world.model
        return run(model, self.world.store.get_tensor(terms.input_id, terms.units, 5))

    def entry(self, job: Job) -> Entry | None:
        return self.record.entry((job.id, job.attempt))


def with_every_crash(folder: Path, story: Callable[[Theatre, int], None]) -> int:
    """Tell the story with a crash at each of its steps in turn; returns how many steps it has."""
    for steps in range(MANY):
        stage = Theatre(folder / str(steps))
        story(stage, steps)
        if stage.fuse.left >= 0:
            return steps
    raise AssertionError("the story never ends")
