"""What all commands share: options, exit codes, errors, and what stands where."""

import json
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import click
import pytest

from headrace.chain.accounts import path_of
from headrace.cli import app
from headrace.cli.app import cli
from headrace.errors import HeadraceError, Rejected, RetryLater, Unreachable, UsageError
from headrace.store.errors import CorruptBlob, MissingBlob
from tests.offchain.cli.players import Player, World, run_cli

COMMANDS = [
    *("up", "init", "account", "faucet", "deposit", "withdraw", "authorise", "model", "input"),
    *(
        "quote",
        "post",
        "status",
        "result",
        "cancel",
        "revoke",
        "invoice",
        "verify",
        "why",
        "providers",
    ),
    *("register", "node", "drain", "exit", "earnings", "keeper", "watch"),
]


def leaves() -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)  # type: ignore[attr-defined]
        if isinstance(command, click.Group):
            found += [(f"{name} {part}", each) for part, each in command.commands.items()]
        else:
            assert command is not None
            found.append((name, command))
    return found


def test_every_command_has_help_and_the_shared_options() -> None:
    assert cli.list_commands(click.Context(cli)) == COMMANDS  # type: ignore[attr-defined]
    names = [name for name, _ in leaves()]
    for part in ("node run", "keeper run", "watch run", "model add", "input add", "account new"):
        assert part in names
    for name, command in leaves():
        assert command.help, name
        options = {option for each in command.params for option in each.opts}
        wanted = {"--json", "--home", "--rpc", "--manifest", "--store", "--account"}
        assert wanted <= options, name
        said = run_cli(*name.split(), "--help", environment={})
        assert said.code == 0
        assert said.out.startswith(f"Usage: headrace {name} [OPTIONS]")


def test_what_is_not_a_command(ada: Player) -> None:
    said = ada.run("stauts", code=2)
    assert said.out == ""
    assert (
        said.err
        == ("usage: there is no command 'stauts'; did you mean status?\n  `cli --help` shows how\n")
        or "did you mean status?" in said.err
    )
    assert ada.run("deposit", code=2).err.startswith("usage: Missing argument 'AMOUNT'")
    assert ada.run("deposit", "1", "--jsn", code=2).err.startswith("usage: No such option")


def test_options_may_stand_before_or_after(world: World, ada: Player) -> None:
    for arguments in (
        ("--json", "earnings"),
        ("earnings", "--json"),
        ("--home", "/nowhere", "earnings", "--json", "--home", str(ada.home)),
        ("--home", str(ada.home), "earnings", "--json"),
    ):
        environment = world.environment(Path("/nowhere"))
        if "--home" not in arguments:
            environment = world.environment(ada.home)
        said = run_cli(*arguments, environment=environment)
        assert said.data["account"] == ada.address


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Rejected("vault: not enough free"), 1),
        (CorruptBlob("00", "bad"), 1),
        (HeadraceError("something"), 1),
        (UsageError("wrong"), 2),
        (FileNotFoundError(2, "No such file", "x"), 2),
        (Unreachable("gone"), 3),
        (RetryLater("busy"), 3),
        (MissingBlob("00", "not there"), 3),
    ],
)
def test_exit_codes(error: Exception, code: int) -> None:
    assert app.exit_code(error) == code


def test_a_node_that_is_down(world: World, ada: Player) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/v3/secret-key"
    for command in (("status",), ("deposit", "1"), ("post", ada.job()), ("providers",)):
        said = ada.run(*command, "--rpc", url, "--json", code=3)
        assert said.error["kind"] == "unreachable"
        assert "can't be reached" in said.err
        assert "secret" not in said.out + said.err
    assert ada.run("status", "--rpc", "ftp://x", code=2).err.startswith("usage: the RPC URL")


def test_a_manifest_of_another_chain(world: World, ada: Player, tmp_path: Path) -> None:
    content = json.loads(world.manifest.read_text())
    path = tmp_path / "deployment.json"
    path.write_text(json.dumps(content | {"chain_id": 11_155_111}))
    said = ada.run("earnings", "--manifest", str(path), code=2)
    assert "serves chain 31337, not 11155111" in said.err
    path.write_text(json.dumps(content | {"genesis": "0x" + "12" * 32}))
    assert "started anew" in ada.run("earnings", "--manifest", str(path), code=2).err
    content["contracts"]["Vault"]["address"] = content["contracts"]["Token"]["address"]
    path.write_text(json.dumps(content))
    said = ada.run("earnings", "--manifest", str(path), code=2)
    assert "is not the Vault that was deployed" in said.err
    path.write_text("{")
    assert "can't be read" in ada.run("earnings", "--manifest", str(path), code=2).err
    assert (
        "there is no deployment manifest"
        in ada.run("earnings", "--manifest", "nowhere.json", code=2).err
    )


