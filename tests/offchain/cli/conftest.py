"""The command line against a node of its own, which makes a block for every transaction."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.chain.accounts import Key
from headrace.chain.manifest import Deployment
from headrace.chain.rpc import Rpc
from headrace.cli import local
from tests.offchain.cli.players import Clock, Player, World


@pytest.fixture(scope="session")
def clock() -> Iterator[Clock]:
    """The node; one a process."""
    node = Clock()
    yield node
    node.stop()


@pytest.fixture(scope="session")
def deployed(clock: Clock, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of a deployment with the parameters of `headrace up`."""
    path = tmp_path_factory.mktemp("deployed") / "deployment.json"
    rpc, key = Rpc(clock.url), Key.of(bytes(31) + b"\x07")
    rpc.call("anvil_setBalance", key.address, hex(10**20))
    local.deploy(rpc, key, path)
    model = local.example_model()
    call = (
        Deployment.load(path)
        .fault_proof(rpc)
        .register_model(model.descriptors, model.input_width, model.max_units, bytes(32))
    )
    local.send(rpc, key, call)
    rpc.close()
    return path


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of the person who runs the tests."""
    for name in ("HOME", "RPC_URL", "RPC_URL_FILE", "MANIFEST", "STORE", "BOARD", "ACCOUNT"):
        monkeypatch.delenv(f"HEADRACE_{name}", raising=False)
    for name in ("PASSPHRASE", "PASSPHRASE_FILE", "LOG_LEVEL"):
        monkeypatch.delenv(f"HEADRACE_{name}", raising=False)


@pytest.fixture
def world(clock: Clock, deployed: Path, tmp_path: Path) -> Iterator[World]:
    """The deployment, a store that all share, and moves that other people make; undone after."""
    snapshot = clock.rpc("evm_snapshot")
    made = World(clock, deployed, tmp_path)
    yield made
    made.close()
    clock.rpc("evm_revert", snapshot)


@pytest.fixture
def ada(world: World) -> Player:
    """A requester with 100 tokens in the Vault, 900 in the wallet."""
    return world.player("ada", deposit=100, books=1)


@pytest.fixture
def bob(world: World) -> Player:
    """A registered provider with 100 free tokens, whose node serves the example's model."""
    return world.provider("bob")
