"""`why`: what stands between a job and a node, in sentences."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from headrace.cli.answer import Answer
from headrace.cli.app import command
from headrace.cli.draft import draw
from headrace.cli.ledger import Ledger, read_ledger
from headrace.cli.offers import Offer, read_asks, weigh
from headrace.cli.quote import described
from headrace.cli.session import Session
from headrace.cli.show import hexed, short, when, wrapped
from headrace.errors import UsageError
from headrace.terms.unmet import explain
from headrace.terms.words import Exclusion, Terms


@dataclass(frozen=True, slots=True)
class _Subject:
    terms: Terms
    excluded: tuple[Exclusion, ...] = ()
    declined_at: int = 0
    job_id: bytes | None = None


@command("why")
@click.argument("job")
@click.argument("node")
def why(session: Session, job: str, node: str) -> Answer:
    """Why JOB doesn't go to NODE, or that it may.

    JOB is a job's id (or its beginning), or a job file. NODE is a provider's address, with /INDEX
    for another node than the first.
    """
    provider, index = _node(session, node)
    ledger = read_ledger(session)
    subject = _subject(session, ledger, job)
    block, now = ledger.head.number, ledger.now
    asks = [
        ask
        for ask in read_asks(session, now)
        if (ask.ask.provider, ask.ask.node) == (provider, index)
    ]
    # One that lists the program, if there is one: the others can't be meant.
    asks = [ask for ask in asks if subject.terms.program in ask.programs] or asks
    offers = weigh(
        session,
        subject.terms,
        asks,
        block=block,
        now=now,
        excluded=subject.excluded,
        declined_at=subject.declined_at,
    )
    data: dict[str, Any] = {
        "job": subject.job_id,
        "provider": provider,
        "node": index,
        "at": now,
        "asks": len(offers),
    }
    if offers:
        return _answer(session, data, offers[0], now)
    bits = session.registry.unmet(subject.terms.requirement, provider, index, block)
    reasons = explain(bits, 0)
    missing = f"{provider} has no live ask for node {index} on {session.board.path}"
    return Answer(
        data
        | {
            "fits": False,
            "requester_bits": bits,
            "provider_bits": None,
            "refusal": missing,
            "reasons": [{"side": r.side, "name": r.name, "sentence": r.sentence} for r in reasons],
        },
        [
            f"no: {missing}",
            *wrapped(reason.sentence for reason in reasons),
            *([] if reasons else ["the node itself would do for the job"]),
        ],
    )


def _answer(session: Session, data: dict[str, Any], offer: Offer, now: int) -> Answer:
    reasons, quote = offer.reasons, offer.quote
    fits = offer.at is not None and offer.at <= now
    lines = []
    if offer.refusal:
        lines = [f"no: the contracts refuse the job: {offer.refusal}"]
    elif fits and quote is not None:
        lines = [f"it fits now, for {session.money.of(quote.total)}"]
    else:
        lines = ["no:"]
    for side, title in (("requester", "what the job wants"), ("provider", "what the offer allows")):
        found = [reason.sentence for reason in reasons if reason.side == side]
        if found:
            lines += [f"{title}:", *wrapped(found)]
    if not fits and offer.at is not None and quote is not None:
        lines.append(f"it will fit from {when(offer.at, now)}, for {session.money.of(quote.total)}")
    return Answer(
        data
        | {
            "fits": fits,
            "requester_bits": offer.requester_bits,
            "provider_bits": offer.provider_bits,
            "refusal": offer.refusal or None,
            "reasons": [{"side": r.side, "name": r.name, "sentence": r.sentence} for r in reasons],
            "offer": described(offer, session.money),
        },
        lines,
    )


def _node(session: Session, text: str) -> tuple[str, int]:
    who, slash, number = text.partition("/")
    if slash and (not number.isdigit() or int(number) > 255):
        raise UsageError(f"NODE: {text!r} should be an address, or ADDRESS/INDEX")
    return session.address_in(who, "NODE"), int(number or 0)


def _subject(session: Session, ledger: Ledger, text: str) -> _Subject:
    path = Path(text)
    if path.suffix in (".yaml", ".yml", ".json") or path.is_file():
        draft = draw(session, path, session.address)
        return _Subject(draft.jobs[0])
    job_id = ledger.find(text)
    job = ledger.job(job_id)
    if job is not None:
        return _Subject(job.terms, job.excluded, job.declined_at, job_id)
    bid = ledger.bids().get(job_id)
    if bid is None:
        raise UsageError(f"the terms of {short(hexed(job_id))} aren't known here")
    return _Subject(bid.terms, job_id=job_id)
