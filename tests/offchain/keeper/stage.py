"""A keeper on the real contracts of the test chain, in this process, whose line can be cut."""

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from eth_utils import keccak

from headrace.chain import endpoints
from headrace.chain.accounts import Key
from headrace.chain.contracts import JobEscrow
from headrace.chain.rpc import Rpc
from headrace.daemon import opening
from headrace.daemon.context import Context
from headrace.daemon.loop import Stop
from headrace.daemon.opening import open_context
from headrace.errors import Unreachable
from headrace.graph.model import Model
from headrace.keeper.decide import Policy
from headrace.keeper.run import Keeper
from headrace.market.book import LiveAsk
from headrace.market.postings import ask_posting, bid_posting
from headrace.settings import Settings
from headrace.store.board import Board
from headrace.terms import eip712
from headrace.terms.words import ZERO_ADDRESS, Ask, Terms, record_hash
from tests.harness import Account
from tests.system import ESCROW_BOOK, UNIT, Attempt, System
from tests.unit.fault_proof.court import settings, small_model

# A move that pays nobody is made at once.
EAGER = Policy(patience=0, stagger_blocks=0, sweep_from=1)
NAMES = {
    "Token": "token",
    "Vault": "vault",
    "ProviderRegistry": "registry",
    "MatchRules": "rules",
    "JobEscrow": "escrow",
    "FaultProof": "fault_proof",
}


_COINBASES = itertools.count(10**9)


class Crash(BaseException):
    """The process ends here."""


class Line(Rpc):
    """An Rpc that is cut before its request number `crash_at`, and dead while `is_down`."""

    crash_at: int = -1
    is_down: bool = False
    requests: int = 0

    def _post(self, body: Any, *, may_repeat: bool) -> Any:
        if Line.is_down:
            raise Unreachable("the line is cut")
        if Line.requests == Line.crash_at:
            raise Crash
        Line.requests += 1
        return super()._post(body, may_repeat=may_repeat)

    @classmethod
    def reset(cls) -> None:
        cls.crash_at, cls.is_down, cls.requests = -1, False, 0


