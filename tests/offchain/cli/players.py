"""People with a home folder each, who use the command line, and what others do meanwhile."""

import json
import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from eth_utils.crypto import keccak

from headrace.chain import accounts
from headrace.chain.accounts import Key
from headrace.chain.catalogue import read_catalogue
from headrace.chain.jobs import Attempt, Job, JobBook
from headrace.chain.manifest import Deployment
from headrace.chain.rpc import Rpc
from headrace.chain.sender import read_receipt
from headrace.cli import local
from headrace.cli.app import cli
from headrace.graph.trace import Trace, run
from headrace.market.book import LiveAsk
from headrace.market.postings import ask_posting
from headrace.store.blobs import BlobStore
from headrace.store.board import Board
from headrace.terms import eip712
from headrace.terms.eip712 import Domain
from headrace.terms.jobfile import read_node
from headrace.terms.words import programs_proof, programs_root
from tests.harness import GENESIS_TIME, Anvil

UNIT = 10**6
PASSPHRASE = "open sesame"
NODE = local.NODE_FILE


class Clock(Anvil):
    """
    A node that makes a block for every transaction, one second after the last. Its balances come
    from `anvil_setBalance`.
    """

    def __init__(self) -> None:
        super().__init__("--timestamp", str(GENESIS_TIME), "--accounts", "1")
        self.rpc("anvil_setBlockTimestampInterval", 1)

    def now(self) -> int:
        """Time of the latest block."""
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def block_number(self) -> int:
        """Number of the latest block."""
        return int(self.rpc("eth_blockNumber"), 16)

    def next_time(self, timestamp: int) -> None:
        """Set the time of the next block only."""
        self.rpc("evm_setNextBlockTimestamp", timestamp)

    def travel(self, seconds: int) -> None:
        """Make a block `seconds` after the latest one."""
        self.next_time(self.now() + seconds)
        self.rpc("evm_mine")


@dataclass(frozen=True)
class Said:
    """What a command ended with: exit code, what stood on stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The error in it."""
        return self.data["error"]


@dataclass(frozen=True)
class Player:
    """Somebody with a home folder."""

    world: "World"
    home: Path
    key: Key

    @property
    def address(self) -> str:
        """The account's address."""
        return self.key.address

    def run(self, *arguments: str, code: int = 0, stdin: str | None = None) -> Said:
        """`headrace ARGUMENTS` from this home; the exit code must be `code`."""
        said = run_cli(*arguments, environment=self.world.environment(self.home), stdin=stdin)
        assert said.code == code, f"{arguments}: {said}"
        assert "Traceback" not in said.err + said.out
        return said

    def json(self, *arguments: str, code: int = 0) -> Any:
        """The same with --json: the document."""
        return self.run(*arguments, "--json", code=code).data

    def write(self, name: str, text: str) -> str:
        """A file beside the home folder; its path."""
        path = self.home.parent / f"{self.home.name}-{name}"
        path.write_text(text)
        return str(path)

    def job(self, **changes: str) -> str:
        """A job file like the example's, with some of its top fields replaced."""
        return self.write("job.yaml", job_text(**changes))

    def free(self) -> int:
        """Token units that are free in the Vault."""
        return self.world.vault.free_of(self.address)


def run_cli(*arguments: str, environment: dict[str, str], stdin: str | None = None) -> Said:
    """`headrace ARGUMENTS` in this process."""
    runner = CliRunner(mix_stderr=False, env=environment)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        result = runner.invoke(cli, list(arguments), input=stdin)
    finally:
        # The command sent all logs to the runner's own stderr, which is closed by now.
        root.handlers[:] = handlers
        root.setLevel(level)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Said(result.exit_code, result.stdout, result.stderr)


def job_text(**changes: str) -> str:
    """The example's job file with fields replaced or added."""
    fields = {
        "model": "quadrants",
        "input": "images.csv",
        "check": "{window: 5s, reply: 5s, follow: 5s}",
        "price": "{start: 1, cap: 3, ramp: 30s}",
        "time": "{deadline: 10m, attempt: 1m, acknowledge: 20s}",
    }
    return "".join(f"{name}: {value}\n" for name, value in (fields | changes).items())


