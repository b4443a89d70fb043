"""`invoice`: what a job has cost, to the unit, and where it went."""

from typing import Any

import click

from headrace.chain.jobs import Attempt, Job
from headrace.chain.views import JobState
from headrace.cli.answer import Answer
from headrace.cli.app import command
from headrace.cli.ledger import Ledger, read_ledger
from headrace.cli.session import Session
from headrace.cli.show import fields, hexed, moment
from headrace.errors import Rejected
from headrace.terms.money import share, total_of


@command("invoice")
@click.argument("job")
def invoice(session: Session, job: str) -> Answer:
    """What JOB has cost: price, tip, levy, charge; what came back; every transaction."""
    ledger = read_ledger(session)
    job_id = ledger.find(job)
    found = ledger.job(job_id)
    if found is None:
        raise Rejected("there is nothing to bill: the job is only signed, nobody has matched it")
    shown = session.money
    paid = found.attempts[-1] if found.state == JobState.FINAL else None
    parts = _parts(paid)
    total = sum(parts.values())
    damages = sum(attempt.to_requester for attempt in found.attempts)
    moves = _moves(session, ledger, found)
    status = _status(found)
    provider = None if paid is None else paid.record.provider
    keeper = None if paid is None else paid.record.keeper
    return Answer(
        {
            "job": found.id,
            "status": status,
            "chain_id": session.deployment.chain_id,
            "escrow": session.escrow.address,
            "token": session.token.address,
            "currency": shown.symbol,
            "requester": found.terms.requester,
            "provider": provider,
            "keeper": keeper,
            "program": found.terms.program,
            "input": found.terms.input_id,
            "units": found.terms.units,
            **{name: shown.text(units) for name, units in parts.items()},
            "total": shown.text(total),
            "damages_received": shown.text(damages),
            "net": shown.text(total - damages),
            "moves": moves,
        },
        [
            f"Invoice for job {hexed(found.id)}",
            "",
            *fields(
                [
                    ("status", status),
                    ("requester", found.terms.requester),
                    ("provider", provider or "-"),
                    ("keeper", keeper or "-"),
                    ("work", f"{found.terms.units} units of {hexed(found.terms.program)}"),
                    (
                        "contract",
                        f"{session.escrow.address} on chain {session.deployment.chain_id}",
                    ),
                ]
            ),
            "",
            *_column(shown.symbol, [*((n, shown.text(u)) for n, u in parts.items())]),
            *_column("", [("total", shown.text(total))]),
            *(_column("", [("damages received", shown.text(damages))]) if damages else []),
            "",
            *(f"{moment(move['at'])}  {move['what']}  {hexed(move['tx'])}" for move in moves),
        ],
    )


def _parts(paid: Attempt | None) -> dict[str, int]:
    if paid is None:
        return dict.fromkeys(("price", "tip", "levy", "charge"), 0)
    record = paid.record
    return {
        "price": record.price,
        "tip": record.tip,
        "levy": record.levy,
        "charge": share(record.price, record.charge_bps),
    }


def _status(job: Job) -> str:
    if job.state == JobState.FINAL:
        return "charged"
    return "nothing charged yet" if job.state.is_live else "nothing charged: all of it came back"


def _moves(session: Session, ledger: Ledger, job: Job) -> list[dict[str, Any]]:
    """Each event of the job with what it did to the requester's money."""
    shown, held, number = session.money, 0, 0
    found: list[dict[str, Any]] = []
    events = ledger.events(job.id)
    if job.batch_id is not None:
        # A member's match stands in its own event; its terms are the batch's.
        events = [event for event in events if event.name != "BatchMatched"]
    for event in events:
        words = event.name.lower()
        if event.name == "Posted":
            held = job.terms.price_cap
            words = f"posted: {shown.of(held)} put aside"
        elif event.name in ("Matched", "BidMatched", "MemberMatched"):
            attempt, number = job.attempts[number], number + 1
            total = total_of(attempt.record)
            words = f"matched with {attempt.record.provider}: {shown.of(total)} put aside"
            if held > total:
                words += f", {shown.of(held - total)} back"
            held = total
        elif event.name == "Finalised":
            words, held = f"final: {shown.of(held)} charged", 0
        elif event.name in ("Declined", "Expired", "Refuted"):
            attempt, is_open = job.attempts[number - 1], event.args["is_open"]
            words = (
                f"{words}: {shown.of(held)} {'kept for the next attempt' if is_open else 'back'}"
            )
            if attempt.to_requester:
                words += f", {shown.of(attempt.to_requester)} damages"
            held = held if is_open else 0
        elif event.name in ("Cancelled", "Voided"):
            words, held = f"{words}: {shown.of(held)} back", 0
        found.append({"at": event.log.timestamp, "what": words, "tx": event.log.tx_hash})
    return found


def _column(title: str, rows: list[tuple[str, str]]) -> list[str]:
    heading = [f"{'':<18}{title:>18}"] if title else []
    return [*heading, *(f"{name:<18}{amount:>18}" for name, amount in rows)]
