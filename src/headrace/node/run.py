"""Starts a node's daemon."""

import logging
from collections.abc import Mapping
from pathlib import Path

from eth_utils.crypto import keccak

from headrace.chain.accounts import Key
from headrace.chain.catalogue import read_catalogue
from headrace.daemon.context import Context
from headrace.daemon.loop import Stop
from headrace.daemon.program import Tick, serve
from headrace.formats import VERIFIERS
from headrace.node.asks import Market
from headrace.node.config import NodeConfig, make_config, read_file, who_and_which
from headrace.node.daemon import NodeDaemon
from headrace.node.record import NodeRecord
from headrace.node.work import NumpyWorker, Publisher, StorePublisher, Worker
from headrace.node.workshop import Workshop
from headrace.settings import Settings
from headrace.store.blobs import BlobStore

log = logging.getLogger(__name__)


def open_record(context: Context, config: NodeConfig) -> NodeRecord:
    """The record of this node in the daemon's home."""
    return NodeRecord(
        context.home / "node.db",
        {
            "chain": str(context.deployment.chain_id),
            "genesis": context.deployment.genesis.hex(),
            "escrow": context.escrow.address,
            "provider": config.provider,
            "index": str(config.index),
        },
    )


def daemon_name(index: int) -> str:
    """The name, and so the home folder, of the daemon of a provider's node."""
    return "node" if index == 0 else f"node-{index}"


def run_node(
    settings: Settings,
    path: Path,
    *,
    worker: Worker | None = None,
    publisher: Publisher | None = None,
    names: Mapping[str, bytes] | None = None,
    stop: Stop | None = None,
    key: Key | None = None,
) -> None:
    """
    Serve with the node of the file at `path` until told to stop, or until it has drained. `worker`
    and `publisher` replace the honest ones; `names` are what the file may call models beside their
    ids; `key` signs instead of the keyfile. UsageError if something has to be put right first.
    """
    operator, index = who_and_which(path)
    if operator is not None:
        settings = settings.model_copy(update={"account": operator})

    def make(context: Context) -> Tick:
        file = read_file(path, read_catalogue(context.token, context.registry))
        own = BlobStore(context.home)
        config = make_config(
            file, str(path), context.store, own=own, account=context.address, names=names
        )
        markets = {
            name: Market(
                verifier=context.contracts[name].address,
                code_hash=keccak(context.rpc.code(context.contracts[name].address)),
                token=context.token.address,
                domain=context.domain,
            )
            for name in VERIFIERS
            if name in context.contracts
        }
        record = open_record(context, config)
        workshop = Workshop(
            config,
            record,
            context.store,
            own,
            worker=worker or NumpyWorker(),
            publisher=publisher or StorePublisher(context.store),
        )
        ttl = int(context.registry.read("HEARTBEAT_TTL"))
        daemon = NodeDaemon(context, config, markets, record, workshop, heartbeat_ttl=ttl)
        log.info(
            "serving",
            extra={
                "provider": config.provider,
                "node": config.index,
                "models": list(config.models),
                "capacity": config.capacity,
            },
        )
        return daemon.tick

    serve(daemon_name(index), settings, make, stop=stop, key=key)
