"""`quote`: what a job would cost with each of the live offers."""

from pathlib import Path
from typing import Any

import click

from headrace.cli.answer import Answer
from headrace.cli.app import command
from headrace.cli.draft import Draft, draw
from headrace.cli.offers import Offer, read_asks, weigh
from headrace.cli.session import Session
from headrace.cli.show import hexed, moment, short, span, table, when, wrapped
from headrace.terms import money
from headrace.terms.amounts import Money
from headrace.terms.words import FaultProofSettings, Terms


@command("quote")
@click.argument("jobfile", type=click.Path(path_type=Path))
@click.option("--from", "requester", metavar="ADDRESS", help="Whose job it is  [--account's]")
def quote(session: Session, jobfile: Path, requester: str | None) -> Answer:
    """What the job in JOBFILE would cost, offer by offer, the cheapest first.

    Each line is for one input and for the first moment at which the offer can be matched: that is
    what is charged then, to the unit, if the job ends well. Otherwise nothing is.
    """
    me = session.address if requester is None else session.address_in(requester, "--from")
    draft = draw(session, jobfile, me)
    head = session.head()
    asks = [
        ask for ask in read_asks(session, head.timestamp) if draft.terms.program in ask.programs
    ]
    terms = draft.jobs[0]
    offers = weigh(session, terms, asks, block=head.number, now=head.timestamp)
    lines = [*_table(offers, session.money, head.timestamp)]
    if not offers:
        lines = [f"no offer on {session.board.path} lists {draft.file.model}"]
    notes = notices(session, draft)
    return Answer(
        {
            "requester": me,
            "jobs": len(draft.inputs),
            "at": head.timestamp,
            "offers": [described(offer, session.money) for offer in offers],
            **conditions(session, draft),
            "notices": notes,
        },
        [*lines, "", *wrapped(notes)],
    )


def described(offer: Offer, money: Money) -> dict[str, Any]:
    """An offer as JSON."""
    ask, found = offer.ask.ask, offer.quote
    amounts: dict[str, Any] = {}
    if found is not None:
        amounts = {
            "price": money.text(found.price),
            "tip": money.text(found.tip),
            "levy": money.text(found.levy),
            "charge": money.text(found.charge),
            "total": money.text(found.total),
            "lock": money.text(found.lock),
            "delay_seconds": found.delay,
            "latest_end": found.latest_end,
        }
    return {
        "ask": offer.ask.ask_hash,
        "provider": ask.provider,
        "node": ask.node,
        "expiry": ask.expiry,
        "matched_at": offer.at,
        **amounts,
        "refusal": offer.refusal or None,
        "unmet": [
            {"side": reason.side, "name": reason.name, "sentence": reason.sentence}
            for reason in offer.reasons
        ],
    }


def _table(offers: list[Offer], shown: Money, now: int) -> list[str]:
    rows, notes = [], []
    for offer in offers:
        ask, found = offer.ask.ask, offer.quote
        who = f"{short(ask.provider)}/{ask.node}"
        if found is None:
            notes.append(f"{who}: refused: {offer.refusal}")
            continue
        at = (
            "no" if offer.at is None else "now" if offer.at <= now else f"in {span(offer.at - now)}"
        )
        amounts = (found.total, found.price, found.tip, found.levy, found.charge, found.lock)
        end = moment(found.latest_end)
        rows.append((who, at, *map(shown.text, amounts), span(found.delay), end))
        if offer.at is None:
            notes += [f"{who}: {reason.sentence}" for reason in offer.reasons]
    head = (
        "provider",
        "matched",
        "total",
        "price",
        "tip",
        "levy",
        "charge",
        "lock",
        "D",
        "latest end",
    )
    lines = [f"amounts in {shown.symbol}", *table(head, rows)] if rows else []
    return [*lines, *wrapped(notes)]


def conditions(session: Session, draft: Draft) -> dict[str, Any]:
    """What the terms fix, whoever serves the job, as JSON."""
    terms, shown = draft.terms, session.money
    return {
        "verifier": terms.verifier,
        "program": terms.program,
        "inputs": [each.id for each in draft.inputs],
        "units": terms.units,
        "input_bytes": terms.input_bytes,
        "price_start": shown.text(terms.price_start),
        "price_cap": shown.text(terms.price_cap),
        "tip_max": shown.text(terms.tip_max),
        "damages": shown.text(terms.damage_cap),
        "lock_least": shown.text(least_lock(session, terms)),
        "window_seconds": FaultProofSettings.unpack(terms.settings).window,
        "delay_seconds": draft.delay,
        "final_deadline": terms.final_deadline,
        "latest_end": money.latest_end(terms, draft.delay),
    }


def least_lock(session: Session, terms: Terms) -> int:
    """What every provider has to lock for such a job, at whatever price."""
    fee = session.escrow.policy_of(terms.verifier).keeper_fee
    return money.lock_required(0, terms.damage_cap, fee)


def notices(session: Session, draft: Draft) -> list[str]:
    """What a requester has to know before it agrees (and is told by `quote` and `post`)."""
    terms, shown, now = draft.terms, session.money, draft.drawn_at
    settings = FaultProofSettings.unpack(terms.settings)
    lines = [
        "public: anybody can read this job's input, its model and the trace of its run",
        f"refuting: anyone who recomputes it can prove a wrong element to {terms.verifier}, or "
        f"demand the trace, until {span(settings.window)} after the claim",
        f"lock: the provider's {shown.of(least_lock(session, terms))} or three times its price, "
        "whichever is more; a proven lie costs it all of it, and you get up to "
        f"{shown.of(terms.damage_cap)} of that beside your money",
        f"cost: at most {shown.of(terms.price_cap)} all in, of which at most "
        f"{shown.of(terms.tip_max)} to the keeper as tip; nothing unless the result is final",
        f"D: a claim is final at most {span(draft.delay)} after it was made",
        f"latest end: {when(money.latest_end(terms, draft.delay), now)}",
    ]
    missing = [each for each in draft.inputs if not each.is_stored]
    if missing:
        lines.append(
            f"input {hexed(missing[0].id)} isn't in {session.store.path}: "
            "providers who can't fetch it will decline"
        )
    return lines
