"""A scene: a list of tasks, the clerks that do them, and what goes wrong meanwhile."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.chain.accounts import Key
from headrace.chain.fees import GWEI, Fees
from headrace.chain.outbox import Outbox
from headrace.keeper.decide import Policy
from headrace.keeper.rank import rank
from scripts.compiler import ROOT
from scripts.fuzz.clerk import Config
from scripts.fuzz.lag import Lag
from scripts.fuzz.turns import Mishap, allowed, responsible
from tests.harness import Anvil, Reverted, RpcError
from tests.task_list import NOTHING, Office, TaskList

CHAIN_ID = 31337
# Blocks between two keepers' turns, a second each.
STAGGER = Policy().stagger_blocks
# Blocks after which bytes in no block are sent again.
_RESEND = Fees().resend_blocks
# As deep as a reorganisation goes; a transaction counts as final two blocks down here.
DEEPEST = 64
# Blocks that a scene may take to calm down.
_CALM = 150
_PATIENCE = 30.0


@dataclass
class Worker:
    """A clerk's process."""

    config: Config
    process: subprocess.Popen[bytes] | None = None
    kills: int = 0
    # The head when it was killed for good.
    ended_at: int | None = None
    # How many blocks its node is behind, and what keeps it there.
    behind: int = 0
    lag: Lag | None = None

    @property
    def address(self) -> str:
        """Of its key."""
        return Key.of(self.config.secret).address

    def start(self) -> None:
        """Start it, or start it again."""
        path = self.config.write()
        with (Path(self.config.home) / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "scripts.fuzz.clerk", str(path)],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stderr=log,
            )

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            self.kills += 1

    @property
    def is_alive(self) -> bool:
        """Whether it runs; RuntimeError if it has ended by itself, which it never should."""
        if self.process is not None and self.process.poll() is not None:
            last = (Path(self.config.home) / "log").read_text().splitlines()[-3:]
            raise RuntimeError(f"a clerk ended by itself: {last}")
        return self.process is not None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """As if its machine stood still meanwhile."""
        assert self.process is not None  # noqa: S101
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def has_more(self) -> bool:
        """Whether its book has something that a reorganisation may still change."""
        with self._book() as book:
            return bool(book.unfinished())

    @contextmanager
    def _book(self) -> Iterator[Outbox]:
        path = Path(self.config.home) / "outbox.db"
        book = Outbox(path, chain_id=CHAIN_ID, address=self.address)
        try:
            yield book
        finally:
            book.close()

    def saw(self, block_hash: str) -> bool:
        """Whether it has dealt with a block."""
        try:
            return (Path(self.config.home) / "seen").read_text() == block_hash[2:]
        except FileNotFoundError:
            return False


