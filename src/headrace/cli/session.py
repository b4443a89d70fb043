"""What a command works with, opened when it is first asked for."""

import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from types import TracebackType
from typing import Any

import click
from rich.console import Console

from headrace import logging as json_logs
from headrace import settings as environment
from headrace.chain import accounts
from headrace.chain.abi import Call
from headrace.chain.accounts import Key
from headrace.chain.catalogue import read_catalogue
from headrace.chain.contracts import JobEscrow, ProviderRegistry, Token, Vault
from headrace.chain.endpoints import connect
from headrace.chain.fees import Fees
from headrace.chain.graph_rules import GraphModels, GraphProof
from headrace.chain.manifest import Deployment
from headrace.chain.rpc import Header, Rpc
from headrace.chain.rules import FaultProof, MatchRules
from headrace.chain.sender import Receipt, Sender
from headrace.cli.names import Names
from headrace.cli.story import Verifiers
from headrace.daemon.sending import open_outbox
from headrace.errors import Rejected, UsageError
from headrace.settings import Settings, read_secret
from headrace.store.blobs import BlobStore
from headrace.store.board import Board
from headrace.terms.amounts import Money
from headrace.terms.eip712 import Domain
from headrace.terms.jobfile import Catalogue
from headrace.terms.words import Terms

_TIMEOUT = 180.0


