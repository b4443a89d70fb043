"""A daemon as a process: what it serves, how it ends, and that no secret gets into its log."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headrace.chain.db import ChainDb
from headrace.ops.watchdog import EXIT_CODE
from scripts.demo.stage import PASSPHRASE, Stage, raised
from tests.harness import ROOT

SECRETS = ("pa55word-in-url", "t0ken-in-query", PASSPHRASE)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with raised(tmp_path_factory.mktemp("daemon") / "stage") as stage:
        stage.tick(1)
        (stage.folder / "passphrase").touch(0o600)
        (stage.folder / "passphrase").write_text(PASSPHRASE + "\n")
        yield stage


@dataclass
class Running:
    """A process, its log and where it serves."""

    process: subprocess.Popen[bytes]
    log: Path
    home: Path

    def get(self, page: str) -> tuple[int, str]:
        address = (self.home / "http").read_text().strip()
        try:
            with urllib.request.urlopen(f"http://{address}{page}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def until(self, ask: Callable[[], Any], seconds: float = 30) -> Any:
        end = time.monotonic() + seconds
        while True:
            try:
                found = ask()
            except OSError:
                found = None
            if found:
                return found
            assert self.process.poll() is None, self.log.read_text()[-3_000:]
            assert time.monotonic() < end, self.log.read_text()[-3_000:]
            time.sleep(0.05)

    def until_ready(self) -> None:
        self.until(lambda: self.get("/readyz")[0] == 200)

    def until_not_ready(self, check: str) -> str:
        def ask() -> str:
            status, body = self.get("/readyz")
            reasons = json.loads(body)["reasons"]
            told = (r for r in reasons if r.startswith(check) and "not checked yet" not in r)
            return next(told, "") if status == 503 else ""

        return self.until(ask)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextmanager
def started(stage: Stage, name: str, *command: str, **extra: str) -> Iterator[Running]:
    """A watcher (or `command`) of a player of its own."""
    if not (stage.home(name) / "keys").exists():
        stage.key(name)
    log = stage.folder / f"{name}.log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, *(command or ("-m", "headrace.watch"))],
            cwd=ROOT,
            env={
                **stage.environment(name),
                "HEADRACE_HTTP_PORT": "auto",
                "HEADRACE_RPC_TIMEOUT": "1",
                **extra,
            },
            stdout=file,
            stderr=file,
        )
    running = Running(process, log, stage.home(name) / "watch")
    try:
        yield running
    finally:
        process.kill()
        process.wait()


def test_it_becomes_ready_and_tells_its_figures(stage: Stage):
    with started(stage, "figures") as daemon:
        daemon.until_ready()
        assert daemon.get("/livez")[0] == 200
        text = daemon.get("/metrics")[1]
        assert 'headrace_ready{check="contracts"} 1.0' in text
        assert 'headrace_build_info{daemon="watch"' in text
        for name in ("head_block", "cursor_block", "lag_seconds", "key_balance_wei", "nonce_gap"):
            assert f"\nheadrace_{name}" in text
        assert "headrace_rpc_requests_total{" in text
        assert 'headrace_events_total{kind="PolicyEnacted"}' in text
        assert "process_resident_memory_bytes" in text


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_it_stops_within_five_seconds(stage: Stage, name: str):
    with started(stage, f"stops-{name.lower()}") as daemon:
        daemon.until_ready()
        daemon.process.send_signal(getattr(signal, name))
        assert daemon.process.wait(5) == 0
        assert daemon.lines()[-1]["say"] == "stopped"
        with pytest.raises(urllib.error.URLError, match="refused"):
            daemon.get("/livez")


def test_it_stops_within_five_seconds_while_its_node_hangs(stage: Stage):
    with started(stage, "stops-hanging", HEADRACE_RPC_TIMEOUT="60") as daemon:
        daemon.until_ready()
        os.killpg(stage.chain.pid, signal.SIGSTOP)
        try:
            time.sleep(0.5)
            daemon.process.terminate()
            assert daemon.process.wait(5) == 0
        finally:
            os.killpg(stage.chain.pid, signal.SIGCONT)


def test_without_its_node_it_lives_and_is_not_ready(stage: Stage):
    with started(stage, "alone", HEADRACE_LAG_SECONDS="1.5") as daemon:
        daemon.until_ready()
        os.killpg(stage.chain.pid, signal.SIGSTOP)
        try:
            assert "not seen for" in daemon.until_not_ready("lag")
            assert daemon.get("/livez")[0] == 200
        finally:
            os.killpg(stage.chain.pid, signal.SIGCONT)
        daemon.until_ready()
        text = daemon.get("/metrics")[1]
        assert 'headrace_rpc_requests_total{code="unreachable"' in text


def test_a_poor_key_is_said(stage: Stage):
    key = stage.key("poor")
    stage.rpc.call("anvil_setBalance", key.address, hex(10**14))
    with started(stage, "poor") as daemon:
        reason = daemon.until_not_ready("balance")
        assert f"balance: {key.address} has 0.000100 for gas" in reason
        assert daemon.get("/livez")[0] == 200


def test_no_secret_gets_into_the_log(stage: Stage):
    url = stage.url.replace("http://", "http://user:pa55word-in-url@") + "/?token=t0ken-in-query"
    with started(stage, "secretive", HEADRACE_RPC_URL=url, HEADRACE_LOG_LEVEL="DEBUG") as daemon:
        daemon.until_ready()
        os.killpg(stage.chain.pid, signal.SIGSTOP)
        try:
            daemon.until(lambda: "can't go on now" in daemon.log.read_text())
        finally:
            os.killpg(stage.chain.pid, signal.SIGCONT)
        pages = "".join(daemon.get(page)[1] for page in ("/metrics", "/readyz", "/livez"))
        daemon.process.terminate()
        assert daemon.process.wait(5) == 0
    said = daemon.log.read_text() + pages
    assert stage.url.removeprefix("http://") in said
    for secret in SECRETS:
        assert secret not in said
    keyfile = json.loads((stage.home("secretive") / "keys" / "default.json").read_text())
    assert keyfile["crypto"]["ciphertext"] not in said


HANGING = """
import sys, time
from headrace.daemon.program import main, serve