class World:
    """The deployment on the test chain; everybody shares its store."""

    def __init__(self, chain: Clock, manifest: Path, folder: Path) -> None:
        self.chain = chain
        self.manifest = manifest
        self.folder = folder
        self.deployment = Deployment.load(manifest)
        self.rpc = Rpc(chain.url)
        self.token = self.deployment.token(self.rpc)
        self.vault = self.deployment.vault(self.rpc)
        self.registry = self.deployment.registry(self.rpc)
        self.escrow = self.deployment.escrow(self.rpc)
        self.fault_proof = self.deployment.fault_proof(self.rpc)
        self.store = BlobStore(folder / "store")
        self.board = Board(folder / "store" / "board")
        self.model = local.example_model()
        self.store.put_model(self.model)
        self.domain = Domain(self.deployment.chain_id, self.escrow.address)
        (folder / "images.csv").write_text(local.example_images())

    def close(self) -> None:
        """Drop the connection."""
        self.rpc.close()

    def environment(self, home: Path) -> dict[str, str]:
        """The settings of somebody at `home`."""
        return {
            "HEADRACE_HOME": str(home),
            "HEADRACE_RPC_URL": self.chain.url,
            "HEADRACE_MANIFEST": str(self.manifest),
            "HEADRACE_STORE": str(self.folder / "store"),
            "HEADRACE_PASSPHRASE": PASSPHRASE,
            "PATH": os.environ["PATH"],
        }

    def player(self, name: str, *, deposit: int = 0, books: int = 0) -> Player:
        """Somebody with gas, 1,000 tokens, and `deposit` of them in the Vault."""
        home = self.folder / name
        key = accounts.create(home / "keys", "default", PASSPHRASE, is_light=True)
        self.rpc.call("anvil_setBalance", key.address, hex(10**20))
        local.send(self.rpc, key, self.token.drip(1_000 * UNIT))
        if deposit:
            local.send(self.rpc, key, self.token.approve(self.vault.address, deposit * UNIT))
            local.send(self.rpc, key, self.vault.deposit(deposit * UNIT))
        if books:
            local.send(self.rpc, key, self.vault.authorise(books))
        (home / "names.json").write_text(
            json.dumps({"models": {"quadrants": "0x" + self.model.program.hex()}})
        )
        return Player(self, home, key)

    def provider(self, name: str) -> Player:
        """A registered provider with 100 free tokens."""
        player = self.player(name, deposit=105, books=3)
        spec = read_node(NODE, "node.yaml", read_catalogue(self.token, self.registry)).node
        address = player.address
        local.send(self.rpc, player.key, self.registry.register(address, address, 5 * UNIT, spec))
        return player

    # ---- what nodes and keepers do

    def offer(self, player: Player, **changes: Any) -> LiveAsk:
        """The node file's ask on the board, with some of its words replaced."""
        offer = read_node(NODE, "node.yaml", read_catalogue(self.token, self.registry)).offer
        programs = (self.model.program,)
        ask = offer.ask(
            provider=player.address,
            node=0,
            verifier=self.fault_proof.address,
            code_hash=keccak(self.rpc.code(self.fault_proof.address)),
            programs=programs_root(programs),
            now=self.chain.now(),
            epoch=self.registry.provider_of(player.address).epoch,
            salt=1,
        )
        ask = replace(ask, **changes)
        digest = eip712.ask_hash(ask, self.token.address, self.domain)
        signature = player.key.sign_digest(digest)
        live = LiveAsk(
            ask_hash=digest,
            ask=ask,
            signature=signature,
            signer=player.address,
            programs=programs,
        )
        self.board.post("ask", digest, ask_posting(live))
        return live

    def jobs(self) -> dict[bytes, Job]:
        """Every job, folded from the chain."""
        wanted = {
            "address": self.escrow.address,
            "fromBlock": hex(self.deployment.start_block),
            "toBlock": "latest",
        }
        hashes = {log["transactionHash"] for log in self.rpc.call("eth_getLogs", wanted)}
        logs = [
            log
            for tx in hashes
            for log in read_receipt(self.rpc, bytes.fromhex(tx[2:])).logs
            if log.address == self.escrow.address
        ]
        book = JobBook()
        book.fold(sorted(logs, key=lambda log: (log.block_number, log.log_index)))
        return book.jobs

    def job(self, job_id: str) -> Job:
        """One of them."""
        return self.jobs()[bytes.fromhex(job_id[2:])]

    def match(self, keeper: Player, job_id: str, ask: LiveAsk, bid: bytes = b"") -> Attempt:
        """Match a job; its attempt."""
        job = self.job(job_id)
        proof = programs_proof(ask.programs, job.terms.program)
        call = self.escrow.match(job.terms, bid, ask.ask, ask.signature, proof, list(job.excluded))
        local.send(self.rpc, keeper.key, call)
        return self.job(job_id).attempts[-1]

    def trace(self, job_id: str) -> Trace:
        """The right trace of a job."""
        terms = self.job(job_id).terms
        return run(self.model, self.store.get_tensor(terms.input_id, terms.units, 16))

    def claim(self, player: Player, job_id: str, trace: Trace) -> None:
        """Publish a trace and its result, and claim it."""
        self.store.put_trace(trace)
        self.store.put_result(trace)
        record = self.job(job_id).attempts[-1].record
        call = self.escrow.submit_claim(bytes.fromhex(job_id[2:]), record, trace.root)
        local.send(self.rpc, player.key, call)

    def finalise(self, keeper: Player, job_id: str) -> None:
        """Pay, once the window is over."""
        self.chain.travel(7)
        job = self.job(job_id)
        record, root = job.attempts[-1].record, job.commitment
        assert root is not None
        local.send(self.rpc, keeper.key, self.escrow.finalise(job.id, record, root))

    def run_job(self, ada: Player, bob: Player) -> str:
        """A job from post to claim, not yet final; its id."""
        job_id = str(ada.json("post", ada.job())["posted"][0]["job"])
        self.match(bob, job_id, self.offer(bob))
        self.claim(bob, job_id, self.trace(job_id))
        return job_id
