"""Opens what a daemon works with, and checks that it all belongs together."""

import logging
import re
from functools import partial

from headrace.chain import accounts
from headrace.chain.accounts import Key
from headrace.chain.db import ChainDb
from headrace.chain.endpoints import connect
from headrace.chain.fees import Fees
from headrace.chain.follower import Follower
from headrace.chain.graph_rules import GraphModels, GraphProof
from headrace.chain.manifest import Deployment
from headrace.chain.outbox import Outbox
from headrace.chain.postgres import PostgresTables
from headrace.chain.sender import Sender
from headrace.chain.signer import Signer
from headrace.daemon.books import Books
from headrace.daemon.context import Context
from headrace.daemon.kinds import kind_of
from headrace.daemon.loop import Stop
from headrace.daemon.rehearsal import SUFFIX, empty_outbox, made_up_key
from headrace.daemon.sending import open_outbox, remote_signer
from headrace.errors import UsageError
from headrace.logging import protect
from headrace.ops.health import LOOP
from headrace.ops.observed_rpc import ObservedRpc
from headrace.ops.observer import Observer
from headrace.settings import Settings
from headrace.store.blobs import BlobStore
from headrace.store.board import Board

log = logging.getLogger(__name__)

# Daemons that also follow who has what money and what providers say of themselves: they keep what
# they have read of it for as long as no event says that it is another (`keeper.known`).
_KNOWS_THE_MARKET = frozenset({"keeper"})


def schema_of(deployment: Deployment, name: str) -> str:
    """What the tables of the daemon `name` are called on a database server."""
    place = f"{deployment.chain_id}_{deployment.address('JobEscrow')[2:10]}"
    return re.sub(r"[^a-z0-9_]", "_", f"{name}_{place}".lower())


def tables_of(settings: Settings, deployment: Deployment, name: str) -> PostgresTables | None:
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
    has_graphs = "GraphProof" in deployment.contracts
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
            tables_of(settings, deployment, name) or home / "chain.db",
            chain_id=deployment.chain_id,
            genesis=deployment.genesis,
            escrow=escrow.address,
        )
        db.on_progress = partial(_still_there, outbox, observer)
        books = Books.load(
            db,
            escrow=escrow.address,
            fault_proof=fault_proof.address,
            graph_proof=deployment.address("GraphProof") if has_graphs else None,
            keeps_ended=keeps_ended,
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
    if has_graphs:
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
        books=books,
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


def _still_there(outbox: Outbox, observer: Observer | None) -> None:
    """
    A long history takes longer to load than a lease lasts. UsageError if it was lost all the same.
    """
    outbox.hold()
    if observer is not None:
        observer.health.beat(LOOP)
