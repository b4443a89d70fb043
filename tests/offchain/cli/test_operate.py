"""The doctor finds each thing that is missing, says what to do, and changes nothing."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from headrace.chain.db import ChainDb
from headrace.chain.outbox import Outbox
from headrace.daemon.sending import outbox_path
from headrace.ops import checkup, doctor_node
from headrace.ops.doctor import verdict
from headrace.ops.finding import bad, ok, silent
from headrace.settings import Settings
from tests.offchain.cli.players import PASSPHRASE, Player, World, run_cli


@pytest.fixture(autouse=True)
def _chain_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's clock agrees with the chain's."""
    monkeypatch.setattr(doctor_node.time, "time", lambda: float(world.chain.now()))


@pytest.fixture
def eve(world: World) -> Player:
    """Somebody who wants to run a keeper."""
    return world.player("eve")


@pytest.fixture
def settings(eve: Player, world: World) -> Settings:
    return Settings(home=eve.home, manifest=world.manifest)


def doctor(eve: Player, code: int, **environment: str) -> dict[str, dict[str, Any]]:
    """The findings by name (without a node's host)."""
    said = run_cli(
        *("keeper", "doctor", "--json"),
        environment=eve.world.environment(eve.home) | environment,
    )
    assert said.code == code, said
    assert said.data["ok"] is (code == 0)
    return {finding["name"].split(" 127")[0]: finding for finding in said.data["findings"]}


def failed(findings: dict[str, dict[str, Any]]) -> set[str]:
    return {name for name, finding in findings.items() if not finding["is_ok"]}


def test_all_is_well(eve: Player):
    findings = doctor(eve, 0)
    assert failed(findings) == set()
    assert set(findings) == {
        *("manifest", "key file", "passphrase", "key", "disk", "board", "database"),
        *("node", "clock", "final tag", "logs by hash", "batches", "contracts", "fees"),
        *("balance", "outbox"),
    }


def test_a_person_gets_a_line_for_each(eve: Player):
    said = eve.run("keeper", "doctor")
    assert all(line.startswith("ok  ") for line in said.out.splitlines())
    (eve.home / "keys" / "default.json").chmod(0o640)
    lines = eve.run("keeper", "doctor", code=1).out.splitlines()
    (at,) = [at for at, line in enumerate(lines) if line.startswith("NO")]
    assert "key file" in lines[at]
    assert f"chmod 600 {eve.home / 'keys' / 'default.json'}" in lines[at + 1]


def test_it_changes_nothing(eve: Player):
    before = sorted(eve.home.rglob("*"))
    doctor(eve, 0)
    assert sorted(eve.home.rglob("*")) == before


@pytest.mark.parametrize("daemon", ["keeper", "watch", "node"])
def test_every_daemon_has_one(eve: Player, daemon: str):
    eve.run("deposit", "5", "--authorise", "proof", "--authorise", "graph")
    findings = eve.json(daemon, "doctor")["findings"]
    (disk,) = [finding for finding in findings if finding["name"] == "disk"]
    assert disk["detail"] == f"{eve.home / daemon} can be written"


def test_a_watcher_that_could_not_pay_for_a_demand_is_told(eve: Player):
    def wrong() -> dict[str, str]:
        said = run_cli(*("watch", "doctor", "--json"), environment=eve.world.environment(eve.home))
        found = {
            each["name"]: each["advice"] for each in said.data["findings"] if not each["is_ok"]
        }
        assert said.code == int(bool(found))
        return found

    books = {"demands (proof)", "demands (graph)"}
    assert wrong() == {
        f"demands ({book})": f"run `headrace authorise {book}`" for book in ("proof", "graph")
    }
    eve.run("authorise", "proof", "graph")
    assert wrong() == dict.fromkeys(books, "run `headrace deposit AMOUNT`")
    # A demand of FaultProof takes 0.1; a way down of eight nodes 0.16.
    eve.run("deposit", "0.1")
    assert set(wrong()) == {"demands (graph)"}
    eve.run("deposit", "0.06")
    assert wrong() == {}


# ---- what can be missing on this machine


def test_no_manifest(eve: Player, tmp_path: Path):
    findings = doctor(eve, 1, HEADRACE_MANIFEST=str(tmp_path / "none.json"))
    assert failed(findings) == {"manifest"}
    # The node itself can be told of all the same.
    assert findings["node"]["is_ok"]


def test_an_unfinished_deployment(eve: Player, world: World, tmp_path: Path):
    content = json.loads(world.manifest.read_text()) | {"is_complete": False}
    path = tmp_path / "unfinished.json"
    path.write_text(json.dumps(content))
    assert failed(doctor(eve, 1, HEADRACE_MANIFEST=str(path))) == {"manifest"}


