"""The stage: a chain in a process of its own, the deployment, keys, and a process per daemon."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from headrace.chain import accounts, wiring
from headrace.chain.abi import Call
from headrace.chain.accounts import Key
from headrace.chain.local_deployer import LocalDeployer
from headrace.chain.manifest import Deployment
from headrace.chain.parameters import Parameters
from headrace.chain.rpc import Rpc
from headrace.errors import HeadraceError, UsageError
from headrace.store.blobs import BlobStore
from headrace.store.board import Board

ROOT = Path(__file__).resolve().parents[2]
PARAMETERS = ROOT / "deployments" / "local.params.json"
PASSPHRASE = "for a local chain only"  # noqa: S105
# Wei for everybody's gas.
_ALLOWANCE = 10**20
_PATIENCE = 20.0


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Stage:
    """Everything that runs; `folder` is new for each performance."""

    folder: Path
    rpc: Rpc
    url: str
    chain: subprocess.Popen[bytes]
    deployment: Deployment
    owner: Key
    store: BlobStore
    board: Board
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _logs: list[IO[bytes]] = field(default_factory=list)

    @property
    def manifest(self) -> Path:
        """The deployment's manifest."""
        return self.folder / "deployment.json"

    def key(self, name: str) -> Key:
        """A new key with gas money; its keyfile is in the home folder of the same name."""
        key = accounts.create(self.home(name) / "keys", "default", PASSPHRASE, is_light=True)
        self.rpc.call("anvil_setBalance", key.address, hex(_ALLOWANCE))
        return key

    def home(self, name: str) -> Path:
        """The home folder of one player."""
        return self.folder / "homes" / name

    def send(self, key: Key, call: Call) -> bytes:
        """Send a call from `key`; the hash of its transaction once it is in a block."""
        self.rpc.eth_call(call.to, call.data, sender=key.address)
        nonce = self.rpc.nonce(key.address, "pending")
        return LocalDeployer(self.rpc, key).send(nonce=nonce, to=call.to, data=call.data)

    def tick(self, seconds: int) -> None:
        """From now on a block every `seconds`, and none in between."""
        self.rpc.call("evm_setAutomine", False)
        self.rpc.call("evm_setIntervalMining", seconds)

    def environment(self, name: str, **extra: str) -> Mapping[str, str]:
        """What a daemon of this player reads from its environment."""
        passphrase = self.folder / "passphrase"
        if not passphrase.exists():
            passphrase.write_text(PASSPHRASE + "\n")
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HEADRACE_")}
        return kept | {
            "HEADRACE_HOME": str(self.home(name)),
            "HEADRACE_RPC_URL": self.url,
            "HEADRACE_MANIFEST": str(self.manifest),
            "HEADRACE_STORE": str(self.store_path),
            "HEADRACE_BOARD": str(self.board.path),
            "HEADRACE_PASSPHRASE_FILE": str(passphrase),
            "HEADRACE_CONFIRMATIONS": "0",
            **extra,
        }

    @property
    def store_path(self) -> Path:
        """Where everybody's blobs are."""
        return self.folder / "store"

    def start(self, name: str, command: Sequence[str], **extra: str) -> None:
        """Start a daemon of the player `name`; its log is `<name>.log`."""
        log = (self.folder / f"{name}.log").open("wb")
        self._logs.append(log)
        self._processes[name] = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=self.environment(name, **extra),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def check_running(self) -> None:
        """HeadraceError if a daemon has ended by itself."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                log = (self.folder / f"{name}.log").read_text(errors="replace")
                raise HeadraceError(f"{name} has ended:\n{log[-2_000:]}")

    @property
    def names(self) -> list[str]:
        """The processes that were started."""
        return list(self._processes)

    def stop(self) -> None:
        """End every process that was started here."""
        for process in self._processes.values():
            process.terminate()
        for process in (*self._processes.values(), self.chain):
            if process is self.chain:
                process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for log in self._logs:
            log.close()
        self.rpc.close()


def anvil() -> str:
    """The chain's program. UsageError says how to get it."""
    found = shutil.which("anvil", path=f"{ROOT / 'node_modules' / '.bin'}:{os.environ['PATH']}")
    if found is None:
        raise UsageError("anvil is missing: run `make setup`")
    return found


@contextlib.contextmanager
def raised(folder: Path) -> Iterator[Stage]:
    """A stage in a new `folder`, struck when the block ends."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    port = free_port()
    chain = subprocess.Popen(
        [
            *(anvil(), "--port", str(port), "--silent", "--accounts", "1"),
            *("--cache-path", str(folder / "chain")),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    stage: Stage | None = None
    try:
        url = f"http://127.0.0.1:{port}"
        rpc = Rpc(url)
        _wait_for(rpc)
        owner = accounts.create(
            folder / "homes" / "owner" / "keys", "default", PASSPHRASE, is_light=True
        )
        rpc.call("anvil_setBalance", owner.address, hex(_ALLOWANCE))
        path = folder / "deployment.json"
        wiring.deploy(rpc, LocalDeployer(rpc, owner), Parameters.load(PARAMETERS), path)
        deployment = Deployment.load(path)
        deployment.verify(rpc)
        store = BlobStore(folder / "store")
        stage = Stage(
            folder, rpc, url, chain, deployment, owner, store, Board(folder / "store" / "board")
        )
        yield stage
    finally:
        if stage is not None:
            stage.stop()
        else:
            chain.terminate()
            chain.wait()


def _wait_for(rpc: Rpc) -> None:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            rpc.chain_id()
            return
        except HeadraceError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
