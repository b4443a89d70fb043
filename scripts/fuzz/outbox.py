"""Sending under fire: clerks of a TaskList are killed, the pool forgets, fees leap, blocks vanish.

    python -m scripts.fuzz.outbox --rounds 200

A round posts a task or two and mines a few blocks, with a mishap or without. Rounds come in scenes,
each with a list and clerks of its own; at a scene's end the chain calms down, and what the books
and the chain say must agree: every task done, once.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.chain.accounts import Key
from headrace.chain.fees import GWEI
from headrace.chain.outbox import Outbox
from headrace.keeper.rank import rank
from scripts.compiler import ROOT
from scripts.fuzz.clerk import Config
from tests.harness import Anvil, Reverted, RpcError
from tests.task_list import NOTHING, Office, TaskList

CHAIN_ID = 31337
SCENE = 40
STAGGER = 3
# Blocks that a scene may take to calm down.
_CALM = 150
_PATIENCE = 30.0
_ETHER = 10**18


@dataclass
class Worker:
    """A clerk's process."""

    config: Config
    process: subprocess.Popen[bytes] | None = None
    kills: int = 0

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

    @property
    def anvil(self) -> Anvil:
        """The chain."""
        return self.office.anvil

    def head(self) -> dict[str, Any]:
        """The latest block."""
        return dict(self.anvil.rpc("eth_getBlockByNumber", "latest", False))

    def post(self, task: int) -> None:
        """Open a task, in a block of its own."""
        self.office.post(task)
        self.posted[task] = int(self.head()["number"], 16)

    def mine(self, *, is_patient: bool) -> None:
        """A block, and time for the clerks: until they have dealt with it, or a moment."""
        self.anvil.rpc("evm_mine")
        if is_patient:
            self.attend()
        else:
            time.sleep(self.dice.uniform(0, 0.05))

    def attend(self) -> None:
        """Wait until every clerk alive has dealt with the head."""
        block_hash = self.head()["hash"]
        end = time.monotonic() + _PATIENCE
        while not all(worker.saw(block_hash) for worker in self.workers if worker.is_alive):
            if time.monotonic() > end:
                raise RuntimeError("a clerk hangs")
            time.sleep(0.003)

    def done_at(self) -> dict[int, int]:
        """The block of each task that is done."""
        wanted = {"address": self.office.tasks.address, "fromBlock": hex(self.start)}
        topic = "0x" + TaskList.abi().events["Performed"].topic.hex()
        return {
            int(entry["topics"][1], 16): int(entry["blockNumber"], 16)
            for entry in self.anvil.rpc("eth_getLogs", wanted | {"topics": [topic]})
        }

    # ---- mishaps

    def drop(self) -> None:
        """
        The pool forgets everything; now and then somebody else performs a task meanwhile. Not while
        the clerk is about to send it for the first time: two in one block are a matter of luck.
        """
        self.attend()
        self.anvil.rpc("anvil_dropAllTransactions")
        open_tasks = [task for task in self.posted if not self.office.tasks.times(task)]
        if open_tasks and self.dice.random() < 0.3:
            try:
                self.office.send("perform", self.dice.choice(open_tasks), tip=50 * GWEI)
            except (Reverted, RpcError):
                return
            self.anvil.rpc("evm_mine")

    def drop_one(self) -> None:
        """The pool forgets one transaction."""
        pending = self.anvil.rpc("txpool_content")["pending"]
        hashes = [tx["hash"] for txs in pending.values() for tx in txs.values()]
        if hashes:
            self.anvil.rpc("anvil_dropTransaction", self.dice.choice(hashes))

    def spike(self) -> None:
        """The base fee leaps, perhaps above what clerks may pay."""
        wei = int(self.dice.choice([5, 20, 60, 90, 150]) * GWEI)
        self.anvil.rpc("anvil_setNextBlockBaseFeePerGas", hex(wei))

    def reorganise(self) -> None:
        """One or two blocks go with all that was in them; their tasks are posted again."""
        self.anvil.rpc("anvil_reorg", self.dice.choice([1, 2]), [])
        for task in self.posted:
            if self.office.tasks.state_of(task) == NOTHING:
                self.post(task)

    def kill(self) -> None:
        """A clerk is killed at any moment, and started again."""
        worker = self.dice.choice(self.workers)
        time.sleep(self.dice.uniform(0, 0.03))
        worker.kill()
        worker.start()

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
                self._has_more(worker) for worker in self.workers if worker.is_alive
            ):
                return

    def _has_more(self, worker: Worker) -> bool:
        path = Path(worker.config.home) / "outbox.db"
        book = Outbox(path, chain_id=CHAIN_ID, address=worker.address)
        try:
            return bool(book.unfinished())
        finally:
            book.close()

    def count(self) -> Counter[str]:
        """What the chain says of it."""
        found: Counter[str] = Counter(tasks=len(self.posted))
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
                    found["reverted"] += 1
        times = [self.office.tasks.times(task) for task in self.posted]
        found["double"] = sum(count > 1 for count in times)
        found["left_undone"] = sum(count == 0 for count in times)
        found["kills"] = sum(worker.kills for worker in self.workers)
        return found

    def worst_delay(self) -> int:
        """The most blocks between a task's post and its deed, beyond the block that takes."""
        return max(block - self.posted[task] - 1 for task, block in self.done_at().items())

    def allowed_delay(self) -> int:
        """What the worst rank that had to act may take, in blocks."""
        keepers = [worker.address for worker in self.workers]
        alive = [worker.address for worker in self.workers if worker.process is not None]
        worst = max(
            min(rank(task.to_bytes(32), address, keepers) for address in alive)
            for task in self.posted
        )
        return worst * STAGGER