def test_no_keyfile(eve: Player):
    assert failed(doctor(eve, 1, HEADRACE_ACCOUNT="nobody")) == {"key"}


@pytest.mark.parametrize(("mode", "is_ok"), [(0o600, True), (0o400, True), (0o640, False)])
def test_the_mode_of_the_keyfile(eve: Player, mode: int, is_ok: bool):
    (eve.home / "keys" / "default.json").chmod(mode)
    findings = doctor(eve, 0 if is_ok else 1)
    assert failed(findings) == (set() if is_ok else {"key file"})


def test_a_wrong_passphrase(eve: Player):
    findings = doctor(eve, 1, HEADRACE_PASSPHRASE="not this one")
    assert failed(findings) == {"key"}
    assert "not this one" not in json.dumps(findings)


@pytest.mark.parametrize(
    ("content", "mode", "wrong"),
    [
        (PASSPHRASE + "\n", 0o600, set()),
        (PASSPHRASE + "\n", 0o644, {"passphrase file"}),
        ("", 0o600, {"key"}),
        ("another\n", 0o600, {"key"}),
    ],
)
def test_the_passphrase_file(eve: Player, tmp_path: Path, content: str, mode: int, wrong: set[str]):
    path = tmp_path / "passphrase"
    path.write_text(content)
    path.chmod(mode)
    if content:
        findings = doctor(eve, int(bool(wrong)), HEADRACE_PASSPHRASE_FILE=str(path))
        assert failed(findings) == wrong
    else:
        # The settings themselves can't be used then.
        said = run_cli(
            *("keeper", "doctor"),
            environment=eve.world.environment(eve.home) | {"HEADRACE_PASSPHRASE_FILE": str(path)},
        )
        assert said.code == 2
        assert "is empty" in said.err


def test_no_passphrase(eve: Player):
    environment = eve.world.environment(eve.home)
    del environment["HEADRACE_PASSPHRASE"]
    said = run_cli("keeper", "doctor", "--json", environment=environment)
    assert said.code == 1
    wrong = [f for f in said.data["findings"] if not f["is_ok"]]
    assert [finding["name"] for finding in wrong] == ["key"]


def test_a_full_disk(eve: Player, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checkup, "LEAST_FREE", 1 << 62)
    assert failed(doctor(eve, 1)) == {"disk"}


def test_a_damaged_database(eve: Player):
    (eve.home / "keeper").mkdir()
    (eve.home / "keeper" / "chain.db").write_bytes(b"no database" * 100)
    assert failed(doctor(eve, 1)) == {"database"}


def open_db(eve: Player, world: World) -> ChainDb:
    return ChainDb(
        eve.home / "keeper" / "chain.db",
        chain_id=world.deployment.chain_id,
        genesis=world.deployment.genesis,
        escrow=world.escrow.address,
    )


def test_a_database_that_a_daemon_uses_is_no_problem(eve: Player, world: World):
    db = open_db(eve, world)
    try:
        findings = doctor(eve, 0)
    finally:
        db.close()
    assert findings["finality"]["is_ok"]


# ---- halts, and how they are cleared


def test_a_halt_is_found_and_can_be_released(eve: Player, world: World):
    db = open_db(eve, world)
    db.set_note("halted", "block 5 was rewritten")
    db.close()
    findings = doctor(eve, 1)
    assert failed(findings) == {"finality"}
    assert findings["finality"]["detail"] == "block 5 was rewritten"
    assert eve.json("keeper", "release")["cleared"] == ["block 5 was rewritten"]
    assert failed(doctor(eve, 0)) == set()


def test_a_stranger_with_the_key_is_found_and_can_be_released(
    eve: Player, world: World, settings: Settings
):
    path = outbox_path(settings, world.deployment, eve.address)
    outbox = Outbox(path, chain_id=world.deployment.chain_id, address=eve.address)
    outbox.latch(7)
    findings = doctor(eve, 1)
    assert failed(findings) == {"outbox"}
    assert "nonce 7" in findings["outbox"]["detail"]
    (cleared,) = eve.json("keeper", "release")["cleared"]
    assert "nonce 7" in cleared
    assert failed(doctor(eve, 0)) == set()
    # What the operator saw is accounted for from then on, if a node says now what it is.
    outbox.latch(8)
    world.chain.travel(max(1, int(time.time()) - world.chain.now()))
    eve.json("keeper", "release")
    assert outbox.accounted() == world.rpc.nonce(eve.address)
    outbox.latch(9)
    eve.json("keeper", "release", "--rpc", "http://127.0.0.1:1")
    assert (outbox.accounted(), outbox.latched()) == (None, None)
    outbox.close()


