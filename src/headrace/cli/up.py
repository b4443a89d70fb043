"""`up`: a chain, the contracts, a keeper, a node and a watcher, to play with."""

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click

from headrace.chain.accounts import Key
from headrace.chain.catalogue import read_catalogue
from headrace.chain.manifest import Deployment
from headrace.chain.rpc import Rpc
from headrace.cli import local
from headrace.cli.answer import Answer
from headrace.cli.app import command
from headrace.cli.local import Processes
from headrace.cli.names import Names
from headrace.cli.session import Session
from headrace.cli.show import fields
from headrace.errors import HeadraceError, UsageError
from headrace.node.config import read_file
from headrace.store.blobs import BlobStore
from headrace.store.board import Board
from headrace.terms.words import ZERO_HASH

_MARK = "local-chain"
_UNIT = 10**6
_FUNDS = 1_000 * _UNIT
_BOND = 5 * _UNIT
_ESCROW, _REGISTRY, _PROOF, _GRAPH = 1, 2, 4, 8
# Who there is, and which books of the Vault they need.
_CAST = {
    "default": _ESCROW,
    "provider": _ESCROW | _REGISTRY,
    "keeper": _ESCROW,
    "watcher": _ESCROW | _PROOF | _GRAPH,
}
_PATIENCE = 30.0
# What is bound to a chain that is gone.
_STALE = ("keeper", "node", "watch", "cli", "outbox", "logs", "store/board")


@dataclass(frozen=True, slots=True)
class _Place:
    home: Path

    @property
    def manifest(self) -> Path:
        return self.home / "deployment.json"

    @property
    def keys(self) -> Path:
        return self.home / "keys"

    @property
    def passphrase(self) -> Path:
        return self.home / "passphrase"

    @property
    def environment(self) -> Path:
        return self.home / "env"

    @property
    def example(self) -> Path:
        return self.home / "example"


@command("up")
@click.option("--port", type=click.IntRange(0, 65_535), default=8545, help="Of the chain; 0: any.")
def up(session: Session, port: int) -> None:
    """Start a chain of your own with everything on it, until Ctrl-C.

    Keys with money, a keeper, a node, a watcher, a small model and a job file to post. Everything
    is in the home folder (by default ~/.headrace/local). The chain is a new one every time.
    """
    place = _Place(_home(session))
    local.find_anvil()
    with _alone(place), _interruptible():
        chosen = local.choose_port(port)
        _clear(place)
        processes = Processes(place.home / "logs")
        try:
            with session.step("starting a chain and putting the contracts on it"):
                rpc = local.start_chain(processes, chosen)
                _build(place, rpc)
            with session.step("starting keeper, node and watcher"):
                _start_daemons(place, rpc, processes, chosen)
            _ready(place, rpc, processes).emit(session.is_json)
            while True:
                for name in processes.check():
                    session.say(f"{name} has ended")
                time.sleep(0.5)
        except KeyboardInterrupt:
            session.say("stopping")
        finally:
            processes.stop()


def _home(session: Session) -> Path:
    settings = session.settings
    # Never in the home folder of a real network by accident.
    is_chosen = "home" in settings.model_fields_set
    home = settings.home if is_chosen else settings.home / "local"
    if (home / "deployment.json").exists() and not (home / _MARK).exists():
        raise UsageError(f"{home} is the home of another deployment: choose another --home")
    if (home / "keys").exists() and not (home / _MARK).exists():
        raise UsageError(f"{home} has keys that aren't of a local chain: choose another --home")
    return home.absolute()


@contextmanager
def _alone(place: _Place) -> Iterator[None]:
    place.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (place.home / _MARK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"`headrace up` runs already in {place.home}") from None
        lock.write("this folder is of `headrace up`: its keys are worth nothing\n")
        lock.flush()
        yield


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends it as Ctrl-C does; SIGINT too where a shell started it with that ignored."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _clear(place: _Place) -> None:
    for name in _STALE:
        shutil.rmtree(place.home / name, ignore_errors=True)
    place.manifest.unlink(missing_ok=True)