def test_a_wrong_or_missing_passphrase(world: World, ada: Player, tmp_path: Path) -> None:
    wrong = tmp_path / "passphrase"
    wrong.write_text("another one\n")
    said = ada.run("deposit", "1", "--passphrase-file", str(wrong), code=2)
    assert said.err.startswith(f"usage: wrong passphrase for {ada.home}")
    assert "another one" not in said.err
    environment = world.environment(ada.home)
    del environment["HEADRACE_PASSPHRASE"]
    said = run_cli("deposit", "1", environment=environment)
    assert said.code == 2
    assert "--passphrase-file or HEADRACE_PASSPHRASE_FILE" in said.err
    # What needs no key asks for none.
    assert run_cli("earnings", environment=environment).code == 0
    # A file beside the keys will do.
    (ada.home / "passphrase").write_text("open sesame\n")
    assert run_cli("deposit", "1", environment=environment).code == 0


def test_a_key_that_is_missing_open_or_damaged(ada: Player) -> None:
    assert "run `headrace init` first" in ada.run("deposit", "1", "--account", "bob", code=2).err
    path = path_of(ada.home / "keys", "default")
    path.chmod(0o644)
    assert "chmod 600" in ada.run("deposit", "1", code=2).err
    path.write_text("{}")
    assert "is no keystore file" in ada.run("deposit", "1", code=2).err


def test_settings_that_are_wrong(world: World, ada: Player) -> None:
    environment = world.environment(ada.home) | {"HEADRACE_RPC_TIMEOUT": "soon"}
    said = run_cli("status", environment=environment)
    assert said.code == 2
    assert said.err.startswith("usage: HEADRACE_RPC_TIMEOUT")
    assert "HEADRACE_ACCOUNT" in ada.run("status", "--account", "a b", code=2).err


def test_the_second_look_reads_on_from_the_first(world: World, ada: Player) -> None:
    ada.json("post", ada.job())
    first = ada.json("status")
    (path,) = (ada.home / "cli").glob("*.db")
    with sqlite3.connect(path) as database:
        (cursor,) = database.execute("SELECT number FROM cursor").fetchone()
    assert cursor == world.chain.block_number()
    assert ada.json("status") == first
    # What is damaged is told, and can be moved away.
    path.write_bytes(b"this is no database, whatever it is called" * 99)
    for beside in (ada.home / "cli").glob("*.db-*"):
        beside.unlink()
    said = ada.run("status", code=2)
    assert f"{path} is damaged or no file of ours" in said.err
    path.unlink()
    assert ada.json("status") == first


def test_a_board_full_of_rubbish(world: World, ada: Player, bob: Player) -> None:
    world.offer(bob)
    for kind in ("asks", "bids"):
        folder = world.board.path / kind
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{'ab' * 32}.json").write_text('{"ask": {"provider": 3}, "terms": []}')
        (folder / f"{'cd' * 32}.json").write_text("not JSON")
    assert len(ada.json("quote", ada.job())["offers"]) == 1
    assert ada.json("status")["bids"] == []


def test_names_that_are_damaged(ada: Player) -> None:
    (ada.home / "names.json").write_text("[")
    assert "names.json is damaged" in ada.run("post", ada.job(), code=2).err


def test_an_interrupt_is_no_traceback(ada: Player, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("headrace.cli.status.read_ledger", interrupt)
    assert ada.run("status", code=130).err.strip() == "interrupted"


def test_a_bug_is_not_hidden(ada: Player, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("headrace.cli.status.read_ledger", fail)
    with pytest.raises(ZeroDivisionError):
        ada.run("status")


def test_daemons_say_what_is_missing_before_they_start(ada: Player) -> None:
    path = ada.write("node.yaml", "operator: worker\n")
    assert "worker has no keyfile" in ada.run("node", "run", path, code=2).err
    assert "can't be read" in ada.run("node", "run", "nowhere.yaml", code=2).err
    said = ada.run("keeper", "run", "--manifest", "nowhere.json", code=2)
    assert "there is no deployment manifest" in said.err


def test_up_says_what_is_in_its_way(
    ada: Player, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The home of a real network is left alone.
    assert "choose another --home" in ada.run("up", code=2).err
    fresh = ("up", "--home", str(tmp_path / "fresh"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"port {port} is in use" in ada.run(*fresh, "--port", port, code=2).err
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    assert "anvil is missing: `npm install" in ada.run(*fresh, code=2).err


def test_the_module_is_the_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "headrace.cli", "--version"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.split()[0]) == (0, "headrace,")
