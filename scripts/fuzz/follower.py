"""The follower against a chain that is rewritten, in a process that is killed at any moment.

Every round changes the chain in a few of these ways: blocks with events; a rewriting of 1 to 64
blocks with other contents, by anvil's own or by a snapshot that is gone back to; transactions that
are dropped from the pool. In a third of the rounds the process that follows is killed meanwhile and
started again. When it has the head, its table is compared with what eth_getLogs says.
"""

import logging
import multiprocessing
import os
import random
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

from headrace.chain.db import ChainDb
from headrace.chain.endpoints import connect
from headrace.chain.follower import Follower
from headrace.daemon import loop
from tests.emitter import Emitter, Row, emitter

# As deep as a reorganisation goes: what is final is 64 blocks below the head here.
DEEPEST = 64
# Rounds on one chain. Some hundred rewritings later anvil has lost the state of old blocks, and the
# contract with it.
_SCENE = 40
_PATIENCE = 60.0
_POLL = 0.004


class Lagging(AssertionError):
    """The follower did not come to the head, or ended by itself."""


def _follow(url: str, path: Path, chain: tuple[int, bytes, str, int]) -> None:
    """The process that is killed."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    logging.disable(logging.ERROR)  # a line for every reorganisation is not what is looked for
    chain_id, genesis, address, start = chain
    db = ChainDb(path, chain_id=chain_id, genesis=genesis, escrow=address)
    rpc = connect(url, chain_id=chain_id, genesis=genesis)
    # Half of the processes read the head by block hashes, as usual, half by ranges.
    follower = Follower(rpc, db, [address], start=start, near=os.getpid() % 2 * 128)
    while True:
        try:
            is_idle = follower.step().is_caught_up
        except loop.PASSING:
            is_idle = True
        if is_idle:
            time.sleep(_POLL)


class Driver:
    """One chain, one file, one process at a time."""

    def __init__(self, source: Emitter, folder: Path, seed: int) -> None:
        """`seed` decides all but the moments of the kills."""
        self.source = source
        self.path = folder / "chain.db"
        self.draw = random.Random(seed)  # noqa: S311
        self.counts: Counter[str] = Counter()
        self.salt = 0
        self.process: ForkProcess | None = None

    # ---- the process

    def start(self) -> None:
        """Start a process that follows."""
        chain = (
            self.source.chain_id,
            self.source.genesis,
            self.source.address,
            self.source.start,
        )
        context = multiprocessing.get_context("fork")
        self.process = context.Process(
            target=_follow, args=(self.source.url, self.path, chain), daemon=True
        )
        self.process.start()

    def kill(self) -> None:
        """Kill it where it is."""
        process = self.running()
        process.kill()
        process.join()

    def running(self) -> ForkProcess:
        """The process. Lagging if it has ended by itself."""
        if self.process is None or not self.process.is_alive():
            code = None if self.process is None else self.process.exitcode
            raise Lagging(f"the follower ended with {code}")
        return self.process

    # ---- the chain

    def change(self) -> None:
        """Change the chain in one way."""
        ways = (self.mine, self.mine, self.rewrite, self.rewrite, self.go_back, self.drop)
        self.draw.choice(ways)()

    def content(self) -> tuple[int, int]:
        """How many events, and a salt that no other block has."""
        self.salt += 1
        return self.draw.choice((0, 1, 1, 2, 5)), self.salt

    def mine(self) -> None:
        """A few blocks, most with events."""
        for _ in range(self.draw.randint(1, 6)):
            self.source.emit(*self.content())

    def rewrite(self) -> None:
        """Other blocks for the last ones, as many."""
        depth = self.draw.choice((1, 1, 2, 3, 5, 8, 21, DEEPEST, self.draw.randint(1, DEEPEST)))
        depth = min(depth, self.source.head() - self.source.start)
        if depth < 1:
            return
        places = self.draw.sample(range(depth), self.draw.randint(1, min(depth, 24)))
        contents = [(*self.content(), at) for at in sorted(places)]
        self.source.reorganise(depth, contents)
        self.counts["reorganisations"] += 1
        self.counts["deepest"] = max(self.counts["deepest"], depth)

    def go_back(self) -> None:
        """Blocks that are undone, and one more than they were instead."""
        snapshot = self.source.rpc.call("evm_snapshot")
        count = self.draw.randint(1, 12)
        for _ in range(count):
            self.source.emit(*self.content())
        self.maybe_look()
        self.source.rpc.call("evm_revert", snapshot)
        for _ in range(count + 1):
            self.source.emit(*self.content())
        self.counts["reorganisations"] += 1

    def maybe_look(self) -> None:
        """Give the follower time to see what is about to go, or not."""
        time.sleep(self.draw.choice((0.0, 0.0, 0.01, 0.03)))

    def drop(self) -> None:
        """Transactions that never get into a block."""
        for _ in range(self.draw.randint(1, 3)):
            self.source.send(*self.content())
        self.source.rpc.call("anvil_dropAllTransactions")
        self.source.mine()
        self.counts["drops"] += 1

    # ---- a round

    def play(self, rounds: int) -> None:
        """So many rounds, of one process after the other. Lagging as `wait`."""
        self.start()
        try:
            for _ in range(rounds):
                self.round()
                if not self.source.rpc.code(self.source.address):
                    raise Lagging("the chain has lost its contract: nothing is tested any more")
        finally:
            if self.process is not None and self.process.is_alive():
                self.kill()

    def round(self) -> None:
        """Change, kill or not, wait for the head, compare."""
        changes = self.draw.randint(1, 3)
        fatal = self.draw.randrange(changes) if self.draw.random() < 1 / 3 else -1
        for at in range(changes):
            self.change()
            if at == fatal:
                time.sleep(self.draw.random() * 0.02)
                self.kill()
                self.counts["kills"] += 1
                if self.draw.random() < 0.5:
                    self.change()  # while nobody looks
                self.start()
            else:
                self.maybe_look()
        self.wait()
        self.compare()

    def wait(self) -> None:
        """Until the file's cursor is the chain's head."""
        head = self.source.rpc.head()
        until = time.monotonic() + _PATIENCE
        seen: list[tuple[Any, ...]] = []
        while time.monotonic() < until:
            with suppress(sqlite3.OperationalError):  # not made yet
                seen = self._read("SELECT number, hash FROM cursor")
            if seen == [(head.number, head.hash)]:
                return
            self.running()
            time.sleep(0.003)
        raise Lagging(f"the follower is at {seen}, the head at {head.number} {head.hash.hex()}")

    def compare(self) -> None:
        """Count what is lost, phantom or double in the whole table."""
        rows = self._read("SELECT number, position, block_hash, tx_hash, topics, data FROM logs")
        ours = [(n, p, b, t, _words(topics), data) for n, p, b, t, topics, data in rows]
        found, right = Counter[Row](ours), Counter[Row](self.source.truth())
        self.counts["events"] += len(ours)
        self.counts["lost"] += (right - found).total()
        self.counts["phantom"] += sum(row not in right for row in found)
        self.counts["double"] += sum(count - 1 for row, count in found.items() if row in right)

    def _read(self, query: str) -> list[tuple[Any, ...]]:
        reader = sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)
        try:
            return reader.execute(query).fetchall()
        finally:
            reader.close()


def _words(packed: bytes) -> tuple[bytes, ...]:
    return tuple(packed[i : i + 32] for i in range(0, len(packed), 32))


def run(
    rounds: int, *, seed: int = 1, say: Callable[[str], None] = lambda line: None
) -> dict[str, float]:
    """
    So many rounds. `lost`, `phantom` and `double` are rows, over all comparisons; Lagging if the
    follower ended or didn't come to the head within a minute.
    """
    counts: Counter[str] = Counter()
    done = 0
    while done < rounds:
        scene = min(_SCENE, rounds - done)
        with tempfile.TemporaryDirectory(prefix="headrace-fuzz-") as folder, emitter() as source:
            source.mine(2)
            driver = Driver(source, Path(folder), seed + done)
            driver.play(scene)
        deepest = max(counts["deepest"], driver.counts["deepest"])
        counts += driver.counts
        counts["deepest"] = deepest
        done += scene
        say(f"follower: round {done}, {dict(counts)}")
    counted = ("lost", "phantom", "double", "kills", "reorganisations", "deepest", "events")
    figures: dict[str, float] = {"rounds": rounds}
    return figures | {key: counts[key] for key in counted}
