"""Starts the watcher."""

import logging

from headrace.chain.accounts import Key
from headrace.daemon.context import Context
from headrace.daemon.loop import Stop
from headrace.daemon.program import Tick, serve
from headrace.settings import Settings
from headrace.watch.daemon import WatchDaemon
from headrace.watch.large_claims import LargeClaims
from headrace.watch.record import WatchRecord

log = logging.getLogger(__name__)


def run_watch(settings: Settings, *, stop: Stop | None = None, key: Key | None = None) -> None:
    """
    Watch every claim until told to stop. `key` signs instead of the settings' keyfile. UsageError
    if something has to be put right first.
    """

    def make(context: Context) -> Tick:
        record = WatchRecord(
            context.home / "watch.db",
            {
                "chain": str(context.deployment.chain_id),
                "genesis": context.deployment.genesis.hex(),
                "escrow": context.escrow.address,
            },
        )
        fee = int(context.fault_proof.read("DEMAND_FEE"))
        log.info("watching", extra={"account": context.address, "demand_fee": fee})
        large = None
        if context.graph_proof is not None:
            node_fee = context.graph_proof.demand_fee()
            large = LargeClaims(
                context,
                record,
                context.graph_proof,
                demand_fee=node_fee,
                max_trace=settings.max_trace,
                commits_first=settings.commit_first,
            )
        return WatchDaemon(context, record, demand_fee=fee, large=large).tick

    serve("watch", settings, make, stop=stop, key=key)