def test_what_a_key_has_sent_beside_its_outbox_is_found(
    eve: Player, world: World, settings: Settings
):
    path = outbox_path(settings, world.deployment, eve.address)
    outbox = Outbox(path, chain_id=world.deployment.chain_id, address=eve.address)
    used = world.rpc.nonce(eve.address)
    outbox.account_from(used)
    assert failed(doctor(eve, 0)) == set()
    world.chain.rpc("anvil_setNonce", eve.address, hex(used + 1))
    findings = doctor(eve, 1)
    assert failed(findings) == {"outbox"}
    said = findings["outbox"]["detail"]
    assert said.startswith(f"the key has sent {used + 1} transactions")
    assert said.endswith(f"accounts for {used}")
    # A book that has not begun to count, or was released, can't know.
    outbox.release()
    outbox.close()
    assert failed(doctor(eve, 0)) == set()


def test_nothing_to_release_is_refused(eve: Player, world: World):
    eve.run("keeper", "release", code=1)
    open_db(eve, world).close()
    eve.run("keeper", "release", code=1)


def test_what_runs_is_not_released(eve: Player, world: World):
    db = open_db(eve, world)
    db.set_note("halted", "block 5 was rewritten")
    try:
        said = eve.run("keeper", "release", code=2)
        assert "in use by another process" in said.err
        assert db.note("halted") is not None
    finally:
        db.close()


def test_what_was_read_can_be_forgotten(eve: Player, world: World):
    db = open_db(eve, world)
    db.append([world.rpc.head()], [], keep=10)
    db.close()
    assert "read to block" in doctor(eve, 0)["database"]["detail"]
    eve.run("keeper", "release", "--read-again")
    assert "nothing read yet" in doctor(eve, 0)["database"]["detail"]


# ---- what can be wrong with the node


def test_no_node(eve: Player):
    findings = doctor(eve, 3, HEADRACE_RPC_URL="http://127.0.0.1:1")
    assert failed(findings) == {"node"}
    assert findings["node"]["is_unreachable"]


def test_one_of_two_nodes_is_away(eve: Player, world: World):
    urls = f"http://127.0.0.1:1,{world.chain.url}"
    findings = doctor(eve, 3, HEADRACE_RPC_URL=urls)
    # Both have the name `node` here; the second one answers, so the contracts were looked at.
    assert findings["contracts"]["is_ok"]


def test_something_to_put_right_goes_before_a_node_that_is_away(eve: Player):
    (eve.home / "keys" / "default.json").chmod(0o640)
    findings = doctor(eve, 1, HEADRACE_RPC_URL="http://127.0.0.1:1")
    assert failed(findings) == {"key file", "node"}


def test_a_url_that_is_none(eve: Player):
    findings = doctor(eve, 1, HEADRACE_RPC_URL="ftp://key-in-here.example/x")
    assert failed(findings) == {"node"}


@pytest.mark.parametrize(
    ("offset", "is_ok"), [(-30, True), (-31, False), (600, True), (601, False)]
)
def test_the_clock(
    eve: Player, world: World, monkeypatch: pytest.MonkeyPatch, offset: int, is_ok: bool
):
    monkeypatch.setattr(doctor_node.time, "time", lambda: float(world.chain.now() + offset))
    assert failed(doctor(eve, int(not is_ok))) == (set() if is_ok else {"clock"})


def test_a_poor_account(eve: Player, world: World, settings: Settings):
    world.rpc.call("anvil_setBalance", eve.address, hex(settings.reserve))
    assert failed(doctor(eve, 0)) == set()
    world.rpc.call("anvil_setBalance", eve.address, hex(settings.reserve - 1))
    assert failed(doctor(eve, 1)) == {"balance"}


def test_gas_above_the_cap(eve: Player):
    assert failed(doctor(eve, 1, HEADRACE_MAX_FEE_GWEI="0.000000001")) == {"fees"}


def test_contracts_of_another_version(eve: Player, monkeypatch: pytest.MonkeyPatch):
    class Other:
        runtime = b"\x00" * 40

    monkeypatch.setattr(checkup.artifacts, "load", lambda name: Other)
    findings = doctor(eve, 1)
    assert failed(findings) == {"contracts"}
    assert "another version" in findings["contracts"]["detail"]


def test_another_contract_at_an_address(eve: Player, world: World):
    world.rpc.call("anvil_setCode", world.escrow.address, "0x60016002")
    findings = doctor(eve, 1)
    assert failed(findings) == {"contracts"}
    assert "JobEscrow" in findings["contracts"]["detail"]


Change = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]


