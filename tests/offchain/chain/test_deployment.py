"""A deployment ends the same whatever stops it, and its manifest tells the truth."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.chain import blueprint, manifest, wiring
from headrace.chain.accounts import Key
from headrace.chain.audit import audit
from headrace.chain.deployment import WrongDeployment
from headrace.chain.local_deployer import LocalDeployer
from headrace.chain.manifest import Deployment
from headrace.chain.parameters import Parameters
from headrace.chain.rpc import Rpc
from headrace.errors import RetryLater, UsageError
from tests.harness import Anvil

SOMEBODY = "0x000000000000000000000000000000000000bEEF"
ROOT = Path(__file__).resolve().parents[3]
# Six contracts, the book, a GPU model, proposal and enactment.
SENDS = 19


class Crash(BaseException):
    """The process ends here."""


class Deployer(LocalDeployer):
    """Counts what it sends, and may crash or be disturbed around it."""

    def __init__(self, rpc: Rpc, key: Key) -> None:
        super().__init__(rpc, key)
        self.sends = 0
        self.crash_before = self.crash_after = -1
        self.intruders: set[int] = set()

    def send(self, *, nonce: int, to: str | None, data: bytes) -> bytes:
        if self.sends == self.crash_before:
            raise Crash
        self.sends += 1
        if self.sends in self.intruders:
            super().send(nonce=nonce, to=SOMEBODY, data=b"")
        tx_hash = super().send(nonce=nonce, to=to, data=data)
        if self.sends - 1 == self.crash_after:
            raise Crash
        return tx_hash


class Site:
    """A chain to deploy on."""

    def __init__(self, anvil: Anvil, folder: Path) -> None:
        self.anvil = anvil
        self.rpc = Rpc(anvil.url)
        self.path = folder / "manifest.json"
        self.key = Key.of((7).to_bytes(32))
        anvil.rpc("anvil_setBalance", self.key.address, hex(10**21))
        content = json.loads((ROOT / "deployments" / "local.params.json").read_text())
        self.content = content | {"gpu_models": content["gpu_models"][:1]}
        self.lines: list[str] = []

    def run(self, deployer: LocalDeployer | None = None, **changes: Any) -> wiring.Result:
        parameters = Parameters.of(self.content | changes, Path("params.json"))
        deployer = deployer or LocalDeployer(self.rpc, self.key)
        return wiring.deploy(
            self.rpc, deployer, parameters, self.path, say=self.lines.append, patience=1.0
        )

    def check(self) -> None:
        findings = audit(self.rpc, Deployment.load(self.path))
        assert [finding.what for finding in findings if not finding.is_true] == []

    @property
    def nonce(self) -> int:
        return self.rpc.nonce(self.key.address)

    @property
    def placed(self) -> dict[str, Any]:
        """The manifest's contracts; of their transactions only that they are known (fees vary)."""
        contracts = self.record["contracts"]
        return {name: entry | {"tx": bool(entry["tx"])} for name, entry in contracts.items()}

    @property
    def record(self) -> dict[str, Any]:
        return json.loads(self.path.read_text())


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    node = Anvil("--chain-id", "31337")
    yield node
    node.stop()


@pytest.fixture
def site(anvil: Anvil, tmp_path: Path) -> Iterator[Site]:
    snapshot = anvil.rpc("evm_snapshot")
    yield Site(anvil, tmp_path)
    anvil.rpc("evm_revert", snapshot)


def test_puts_everything_there_and_nothing_new_the_second_time(site):
    result = site.run()
    assert result.is_complete
    assert site.nonce == SENDS
    site.check()
    before = site.path.read_text()
    assert site.run() == result
    assert site.nonce == SENDS
    assert site.path.read_text() == before
    record = site.record
    assert record["compiler"] == "vyper 0.4.3"
    assert set(record["contracts"]) == set(manifest.NAMES)
    for placed in record["contracts"].values():
        receipt = site.rpc.receipt(bytes.fromhex(placed["tx"][2:]))
        assert int(receipt["blockNumber"], 16) == placed["block"]
        assert receipt["contractAddress"].lower() == placed["address"].lower()
    deployment = Deployment.load(site.path)
    assert deployment.start_block == record["contracts"]["Vault"]["block"]
    assert deployment.vault(site.rpc).book_at(2) == deployment.address("FaultProof")


