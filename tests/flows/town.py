"""A local chain with one-second blocks, a whole deployment, and daemons as processes of their own.

What people do (deposit, post, match) goes through the node's own accounts, at once; what daemons do
goes through theirs. Everything that a test waits for is read from the chain.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from headrace.chain import accounts
from headrace.chain.abi import Call, Log, decode_values
from headrace.chain.accounts import Key
from headrace.chain.contract import Contract
from headrace.chain.jobs import Job, JobBook
from headrace.chain.local_deployer import LocalDeployer
from headrace.chain.manifest import Deployment
from headrace.chain.parameters import Parameters
from headrace.chain.rpc import Rpc, to_bytes, to_int
from headrace.chain.views import JobState, Slot
from headrace.chain.wiring import deploy
from headrace.formats import input_form
from headrace.graph.model import Model, Operator
from headrace.market.book import LiveAsk
from headrace.market.postings import read_ask
from headrace.store.blobs import BlobStore
from headrace.store.board import Board
from headrace.terms import eip712
from headrace.terms.eip712 import Domain
from headrace.terms.words import FaultProofSettings, Node, Record, Terms
from tests.harness import ROOT, Anvil
from tests.unit.fault_proof.court import random_input, random_matmul

UNIT = 10**6
PASSPHRASE = "long enough"
NODE_FILE = """\
provider: '{provider}'
operator: operator
gpu: RTX 4090
region: eu-west
capacity: 4
offer:
  models: [{program}]
  base: 1
  max_lock: 50
  min_attempt: 1s
  min_acknowledge: 1s
  max_delay: 10m
  check: {{window: {window}s, reply: {reply}s, follow: {follow}s}}
"""


@dataclass
class Daemon:
    """A process, and where it writes."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    _starts: int = 0

    def start(self) -> None:
        """Start it, or start it again."""
        with self.log.open("ab") as file:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stderr=file,
            )

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def terminate(self) -> tuple[int, float]:
        """SIGTERM; the exit code, and how long it took in seconds."""
        assert self.process is not None
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10), time.monotonic() - begun

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it has logged so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line[:1] == "{"]

    def said(self, what: str, **fields: Any) -> list[dict[str, Any]]:
        """Its log lines of this message with these fields."""
        return [
            line
            for line in self.lines
            if line["say"] == what and all(line.get(k) == v for k, v in fields.items())
        ]


