"""Money in and out, keys, models and inputs."""

from pathlib import Path

import numpy as np
import pytest

from headrace.chain import accounts
from headrace.cli import local
from headrace.graph.model_file import dump_model
from headrace.graph.tensors import tensor_root
from tests.offchain.cli.players import PASSPHRASE, UNIT, Player, World, run_cli


def test_deposit_and_withdraw(world: World) -> None:
    eve = world.player("eve")
    data = eve.json("deposit", "12.5", "--authorise", "escrow", "--authorise", "proof")
    assert (data["free"], data["authorised"], len(data["txs"])) == ("12.5", ["escrow", "proof"], 2)
    assert world.vault.account_of(eve.address).books == 0b101
    assert eve.free() == 12_500_000
    assert "0.000001 tUSD went to" in eve.run("withdraw", "0.000001").out
    assert eve.free() == 12_499_999
    other = world.player("other")
    assert eve.json("withdraw", "all", "--to", other.address)["receiver"] == other.address
    assert world.token.balance_of(other.address) == 1_000 * UNIT + 12_499_999
    said = eve.run("withdraw", "1", "--json", code=1)
    assert said.error["reason"] == "vault: not enough free"
    assert eve.run("withdraw", "all", "--json", code=1).error["reason"] == (
        "vault: withdrawal is zero"
    )


@pytest.mark.parametrize(
    ("amount", "complaint"),
    [
        ("1,5", "expected an amount such as 1.25"),
        ("-1", "No such option"),
        ("1.0000001", "tUSD has 6 decimals"),
        ("1e3", "expected an amount"),
        ("9" * 30, "is too large"),
    ],
)
def test_amounts_that_are_none(world: World, ada: Player, amount: str, complaint: str) -> None:
    assert complaint in ada.run("deposit", amount, code=2).err
    assert ada.free() == 100 * UNIT


def test_a_deposit_of_more_than_there_is(ada: Player) -> None:
    said = ada.run("deposit", "901", code=1)
    assert "has 900 tUSD, not 901 tUSD: send it more (`headrace faucet`" in said.err


def test_authorise_and_revoke(world: World, ada: Player) -> None:
    assert ada.json("authorise")["txs"] == []
    assert ada.json("authorise", "registry", "proof")["authorised"] == [
        "escrow",
        "registry",
        "proof",
    ]
    assert ada.json("authorise", "--revoke")["authorised"] == ["registry", "proof"]
    assert world.vault.account_of(ada.address).books == 0b110
    assert "no longer authorised" in ada.run("authorise", "--revoke").out
    assert "is not one of" in ada.run("authorise", "bank", code=2).err


def test_the_faucet_gives_tokens_and_gas(world: World, tmp_path: Path) -> None:
    home = tmp_path / "fresh"
    environment = world.environment(home)
    run_cli("init", "--light", environment=environment)
    said = run_cli("faucet", "1000001.25", "--json", environment=environment)
    assert said.code == 0
    # The contract gives at most a million at once.
    assert (said.data["balance"], said.data["got_gas"]) == ("1000001.25", True)
    assert len(said.data["txs"]) == 2
    assert not run_cli("faucet", "--json", environment=environment).data["got_gas"]


def test_init_makes_a_home_and_keeps_it(world: World, tmp_path: Path) -> None:
    home = tmp_path / "fresh"
    environment = world.environment(home)
    first = run_cli("init", "--light", "--json", environment=environment).data
    assert (first["is_new"], first["chain_id"]) == (True, 31_337)
    assert (home / "deployment.json").read_text() == world.manifest.read_text()
    assert accounts.load(home / "keys", "default", PASSPHRASE).address == first["address"]
    again = run_cli("init", "--json", environment=environment).data
    assert (again["is_new"], again["address"]) == (False, first["address"])
    # From now on the manifest is found there.
    del environment["HEADRACE_MANIFEST"]
    said = run_cli("earnings", "--json", environment=environment)
    assert said.data["account"] == first["address"]


def test_init_without_a_manifest(world: World, tmp_path: Path) -> None:
    environment = world.environment(tmp_path / "fresh")
    del environment["HEADRACE_MANIFEST"]
    said = run_cli("init", "--light", environment=environment)
    assert "none yet" in said.out
    assert "headrace init --manifest FILE" in said.out
    said = run_cli("earnings", environment=environment)
    assert said.code == 2
    assert "there is no deployment manifest" in said.err