@pytest.fixture
def is_quick(monkeypatch):
    """What is written survives these crashes without waiting for the disk."""
    monkeypatch.setattr(manifest.os, "fsync", lambda descriptor: None)


@pytest.mark.usefixtures("is_quick")
@pytest.mark.parametrize("when", ["crash_before", "crash_after"])
def test_a_crash_around_any_transaction_is_gone_on_from(site, when):
    snapshot = site.anvil.rpc("evm_snapshot")
    site.run()
    reference = site.placed
    for at in range(SENDS):
        site.anvil.rpc("evm_revert", snapshot)
        snapshot = site.anvil.rpc("evm_snapshot")
        site.path.unlink()
        deployer = Deployer(site.rpc, site.key)
        setattr(deployer, when, at)
        with pytest.raises(Crash):
            site.run(deployer)
        assert site.run().is_complete
        assert site.nonce == SENDS, f"{when} {at}: something was sent twice"
        assert site.placed == reference
        assert site.record["abandoned"] == []


@pytest.mark.usefixtures("is_quick")
def test_a_crash_before_any_writing_of_the_manifest_is_gone_on_from(site, monkeypatch):
    write = manifest.write
    writes = 0
    crash_at = -1

    def crashing(path: Path, content: dict[str, Any]) -> None:
        nonlocal writes
        writes += 1
        if writes == crash_at:
            raise Crash
        write(path, content)

    monkeypatch.setattr(manifest, "write", crashing)
    snapshot = site.anvil.rpc("evm_snapshot")
    site.run()
    reference, total = site.placed, writes
    assert total > SENDS
    for crash_at in range(1, total + 1):
        site.anvil.rpc("evm_revert", snapshot)
        snapshot = site.anvil.rpc("evm_snapshot")
        site.path.unlink(missing_ok=True)
        writes = 0
        with pytest.raises(Crash):
            site.run()
        writes = -(10**6)
        assert site.run().is_complete
        assert site.nonce == SENDS, f"writing {crash_at}: something was sent twice"
        assert site.placed == reference


@pytest.mark.parametrize(
    ("at", "abandoned"),
    [
        (1, []),  # the token: nothing depends on it yet
        (2, []),  # the Vault
        (3, ["Vault"]),
        (5, ["Vault", "ProviderRegistry", "MatchRules"]),
        (6, []),  # FaultProof: nothing else is lost
    ],
)
def test_a_foreign_transaction_breaks_the_prediction_and_is_planned_around(site, at, abandoned):
    deployer = Deployer(site.rpc, site.key)
    deployer.intruders = {at}
    with pytest.raises(RetryLater, match="took nonce="):
        site.run(deployer)
    site.run()
    site.check()
    assert [item["name"] for item in site.record["abandoned"]] == abandoned
    assert any("took a planned nonce" in line for line in site.lines)
    # The group is at nonces in a row again.
    nonces = site.record["nonces"]
    first = nonces["Vault"]
    assert [nonces[name] for name in blueprint.GROUP] == list(range(first, first + 4))


def test_a_key_that_keeps_sending_elsewhere_stops_the_deployment(site, monkeypatch):
    site.run()
    site.path.unlink()
    address = blueprint.created_address
    # As if every planned nonce were taken: nothing is ever at the predicted address.
    monkeypatch.setattr(blueprint, "created_address", lambda who, nonce: address(who, nonce + 999))
    deployer = Deployer(site.rpc, site.key)
    next_nonce = iter(range(100))
    monkeypatch.setattr(wiring.Contracts, "next_nonce", lambda self: SENDS + 7 * next(next_nonce))
    with pytest.raises(WrongDeployment, match="keeps sending"):
        site.run(deployer)
    assert deployer.sends == 0


def test_a_long_timelock_is_left_to_a_later_run(site):
    result = site.run(timelock=7_200)
    assert not result.is_complete
    assert site.record["settings"]["FaultProof"]["policy"]["state"] == "proposed"
    assert "run this again after" in site.lines[-1]
    nonce = site.nonce
    assert site.run(timelock=7_200).enacts_at == result.enacts_at
    assert site.nonce == nonce
    site.anvil.rpc("evm_setNextBlockTimestamp", result.enacts_at)
    site.anvil.rpc("evm_mine")
    assert site.run(timelock=7_200).is_complete
    assert site.nonce == nonce + 2
    site.check()