@dataclass
class Town:
    """The chain and everybody on it. `folder` holds homes, the store and the board."""

    folder: Path
    settings: FaultProofSettings = field(
        default_factory=lambda: FaultProofSettings(window=12, reply=12, follow=6)
    )

    def __post_init__(self) -> None:
        self.anvil = Anvil("--accounts", "20")
        self.rpc = Rpc(self.anvil.url)
        self.people: list[str] = self.rpc.call("eth_accounts")
        self.manifest = self.folder / "deployment.json"
        self.store = BlobStore(self.folder / "store")
        self.board = Board(self.folder / "board")
        self.daemons: list[Daemon] = []
        self._salt = 0
        key = Key.of((99).to_bytes(32))
        self.rpc.call("anvil_setBalance", key.address, hex(10**20))
        parameters = Parameters.load(ROOT / "deployments" / "local.params.json")
        deploy(self.rpc, LocalDeployer(self.rpc, key), parameters, self.manifest)
        self.deployment = Deployment.load(self.manifest)
        self.token = self.deployment.token(self.rpc)
        self.vault = self.deployment.vault(self.rpc)
        self.registry = self.deployment.registry(self.rpc)
        self.escrow = self.deployment.escrow(self.rpc)
        self.fault_proof = self.deployment.fault_proof(self.rpc)
        self.domain = Domain(self.deployment.chain_id, self.escrow.address)
        self._rng = np.random.default_rng(5)
        self.model: Any = self.make_model()
        self.form = input_form(self.model)
        self.judge: Contract = self.install()
        self.store.put_model(self.model)

    # ---- what is run here: small models, unless a town says otherwise

    def make_model(self) -> Any:
        """The model that all jobs are for."""
        widths = [24, 40, 24, 10]
        pairs = enumerate(pairwise(widths))
        operators = [random_matmul(self._rng, at, *pair) for at, pair in pairs]
        operators.append(Operator.argmax(3, 10))
        return Model.of(operators, 24, 64)

    def install(self) -> Contract:
        """Register the model; who judges it."""
        descriptors, width = self.model.descriptors, self.model.input_width
        call = self.fault_proof.register_model(descriptors, width, self.model.max_units, bytes(32))
        self.send(self.people[0], call)
        return self.fault_proof

    def make_input(self, units: int) -> Any:
        """An input of its own for a job."""
        return random_input(self._rng, units, self.model.input_width)

    def stop(self) -> None:
        """End every process."""
        for daemon in self.daemons:
            if daemon.process is not None and daemon.process.poll() is None:
                daemon.kill()
        self.rpc.close()
        self.anvil.stop()

    # ---- the chain

    def send(self, sender: str, call: Call) -> dict[str, Any]:
        """The receipt of a transaction that succeeded."""
        request = {"from": sender, "to": call.to, "data": "0x" + call.data.hex()}
        tx = self.rpc.call("eth_sendTransaction", request)
        receipt = self.until(lambda: self.rpc.call("eth_getTransactionReceipt", tx), seconds=10)
        if to_int(receipt["status"]) != 1:
            self.rpc.eth_call(call.to, call.data, sender=sender)  # says why
            raise AssertionError(f"{call.what} reverted")
        return dict(receipt)

    @property
    def now(self) -> int:
        """Time of the latest block."""
        return self.rpc.head().timestamp

    def run_clock(self) -> None:
        """From now on a block every second, and none in between."""
        self.rpc.call("evm_setAutomine", False)
        self.rpc.call("evm_setIntervalMining", 1)

    def until(self, ask: Callable[[], Any], *, seconds: float = 60) -> Any:
        """What `ask` says once it is true."""
        end = time.monotonic() + seconds
        while not (found := ask()):
            assert time.monotonic() < end, "it never happened\n" + self.logs()
            time.sleep(0.05)
        return found

    def until_time(self, timestamp: int) -> None:
        """Wait for a block of this time."""
        self.until(lambda: self.now >= timestamp)

    def logs(self) -> str:
        """The last lines of every daemon, for a failure's message."""
        return "\n".join(
            f"--- {d.name}\n" + "\n".join(d.log.read_text().splitlines()[-15:])
            for d in self.daemons
            if d.log.exists()
        )

    # ---- people

    def fund(self, account: str, amount: int, books: int) -> None:
        """Give an account tokens, paid in and open to the books."""
        self.send(account, self.token.drip(amount))
        self.send(account, self.token.approve(self.vault.address, amount))
        self.send(account, self.vault.deposit_and_authorise(amount, books))

    def home(self, name: str, secret: int) -> tuple[Path, str]:
        """A daemon's home with a keyfile called `operator`; its folder and the key's address."""
        folder = self.folder / name
        key = accounts.create(
            folder / "keys", "operator", PASSPHRASE, secret=secret.to_bytes(32), is_light=True
        )
        self.rpc.call("anvil_setBalance", key.address, hex(10**20))
        return folder, key.address

    def _environment(self, home: Path, store: Path | None) -> dict[str, str]:
        return {
            "HEADRACE_HOME": str(home),
            "HEADRACE_RPC_URL": self.anvil.url,
            "HEADRACE_MANIFEST": str(self.manifest),
            "HEADRACE_STORE": str(store or self.store.path),
            "HEADRACE_BOARD": str(self.board.path),
            "HEADRACE_ACCOUNT": "operator",
            "HEADRACE_PASSPHRASE": PASSPHRASE,
            "HEADRACE_CONFIRMATIONS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }

    def node(self, index: int, role: str = "", *, store: Path | None = None) -> Daemon:
        """A registered provider and its node, not yet started; `role` is one of the cast."""
        provider = self.people[index]
        home, operator = self.home(f"node{index}", 1_000 + index)
        self.fund(provider, 200 * UNIT, 3)
        spec = Node(gpu_model=1, vram_gib=24, gpu_count=1, region=0, capacity=4, latency_class=1)
        self.send(provider, self.registry.register(operator, provider, 5 * UNIT, spec))
        file = home / "node.yaml"
        file.write_text(
            NODE_FILE.format(
                provider=provider,
                program="0x" + self.model.program.hex(),
                window=self.settings.window,
                reply=self.settings.reply,
                follow=self.settings.follow,
            )
        )
        module = ["tests.flows.cast", role] if role else ["headrace.node"]
        return self._daemon(f"node{index}", home, [*module, str(file)], store)

    def watcher(self, secret: int = 2_000) -> Daemon:
        """A watcher with money for a few demands, not yet started."""
        home, address = self.home("watcher", secret)
        self.rpc.call("anvil_impersonateAccount", address)
        books = 1 << self.vault.FAULT_PROOF_BOOK | 1 << self.vault.GRAPH_PROOF_BOOK
        self.fund(address, UNIT, books)
        return self._daemon("watcher", home, ["headrace.watch"], None)

    def _daemon(self, name: str, home: Path, module: list[str], store: Path | None) -> Daemon:
        daemon = Daemon(
            name,
            [sys.executable, "-m", *module],
            self._environment(home, store),
            home / "log.jsonl",
        )
        self.daemons.append(daemon)
        return daemon

    # ---- jobs

    def post(self, requester: str, *, units: int = 4, store: BlobStore | None = None) -> Terms:
        """A posted job over an input of its own, which is put into the store(s)."""
        tensor = self.make_input(units)
        if store is not None:
            store.put_input(self.form, tensor)
        return self.post_for(requester, self.store.put_input(self.form, tensor), units)

    def post_for(self, requester: str, input_id: str, units: int = 4) -> Terms:
        """A posted job over an input that need not be there."""
        self._salt += 1
        now = self.now
        terms = Terms(
            requester=requester,
            verifier=self.judge.address,
            settings=self.settings.pack(),
            requirement=0,
            program=self.model.program,
            input_id=bytes.fromhex(input_id),
            price_start=4 * UNIT,
            price_cap=4 * UNIT,
            damage_cap=UNIT // 2,
            tip_fixed=0,
            tip_max=0,
            tip_share_bps=0,
            no_show_bps=5_000,
            max_attempts=1,
            valid_from=now,
            ramp_seconds=1,
            final_deadline=now + 600,
            ack_seconds=9,
            attempt_seconds=30,
            units=units,
            input_bytes=self.form.size(units),
            epoch=0,
            salt=self._salt,
        )
        self.send(requester, self.escrow.post_job(terms))
        return terms

    def job_id(self, terms: Terms) -> bytes:
        """The job's id."""
        return eip712.job_id(terms, self.domain)

    def slot(self, terms: Terms) -> Slot:
        """The job's slot."""
        return self.escrow.job(self.job_id(terms))

    def until_state(self, terms: Terms, *states: JobState) -> Slot:
        """Wait until the job is in one of `states`."""
        return self.until(lambda: (s := self.slot(terms)) and s.state in states and s)

    def ask_of(self, index: int) -> LiveAsk:
        """The ask on the board of a provider; waits for it."""

        def find() -> LiveAsk | None:
            for offer in self.board.list("ask"):
                ask = read_ask(offer.payload, self.token.address, self.domain)
                if ask.ask.provider.lower() == self.people[index].lower():
                    return ask
            return None

        return self.until(find)

    def match(self, keeper: str, terms: Terms, index: int) -> Record:
        """Match a posted job with the node's ask; what was agreed."""
        ask = self.ask_of(index)
        proof = ask.proof(terms.program)
        call = self.escrow.match(terms, b"", ask.ask, ask.signature, proof, [])
        receipt = self.send(keeper, call)
        event = self.escrow.abi().events["Matched"]
        for entry in receipt["logs"]:
            if entry["topics"][0] == "0x" + event.topic.hex():
                kinds = [kind for _, kind, is_indexed in event.inputs if not is_indexed]
                _, record = decode_values(kinds, bytes.fromhex(entry["data"][2:]), "Matched")
                return Record.unpack(record)
        raise AssertionError("no match")

    def as_log(self, item: dict[str, Any], address: str) -> Log:
        """A log as a node gives it."""
        return Log(
            block_number=to_int(item["blockNumber"]),
            log_index=to_int(item["logIndex"]),
            block_hash=to_bytes(item["blockHash"]),
            tx_hash=to_bytes(item["transactionHash"]),
            address=address,
            topics=tuple(to_bytes(topic) for topic in item["topics"]),
            data=to_bytes(item["data"]),
            timestamp=0,
        )

    def _logs(self, terms: Terms) -> list[Log]:
        topics = [None, "0x" + self.job_id(terms).hex()]
        wanted = {"address": self.escrow.address, "fromBlock": "0x0", "topics": topics}
        found = self.rpc.call("eth_getLogs", wanted)
        return [self.as_log(item, self.escrow.address) for item in found]

    def job(self, terms: Terms) -> Job:
        """The job as its events tell it."""
        book = JobBook()
        book.fold(self._logs(terms))
        return book.jobs[self.job_id(terms)]

    def count(self, event: str, terms: Terms) -> int:
        """How many events of JobEscrow with this name there are about a job."""
        topic = self.escrow.abi().events[event].topic
        return sum(log.topics[0] == topic for log in self._logs(terms))


@contextmanager
def a_town(folder: Path, kind: type[Town] = Town) -> Iterator[Town]:
    """A town that is torn down afterwards."""
    town = kind(folder)
    try:
        yield town
    finally:
        town.stop()