@dataclass
class Stage:
    """
    The system with a model (`registers` it), a board, and keepers with homes of their own.
    """

    system: System
    folder: Path
    registers: bool = True
    model: Model = field(default_factory=small_model)
    contexts: list[Context] = field(default_factory=list)

    def __post_init__(self) -> None:
        system, model = self.system, self.model
        if self.registers:
            system.fault_proof.register_model(
                model.descriptors, model.input_width, model.max_units, bytes(32)
            )
        # Tests that begin alike would have the same blocks, to the hash. The node keeps the states
        # of its latest 500 by hash: when the first of two that are alike goes, both have gone.
        self.system.chain.rpc("anvil_setCoinbase", "0x" + next(_COINBASES).to_bytes(20).hex())
        self.folder.mkdir(exist_ok=True)
        self.board = Board(self.folder / "board")
        self.manifest = self.folder / "deployment.json"
        self._write_manifest()

    def _write_manifest(self, **changes: Any) -> None:
        chain = self.system.chain
        contracts = {}
        # The system of these tests has no verifier of version 2.
        for name, attribute in NAMES.items():
            address = getattr(self.system, attribute).address
            code = bytes.fromhex(chain.rpc("eth_getCode", address, "latest")[2:])
            contracts[name] = {"address": address, "code_hash": keccak(code).hex(), "block": 1}
        content = {
            "format": 1,
            "chain_id": int(chain.rpc("eth_chainId"), 16),
            "genesis": chain.rpc("eth_getBlockByNumber", "0x0", False)["hash"],
            "contracts": contracts,
            "is_complete": True,
        }
        self.manifest.write_text(json.dumps(content | changes))

    def rewrite_manifest(self, **changes: Any) -> None:
        """The manifest with other values."""
        self._write_manifest(**changes)

    def close(self) -> None:
        """Close what was opened."""
        Line.reset()
        self.system.chain.rpc("anvil_setCoinbase", ZERO_ADDRESS)
        while self.contexts:
            self.contexts.pop().close()

    # ---- keepers

    def settings(self, account: Account) -> Settings:
        """Of a process of `account`'s."""
        return Settings(
            home=self.folder / f"home-{account.address}",
            rpc_url=self.system.chain.url,  # type: ignore[arg-type]
            manifest=self.manifest,
            board=self.board.path,
            confirmations=1,
        )

    def open(self, account: Account) -> Context:
        """A context as the keeper process of `account` opens it."""

        def connect(urls: str, **options: Any) -> Rpc:
            return endpoints.connect(urls, **(options | {"make": Line}))

        opening.connect = connect  # type: ignore[assignment]
        try:
            context = open_context(
                "keeper", self.settings(account), Stop(), key=Key.of(account.key)
            )
        finally:
            opening.connect = endpoints.connect
        self.contexts.append(context)
        return context

    def keeper(self, account: Account | None = None, policy: Policy = EAGER) -> Keeper:
        """A keeper that has just been started."""
        return Keeper(self.open(account or self.system.keepers[3]), policy)

    def restart(self, account: Account | None = None, policy: Policy = EAGER) -> Keeper:
        """The same after it was killed: what it had open is gone, its files are there."""
        self.contexts.pop().close()
        return self.keeper(account, policy)

    def mine(self) -> None:
        """A block with whatever was sent."""
        self.system.chain.rpc("evm_mine")

    def rounds(self, *keepers: Keeper, count: int = 3) -> None:
        """Each keeper ticks, then there is a block; `count` times."""
        for _ in range(count):
            for keeper in keepers:
                keeper.tick()
            self.mine()

    def sent(self, account: Account | None = None) -> int:
        """How many transactions of an account are in blocks."""
        account = account or self.system.keepers[3]
        return int(self.system.chain.rpc("eth_getTransactionCount", account.address, "latest"), 16)

    # ---- the market

    def terms(self, **changes: Any) -> Terms:
        """A job for the model, of the first requester, that an ask of 3 tokens fits at once."""
        changes = {
            "verifier": self.system.fault_proof.address,
            "settings": settings(),
            "program": self.model.program,
            "units": 4,
            "damage_cap": 0,
        } | changes
        return self.system.terms(**changes)

    def ask(self, provider: int = 1, price: int = 3 * UNIT, **changes: Any) -> Ask:
        """An offer of a provider, on the board."""
        changes = {"price_base": price, "price_per_unit": 0} | changes
        ask = self.system.ask(
            provider,
            verifier=self.system.fault_proof,
            settings=settings(),
            programs=self.model.program,
            **changes,
        )
        self.post_ask(ask, self.system.sign_ask(ask))
        return ask

    def post_ask(self, ask: Ask, signature: bytes) -> bytes:
        """Put a signed ask on the board; its hash."""
        digest = eip712.ask_hash(ask, self.system.token.address, self.system.domain)
        signer = eip712.recover(digest, signature)
        live = LiveAsk(
            ask_hash=digest,
            ask=ask,
            signature=signature,
            signer=signer,
            programs=(self.model.program,),
        )
        self.board.post("ask", digest, ask_posting(live))
        return digest

    def bid(self, terms: Terms, inputs: tuple[bytes, ...] = ()) -> bytes:
        """Put a signed job, or a batch, on the board; its digest."""
        if inputs:
            digest = eip712.batch_id(terms, inputs, self.system.domain)
            signature = self.system.sign_batch(terms, inputs)
        else:
            digest = self.system.job_id(terms)
            signature = self.system.sign_terms(terms)
        self.board.post("bid", digest, bid_posting(terms, signature, inputs))
        return digest

    # ---- what the providers do

    def running(self, context: Context, *terms: Terms) -> list[Attempt]:
        """The attempts at these jobs, as a keeper that has looked knows them."""
        context.look()
        found = []
        for one in terms:
            job = context.jobs.jobs[self.system.job_id(one)]
            assert job.record is not None
            assert self.system.job(one).digest == record_hash(job.record)
            receipt: Any = None
            found.append(Attempt(one, job.id, job.attempt, job.record, receipt))
        return found

    def fund(self, account: Account, amount: int) -> None:
        """More money for an account."""
        self.system.deposit(account, amount, ESCROW_BOOK)

    def count(self, event: str, job_ids: Iterable[bytes] | None = None) -> int:
        """How many events of JobEscrow with this name there were, of these jobs or of all."""
        wanted: dict[str, Any] = {
            "address": self.system.escrow.address,
            "fromBlock": "0x0",
            "topics": [self.topic(event)],
        }
        found = self.system.chain.rpc("eth_getLogs", wanted)
        ids = None if job_ids is None else {"0x" + job_id.hex() for job_id in job_ids}
        return sum(1 for log in found if ids is None or log["topics"][1] in ids)

    def topic(self, event: str) -> str:
        """The first topic of an event of JobEscrow."""
        return "0x" + JobEscrow.abi().events[event].topic.hex()


def member(terms: Terms, input_id: bytes) -> Terms:
    """The terms of one job of a batch."""
    return replace(terms, input_id=input_id)