def test_policy_and_catalogue_can_change_later(site):
    site.run()
    models = [*site.content["gpu_models"], {"name": "B200", "vram_gib": 192}]
    changes = {"policy": {"charge_bps": 75, "keeper_fee": 1}, "gpu_models": models}
    assert site.run(**changes).is_complete
    site.check()
    assert site.nonce == SENDS + 5
    with pytest.raises(WrongDeployment, match="can only grow"):
        site.run(**changes | {"gpu_models": models[::-1]})


def test_the_ownership_is_offered_at_the_end(site):
    owner = Key.of((8).to_bytes(32))
    site.run(owner=owner.address)
    offered = ["Vault", "ProviderRegistry", "JobEscrow"]
    assert site.record["settings"]["owner"]["has_to_accept"] == offered
    nonce = site.nonce
    site.run(owner=owner.address)
    assert site.nonce == nonce
    site.anvil.rpc("anvil_impersonateAccount", owner.address)
    site.anvil.rpc("anvil_setBalance", owner.address, hex(10**18))
    deployment = Deployment.load(site.path)
    for contract in (deployment.vault(site.rpc), deployment.registry(site.rpc)):
        data = "0x" + contract.call("accept_ownership").data.hex()
        accept = {"from": owner.address, "to": contract.address, "data": data}
        site.anvil.rpc("eth_sendTransaction", accept)
    site.run(owner=owner.address)
    assert site.record["settings"]["owner"]["has_to_accept"] == ["JobEscrow"]
    models = [*site.content["gpu_models"], {"name": "B200", "vram_gib": 192}]
    with pytest.raises(UsageError, match=f"is for the owner {owner.address}"):
        site.run(owner=owner.address, gpu_models=models)


def test_a_token_that_is_there_is_taken(site, tmp_path):
    site.run()
    token = Deployment.load(site.path).address("Token")
    site.path = tmp_path / "second.json"
    site.run(token=token)
    assert Deployment.load(site.path).address("Token") == token
    site.check()
    site.path = tmp_path / "third.json"
    with pytest.raises(UsageError, match="token: there is no contract"):
        site.run(token=SOMEBODY)


def test_what_was_begun_is_not_gone_on_with_otherwise(site, monkeypatch):
    deployer = Deployer(site.rpc, site.key)
    deployer.crash_before = 3
    with pytest.raises(Crash):
        site.run(deployer)
    with pytest.raises(UsageError, match="min_bond was 5000000"):
        site.run(min_bond=1)
    other = LocalDeployer(site.rpc, Key.of((9).to_bytes(32)))
    with pytest.raises(UsageError, match="of another account"):
        site.run(other)
    with pytest.raises(UsageError, match="serves chain 31337, not 1"):
        site.run(chain_id=1)
    with monkeypatch.context() as patch:
        patch.setattr(blueprint, "sources_hash", lambda: "0x00")
        with pytest.raises(UsageError, match="the contracts have changed"):
            site.run()
    site.path.write_text(json.dumps(site.record | {"genesis": "0x" + "11" * 32}))
    with pytest.raises(UsageError, match="of another chain"):
        site.run()


def test_other_code_or_other_constants_at_a_planned_address_are_not_adopted(site):
    deployer = Deployer(site.rpc, site.key)
    deployer.crash_before = 1
    with pytest.raises(Crash):
        site.run(deployer)
    vault = blueprint.created_address(site.key.address, site.record["nonces"]["Vault"])
    site.anvil.rpc("anvil_setCode", vault, "0x6001")
    with pytest.raises(WrongDeployment, match=f"the code at {vault} is not Vault's"):
        site.run()
    # A Vault, but one whose constants are all zero.
    runtime = blueprint.artifact("Vault").runtime
    site.anvil.rpc("anvil_setCode", vault, "0x" + runtime.hex() + "00" * 1_024)
    with pytest.raises(WrongDeployment, match=f"Vault.TOKEN at {vault} is 0x0+, not "):
        site.run()
    assert "Vault" not in site.record["contracts"]


