"""A chain of one's own: anvil in a process, the contracts on it, keys with money, an example."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from headrace.chain import accounts, wiring
from headrace.chain.abi import Call
from headrace.chain.accounts import Key
from headrace.chain.local_deployer import LocalDeployer
from headrace.chain.parameters import Parameters
from headrace.chain.rpc import Rpc
from headrace.errors import HeadraceError, UsageError
from headrace.graph.model import Model, Operator

CHAIN_ID = 31_337
PASSPHRASE = "for a local chain only"  # noqa: S105
ETHER = 10**18
_PATIENCE = 20.0
# Blocks whose state the chain can still be asked for.
_STATES = 1_000
_STOP_PATIENCE = 10.0

# As short as a person can watch; a real network has at least 15 minutes for a window.
PARAMETERS = {
    "chain_id": CHAIN_ID,
    "token": None,
    "sink_receiver": "0x000000000000000000000000000000000000dEaD",
    "owner": None,
    "min_bond": 5_000_000,
    "heartbeat_ttl": 86_400,
    "half_life": 7_776_000,
    "weight_cap": 10_000_000,
    "attempt_max": 3_600,
    "delay_max": 3_600,
    "timelock": 0,
    "demand_fee": 100_000,
    "node_fee": 20_000,
    "min_mirrors": 1,
    "window": {"min": 2, "max": 1_800},
    "reply": {"min": 2, "max": 600},
    "policy": {"charge_bps": 50, "keeper_fee": 50_000},
    "gpu_models": [
        {"name": "RTX 4090", "vram_gib": 24},
        {"name": "L40S", "vram_gib": 48},
        {"name": "A100 80GB", "vram_gib": 80},
        {"name": "H100 80GB", "vram_gib": 80},
    ],
}

NODE_FILE = """\
# What the node of `headrace up` is, and what it offers.
gpu: RTX 4090
region: eu-west
capacity: 4
offer:
  models: [quadrants]
  base: 0.5
  per_unit: 0.01
  max_lock: 50
  max_units: 64
  check: {window: 5s, reply: 5s, follow: 5s}
"""
JOB_FILE = """\
# Which quarter of each 4x4 image is the brightest? Price and times are for a local chain.
model: quadrants
input: images.csv
policy: exact
check: {window: 5s, reply: 5s, follow: 5s}
price: {start: 1, cap: 3, ramp: 30s}
time: {deadline: 10m, attempt: 1m, acknowledge: 20s}
needs:
  gpu: [RTX 4090, L40S]
  region: [eu-west, eu-north]
  vram: 16
"""


def example_model() -> Model:
    """Which quarter of a 4x4 image is the brightest: four means, and the greatest of them."""
    weights = np.zeros((4, 16), np.int8)
    for pixel in range(16):
        row, column = divmod(pixel, 4)
        weights[2 * (row // 2) + column // 2, pixel] = 1
    means = Operator.matmul(0, weights, [0] * 4, [1 << 20] * 4, [22] * 4)
    return Model.of([means, Operator.argmax(1, 4)], 16, 64)


def example_images() -> str:
    """Eight images of noise as .csv, each with one bright quarter: 0, 1, 2, 3, 0, 1, 2, 3."""
    draw = np.random.default_rng(4)
    lines = []
    for index in range(8):
        image = draw.integers(0, 40, (4, 4))
        top, left = divmod(index % 4, 2)
        image[2 * top : 2 * top + 2, 2 * left : 2 * left + 2] += 60
        lines.append(",".join(map(str, image.ravel().tolist())) + "\n")
    return "".join(lines)


def find_anvil() -> str:
    """The chain's program. UsageError says how to get it."""
    here = [Path.cwd(), *Path.cwd().parents, *Path(__file__).resolve().parents]
    folders = [str(folder / "node_modules" / ".bin") for folder in here]
    found = shutil.which("anvil", path=os.pathsep.join([os.environ.get("PATH", ""), *folders]))
    if found is None:
        raise UsageError(
            "anvil is missing: `npm install @foundry-rs/anvil` in this folder, or get Foundry "
            "(https://getfoundry.sh)"
        )
    return found