class Session:
    """
    One command's settings and connections. Every read of the chain goes through a deployment that
    was compared with the node first. Close it, or use it as a context.
    """

    def __init__(self, settings: Settings, *, is_json: bool = False) -> None:
        """Nothing is opened yet."""
        self.settings = settings
        self.is_json = is_json
        self._console = Console(stderr=True)
        self._close: list[Callable[[], None]] = []

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Session":
        """From the shared options over the environment's. UsageError as `settings.load`."""
        overrides = {
            "home": options.get("home"),
            "rpc_url": options.get("rpc"),
            "manifest": options.get("manifest"),
            "store": options.get("store"),
            "account": options.get("account"),
            "passphrase_file": options.get("passphrase_file"),
        }
        settings = environment.load(**overrides)
        if "rpc" in options:
            # What the call says goes before a file that the environment names.
            settings = settings.model_copy(update={"rpc_url_file": None})
        level = settings.log_level if options.get("verbose") else "ERROR"
        json_logs.configure(level, secrets=settings.secrets())
        return cls(settings, is_json=bool(options.get("json")))

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close whatever was opened."""
        while self._close:
            self._close.pop()()

    # ---- saying things

    def say(self, line: str) -> None:
        """A line on stderr, for people."""
        click.echo(line, err=True)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show on a terminal what takes a while."""
        if not self._console.is_terminal:
            yield
            return
        with self._console.status(what):
            yield

    # ---- the chain

    @cached_property
    def rpc(self) -> Rpc:
        """The node."""
        rpc = connect(self.settings.url(), timeout=self.settings.rpc_timeout)
        self._close.append(rpc.close)
        return rpc

    @cached_property
    def deployment(self) -> Deployment:
        """The deployment, compared with what the node serves."""
        deployment = Deployment.load(self.settings.manifest_path)
        deployment.verify(self.rpc)
        return deployment

    @cached_property
    def token(self) -> Token:
        """The token."""
        return self.deployment.token(self.rpc)

    @cached_property
    def vault(self) -> Vault:
        """The Vault."""
        return self.deployment.vault(self.rpc)

    @cached_property
    def registry(self) -> ProviderRegistry:
        """The ProviderRegistry."""
        return self.deployment.registry(self.rpc)

    @cached_property
    def rules(self) -> MatchRules:
        """The MatchRules."""
        return self.deployment.rules(self.rpc)

    @cached_property
    def escrow(self) -> JobEscrow:
        """The JobEscrow."""
        return self.deployment.escrow(self.rpc)

    @cached_property
    def fault_proof(self) -> FaultProof:
        """The verifier of policy `exact`."""
        return self.deployment.fault_proof(self.rpc)

    @cached_property
    def graph_models(self) -> GraphModels:
        """The models of version 2. UsageError where they aren't deployed."""
        return GraphModels(self.rpc, self._deployed("GraphModels"))

    @cached_property
    def graph_proof(self) -> GraphProof:
        """The verifier of version 2. UsageError where it isn't deployed."""
        return GraphProof(self.rpc, self._deployed("GraphProof"))

    @property
    def verifiers(self) -> Verifiers:
        """The addresses of the verifiers of policy `exact`."""
        large = self.graph_proof.address if self.has_graphs else None
        return Verifiers(self.fault_proof.address, large)

    def levels_of(self, terms: Terms) -> int:
        """In how many moves a withheld byte of a job's claim is forced out."""
        if terms.verifier != self.verifiers.large:
            return 1
        model = self.graph_models.model_of(terms.program)
        return 1 if model is None else model.levels

    @property
    def has_graphs(self) -> bool:
        """Whether version 2 of policy `exact` is deployed here."""
        return "GraphProof" in self.deployment.contracts

    def _deployed(self, name: str) -> str:
        if name not in self.deployment.contracts:
            raise UsageError(f"{self.deployment.path} has no {name}: models of version 2 need it")
        return self.deployment.address(name)

    @cached_property
    def domain(self) -> Domain:
        """What terms, batches and asks are signed for."""
        return Domain(self.deployment.chain_id, self.escrow.address)

    def head(self) -> Header:
        """The latest block, now."""
        return self.rpc.head()

    @cached_property
    def money(self) -> Money:
        """How amounts are written."""
        return self.token.money()

    @cached_property
    def catalogue(self) -> Catalogue:
        """What the names in job and node files mean here."""
        return read_catalogue(self.token, self.registry)

    # ---- folders

    @cached_property
    def store(self) -> BlobStore:
        """Models, inputs, traces, results."""
        return BlobStore(self.settings.store_path)

    @cached_property
    def board(self) -> Board:
        """Signed asks and bids."""
        return Board(self.settings.board_path)

    @cached_property
    def names(self) -> Names:
        """What models and inputs are called here."""
        return Names(self.settings.home / "names.json")

    # ---- the account

    @cached_property
    def address(self) -> str:
        """The account's address; its passphrase isn't needed for it."""
        return accounts.address_of(self.settings.keys_folder, self.settings.account)

    def address_in(self, text: str, what: str) -> str:
        """An address, or that of a keyfile by its name. UsageError, naming `what`, if neither."""
        return accounts.resolve(self.settings.keys_folder, text, what)

    @cached_property
    def key(self) -> Key:
        """The unlocked key; asks for the passphrase on a terminal only."""
        folder, name = self.settings.keys_folder, self.settings.account
        accounts.address_of(folder, name)  # a missing keyfile is told before anything is asked
        passphrase = self.passphrase()
        with self.step(f"unlocking {name}"):
            return accounts.load(folder, name, passphrase)

    def passphrase(self, *, is_new: bool = False) -> str:
        """From the settings, the file `passphrase` of the home, or a prompt on a terminal."""
        found = self.settings.passphrase_of_account()
        if found is not None:
            return found
        beside = self.settings.home / "passphrase"
        if beside.is_file():
            return str(read_secret(beside))
        if not sys.stdin.isatty():
            raise UsageError(
                f"the passphrase of {self.settings.account} is needed: name a file that has it "
                "with --passphrase-file or HEADRACE_PASSPHRASE_FILE"
            )
        words = "New passphrase" if is_new else f"Passphrase of {self.settings.account}"
        return str(click.prompt(words, hide_input=True, confirmation_prompt=is_new, err=True))

    @cached_property
    def sender(self) -> Sender:
        """Sends with the key; shares its nonces with the daemons of this home."""
        chain_id = self.deployment.chain_id
        outbox = open_outbox(self.settings, self.deployment, self.key.address, is_daemon=False)
        self._close.append(outbox.close)
        return Sender(
            self.rpc,
            self.key,
            outbox,
            chain_id=chain_id,
            fees=Fees(cap=self.settings.max_fee),
            confirmations=self.settings.confirmations,
        )

    def send(self, call: Call, action: str | None = None) -> Receipt:
        """
        Send a call and wait until it is in a block. Rejected with the contract's reason; nothing is
        sent then. `action` names a deed that must not be done twice.
        """
        if not self.rpc.balance(self.key.address):
            raise Rejected(
                f"{self.key.address} has no money for gas: send some to it "
                "(`headrace faucet` does on a local chain)"
            )
        with self.step(f"sending {call.what}"):
            sender = self.sender
            return sender.send(
                action or f"cli:{call.what}:{secrets.token_hex(8)}", call, timeout=_TIMEOUT
            )
