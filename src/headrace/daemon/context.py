"""What a daemon works with, opened and checked: it all belongs to one chain and one deployment.

A daemon's home folder is `<home>/<name>`. Its `chain.db` holds the cursor and the logs it has read;
what else it wants to remember goes into files of its own beside it. The outbox is `<home>/outbox`:
a file per key and chain, so that every process with that key on this machine shares its nonces.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from headrace.chain import accounts
from headrace.chain.accounts import Key
from headrace.chain.contract import Contract
from headrace.chain.contracts import JobEscrow, ProviderRegistry, Token, Vault
from headrace.chain.db import ChainDb
from headrace.chain.endpoints import connect
from headrace.chain.fees import SECONDS_PER_DAY, Fees
from headrace.chain.follower import Follower
from headrace.chain.graph_rules import GraphModels, GraphProof
from headrace.chain.jobs import JobBook
from headrace.chain.manifest import Deployment
from headrace.chain.outbox import PRUNE_AT_ONCE, Outbox
from headrace.chain.postgres import PostgresTables
from headrace.chain.rpc import Header, Rpc
from headrace.chain.rules import FaultProof, MatchRules
from headrace.chain.sender import Sender
from headrace.chain.signer import Signer
from headrace.daemon.actions import Action, Performed, Performer
from headrace.daemon.books import Books
from headrace.daemon.disputes import DisputeBook
from headrace.daemon.games import GameBook
from headrace.daemon.kinds import kind_of
from headrace.daemon.loop import PASSING, Stop
from headrace.daemon.rehearsal import SUFFIX, Rehearsal, empty_outbox, made_up_key
from headrace.daemon.sending import open_outbox, remote_signer
from headrace.errors import UsageError
from headrace.logging import protect
from headrace.ops.observed_rpc import ObservedRpc
from headrace.ops.observer import Observer
from headrace.settings import Settings
from headrace.store.blobs import BlobStore
from headrace.store.board import Board
from headrace.terms.eip712 import Domain

log = logging.getLogger(__name__)

# Daemons that also follow who has what money and what providers say of themselves: they keep what
# they have read of it for as long as no event says that it is another (`keeper.known`).
_KNOWS_THE_MARKET = frozenset({"keeper"})

# Seconds of chain time between two looks for what the outbox may let go of.
_PRUNE_EVERY = 3_600


@dataclass(frozen=True, slots=True)
class View:
    """
    The chain as far as it has been read: to `head`, all of it. `jobs` and `claims` are the ids that
    were touched since the view before; in the first view they are everything that is live.
    `is_new` says whether the head is another block than in the view before.
    """

    head: Header
    jobs: frozenset[bytes]
    claims: frozenset[bytes]
    is_new: bool

    @property
    def block(self) -> int:
        """The block to read at."""
        return self.head.number

    @property
    def now(self) -> int:
        """Its time, unix seconds: the only clock that a decision may look at."""
        return self.head.timestamp


@dataclass(slots=True)
class Context:
    """Everything open. One thread."""

    name: str
    settings: Settings
    home: Path
    stop: Stop
    signer: Signer
    deployment: Deployment
    rpc: Rpc
    db: ChainDb
    follower: Follower
    books: Books
    outbox: Outbox
    sender: Sender
    store: BlobStore
    board: Board
    token: Token
    vault: Vault
    registry: ProviderRegistry
    rules: MatchRules
    escrow: JobEscrow
    fault_proof: FaultProof
    # Of a deployment that has version 2 of policy `exact`.
    graph_models: GraphModels | None = None
    graph_proof: GraphProof | None = None
    observer: Observer = field(default_factory=Observer)
    is_dry_run: bool = False
    # Whether the contracts are of the version that this program is for: if not, it only reads.
    is_supported: bool = True
    performer: Performer = field(init=False)
    _seen: bytes = b""
    _pruned_at: int = -_PRUNE_EVERY
    # Touched, and not yet in a view.
    _touched_jobs: set[bytes] = field(init=False)
    _touched_claims: set[bytes] = field(init=False)

    def __post_init__(self) -> None:
        """The performer knows all contracts; the first view has all that is live."""
        kind = Rehearsal if self.is_dry_run else Performer
        self.performer = kind(self.sender, self.contracts)
        self._touched_jobs = set(self.jobs.live)
        self._touched_claims = self.disputes.unsettled | self.games.unsettled

    @property
    def jobs(self) -> JobBook:
        """The jobs that are going on."""
        return self.books.jobs

    @property
    def disputes(self) -> DisputeBook:
        """What FaultProof says of claims."""
        return self.books.disputes

    @property
    def games(self) -> GameBook:
        """What GraphProof says of claims, if it is deployed."""
        return self.books.games

    @property
    def address(self) -> str:
        """The account of the daemon's key."""
        return self.signer.address

    @property
    def key(self) -> Key:
        """The key itself, for what is no transaction. UsageError if it is on another machine."""
        if not isinstance(self.signer, Key):
            raise UsageError(
                f"a {self.name} signs offers too: it needs a keyfile, not HEADRACE_SIGNER_URL"
            )
        return self.signer

    @property
    def contracts(self) -> Mapping[str, Contract]:
        """The contracts by their names in the manifest."""
        found: list[Contract | None] = [
            self.token,
            self.vault,
            self.registry,
            self.rules,
            self.escrow,
            self.fault_proof,
            self.graph_models,
            self.graph_proof,
        ]
        return {
            contract.ARTIFACT if contract is not self.token else "Token": contract
            for contract in found
            if contract is not None
        }

    @property
    def domain(self) -> Domain:
        """What terms, batches and asks are signed for."""
        return Domain(self.deployment.chain_id, self.escrow.address)

    def look(self) -> View:
        """
        Look after the transactions under way, then read the chain to its head. RetryLater and
        Unreachable leave what was read until then in place: look again.
        """
        changed = self.sender.settle()
        self.observer.settled(changed, self.outbox)
        is_first = True
        while True:
            step = self.follower.step()
            self.observer.stepped(step, self.follower.final, self.follower.counters, self.rpc.host)
            jobs, claims = self.books.follow(step, self.follower.final, is_first=is_first)
            is_first = False
            self._touched_jobs |= jobs
            self._touched_claims |= claims
            self.observer.folded(step, self.jobs.live, self.db)
            # Far behind, this takes many steps: a stop doesn't wait for them.
            if step.is_caught_up or self.stop.is_set:
                break
        if step.is_caught_up:
            self.observer.at_head(step.head.timestamp)
            self.books.keep_checkpoint(self.follower.final)
            self._prune(step.head.timestamp)
        is_new = step.head.hash != self._seen
        if is_new and step.is_caught_up and not self.is_dry_run:
            self._look_for_strangers(step.head)
        view = View(
            step.head, frozenset(self._touched_jobs), frozenset(self._touched_claims), is_new
        )
        self._seen = step.head.hash
        self._touched_jobs.clear()
        self._touched_claims.clear()
        return view

    def _look_for_strangers(self, head: Header) -> None:
        """Reading goes on whatever comes of it."""
        try:
            self.sender.look_for_strangers(head)
        except PASSING as error:
            log.debug("can't compare nonces now", extra={"why": str(error)})

    def _prune(self, now: int) -> None:
        """Let go of what is long final, a bounded piece a round, until there is none."""
        if 0 <= now - self._pruned_at < _PRUNE_EVERY:
            return
        keep_days = self.settings.outbox_keep_days
        gone = self.outbox.prune(now // SECONDS_PER_DAY, keep_days=keep_days)
        if gone:
            log.info("outbox pruned", extra={"rows": gone})
        if gone < PRUNE_AT_ONCE:
            self._pruned_at = now

    def perform(
        self,
        actions: Iterable[Action],
        view: View,
        *,
        before: Callable[[Action], None] = lambda action: None,
        after: Callable[[Performed], None] = lambda performed: None,
    ) -> Performed:
        """
        `Performer.perform`, at the time of `view`; nothing once it is time to stop, or while the
        contracts are of another version than this program is for. What has to be done about what
        became of the moves belongs into `after`: an error may follow.
        """
        if self.stop.is_set or not self.is_supported:
            after(Performed())
            return Performed()
        actions = list(actions)

        def told(performed: Performed) -> None:
            # What a failure has left undone is due, and its time runs out.
            self.observer.performed(actions, performed, view.now)
            after(performed)

        return self.performer.perform(actions, view.now, before=before, after=told)

    def close(self) -> None:
        """Close files and connections."""
        self.db.close()
        self.outbox.close()
        self.rpc.close()


def schema_of(deployment: Deployment, name: str) -> str:
    """What the tables of the daemon `name` are called on a database server."""
    place = f"{deployment.chain_id}_{deployment.address('JobEscrow')[2:10]}"
    return re.sub(r"[^a-z0-9_]", "_", f"{name}_{place}".lower())


def _tables(settings: Settings, deployment: Deployment, name: str) -> PostgresTables | None:
    """The tables of the daemon `name` on the database server; None if it has a file."""
    url = settings.database()
    return None if url is None else PostgresTables(url, schema_of(deployment, name))


def unlock(settings: Settings) -> Key:
    """The key that the settings name. UsageError if it can't be had without asking a person."""
    passphrase = settings.passphrase_of_account()
    if passphrase is None:
        raise UsageError(
            "the key is locked: set HEADRACE_PASSPHRASE_FILE to a file with its passphrase"
        )
    key = accounts.load(settings.keys_folder, settings.account, passphrase)
    protect(key.secret.hex())
    return key


def open_context(
    name: str,
    settings: Settings,
    stop: Stop,
    *,
    key: Key | None = None,
    observer: Observer | None = None,
    is_dry_run: bool = False,
    keeps_ended: bool = False,
) -> Context:
    """
    Open what the daemon `name` works with; `key` instead of the one that the settings name. For a
    dry run no key is needed, and the home folder is another one than the daemon's. Jobs that have
    ended are forgotten, unless it `keeps_ended`.
    UsageError if anything doesn't belong together: another chain, other code at an address, a file
    of another deployment or in use. Unreachable and RetryLater if the node can't say so now.
    """
    deployment = Deployment.load(settings.manifest_path)
    signer: Signer
    if is_dry_run:
        name, signer = name + SUFFIX, made_up_key()
    else:
        signer = key or remote_signer(settings) or unlock(settings)
    rpc = connect(
        settings.url(),
        timeout=settings.rpc_timeout,
        chain_id=deployment.chain_id,
        genesis=deployment.genesis,
        make=None if observer is None else partial(ObservedRpc, metrics=observer.metrics),
    )
    home = settings.home / name
    db: ChainDb | None = None
    outbox: Outbox | None = None
    try:
        deployment.verify(rpc)
        escrow = deployment.escrow(rpc)
        fault_proof = deployment.fault_proof(rpc)
        # First, with its lease: a standby waits for it before it opens anything of the home.
        if is_dry_run:
            outbox = Outbox(
                empty_outbox(home), chain_id=deployment.chain_id, address=signer.address
            )
        else:
            outbox = open_outbox(settings, deployment, signer.address, is_daemon=True)
        db = ChainDb(
            _tables(settings, deployment, name) or home / "chain.db",
            chain_id=deployment.chain_id,
            genesis=deployment.genesis,
            escrow=escrow.address,
        )
    except BaseException:
        if db is not None:
            db.close()
        if outbox is not None:
            outbox.close()
        rpc.close()
        raise
    sender = Sender(
        rpc,
        signer,
        outbox,
        chain_id=deployment.chain_id,
        fees=Fees.unattended(
            settings.max_fee,
            kind_of,
            reserve=settings.reserve,
            daily_budget=settings.gas_per_day,
        ),
        confirmations=settings.confirmations,
        is_unattended=True,
    )
    log.info(
        "open",
        extra={
            "daemon": name,
            "account": signer.address,
            "chain": deployment.chain_id,
            "escrow": escrow.address,
            "node": rpc.host,
        },
    )
    followed = [escrow.address, fault_proof.address]
    graph_models = graph_proof = None
    if "GraphProof" in deployment.contracts:
        graph_models = GraphModels(rpc, deployment.address("GraphModels"))
        graph_proof = GraphProof(rpc, deployment.address("GraphProof"))
        followed.append(graph_proof.address)
    if name.removesuffix(SUFFIX) in _KNOWS_THE_MARKET:
        followed += [deployment.address("Vault"), deployment.address("ProviderRegistry")]
        followed += [] if graph_models is None else [graph_models.address]
    return Context(
        name=name,
        settings=settings,
        home=home,
        stop=stop,
        signer=signer,
        deployment=deployment,
        rpc=rpc,
        db=db,
        follower=Follower(rpc, db, followed, start=deployment.start_block),
        books=Books.load(
            db,
            escrow=escrow.address,
            fault_proof=fault_proof.address,
            graph_proof=None if graph_proof is None else graph_proof.address,
            keeps_ended=keeps_ended,
        ),
        outbox=outbox,
        sender=sender,
        store=BlobStore(settings.store_path),
        board=Board(settings.board_path),
        token=deployment.token(rpc),
        vault=deployment.vault(rpc),
        registry=deployment.registry(rpc),
        rules=deployment.rules(rpc),
        escrow=escrow,
        fault_proof=fault_proof,
        graph_models=graph_models,
        graph_proof=graph_proof,
        observer=observer or Observer(),
        is_dry_run=is_dry_run,
    )