def _build(place: _Place, rpc: Rpc) -> None:
    """The contracts, accounts with money, the model, and the provider's registration."""
    place.passphrase.touch(mode=0o600)
    place.passphrase.write_text(local.PASSPHRASE + "\n")
    local.deploy(rpc, local.account(rpc, place.keys, "deployer"), place.manifest)
    deployment = Deployment.load(place.manifest)
    token, vault = deployment.token(rpc), deployment.vault(rpc)
    keys: dict[str, Key] = {}
    for name, books in _CAST.items():
        keys[name] = key = local.account(rpc, place.keys, name)
        local.send(rpc, key, token.drip(2 * _FUNDS))
        local.send(rpc, key, token.approve(vault.address, _FUNDS))
        local.send(rpc, key, vault.deposit_and_authorise(_FUNDS, books))
    model = local.example_model()
    BlobStore(place.home / "store").put_model(model)
    Names(place.home / "names.json").put("models", "quadrants", model.program)
    operators, width = model.descriptors, model.input_width
    register = deployment.fault_proof(rpc).register_model(
        operators, width, model.max_units, ZERO_HASH
    )
    local.send(rpc, keys["default"], register)
    _write_example(place)
    registry, provider = deployment.registry(rpc), keys["provider"]
    spec = read_file(place.example / "node.yaml", read_catalogue(token, registry)).node
    call = registry.register(provider.address, provider.address, _BOND, spec)
    local.send(rpc, provider, call)
    local.tick(rpc)


def _write_example(place: _Place) -> None:
    place.example.mkdir(exist_ok=True)
    for name, text in (
        ("node.yaml", local.NODE_FILE),
        ("job.yaml", local.JOB_FILE),
        ("images.csv", local.example_images()),
    ):
        path = place.example / name
        # What somebody has changed to play with it stays as it is.
        if not path.exists():
            path.write_text(text)


def _start_daemons(place: _Place, rpc: Rpc, processes: Processes, port: int) -> None:
    settings = {
        "HEADRACE_HOME": str(place.home),
        "HEADRACE_RPC_URL": f"http://127.0.0.1:{port}",
        "HEADRACE_CONFIRMATIONS": "0",
    }
    lines = [f"export {name}='{value}'\n" for name, value in settings.items()]
    place.environment.write_text("".join(lines))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    for name, account, arguments in (
        ("keeper", "keeper", ("keeper", "run")),
        ("watcher", "watcher", ("watch", "run")),
        ("node", "provider", ("node", "run", str(place.example / "node.yaml"))),
    ):
        environment = kept | settings | {"HEADRACE_ACCOUNT": account}
        processes.start(name, local.program(*arguments), environment)
    board = Board(place.home / "store" / "board")
    until = time.monotonic() + _PATIENCE
    while not board.names("ask"):
        processes.check()
        if time.monotonic() > until:
            raise HeadraceError(f"the node offers nothing: see {processes.log_of('node')}")
        time.sleep(0.1)


def _ready(place: _Place, rpc: Rpc, processes: Processes) -> Answer:
    job = place.example / "job.yaml"
    steps = [
        f". {place.environment}",
        f"headrace quote {job}",
        f"headrace post {job}",
        "headrace status",
    ]
    pids = {name: process.pid for name, process in processes.running.items()}
    return Answer(
        {
            "home": str(place.home),
            "rpc": f"http://{rpc.host}",
            "environment": str(place.environment),
            "job_file": str(job),
            "node_file": str(place.example / "node.yaml"),
            "pids": pids,
            "steps": steps,
        },
        [
            *fields(
                [
                    ("chain", f"http://{rpc.host}, a block every second"),
                    ("home", str(place.home)),
                    ("logs", str(processes.folder)),
                    ("running", ", ".join(pids)),
                ]
            ),
            "",
            "in another terminal:",
            *(f"  {step}" for step in steps),
            "  headrace result JOB --wait 60",
            "",
            "Ctrl-C stops all of it.",
        ],
    )
