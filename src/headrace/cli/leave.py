"""`drain` and `exit`: stop for a while, or for good."""

import sqlite3
from pathlib import Path

import click

from headrace.cli.answer import Answer
from headrace.cli.app import command
from headrace.cli.offers import read_asks
from headrace.cli.providers import EXITED, EXITING, my_provider, status_name
from headrace.cli.session import Session
from headrace.cli.show import hexed, when
from headrace.errors import Rejected
from headrace.node.record import NodeRecord
from headrace.node.run import daemon_name
from headrace.terms.requirement import ACTIVE

_MAX_NODES = 8


@command("drain")
@click.option("--resume", is_flag=True, help="Take jobs again.")
@click.option("--provider", metavar="ADDRESS", help="Which one  [the account, or its employer]")
def drain(session: Session, resume: bool, provider: str | None) -> Answer:
    """Take no new jobs. What runs is finished, then a node of this home stops by itself."""
    who = my_provider(session, provider)
    record = session.registry.provider_of(who)
    nodes = _tell_nodes(session, who, is_draining=not resume)
    removed, txs = 0, []
    if not resume:
        for ask in read_asks(session, session.head().timestamp):
            if ask.ask.provider == who:
                removed += session.board.remove("ask", ask.ask_hash)
    if record.is_available != resume:
        txs.append(hexed(session.send(session.registry.set_available(who, resume)).tx_hash))
    running = session.registry.provider_of(who).active
    if resume:
        lines = [f"{who} takes jobs again; start its node if it isn't running"]
    else:
        lines = [f"{who} takes no new jobs; {running} are running"]
        if running:
            lines.append("keep the node running until they are final")
    return Answer(
        {
            "provider": who,
            "is_available": resume,
            "running": running,
            "asks_removed": removed,
            "nodes_told": nodes,
            "txs": txs,
        },
        lines,
    )


def _tell_nodes(session: Session, provider: str, *, is_draining: bool) -> list[int]:
    """The nodes of this home that were told, by their records."""
    told = []
    for index in range(_MAX_NODES):
        path = session.settings.home / daemon_name(index) / "node.db"
        if not path.is_file() or not _is_of(path, session, provider):
            continue
        record = NodeRecord(
            path,
            {
                "chain": str(session.deployment.chain_id),
                "genesis": session.deployment.genesis.hex(),
                "escrow": session.escrow.address,
                "provider": provider,
                "index": str(index),
            },
        )
        try:
            record.set_draining(is_draining)
        finally:
            record.close()
        told.append(index)
    return told


def _is_of(path: Path, session: Session, provider: str) -> bool:
    try:
        with sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True) as database:
            known = dict(database.execute("SELECT key, value FROM meta"))
    except sqlite3.Error:
        return False
    genesis = session.deployment.genesis.hex()
    return known.get("provider") == provider and known.get("genesis") == genesis


@command("exit")
def exit_(session: Session) -> Answer:
    """Leave: the first call begins it, one after the thaw gives the bond back.

    Running jobs end as they would have. What is free can be withdrawn at any time.
    """
    me, registry, shown = session.address, session.registry, session.money
    record = registry.provider_of(me)
    if not record.status:
        raise Rejected("registry: not registered")
    if record.status == EXITED:
        raise Rejected("it has left already; `headrace withdraw all` takes out what is free")
    txs = []
    if record.status == ACTIVE:
        _tell_nodes(session, me, is_draining=True)
        txs.append(hexed(session.send(registry.begin_exit()).tx_hash))
        record = registry.provider_of(me)
    head = session.head()
    if record.status == EXITING and head.timestamp > record.thaws_at and not record.active:
        bond = record.bond
        txs.append(hexed(session.send(registry.finish_exit(me)).tx_hash))
        record = registry.provider_of(me)
        line = f"gone; the bond of {shown.of(bond)} is free: `headrace withdraw all`"
    else:
        line = f"leaving; the bond of {shown.of(record.bond)} thaws at " + when(
            record.thaws_at, head.timestamp
        )
        if record.active:
            line += f", when the {record.active} running jobs are over"
        line += "; run this again then"
    return Answer(
        {
            "provider": me,
            "status": status_name(record),
            "thaws_at": record.thaws_at or None,
            "running": record.active,
            "txs": txs,
        },
        [line],
    )
