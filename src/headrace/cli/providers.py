"""`providers`: who is registered, with what, and how well they did."""

from collections.abc import Iterable
from typing import Any

import click

from headrace.chain.contract import read_many
from headrace.chain.views import Provider
from headrace.cli.answer import Answer
from headrace.cli.app import command
from headrace.cli.ledger import read_ledger
from headrace.cli.offers import read_asks
from headrace.cli.session import Session
from headrace.cli.show import percent, short, span, table
from headrace.errors import UsageError
from headrace.terms.regions import region_name
from headrace.terms.requirement import ACTIVE, fault_rate_bps
from headrace.terms.words import Node

MAX_NODES = 8
EXITING, EXITED = 2, 3
_STATUS = {0: "nobody", ACTIVE: "active", EXITING: "leaving", EXITED: "gone"}


def status_name(provider: Provider) -> str:
    """A provider's status as people call it."""
    return _STATUS.get(provider.status, str(provider.status))


def my_provider(session: Session, given: str | None) -> str:
    """
    The provider that the account is or works for, or the `given` one. UsageError if it is none, or
    works for several.
    """
    if given is not None:
        return session.address_in(given, "--provider")
    me = session.address
    if session.registry.provider_of(me).status:
        return me
    known = read_ledger(session).providers
    queries = [session.registry.query("provider_of", address) for address in known]
    records = [Provider(*values) for values in read_many(session.rpc, queries)]
    employers = [
        address for address, record in zip(known, records, strict=True) if record.operator == me
    ]
    if len(employers) == 1:
        return employers[0]
    if employers:
        raise UsageError(f"{me} works for {len(employers)} providers: name one with --provider")
    raise UsageError(
        f"{me} is no provider and works for none: run `headrace register NODEFILE`, or name the "
        "--provider"
    )


@command("providers")
@click.option("--gpus", is_flag=True, help="List the GPU models of the catalogue instead.")
@click.option("--all", "everyone", is_flag=True, help="Those who are gone too.")
def providers(session: Session, gpus: bool, everyone: bool) -> Answer:
    """List the providers with their nodes, records and offers on the board."""
    if gpus:
        return _gpus(session)
    ledger = read_ledger(session)
    block, now = ledger.head.number, ledger.now
    known = ledger.providers
    registry = session.registry
    records = [
        Provider(*values)
        for values in read_many(
            session.rpc, [registry.query("provider_of", address) for address in known], block
        )
    ]
    places = [(address, index) for address in known for index in range(MAX_NODES)]
    words = read_many(session.rpc, [registry.query("node_of", *place) for place in places], block)
    ttl = int(registry.read("HEARTBEAT_TTL"))
    offered: dict[str, int] = {}
    for ask in read_asks(session, now):
        offered[ask.ask.provider] = offered.get(ask.ask.provider, 0) + 1
    models = {index: name for name, index in session.catalogue.models.items()}
    rows, listed = [], []
    for number, (address, record) in enumerate(zip(known, records, strict=True)):
        if record.status == EXITED and not everyone:
            continue
        mine = words[number * MAX_NODES : (number + 1) * MAX_NODES]
        nodes = {index: Node.unpack(int(word)) for index, word in enumerate(mine) if int(word)}
        is_stale = now > record.last_seen + ttl
        listed.append(_data(session, address, record, nodes, models, offered, is_stale))
        rows.append(
            (
                short(address),
                _availability(record, is_stale),
                "; ".join(_node(node, models) for node in nodes.values()) or "no node",
                str(record.active),
                f"{record.completions}/{record.faults}/{record.no_shows}/{record.declines}",
                span(now - record.last_seen),
                str(offered.get(address, 0)),
            )
        )
    head = ("provider", "status", "nodes", "running", "done/lies/no-shows/declines", "seen", "asks")
    lines = table(head, rows) if rows else ["nobody is registered yet"]
    return Answer({"at": now, "providers": listed}, lines)


def _availability(record: Provider, is_stale: bool) -> str:
    if record.status != ACTIVE:
        return status_name(record)
    if not record.is_available:
        return "off"
    return "stale" if is_stale else "available"


def _node(node: Node, models: dict[int, str]) -> str:
    name = models.get(node.gpu_model, f"model {node.gpu_model}")
    return f"{node.gpu_count}x {name} {node.vram_gib}G {region_name(node.region)}"


def _data(
    session: Session,
    address: str,
    record: Provider,
    nodes: dict[int, Node],
    models: dict[int, str],
    offered: dict[str, int],
    is_stale: bool,
) -> dict[str, Any]:
    shown = session.money
    return {
        "provider": address,
        "status": status_name(record),
        "is_available": record.is_available,
        "is_stale": is_stale,
        "operator": record.operator,
        "payout": record.payout,
        "bond": shown.text(record.bond),
        "last_seen": record.last_seen,
        "active": record.active,
        "completions": record.completions,
        "faults": record.faults,
        "no_shows": record.no_shows,
        "declines": record.declines,
        "good_weight": shown.text(record.good_weight),
        "bad_weight": shown.text(record.bad_weight),
        "fault_rate": percent(fault_rate_bps(record.good_weight, record.bad_weight)),
        "asks": offered.get(address, 0),
        "nodes": [
            {
                "index": index,
                "gpu": models.get(node.gpu_model, str(node.gpu_model)),
                "gpu_count": node.gpu_count,
                "vram_gib": node.vram_gib,
                "region": region_name(node.region),
                "capacity": node.capacity,
                "latency_class": node.latency_class,
                "is_attested": bool(node.flags & 1),
                "benchmark": node.benchmark,
            }
            for index, node in nodes.items()
        ],
    }


def _gpus(session: Session) -> Answer:
    found: Iterable[tuple[str, int]] = session.registry.gpu_models()
    listed = list(found)
    return Answer(
        {"gpus": [{"name": name, "vram_gib": vram} for name, vram in listed]},
        table(("GPU", "GiB"), [(name, str(vram)) for name, vram in listed]),
    )