@dataclass
class Scene:
    """A list of tasks, its clerks, and what was posted: number and block of each task."""

    office: Office
    workers: list[Worker]
    dice: random.Random
    start: int
    posted: dict[int, int] = field(default_factory=dict)
    mishaps: list[Mishap] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def anvil(self) -> Anvil:
        """The chain."""
        return self.office.anvil

    def head(self) -> dict[str, Any]:
        """The latest block."""
        return dict(self.anvil.rpc("eth_getBlockByNumber", "latest", False))

    def height(self) -> int:
        """Its number."""
        return int(self.anvil.rpc("eth_blockNumber"), 16)

    def post(self, task: int) -> None:
        """Open a task, in a block of its own."""
        self._lag(self.height() + 1)
        self.office.post(task)
        self.posted[task] = self.height()

    def _lag(self, height: int) -> None:
        """Keep those behind whose node is, when the chain has `height` blocks."""
        for worker in self.workers:
            if worker.lag is not None:
                worker.lag.number = height - worker.behind

    def mine(self, *, is_patient: bool) -> None:
        """A block, and time for the clerks: until they have dealt with it, or a moment."""
        self._lag(self.height() + 1)
        self.anvil.rpc("evm_mine")
        if is_patient:
            self.attend()
        else:
            time.sleep(self.dice.uniform(0, 0.05))

    def attend(self, *, but: Worker | None = None) -> None:
        """Wait until every clerk alive has dealt with the head as its node has it, `but` one."""
        height, hashes = self.height(), dict[int, str]()
        end = time.monotonic() + _PATIENCE
        for worker in self.workers:
            if not worker.is_alive or worker is but:
                continue
            if worker.behind not in hashes:
                number = hex(height - worker.behind)
                block = self.anvil.rpc("eth_getBlockByNumber", number, False)
                hashes[worker.behind] = block["hash"]
            while not worker.saw(hashes[worker.behind]):
                if time.monotonic() > end:
                    raise RuntimeError("a clerk hangs")
                time.sleep(0.003)

    def done_at(self) -> dict[int, int]:
        """The block of each task that is done."""
        return {
            int(entry["topics"][1], 16): int(entry["blockNumber"], 16)
            for entry in self._performed()
        }

    def _performed(self) -> list[dict[str, Any]]:
        wanted = {"address": self.office.tasks.address, "fromBlock": hex(self.start)}
        topic = "0x" + TaskList.abi().events["Performed"].topic.hex()
        return list(self.anvil.rpc("eth_getLogs", wanted | {"topics": [topic]}))

    # ---- mishaps

    def drop(self) -> None:
        """
        The pool forgets everything; now and then somebody else performs a task meanwhile. Not while
        the clerk is about to send it for the first time: two in one block are a matter of luck.
        """
        self.forget()
        open_tasks = [task for task in self.posted if not self.office.tasks.times(task)]
        if open_tasks and self.dice.random() < 0.3:
            try:
                self.office.send("perform", self.dice.choice(open_tasks), tip=50 * GWEI)
            except (Reverted, RpcError):
                return
            self._lag(self.height() + 1)
            self.anvil.rpc("evm_mine")

    def forget(self) -> None:
        """The pool forgets everything; after so many blocks the same bytes are sent again."""
        self.attend()
        self.anvil.rpc("anvil_dropAllTransactions")
        self.note("drops", _RESEND)

    def drop_one(self) -> None:
        """The pool forgets one transaction."""
        pending = self.anvil.rpc("txpool_content")["pending"]
        hashes = [tx["hash"] for txs in pending.values() for tx in txs.values()]
        if hashes:
            self.anvil.rpc("anvil_dropTransaction", self.dice.choice(hashes))
            self.note("drops", _RESEND)

    def spike(self, most: int = 150) -> None:
        """The base fee leaps, perhaps above what clerks may pay."""
        gwei = self.dice.choice([fee for fee in (5, 20, 60, 90, 150) if fee <= most])
        self.anvil.rpc("anvil_setNextBlockBaseFeePerGas", hex(gwei * GWEI))
        # Passed over in one block, raised at its sight, in the next one.
        self.note("spikes", 1)

    def reorganise(self) -> None:
        """One or two blocks go with all that was in them; their tasks are posted again."""
        self._take_back(self.dice.choice([1, 2]))

    def reorganise_deeply(self) -> None:
        """
        Up to 64 blocks go, and with them what was final for the clerks. Half of the time the node
        puts their transactions back into its pool, as most do.
        """
        depth = self.dice.choice([3, 5, 8, 21, DEEPEST, self.dice.randint(3, DEEPEST)])
        gone = self._transactions(self.height() - depth + 1) if self.dice.random() < 0.5 else []
        self._take_back(depth, gone)

    def _take_back(self, depth: int, gone: Sequence[str] = ()) -> None:
        self.anvil.rpc("anvil_reorg", depth, [])
        # What was in them and not seen there yet is sent again when it was not seen for a while.
        self.note("reorganisations", depth + _RESEND)
        self.counts["deepest"] = max(self.counts["deepest"], depth)
        for raw in gone:
            try:
                self.anvil.rpc("eth_sendRawTransaction", raw)
                self.counts["put_back"] += 1
            except (Reverted, RpcError):
                self.counts["not_put_back"] += 1
        for task in self.posted:
            if self.office.tasks.state_of(task) == NOTHING:
                self.post(task)

    def _transactions(self, first: int) -> list[str]:
        """The bytes of the clerks' transactions from block `first` on."""
        ours = {worker.address.lower() for worker in self.workers}
        found = []
        for number in range(first, self.height() + 1):
            block = self.anvil.rpc("eth_getBlockByNumber", hex(number), True)
            found += [
                str(self.anvil.rpc("eth_getRawTransactionByHash", tx["hash"]))
                for tx in block["transactions"]
                if tx["from"].lower() in ours
            ]
        return found

    def kill(self) -> None:
        """A clerk is killed at any moment, and started again."""
        worker = self.dice.choice(self.workers)
        time.sleep(self.dice.uniform(0, 0.03))
        worker.kill()
        worker.start()

    def kill_for_good(self, worker: Worker) -> None:
        """It stays away; the others do what was its turn."""
        worker.kill()
        worker.ended_at = self.height()

    def stand_still(self) -> None:
        """A clerk's machine stands still for a block or two, which the others deal with."""
        worker = self.dice.choice([worker for worker in self.workers if worker.is_alive])
        blocks = self.dice.choice([1, 2])
        self.note("stops", blocks)
        with worker.stopped():
            for _ in range(blocks):
                self.attend(but=worker)
                self._lag(self.height() + 1)
                self.anvil.rpc("evm_mine")

    @property
    def is_at_peace(self) -> bool:
        """Whether all that a mishap has slowed down is over and done with."""
        return not any(
            self.height() <= mishap.block + mishap.cost + STAGGER for mishap in self.mishaps[-1:]
        )

    def note(self, what: str, cost: int, *, at: int | None = None) -> None:
        """Something that may cost what is under way so many blocks, at the head or block `at`."""
        self.counts[what] += 1
        self.mishaps.append(Mishap(self.height() if at is None else at, cost))

    # ---- the end

    def calm_down(self) -> None:
        """Low fees and blocks, until everybody alive has nothing to do any more."""
        for worker in self.workers:
            if not worker.is_alive and worker.kills == 0:
                worker.start()
        for _ in range(_CALM):
            self.anvil.rpc("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
            self.mine(is_patient=True)
            if len(self.done_at()) == len(self.posted) and not any(
                worker.has_more() for worker in self.workers if worker.is_alive
            ):
                return

    def count(self) -> Counter[str]:
        """What the chain says of it."""
        found = self.counts + Counter(tasks=len(self.posted))
        known_at = self._known_at()
        ours = {worker.address.lower() for worker in self.workers}
        target = self.office.tasks.address.lower()
        for number in range(self.start, int(self.head()["number"], 16) + 1):
            block = self.anvil.rpc("eth_getBlockByNumber", hex(number), True)
            for tx in block["transactions"]:
                if tx["from"].lower() not in ours:
                    continue
                receipt = self.anvil.rpc("eth_getTransactionReceipt", tx["hash"])
                if str(tx["to"]).lower() != target:
                    found["empty"] += 1
                elif receipt["status"] == "0x1":
                    found["good"] += 1
                else:
                    found["reverted" if number > known_at else "introductions"] += 1
        times = [self.office.tasks.times(task) for task in self.posted]
        found["double"] = sum(count > 1 for count in times)
        found["left_undone"] = sum(count == 0 for count in times)
        found["kills"] = sum(worker.kills for worker in self.workers)
        return found

    def _known_at(self) -> int:
        """The block from which on all know of all, if need be from what they did."""
        if all(worker.config.keepers for worker in self.workers) or len(self.workers) == 1:
            return 0
        first: dict[str, int] = {}
        for entry in self._performed():
            first.setdefault(entry["topics"][2][-40:], int(entry["blockNumber"], 16))
        return max(first.values()) if len(first) == len(self.workers) else self.height()

    def delays(self) -> list[tuple[int, int]]:
        """Of each task that is done: its delay, beyond the block that a deed takes, and the most
        that it may be, by who had to do it.
        """
        row = [worker.address for worker in self.workers]
        ended = {w.address: w.ended_at for w in self.workers if w.ended_at is not None}
        found = []
        for task, done in self.done_at().items():
            posted = self.posted[task]
            place = responsible(task, posted, row, ended, STAGGER, self.mishaps)
            who = sorted(self.workers, key=lambda w: rank(task.to_bytes(32), w.address, row))[place]
            most = allowed(posted, done, place, STAGGER, self.mishaps) + who.behind
            found.append((done - posted - 1, most))
        return found
