"""A real deployment on a local chain with Sepolia's id, through the same network entry."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from headrace.chain.manifest import Deployment
from headrace.chain.parameters import Parameters
from headrace.chain.rpc import Rpc
from tests.harness import ROOT, Anvil

SEPOLIA = 11155111
PASSPHRASE = "a long enough passphrase"


class Stage:
    """A home with a keyfile, a chain, and Ape between them."""

    def __init__(self, folder: Path) -> None:
        self.manifest = folder / "ethereum-sepolia.json"
        self.anvil = Anvil("--chain-id", str(SEPOLIA))
        self.rpc = Rpc(self.anvil.url)
        accounts = folder / ".ape" / "accounts"
        accounts.mkdir(parents=True)
        secret = (77).to_bytes(32)
        keyfile = Account.encrypt(secret, PASSPHRASE, kdf="pbkdf2", iterations=1_000)
        (accounts / "deployer.json").write_text(json.dumps(keyfile))
        (folder / "passphrase").write_text(PASSPHRASE + "\n")
        self.deployer = Account.from_key(secret).address
        self.anvil.rpc("anvil_setBalance", self.deployer, hex(10**19))
        self.environment = os.environ | {
            "HOME": str(folder),
            "HEADRACE_SEPOLIA_RPC": self.anvil.url,
            "HEADRACE_PASSPHRASE_FILE": str(folder / "passphrase"),
        }

    def start(self, script: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """`ape run <script> ...`, with nobody there to answer a prompt."""
        ape = Path(sys.executable).with_name("ape")
        network = ["--network", "ethereum:sepolia:node", "--manifest", str(self.manifest)]
        return subprocess.Popen(
            [str(ape), "run", script, *network, *arguments],
            cwd=ROOT,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def deploy(self, **environment: str) -> subprocess.Popen[str]:
        """The one command of a deployment."""
        return self.start("deploy", "--account", "deployer", **environment)

    @property
    def record(self) -> dict[str, Any]:
        return json.loads(self.manifest.read_text())

    @property
    def nonce(self) -> int:
        return self.rpc.nonce(self.deployer)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.anvil.stop()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=240)
    return process.returncode, output


def test_a_deployment_to_sepolia_in_the_commands_of_the_readme(stage):
    code, output = ended(stage.deploy())
    assert code == 0, output
    assert "run this again after" in output
    assert not stage.record["is_complete"]
    enacts_at = stage.record["settings"]["GraphProof"]["policy"]["enacts_at"]
    parameters = Parameters.load(ROOT / "deployments" / "sepolia.params.json")
    proposed = stage.rpc.head()
    assert enacts_at == proposed.timestamp + parameters.timelock

    stage.anvil.rpc("evm_setNextBlockTimestamp", enacts_at)
    stage.anvil.rpc("evm_mine")
    nonce = stage.nonce
    code, output = ended(stage.deploy())
    assert code == 0, output
    assert stage.record["is_complete"]
    assert stage.nonce == nonce + 2

    before = stage.manifest.read_text()
    again, check, locked = (
        stage.deploy(),
        stage.start("check_deployment"),
        stage.deploy(HEADRACE_PASSPHRASE_FILE=str(stage.manifest)),
    )
    code, output = ended(again)
    assert (code, stage.nonce) == (0, nonce + 2), output
    assert stage.manifest.read_text() == before
    code, output = ended(check)
    assert code == 0, output
    assert "NOT" not in output
    assert "ok   JobEscrow is what this checkout compiles to" in output
    code, output = ended(locked)
    assert code == 2, output
    assert "can't be unlocked" in output

    record = stage.record
    assert record["chain_id"] == SEPOLIA
    assert record["deployer"] == stage.deployer
    assert len(record["commit"].removesuffix("-dirty")) == 40
    deployment = Deployment.load(stage.manifest)
    deployment.verify(stage.rpc)
    assert deployment.vault(stage.rpc).owner() == stage.deployer
