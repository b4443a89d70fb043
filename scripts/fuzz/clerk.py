"""A keeper of a TaskList, as a process to be killed: follower's place is taken by plain reads, all
that sends is the daemons' own.

    python -m scripts.fuzz.clerk CONFIG

CONFIG is a JSON file with the fields of `Config`. After each new block that was dealt with, its
hash is written to `<home>/seen`.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace import logging as json_logs
from headrace.chain.accounts import Key
from headrace.chain.fees import GWEI, Fees, Kind
from headrace.chain.lease import FileLease
from headrace.chain.outbox import Outbox
from headrace.chain.rpc import Header, Rpc, to_bytes, to_int
from headrace.chain.sender import Sender
from headrace.daemon import loop
from headrace.daemon.actions import Action, Performer
from headrace.daemon.loop import Stop
from headrace.errors import HeadraceError
from headrace.keeper.rank import turn_at
from headrace.keeper.roster import Roster
from tests.task_list import TaskList

_DONE = {"TaskList.perform": frozenset({"tasks: not open"})}


@dataclass(frozen=True, slots=True)
class Config:
    """
    Tasks are looked for from block `start` on. `keepers` are others that one is told of to take
    turns with, `stagger_seconds` apart; who has performed a task is known from the chain. `dies`
    kills the process at its first sending, "before" or "after" the node has heard of it.
    """

    url: str
    chain_id: int
    tasks: str
    home: str
    secret: str
    start: int = 0
    keepers: tuple[str, ...] = ()
    stagger_seconds: int = 3
    poll_seconds: float = 0.01
    is_standby: bool = False
    dies: str = ""

    def write(self) -> Path:
        """Into its home, for a process to read."""
        home = Path(self.home)
        home.mkdir(parents=True, exist_ok=True)
        path = home / "config.json"
        path.write_text(json.dumps({name: getattr(self, name) for name in self.__slots__}))
        return path

    @classmethod
    def read(cls, path: Path) -> "Config":
        """What `write` has written."""
        content = json.loads(path.read_text())
        return cls(**content | {"keepers": tuple(content["keepers"])})


class MortalRpc(Rpc):
    """Kills its process at the first transaction: before the node hears of it, or just after."""

    def __init__(self, url: str, dies: str) -> None:
        super().__init__(url)
        self._dies = dies

    def call(self, method: str, *params: Any) -> Any:
        """As `Rpc.call`, once."""
        is_last = method == "eth_sendRawTransaction" and self._dies
        if is_last and self._dies == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = super().call(method, *params)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


class Clerk:
    """One keeper; `tick` is one round."""

    def __init__(self, config: Config, rpc: Rpc) -> None:
        """Opens its book, with the lease of its key."""
        self._rpc = rpc
        self._config = config
        self._home = Path(config.home)
        key = Key.of(config.secret)
        path = self._home / "outbox.db"
        self.outbox = Outbox(
            path,
            chain_id=config.chain_id,
            address=key.address,
            lease=FileLease.take(path, is_standby=config.is_standby),
        )
        fees = Fees.unattended(
            200 * GWEI,
            lambda what: Kind(gas_ceiling=1_000_000),
            reserve=10**15,
            daily_budget=10**20,
        )
        self.sender = Sender(
            *(rpc, key, self.outbox), chain_id=config.chain_id, fees=fees, is_unattended=True
        )
        tasks = TaskList(rpc, config.tasks)
        self._performer = Performer(self.sender, {"TaskList": tasks}, done=_DONE)
        topics = TaskList.abi().events
        self._posted, self._performed = topics["Posted"].topic, topics["Performed"].topic
        self._seen = b""

    def tick(self) -> None:
        """Look after what is under way; at a new block, perform what is open and our turn."""
        # In this order what is under way was looked after at `head` too, once it was seen.
        head = self._rpc.head()
        self.sender.settle()
        if head.hash == self._seen:
            return
        self._performer.perform(self._due(head), head.timestamp)
        self._seen = head.hash
        partial = self._home / "seen.new"
        partial.write_text(head.hash.hex())
        partial.replace(self._home / "seen")

    def _due(self, head: Header) -> Sequence[Action]:
        wanted = {
            "address": self._config.tasks,
            "fromBlock": hex(self._config.start),
            "toBlock": hex(head.number),
        }
        open_since: dict[int, int] = {}
        # Anew each time: what a reorganisation took back was seen by nobody.
        roster = Roster(self.sender.address, self._config.keepers)
        for entry in self._rpc.call("eth_getLogs", wanted):
            topic, task = (to_bytes(value, 32) for value in entry["topics"][:2])
            if topic == self._posted:
                open_since[int.from_bytes(task)] = to_int(entry["blockTimestamp"])
            elif topic == self._performed:
                open_since.pop(int.from_bytes(task), None)
                who = "0x" + to_bytes(entry["topics"][2], 32)[-20:].hex()
                roster.saw(who, to_int(entry["blockTimestamp"]))
        keepers = roster.keepers(head.timestamp)
        return [
            Action(
                f"perform:{task}",
                "TaskList",
                "perform",
                (task,),
                not_before=turn_at(
                    task.to_bytes(32),
                    self.sender.address,
                    keepers,
                    since,
                    self._config.stagger_seconds,
                ),
            )
            for task, since in open_since.items()
        ]


def main(path: Path) -> None:
    """Run until SIGTERM; exit code 1 with one clear line if a person has to help."""
    json_logs.configure("INFO")
    config = Config.read(path)
    rpc = MortalRpc(config.url, config.dies)
    stop = Stop()
    with stop.on_signals():
        clerk = loop.until_it_works(lambda: Clerk(config, rpc), stop)
        if clerk is not None:
            loop.run(clerk.tick, stop, poll=config.poll_seconds)


if __name__ == "__main__":
    begun = time.monotonic()
    try:
        main(Path(sys.argv[1]))
    except HeadraceError as error:
        sys.exit(f"ended after {time.monotonic() - begun:.1f} s: {error}")