def choose_port(port: int) -> int:
    """`port`, or a free one for 0. UsageError if it is in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise UsageError(
                f"port {port} is in use: choose another with --port (0: any)"
            ) from None
        return int(probe.getsockname()[1])


@dataclass
class Processes:
    """Child processes by their names, each with a log file in `folder`."""

    folder: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _logs: list[IO[bytes]] = field(default_factory=list)

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start one. Its signals are ours to give: Ctrl-C reaches only the parent."""
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.log_of(name).open("wb")
        self._logs.append(log)
        self.running[name] = subprocess.Popen(
            list(command),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def log_of(self, name: str) -> Path:
        """Where a process writes."""
        return self.folder / f"{name}.log"

    def check(self) -> list[str]:
        """
        The names of those that have ended as they should, and are forgotten. HeadraceError, with
        the end of its log, if one has failed.
        """
        ended = [name for name, process in self.running.items() if process.poll() is not None]
        for name in ended:
            if self.running.pop(name).returncode:
                tail = self.log_of(name).read_text(errors="replace").strip().splitlines()[-1:]
                said = f": {tail[0][:500]}" if tail else ""
                raise HeadraceError(f"{name} has failed{said} (see {self.log_of(name)})")
        return ended

    def stop(self) -> None:
        """End all that run, the last one started first."""
        for name in reversed(list(self.running)):
            process = self.running.pop(name)
            # The whole group: anvil may come wrapped in a process of npm's.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(_STOP_PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        while self._logs:
            self._logs.pop().close()


def start_chain(processes: Processes, port: int) -> Rpc:
    """An empty chain that answers on `port`; it makes a block for every transaction."""
    command = [find_anvil(), "--port", str(port), "--silent", "--accounts", "1"]
    # By itself anvil puts older states on disk, a block every second, and never removes them.
    command += ["--prune-history", str(_STATES)]
    processes.start("chain", [*command, "--chain-id", str(CHAIN_ID)], os.environ)
    rpc = Rpc(f"http://127.0.0.1:{port}")
    until = time.monotonic() + _PATIENCE
    while True:
        processes.check()
        try:
            rpc.chain_id()
        except HeadraceError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return rpc


def tick(rpc: Rpc) -> None:
    """From now on a block every second, and none in between."""
    rpc.call("evm_setAutomine", False)
    rpc.call("evm_setIntervalMining", 1)


def account(rpc: Rpc, folder: Path, name: str) -> Key:
    """The key called `name`, made if it isn't there, with money for gas."""
    if name in accounts.names(folder):
        key = accounts.load(folder, name, PASSPHRASE)
    else:
        key = accounts.create(folder, name, PASSPHRASE, is_light=True)
    rpc.call("anvil_setBalance", key.address, hex(100 * ETHER))
    return key


def deploy(rpc: Rpc, key: Key, path: Path) -> None:
    """Everything that belongs to the protocol, recorded in the manifest at `path`."""
    with suppress(FileNotFoundError):
        path.unlink()
    wiring.deploy(rpc, LocalDeployer(rpc, key), Parameters.of(PARAMETERS, path), path)


def send(rpc: Rpc, key: Key, call: Call) -> None:
    """Send a call, while the chain makes a block for each. Rejected if it would revert."""
    rpc.eth_call(call.to, call.data, sender=key.address)
    nonce = rpc.nonce(key.address, "pending")
    LocalDeployer(rpc, key).send(nonce=nonce, to=call.to, data=call.data)


def program(*arguments: str) -> list[str]:
    """The command line of `headrace ...` in this very Python."""
    return [sys.executable, "-m", "headrace.cli", *arguments]