def test_a_transaction_under_way_is_waited_for(site):
    site.anvil.rpc("evm_setAutomine", False)
    try:
        hasty = LocalDeployer(site.rpc, site.key, patience=0.1)
        with pytest.raises(RetryLater, match="in no block yet"):
            site.run(hasty)
        with pytest.raises(RetryLater, match="not in a block yet"):
            site.run(hasty)
    finally:
        site.anvil.rpc("evm_setAutomine", True)
    site.anvil.rpc("evm_mine")
    site.run()
    site.check()
    assert site.nonce == SENDS


def test_a_manifest_that_does_not_fit_the_chain_is_refused(site):
    site.run()
    good = site.record
    vault = good["contracts"]["Vault"]

    def load(**changes: Any) -> Deployment:
        site.path.write_text(json.dumps(good | changes))
        return Deployment.load(site.path)

    load().verify(site.rpc)
    with pytest.raises(UsageError, match="serves chain 31337, not 5"):
        load(chain_id=5).verify(site.rpc)
    with pytest.raises(UsageError, match="started anew"):
        load(genesis="0x" + "11" * 32).verify(site.rpc)
    moved = good["contracts"] | {"Vault": vault | {"address": site.key.address}}
    with pytest.raises(UsageError, match=f"there is no Vault at {site.key.address}"):
        load(contracts=moved).verify(site.rpc)
    other = good["contracts"] | {"Vault": vault | {"code_hash": "0x" + "22" * 32}}
    with pytest.raises(UsageError, match="is not the Vault that was deployed"):
        load(contracts=other).verify(site.rpc)
    with pytest.raises(WrongDeployment, match="is not the Vault on record"):
        site.run()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "headrace up"),
        ("{", "can't be read"),
        ('{"format": 99}', "format 1"),
        ('{"format": 1, "contracts": {}}', "has no Token"),
        ('{"format": 1, "contracts": {"Token": {}}}', "KeyError"),
        ('{"format": 1}', "KeyError"),
    ],
)
def test_what_is_no_manifest_is_told(tmp_path, content, message):
    path = tmp_path / "m.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=message):
        Deployment.load(path)


def test_an_audit_finds_what_does_not_hold(site):
    site.run()
    site.path.write_text(
        json.dumps(
            site.record
            | {
                "parameters": site.content
                | {"min_bond": 1, "gpu_models": [{"name": "X", "vram_gib": 1}]}
            }
            | {"is_complete": False}
        )
    )
    wrong = [f.what for f in audit(site.rpc, Deployment.load(site.path)) if not f.is_true]
    assert wrong == [
        "ProviderRegistry.MIN_BOND() is 1",
        "the catalogue begins with the 1 GPU models",
        "the manifest says that it is complete",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_bond": 0}, "min_bond: Input should be greater"),
        ({"min_bond": "5"}, "min_bond: Input should be a valid integer"),
        ({"token": "0x00"}, "token: .*checksummed"),
        ({"surprise": 1}, "surprise: Extra inputs"),
        ({"window": {"min": 9, "max": 8}}, "window: .*min is above max"),
        ({"delay_max": 5}, "leaves no room for the shortest window"),
        ({"policy": {"charge_bps": 201, "keeper_fee": 0}}, "policy.charge_bps"),
        ({"gpu_models": [{"name": "A", "vram_gib": 1}] * 2}, "a name twice"),
        ({"gpu_models": []}, "gpu_models"),
    ],
)
def test_parameters_out_of_bounds_are_named_before_anything_is_sent(changes, message):
    content = json.loads((ROOT / "deployments" / "local.params.json").read_text())
    with pytest.raises(UsageError, match=f"^p.json: .*{message}"):
        Parameters.of(content | changes, Path("p.json"))


@pytest.mark.parametrize("network", ["local", "sepolia"])
def test_the_parameters_of_the_networks_can_be_used(network):
    found = Parameters.load(ROOT / "deployments" / f"{network}.params.json")
    if network == "sepolia":
        assert found.window.min >= 900
        assert found.reply.min >= 900
        assert found.timelock > 0