class Stage:
    """A chain, and scenes on it one after the other."""

    def __init__(self, folder: Path, seed: int) -> None:
        """The chain mines when told, a second a block."""
        self.folder = folder
        self.dice = random.Random(seed)  # noqa: S311 - luck that can be repeated
        self.anvil = Anvil("--no-mining", "--chain-id", str(CHAIN_ID))
        self.anvil.rpc("anvil_setBlockTimestampInterval", 1)
        self.scenes = 0

    @contextmanager
    def scene(self, clerks: int) -> Iterator[Scene]:
        """With so many clerks that take turns."""
        self.scenes += 1
        self.anvil.rpc("anvil_dropAllTransactions")
        secrets = [(self.scenes * 1_000 + n).to_bytes(32).hex() for n in range(clerks)]
        keepers = tuple(Key.of(secret).address for secret in secrets)
        for keeper in keepers:
            self.anvil.rpc("anvil_setBalance", keeper, hex(100 * _ETHER))
        office = Office.open(self.anvil)
        # Deeper than any reorganisation of the scene.
        for _ in range(4):
            self.anvil.rpc("evm_mine")
        start = int(self.anvil.rpc("eth_blockNumber"), 16)
        workers = [
            Worker(
                Config(
                    url=self.anvil.url,
                    chain_id=CHAIN_ID,
                    tasks=office.tasks.address,
                    home=str(self.folder / f"{self.scenes}-{number}"),
                    secret=secret,
                    start=start,
                    keepers=keepers,
                    stagger_seconds=STAGGER,
                )
            )
            for number, secret in enumerate(secrets)
        ]
        scene = Scene(office, workers, self.dice, start)
        try:
            for worker in workers:
                worker.start()
            yield scene
        finally:
            for worker in workers:
                worker.kill()
            office.tasks.rpc.close()

    def alone(self, rounds: int, *, with_reorganisations: bool) -> Counter[str]:
        """One clerk, and every mishap; returns the scene's counts."""
        with self.scene(1) as scene:
            # What happens in a round, and how likely.
            mishaps: list[tuple[float, Callable[[], None]]] = [
                (0.2, scene.drop),
                (0.1, scene.drop_one),
                (0.2, scene.spike),
                (0.12, scene.kill),
                (0.15 if with_reorganisations else 0.0, scene.reorganise),
            ]
            for number in range(rounds):
                scene.post(number + 1)
                if not number:
                    scene.mine(is_patient=True)
                luck = self.dice.random()
                for chance, mishap in mishaps:
                    luck -= chance
                    if luck < 0:
                        mishap()
                        break
                for _ in range(self.dice.choice([1, 1, 2])):
                    scene.mine(is_patient=self.dice.random() < 0.5)
            scene.calm_down()
            return scene.count()

    def rivals(self, rounds: int) -> tuple[Counter[str], int, int]:
        """Three clerks, one of them killed midway; counts, the worst delay, the one allowed."""
        with self.scene(3) as scene:
            scene.mine(is_patient=True)
            victim = self.dice.choice(scene.workers)
            for number in range(rounds):
                scene.post(number + 1)
                if number == rounds // 2:
                    victim.kill()
                scene.attend()
                scene.mine(is_patient=True)
            scene.calm_down()
            counts = scene.count()
            return counts, scene.worst_delay(), scene.allowed_delay()


def run(
    rounds: int, *, seed: int = 1, say: Callable[[str], None] = lambda line: None
) -> dict[str, float]:
    """
    So many rounds: three tenths each alone without and with reorganisations, the rest with rivals.
    `double` and `left_undone` are tasks; shares are of the transactions that reached the list;
    `worst_delay_blocks` is beyond the block that a deed takes, `late` how many scenes exceeded what
    rank times stagger allows.
    """
    totals: dict[str, Counter[str]] = {name: Counter() for name in ("calm", "wild", "rivals")}
    worst = late = 0
    with tempfile.TemporaryDirectory(prefix="headrace-fuzz-") as folder:
        stage = Stage(Path(folder), seed)
        try:
            for name, share in (("calm", 0.3), ("wild", 0.3), ("rivals", 0.4)):
                left = round(rounds * share)
                while left > 0:
                    part, left = min(left, SCENE), left - min(left, SCENE)
                    if name == "rivals":
                        counts, delay, allowed = stage.rivals(part)
                        worst, late = max(worst, delay), late + (delay > allowed)
                    else:
                        counts = stage.alone(part, with_reorganisations=name == "wild")
                    totals[name] += counts
                    say(f"{name}: {part} rounds, {dict(counts)}")
        finally:
            stage.anvil.stop()
    every: Counter[str] = sum(totals.values(), Counter())
    return {
        "double": every["double"],
        "left_undone": every["left_undone"],
        "reverted_share": _share(totals["calm"]),
        "reverted_share_reorgs": _share(totals["wild"]),
        "rival_reverted_share": _share(totals["rivals"]),
        "worst_delay_blocks": worst,
        "late": late,
        "kills": every["kills"],
        "empty": every["empty"],
        "performed": every["good"],
    }


def _share(counts: Counter[str]) -> float:
    sent = counts["good"] + counts["reverted"]
    return round(counts["reverted"] / sent, 4) if sent else 0.0


def main() -> None:
    """Print the figures as JSON; exit code 1 if one of them is not what it has to be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    begun = time.monotonic()

    def say(line: str) -> None:
        sys.stderr.write(f"{time.monotonic() - begun:7.1f} s  {line}\n")

    figures = run(options.rounds, seed=options.seed, say=say)
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    is_good = (
        not figures["double"]
        and not figures["left_undone"]
        and not figures["late"]
        and figures["reverted_share"] <= 0.02
        and figures["rival_reverted_share"] <= 0.01
    )
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