@pytest.fixture
def liar(world: World) -> Iterator[tuple[str, list[Change]]]:
    """A node between, whose answers are changed by the functions in the list."""
    changes: list[Change] = []
    url = world.chain.url

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answers = requests.post(url, json=asked, timeout=10).json()
            is_many = isinstance(asked, list)
            pairs = zip(asked, answers, strict=True) if is_many else [(asked, answers)]
            said = []
            for one, answer in pairs:
                for change in changes:
                    answer = change(one, answer)
                said.append(answer)
            body = json.dumps(said if is_many else said[0]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", changes
    server.shutdown()
    server.server_close()


def test_another_chain(eve: Player, liar: tuple[str, list[Change]]):
    url, changes = liar
    changes.append(lambda q, a: a | {"result": "0x1"} if q["method"] == "eth_chainId" else a)
    findings = doctor(eve, 1, HEADRACE_RPC_URL=url)
    assert failed(findings) == {"node"}
    assert "serves chain 1, the manifest is of chain 31337" in findings["node"]["detail"]


def test_another_first_block(eve: Player, liar: tuple[str, list[Change]]):
    url, changes = liar

    def change(asked: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if asked["method"] == "eth_getBlockByNumber" and asked["params"][0] == "0x0":
            answer["result"]["hash"] = "0x" + "77" * 32
        return answer

    changes.append(change)
    assert failed(doctor(eve, 1, HEADRACE_RPC_URL=url)) == {"node"}


def refuse(method: str, match: str) -> Change:
    error = {"code": -32602, "message": "invalid params"}

    def change(asked: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if asked["method"] == method and match in json.dumps(asked["params"]):
            return {"jsonrpc": "2.0", "id": asked["id"], "error": error}
        return answer

    return change


def test_a_node_without_logs_by_block_hash(eve: Player, liar: tuple[str, list[Change]]):
    url, changes = liar
    changes.append(refuse("eth_getLogs", "blockHash"))
    assert failed(doctor(eve, 1, HEADRACE_RPC_URL=url)) == {"logs by hash"}


def test_a_node_without_final_blocks_will_do(eve: Player, liar: tuple[str, list[Change]]):
    url, changes = liar
    changes.append(refuse("eth_getBlockByNumber", "finalized"))
    findings = doctor(eve, 0, HEADRACE_RPC_URL=url)
    assert "depth decides instead" in findings["final tag"]["detail"]


# ---- a signer, a server


@pytest.mark.parametrize(("held", "code", "wrong"), [(True, 0, set()), (False, 1, {"signer"})])
def test_a_signer_elsewhere_has_to_hold_the_account(
    eve: Player, liar: tuple[str, list[Change]], held: bool, code: int, wrong: set[str]
):
    url, changes = liar
    accounts = [eve.address] if held else []
    changes.append(lambda q, a: a | {"result": accounts} if q["method"] == "eth_accounts" else a)
    findings = doctor(
        eve,
        code,
        HEADRACE_SIGNER_URL=url,
        HEADRACE_SIGNER_ADDRESS=eve.address,
        HEADRACE_ACCOUNT="no-keyfile",
    )
    assert failed(findings) == wrong
    assert findings["balance"]["is_ok"]
    assert "key file" not in findings


def test_a_signer_that_is_away(eve: Player):
    findings = doctor(
        eve,
        3,
        HEADRACE_SIGNER_URL="http://127.0.0.1:1/s3cret-path",
        HEADRACE_SIGNER_ADDRESS=eve.address,
    )
    assert failed(findings) == {"signer"}
    assert "s3cret-path" not in json.dumps(findings)


def test_a_database_server_that_is_away(eve: Player):
    pytest.importorskip("psycopg", reason="the extra `postgres` is not installed")
    url = "postgresql://me:pa55word@127.0.0.1:1/headrace"
    findings = doctor(eve, 3, HEADRACE_DATABASE_URL=url)
    assert failed(findings) == {"database", "outbox"}
    assert "pa55word" not in json.dumps(findings)


# ---- a keeper's options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--rival", "nobody"), "--rival: 'nobody' is neither an address nor an account"),
        (("--ether", "much"), "--ether"),
        (("--margin", "-1"), "--margin"),
    ],
)
def test_options_of_a_keeper_that_cannot_be_used(eve: Player, options: tuple[str, ...], words: str):
    said = eve.run("keeper", "run", *options, code=2)
    assert words in said.err


# ---- the verdict


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([], 0),
        ([ok("a", "x")], 0),
        ([ok("a", "x"), silent("b", "x", "y")], 3),
        ([silent("b", "x", "y"), bad("c", "x", "y")], 1),
        ([bad("c", "x", "y")], 1),
    ],
)
def test_the_exit_code(findings: list[Any], code: int):
    assert verdict(findings) == code