def test_accounts(world: World, ada: Player, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("0x" + "11" * 32 + "\n")
    made = ada.json("account", "new", "imported", "--light", "--secret-file", str(secret))
    assert made["address"] == "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"
    assert [each["account"] for each in ada.json("account", "list")["accounts"]] == [
        "default",
        "imported",
    ]
    assert "already" in ada.run("account", "new", "imported", code=2).err
    assert "can't be an account's name" in ada.run("account", "new", "../x", code=2).err
    secret.write_text("0x1234")
    said = ada.run("account", "new", "other", "--secret-file", str(secret), code=2)
    assert "must hold 64 hex digits" in said.err
    assert "1234" not in said.err


def test_models(world: World, ada: Player, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    weights = rng.integers(-128, 128, (4, 16), dtype=np.int8)
    example = local.example_model()
    first = example.operators[0]
    model = type(example).of(
        [type(first).matmul(0, weights, [0] * 4, [1 << 20] * 4, [22] * 4)], 16, 8
    )
    package = tmp_path / "other.model"
    package.write_bytes(dump_model(model))
    added = ada.json("model", "add", str(package), "--name", "other")
    assert added["program"] == "0x" + model.program.hex()
    assert (added["is_new"], added["max_units"]) == (True, 8)
    found = world.fault_proof.model_of(model.program)
    assert found is not None
    assert found.graph_root == model.graph_root
    assert not ada.json("model", "add", str(package))["is_new"]
    listed = {each["name"]: each for each in ada.json("model", "list")["models"]}
    assert listed["other"]["is_registered"]
    assert listed["quadrants"]["is_stored"]
    assert "other" in ada.run("model", "list").out

    package.write_bytes(dump_model(model)[:-1])
    assert "cut short" in ada.run("model", "add", str(package), code=2).err
    assert "can't be read" in ada.run("model", "add", "nowhere", code=2).err
    package.write_bytes(dump_model(model))
    assert "can't be a name" in ada.run("model", "add", str(package), "--name", "a b", code=2).err


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".json"])
def test_inputs_of_every_form(world: World, ada: Player, tmp_path: Path, suffix: str) -> None:
    tensor = np.array([[1, -128, 127], [0, 5, -6]], np.int8)
    path = tmp_path / f"rows{suffix}"
    if suffix == ".npy":
        np.save(path, tensor.astype(np.int64))
    elif suffix == ".csv":
        path.write_text("1,-128,127\n\n0,5, -6\n")
    else:
        path.write_text("[[1, -128, 127], [0, 5, -6]]")
    data = ada.json("input", "add", str(path), "--name", "rows")
    assert data["input"] == "0x" + tensor_root(tensor).hex()
    assert (data["units"], data["width"], data["bytes"]) == (2, 3, 80)
    assert (world.store.get_tensor(data["input"], 2, 3) == tensor).all()
    said = ada.run("input", "add", str(path), "--model", "quadrants", code=2)
    assert "rows of 3, the model takes rows of 16" in said.err


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.csv", b"1,2\n3\n", "a.csv:2: 1 numbers, the rows before have 2"),
        ("a.csv", b"1,x\n", "a.csv:1: expected whole numbers"),
        ("a.csv", b"1,128\n", "numbers must be from -128 to 127"),
        ("a.csv", b"", "expected rows of numbers"),
        ("a.csv", b"\xff\xfe", "is no text"),
        ("a.json", b"[[1],\n[2", "a.json:2: not JSON"),
        ("a.json", b"[[1], [2, 3]]", "expected rows of equally many"),
        ("a.json", b"[[1.5]]", "expected whole numbers, got float64"),
        ("a.npy", b"\x80\x04K\x01.", "is no .npy array"),
        ("a.xml", b"1", "an input is a .npy, .csv or .json file"),
        ("a.txt", b"1", "say which --model the texts are for"),
        ("a.csv", b"1\n" * 257, "a job takes at most 256 of 1024"),
    ],
)
def test_inputs_that_are_none(
    ada: Player, tmp_path: Path, name: str, content: bytes, complaint: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert complaint in ada.run("input", "add", str(path), code=2).err