def make(context):
    def tick():
        context.look()
        time.sleep(60)
    return tick

main(lambda settings: serve("watch", settings, make))
"""


def test_a_loop_that_hangs_ends_the_process(stage: Stage):
    with started(stage, "hangs", "-c", HANGING, HEADRACE_WATCHDOG_SECONDS="1") as daemon:
        assert daemon.process.wait(30) == EXIT_CODE
    text = daemon.log.read_text()
    assert '"say": "a loop hangs"' in text
    assert "in tick" in text


def test_a_halt_is_shown_until_somebody_stops_it(stage: Stage):
    stage.key("halted")
    home = stage.home("halted") / "watch"
    db = ChainDb(
        home / "chain.db",
        chain_id=stage.deployment.chain_id,
        genesis=stage.deployment.genesis,
        escrow=stage.deployment.address("JobEscrow"),
    )
    db.set_note("halted", "block 7 was rewritten")
    db.close()
    with started(stage, "halted") as daemon:
        reason = daemon.until_not_ready("finality")
        assert "block 7 was rewritten" in reason
        assert "headrace_finality_violated 1.0" in daemon.get("/metrics")[1]
        daemon.process.terminate()
        assert daemon.process.wait(5) == 1
    assert daemon.lines()[-1]["say"] == "ended"
    assert "block 7 was rewritten" in daemon.lines()[-1]["why"]


def test_without_a_port_nothing_is_served_and_a_halt_ends_it_at_once(stage: Stage):
    # The home of the test before: it is still halted.
    with started(stage, "halted", HEADRACE_HTTP_PORT="0") as daemon:
        assert daemon.process.wait(20) == 1


def test_a_port_that_is_taken_is_said(stage: Stage):
    with started(stage, "figures") as daemon:
        daemon.until_ready()
        port = (daemon.home / "http").read_text().strip().rpartition(":")[2]
        with started(stage, "second", HEADRACE_HTTP_PORT=port) as second:
            assert second.process.wait(20) == 1
        assert "HEADRACE_HTTP_PORT" in second.lines()[-1]["why"]


def test_a_standby_says_so_until_it_takes_over(stage: Stage):
    with started(stage, "twins") as first:
        first.until_ready()
        assert "headrace_standby 0.0" in first.get("/metrics")[1]
        first_address = (first.home / "http").read_text()
        with started(stage, "twins", HEADRACE_STANDBY="true") as second:
            second.until(lambda: (second.home / "http").read_text() != first_address)
            second.until(lambda: "headrace_standby 1.0" in second.get("/metrics")[1])
            assert second.get("/livez")[0] == 200
            assert second.get("/readyz")[0] == 503
            first.process.terminate()
            first.process.wait(5)
            second.until_ready()
            assert "headrace_standby 0.0" in second.get("/metrics")[1]


def test_a_dry_run_needs_no_keyfile_and_serves_nothing(stage: Stage):
    command = ("-m", "headrace.cli", "keeper", "run", "--dry-run")
    with started(stage, "dry", *command, HEADRACE_ACCOUNT="nobody") as daemon:
        daemon.until(lambda: '"check": "contracts"' in daemon.log.read_text())
        daemon.process.terminate()
        assert daemon.process.wait(5) == 0
    said = [line["say"] for line in daemon.lines() if "say" in line]
    assert "metrics and health" not in said
    assert not (stage.home("dry") / "outbox").exists()
