"""The whole story by the command line alone: a chain started by `headrace up`, and people on it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headrace.chain.rpc import Rpc
from headrace.terms.amounts import Money
from tests.harness import ROOT
from tests.offchain.cli.players import run_cli

PASSPHRASE = "open sesame"
USD = Money(6, "tUSD")
HEADRACE = [sys.executable, "-m", "headrace.cli"]


@dataclass(frozen=True)
class Town:
    """What `headrace up` said when it was ready."""

    up: subprocess.Popen[str]
    data: dict[str, Any]

    @property
    def rpc(self) -> Rpc:
        """A connection to its chain."""
        return Rpc(self.data["rpc"])

    def environment(self, home: Path) -> dict[str, str]:
        """The settings of somebody else on the same machine."""
        base = Path(self.data["home"])
        return {
            **{name: value for name, value in os.environ.items() if "HEADRACE" not in name},
            "HEADRACE_HOME": str(home),
            "HEADRACE_RPC_URL": self.data["rpc"],
            "HEADRACE_STORE": str(base / "store"),
            "HEADRACE_PASSPHRASE": PASSPHRASE,
            "HEADRACE_CONFIRMATIONS": "0",
        }


@dataclass(frozen=True)
class Person:
    """Somebody with a home folder, who uses the command line."""

    town: Town
    home: Path

    def run(self, *arguments: str, code: int = 0) -> Any:
        """`headrace ARGUMENTS --json`: the document."""
        said = run_cli(*arguments, "--json", environment=self.town.environment(self.home))
        assert said.code == code, f"{arguments}: {said}"
        return said.data


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    kept = {name: value for name, value in os.environ.items() if "HEADRACE" not in name}
    up = subprocess.Popen(
        [*HEADRACE, "up", "--home", str(tmp_path / "up"), "--port", "0", "--json"],
        cwd=ROOT,
        env=kept,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert up.stdout is not None
        lines = []
        # One document, put out once everything runs.
        while not lines or lines[-1] != "}\n":
            lines.append(up.stdout.readline())
            assert lines[-1], "`headrace up` has ended"
        yield Town(up, json.loads("".join(lines)))
    finally:
        if up.poll() is None:
            up.send_signal(signal.SIGTERM)
            up.wait(30)


@contextmanager
def daemon(person: Person, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon of this person's, in a process of its own."""
    with (person.home / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            [*HEADRACE, *arguments], env=person.town.environment(person.home), stderr=log
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def eventually(what: Any, seconds: float = 30.0) -> Any:
    """The first true answer of `what`."""
    until = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.3)
    return answer


def test_from_nothing_to_withdrawn_money(town: Town, tmp_path: Path) -> None:
    example = Path(town.data["job_file"]).parent
    manifest = str(Path(town.data["home"]) / "deployment.json")

    # A provider of our own: cheaper than the one that is there.
    bob = Person(town, tmp_path / "bob")
    address = bob.run("init", "--light", "--manifest", manifest)["address"]
    bob.run("faucet", "200")
    node_file = tmp_path / "bob.yaml"
    cheap = (example / "node.yaml").read_text().replace("base: 0.5", "base: 0.3")
    program = bob.run("model", "list")["models"][0]["program"]
    node_file.write_text(cheap.replace("quadrants", f"'{program}'"))
    assert bob.run("register", str(node_file))["bond"] == "5"
    assert bob.run("deposit", "100")["free"] == "100"

    # A requester.
    ada = Person(town, tmp_path / "ada")
    ada.run("init", "--light", "--manifest", manifest)
    ada.run("faucet", "50")
    ada.run("deposit", "20", "--authorise", "escrow")
    added = ada.run("input", "add", str(example / "images.csv"), "--name", "images")
    assert added["units"] == 8
    job_file = tmp_path / "job.yaml"
    text = (example / "job.yaml").read_text()
    job_file.write_text(text.replace("quadrants", f"'{program}'").replace("images.csv", "images"))

    with daemon(bob, "node", "run", str(node_file)) as node:
        offers = eventually(lambda: _two(ada.run("quote", str(job_file))["offers"]))
        assert offers[0]["provider"] == address
        assert offers[0]["price"] == "0.38"

        posted = ada.run("post", str(job_file))["posted"][0]["job"]
        result = ada.run("result", posted[:12], "--wait", "60")
        assert result["is_final"]
        assert result["provider"] == address
        assert result["rows"] == [[0], [1], [2], [3]] * 2

        # A signed job costs no gas; a keeper brings it on chain.
        signed = ada.run("post", str(job_file), "--sign-only")["bid"]
        assert ada.run("result", signed, "--wait", "60")["is_final"]
        status = ada.run("status", signed)
        assert (status["state"], status["moves"]) == ("final", [])

        # What nobody can serve is explained, and given up.
        job_file.write_text(job_file.read_text().replace("RTX 4090, L40S", "H100 80GB"))
        lost = ada.run("post", str(job_file))["posted"][0]["job"]
        reasons = ada.run("why", lost, f"{address}/0")["reasons"]
        assert [reason["name"] for reason in reasons] == ["gpu_model"]
        assert ada.run("cancel", lost)["freed"] == "3"

        # The bill is what is missing.
        bills = [ada.run("invoice", job) for job in (posted, signed)]
        free = ada.run("earnings")["free"]
        spent = sum(USD.parse(bill["total"], "total") for bill in bills)
        assert USD.parse(free, "free") == USD.parse("20", "deposit") - spent
        earned = bob.run("earnings")
        assert (earned["final_jobs"], earned["earned"], earned["completions"]) == (2, "0.76", 2)
        assert earned["free"] == "100.76"

        # The node stops by itself once it has drained.
        assert bob.run("drain")["nodes_told"] == [0]
        assert node.wait(30) == 0

    assert [
        offer["provider"] == address for offer in ada.run("quote", str(job_file))["offers"]
    ] == [False]
    assert ada.run("withdraw", "all")["free"] == "0"
    thaws_at = bob.run("exit")["thaws_at"]
    assert bob.run("exit")["status"] == "leaving"
    rpc = town.rpc
    rpc.call("evm_setNextBlockTimestamp", thaws_at + 1)
    eventually(lambda: rpc.head().timestamp > thaws_at)
    assert bob.run("exit")["status"] == "gone"
    assert bob.run("withdraw", "all")["withdrawn"] == "105.76"
    rpc.close()

    # Ctrl-C ends everything, and nothing is left behind.
    town.up.send_signal(signal.SIGINT)
    assert town.up.wait(30) == 0
    for pid in town.data["pids"].values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def _two(offers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return offers if len(offers) == 2 else []
