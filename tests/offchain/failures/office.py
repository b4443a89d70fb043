"""Clerks of a TaskList as processes of their own, for failures in which a process dies."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from headrace.chain.accounts import Key
from headrace.chain.outbox import Outbox
from scripts.fuzz.clerk import Config
from tests.harness import ROOT
from tests.offchain.chain.till import CHAIN_ID
from tests.task_list import Office

_secrets = count(50_000)


@dataclass
class Employed:
    """A clerk's configuration and, while it runs, its process."""

    config: Config
    log: Path
    process: subprocess.Popen[bytes] | None = None
    _changes: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return Key.of(self.config.secret)

    def start(self, **changes: object) -> "Employed":
        path = replace(self.config, **changes).write()  # type: ignore[arg-type]
        with self.log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "scripts.fuzz.clerk", str(path)],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stderr=file,
            )
        return self

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def ended(self) -> int:
        """The exit code, once it has ended by itself."""
        assert self.process is not None
        return self.process.wait(20)

    def saw(self, block_hash: str) -> bool:
        """Whether it has dealt with a block."""
        try:
            return (Path(self.config.home) / "seen").read_text() == block_hash.removeprefix("0x")
        except FileNotFoundError:
            return False

    @contextmanager
    def book(self) -> Iterator[Outbox]:
        """Its outbox, for a look."""
        box = Outbox(
            Path(self.config.home) / "outbox.db", chain_id=CHAIN_ID, address=self.key.address
        )
        yield box
        box.close()


def employ(office: Office, folder: Path) -> Employed:
    """A clerk with a key of its own, and money; not started."""
    secret = next(_secrets).to_bytes(32)
    office.anvil.rpc("anvil_setBalance", Key.of(secret).address, hex(10**20))
    config = Config(
        url=office.anvil.url,
        chain_id=CHAIN_ID,
        tasks=office.tasks.address,
        home=str(folder),
        secret=secret.hex(),
    )
    folder.mkdir(exist_ok=True)
    return Employed(config, folder / "log")


def until(what: Callable[[], bool], patience: float = 20.0) -> None:
    """Wait for something that must come."""
    end = time.monotonic() + patience
    while not what():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)
