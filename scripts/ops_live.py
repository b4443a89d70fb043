"""The operating files against what they are about: `python -m scripts.ops_live`, 13 minutes.

A local market, a real Prometheus with the rules of `ops/prometheus`, on loopback. A healthy market
has to be silent. Then a daemon is killed, the node is frozen, the chain stands still, a key has no
money, another one is used by a stranger: the alerts have to fire, and to be gone once that is put
right. What the doctor says is compared as well. In the end every alert's series have to have been
there, and every panel of the dashboard has to have shown something. Prints a verdict, ends with 1
if anything is wrong, and with 3 if Prometheus isn't installed.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from headrace.chain import accounts
from headrace.chain.rpc import to_int
from headrace.errors import HeadraceError
from headrace.terms.words import FaultProofSettings
from scripts.compiler import ROOT
from tests.flows.town import UNIT, Daemon, Town
from tests.harness import free_port

RULES = ROOT / "ops" / "prometheus" / "alerts.yaml"
DASHBOARD = ROOT / "ops" / "grafana" / "headrace.json"
SCRAPE_SECONDS = 5
# Seconds within which an alert has to be gone after its cause; a round, a scrape, an evaluation.
_GONE = 90.0
# Beyond `for` and the threshold: scrapes, evaluations, a slow machine.
_LATE = 60.0
_WARM_SECONDS = 75.0
# Every move of this market has less than the minute that the alert asks for at least: it is right,
# and always there.
_SHORT_DEADLINES = "HeadraceDeadlineNear"
_SELECTOR = re.compile(r"\b(?:headrace_[a-z_]+|up|process_[a-z_]+)(?:\{[^}]*\})?")


class Prometheus:
    """A Prometheus on a free port, which scrapes `targets` and has the project's rules."""

    def __init__(self, folder: Path, targets: Sequence[str]) -> None:
        """Answers once this returns; HeadraceError if it doesn't come up."""
        folder.mkdir()
        config = {
            "global": {
                "scrape_interval": f"{SCRAPE_SECONDS}s",
                "evaluation_interval": f"{SCRAPE_SECONDS}s",
            },
            "rule_files": [str(RULES)],
            "scrape_configs": [
                {"job_name": "headrace", "static_configs": [{"targets": list(targets)}]}
            ],
        }
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        port = free_port()
        self._url = f"http://127.0.0.1:{port}/api/v1/"
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={folder / 'prometheus.yaml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + 30
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise HeadraceError("Prometheus did not start:\n" + (folder / "log").read_text())
            time.sleep(0.2)

    def _answers(self) -> bool:
        with suppress(URLError, ConnectionError):
            return bool(self.ask("rules")["groups"])
        return False

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def ask(self, page: str, **arguments: str) -> Any:
        """The `data` of an answer of its HTTP interface."""
        with urlopen(f"{self._url}{page}?{urlencode(arguments)}", timeout=10) as answer:  # noqa: S310
            return json.load(answer)["data"]

    def series(self, expression: str) -> int:
        """How many series an expression gives now."""
        return len(self.ask("query", query=expression)["result"])

    def alerts(self) -> dict[tuple[str, str, str], str]:
        """The state (pending, firing) of each alert by name, instance and check."""
        found = {}
        for alert in self.ask("alerts")["alerts"]:
            labels = alert["labels"]
            key = (labels["alertname"], labels.get("instance", ""), labels.get("check", ""))
            found[key] = alert["state"]
        return found


@dataclass(frozen=True, slots=True)
class Expected:
    """An alert that has to fire within `seconds` of a fault."""

    alert: str
    daemon: Daemon
    seconds: float
    check: str = ""


@dataclass
class Stage:
    """The market, the daemons by instance, Prometheus, and what has been found."""

    town: Town
    keeper: Daemon
    watcher: Daemon
    nodes: list[Daemon]
    instances: dict[str, str]
    prometheus: Prometheus
    begun_at: float = field(default_factory=time.time)
    wrong: list[str] = field(default_factory=list)
    _next_post: float = 0.0

    @property
    def daemons(self) -> list[Daemon]:
        """All of them."""
        return [self.keeper, self.watcher, *self.nodes]

    def claim(self, is_true: bool, what: str) -> None:
        """Print whether it holds, and keep it if it doesn't."""
        print(f"{'ok' if is_true else 'NO'}  {what}", flush=True)
        if not is_true:
            self.wrong.append(what)

    def post(self) -> None:
        """A job every few seconds."""
        if time.monotonic() >= self._next_post:
            self.town.post(self.town.people[1])
            self._next_post = time.monotonic() + 4

    def wait(self, seconds: float, *, posting: bool) -> None:
        """Let the market run."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if posting:
                self.post()
            time.sleep(0.5)

    # ---- what there is to see

    def check_files(self) -> None:
        """Rules are evaluated without an error, and no alert or panel is blind."""
        groups = self.prometheus.ask("rules")["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        bad = [rule["name"] for rule in rules if rule["health"] != "ok"]
        self.claim(not bad, f"{len(rules)} rules are evaluated without an error {bad or ''}")
        for rule in rules:
            for selector in _SELECTOR.findall(rule["query"]):
                count = self.prometheus.series(f"count_over_time({selector}[10m])")
                if not count:
                    self.claim(False, f"{rule['name']} is blind: no series of {selector}")
        panels = json.loads(DASHBOARD.read_text())["panels"]
        queries = [(p["title"], t["expr"]) for p in panels for t in p.get("targets", ())]
        empty = []
        for title, expression in queries:
            bare = expression.replace("$__rate_interval", "1m").replace("$instance", ".*")
            if not self._seen(bare):
                empty.append(f"{title}: {expression}")
        shown = "".join(f"\n      {line}" for line in empty)
        self.claim(not empty, f"{len(queries)} queries of the dashboard show something{shown}")

    def _seen(self, expression: str) -> bool:
        """Whether it has given a series since the beginning: some are there at times."""
        window = {
            "start": f"{self.begun_at}",
            "end": f"{time.time()}",
            "step": f"{SCRAPE_SECONDS}",
        }
        return bool(self.prometheus.ask("query_range", query=expression, **window)["result"])

    def check_silence(self) -> None:
        """A healthy market wakes nobody."""
        loud = sorted(
            f"{name} {self.instances.get(instance, instance)} {check}".strip()
            for (name, instance, check), state in self.prometheus.alerts().items()
            if state == "firing" and name != _SHORT_DEADLINES
        )
        self.claim(not loud, f"no alert fires in a healthy market {loud or ''}")
        for daemon in self.daemons if loud else ():
            errors = [line for line in daemon.lines if line["level"] in ("error", "critical")]
            for line in errors[-3:]:
                print(f"      {daemon.name}: {json.dumps(line)}")

    def doctor(self, daemon: Daemon, kind: str, code: int, when: str) -> None:
        """What the doctor of a daemon ends with."""
        done = self.command(daemon, kind, "doctor")
        self.claim(done.returncode == code, f"doctor of the {kind}, {when}: {done.returncode}")
        if done.returncode != code:
            print(done.stdout, done.stderr)
        elif code:
            print("".join(f"      {line}\n" for line in _failed(done.stdout)), end="")

    def command(self, daemon: Daemon, *words: str) -> subprocess.CompletedProcess[str]:
        """The command line as the daemon's user would type it."""
        return subprocess.run(
            [sys.executable, "-m", "headrace.cli", *words],
            cwd=ROOT,
            env=os.environ | daemon.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    # ---- alerts

    def until_fires(self, expected: Sequence[Expected]) -> None:
        """Wait until each has been pending and fires."""
        keys = {(e.alert, _instance(e.daemon), e.check): e for e in expected}
        begun = time.monotonic()
        left = dict(keys)
        pending: set[tuple[str, str, str]] = set()
        while left:
            took = time.monotonic() - begun
            for key, state in self.prometheus.alerts().items():
                if key in left and state == "pending":
                    pending.add(key)
                if key in left and state == "firing":
                    said = "pending, then firing" if key in pending else "firing"
                    print(f"ok  {_shown(left.pop(key))}: {said} after {took:.0f} s", flush=True)
            for key in [key for key, e in left.items() if took > e.seconds + _LATE]:
                self.claim(False, f"{_shown(left.pop(key))} does not fire within {took:.0f} s")
            time.sleep(1)

    def until_gone(self, names: set[str]) -> None:
        """Wait until none of these alerts is there, after their causes were put right."""
        begun = time.monotonic()
        while (took := time.monotonic() - begun) < _GONE:
            there = {key for key in self.prometheus.alerts() if key[0] in names}
            if not there:
                break
            time.sleep(1)
        self.claim(not there, f"all are gone {took:.0f} s after the cause {sorted(there) or ''}")


def _failed(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("ok")]


def _instance(daemon: Daemon) -> str:
    return f"127.0.0.1:{daemon.environment['HEADRACE_HTTP_PORT']}"


def _shown(expected: Expected) -> str:
    check = f"{{check={expected.check}}}" if expected.check else ""
    return f"{expected.alert}{check} of {expected.daemon.name}"


# ---- the acts


def warm_up(stage: Stage) -> None:
    """Jobs, for a while more than both nodes take at once, and a reorganisation."""
    for _ in range(16):
        stage.town.post(stage.town.people[1])
    stage.wait(_WARM_SECONDS / 2, posting=True)
    stage.town.rpc.call("anvil_reorg", 2, [])
    stage.wait(_WARM_SECONDS / 2, posting=True)


def kill_and_freeze(stage: Stage) -> None:
    """One node of the market is killed, and the chain's node is frozen."""
    print("\nA daemon is killed, and the node freezes (SIGSTOP)", flush=True)
    victim, keeper, watcher = stage.nodes[0], stage.keeper, stage.watcher
    victim.kill()
    stage.town.anvil.process.send_signal(signal.SIGSTOP)
    try:
        stage.doctor(keeper, "keeper", 3, "while its node doesn't answer")
        stage.until_fires(
            [
                Expected("HeadraceDown", victim, 120),
                Expected("HeadraceLoopStuck", keeper, 180),
                Expected("HeadraceLoopStuck", watcher, 180),
                Expected("HeadraceLag", keeper, 180),
                Expected("HeadraceLag", watcher, 180),
            ]
        )
    finally:
        stage.town.anvil.process.send_signal(signal.SIGCONT)
    victim.start()
    stage.until_gone({"HeadraceDown", "HeadraceLoopStuck", "HeadraceLag", "HeadraceNotReady"})


def steal_a_nonce(stage: Stage) -> None:
    """A stranger's transaction takes the nonce of one of the keeper's that is under way."""
    rpc, key = stage.town.rpc, _address(stage.keeper)
    rpc.call("anvil_impersonateAccount", key)
    rpc.call("evm_setIntervalMining", 3)
    for _ in range(20):
        stage.town.post(stage.town.people[1])
        end = time.monotonic() + 2
        while time.monotonic() < end:
            mined = to_int(rpc.call("eth_getTransactionCount", key, "latest"))
            if to_int(rpc.call("eth_getTransactionCount", key, "pending")) > mined:
                request = {"from": key, "to": key, "nonce": hex(mined)}
                fees = dict.fromkeys(("maxFeePerGas", "maxPriorityFeePerGas"), hex(500 * 10**9))
                with suppress(HeadraceError):  # a block came in between
                    rpc.call("eth_sendTransaction", request | fees)
                    rpc.call("evm_setIntervalMining", 1)
                    return
            time.sleep(0.05)
    raise HeadraceError("the keeper has nothing under way whose nonce could be taken")


def stand_still(stage: Stage) -> None:
    """No blocks any more; one key has no money, another one is used by somebody else."""
    print("\nA stranger uses a key; then no blocks come, and another key has no money", flush=True)
    rpc, watcher, keeper = stage.town.rpc, stage.watcher, stage.keeper
    steal_a_nonce(stage)
    stage.until_fires([Expected("HeadraceForeignNonce", keeper, 60)])
    watcher_key = _address(watcher)
    balance = rpc.balance(watcher_key)
    rpc.call("anvil_setBalance", watcher_key, hex(1))
    rpc.call("evm_setIntervalMining", 0)
    try:
        stage.doctor(watcher, "watch", 1, "without money for gas")
        stage.doctor(keeper, "keeper", 1, "with a stranger's nonce")
        stage.until_fires(
            [
                Expected("HeadraceNotReady", watcher, 330, "balance"),
                Expected("HeadraceNotReady", keeper, 330, "nonce"),
                Expected("HeadraceBalanceLow", watcher, 330),
                Expected("HeadraceChainStalled", keeper, 420),
            ]
        )
    finally:
        rpc.call("evm_setIntervalMining", 1)
        rpc.call("anvil_setBalance", watcher_key, hex(balance))
    code, seconds = keeper.terminate()
    stage.claim(code == 0 and seconds < 5, f"the keeper stops in {seconds:.1f} s with {code}")
    done = stage.command(keeper, "keeper", "release")
    stage.claim(done.returncode == 0, f"`headrace keeper release` ends with {done.returncode}")
    keeper.start()
    stage.until_gone(
        {"HeadraceForeignNonce", "HeadraceNotReady", "HeadraceBalanceLow", "HeadraceChainStalled"}
    )


def _address(daemon: Daemon) -> str:
    return accounts.address_of(Path(daemon.environment["HEADRACE_HOME"]) / "keys", "operator")


def perform(stage: Stage) -> None:
    """The whole evening."""
    acts: list[Callable[[Stage], None]] = [kill_and_freeze, stand_still]
    warm_up(stage)
    stage.check_silence()
    stage.doctor(stage.keeper, "keeper", 0, "all well")
    stage.doctor(stage.watcher, "watch", 0, "all well")
    stage.doctor(stage.nodes[0], "node", 0, "all well")
    for act in acts:
        act(stage)
        stage.wait(20, posting=True)
    stage.check_files()
    stage.check_silence()


def main() -> None:
    """Run it, and judge."""
    if shutil.which("prometheus") is None:
        print("skipped: no Prometheus is installed (apt install prometheus)")
        sys.exit(3)
    with tempfile.TemporaryDirectory(prefix="headrace-ops-") as name:
        folder = Path(name)
        town = Town(folder, settings=FaultProofSettings(window=15, reply=12, follow=8))
        prometheus = None
        try:
            town.fund(town.people[1], 10_000 * UNIT, 1)
            nodes = [town.node(2), town.node(3)]
            watcher = town.watcher()
            home, _ = town.home("keeper", 3_000)
            keeper = town._daemon("keeper", home, ["headrace.keeper"], None)
            for daemon in town.daemons:
                daemon.environment |= {
                    "HEADRACE_HTTP_PORT": str(free_port()),
                    "HEADRACE_RPC_TIMEOUT": "5",
                }
            town.run_clock()
            for daemon in town.daemons:
                daemon.start()
            instances = {_instance(daemon): daemon.name for daemon in town.daemons}
            prometheus = Prometheus(folder / "prometheus", list(instances))
            stage = Stage(town, keeper, watcher, nodes, instances, prometheus)
            perform(stage)
        finally:
            if prometheus is not None:
                prometheus.stop()
            town.stop()
    print(f"\n{len(stage.wrong)} wrong" if stage.wrong else "\nall as it should be")
    sys.exit(1 if stage.wrong else 0)


if __name__ == "__main__":
    main()
