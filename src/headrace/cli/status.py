"""`status`: where jobs stand, and who may do what until when."""

from typing import Any

import click

from headrace.chain.jobs import Job
from headrace.cli import story
from headrace.cli.answer import Answer
from headrace.cli.app import command
from headrace.cli.ledger import Ledger, read_ledger
from headrace.cli.session import Session
from headrace.cli.show import fields, hexed, moment, short, table, when, wrapped
from headrace.market.book import OpenJob
from headrace.terms import money
from headrace.terms.amounts import Money
from headrace.terms.words import FaultProofSettings


@command("status")
@click.argument("job", required=False)
@click.option("--all", "everybodys", is_flag=True, help="Everybody's jobs, not only the account's.")
def status(session: Session, job: str | None, everybodys: bool) -> Answer:
    """Where JOB stands; without one, all jobs that the account posted or serves.

    JOB is its id, or the beginning of it.
    """
    ledger = read_ledger(session)
    if job is None:
        return _listed(session, ledger, None if everybodys else session.address)
    job_id = ledger.find(job)
    found = ledger.job(job_id)
    if found is not None:
        return _one(session, ledger, found)
    bid = ledger.bids().get(job_id)
    if job_id in ledger.jobs.revoked or bid is None:
        return Answer(
            {"job": job_id, "state": "revoked"},
            [f"{hexed(job_id)} was only signed, and its requester took it back"],
        )
    return _bid(session, ledger, bid)


def _listed(session: Session, ledger: Ledger, account: str | None) -> Answer:
    shown, rows, jobs = session.money, [], []
    for job in sorted(ledger.jobs.jobs.values(), key=lambda each: (each.posted_in, each.id)):
        provider = None if job.record is None else job.record.provider
        if account not in (None, job.terms.requester, provider):
            continue
        state = story.state_name(job, ledger.now)
        jobs.append(
            {
                "job": job.id,
                "state": job.state,
                "requester": job.terms.requester,
                "provider": provider,
                "price_cap": shown.text(job.terms.price_cap),
                "attempts": len(job.attempts),
            }
        )
        rows.append(
            (
                hexed(job.id)[:18],
                state,
                short(job.terms.requester),
                short(provider) if provider else "-",
                shown.text(job.terms.price_cap),
            )
        )
    bids = [
        bid
        for bid in ledger.bids().values()
        if account in (None, bid.terms.requester) and bid.job_id not in ledger.jobs.jobs
    ]
    for bid in bids:
        rows.append(
            (
                hexed(bid.job_id)[:18],
                "signed",
                short(bid.terms.requester),
                "-",
                shown.text(bid.terms.price_cap),
            )
        )
    head = ("job", "state", "requester", "provider", f"cap ({shown.symbol})")
    lines = table(head, rows) if rows else ["no job yet: `headrace post JOBFILE`"]
    return Answer({"at": ledger.now, "jobs": jobs, "bids": [bid.job_id for bid in bids]}, lines)


def _one(session: Session, ledger: Ledger, job: Job) -> Answer:
    now, case = ledger.now, ledger.dispute(job)
    delay_max = int(session.escrow.read("DELAY_MAX"))
    found = story.moves(job, case, now, verifiers=session.verifiers, delay_max=delay_max)
    deadline = story.next_deadline(found, now)
    settings = FaultProofSettings.unpack(job.terms.settings)
    sentence = story.in_words(job, case, now)
    latest = money.latest_end(job.terms, settings.delay_over(session.levels_of(job.terms)))
    lines = fields(
        [
            ("job", hexed(job.id)),
            ("state", f"{story.state_name(job, now)}: {sentence}"),
            ("requester", job.terms.requester),
            ("cap", session.money.of(job.terms.price_cap)),
            *([("next", when(deadline, now))] if deadline is not None else []),
            *([("latest end", when(latest, now))] if job.state.is_live else []),
        ]
    )
    if found:
        lines += ["what may be done:", *wrapped(move.line(now) for move in found)]
    if job.attempts:
        lines += ["attempts:", *(f"  {line}" for line in story.history(job, session.money))]
    if job.excluded:
        lines.append("excluded: " + ", ".join(each.provider for each in job.excluded))
    return Answer(
        {
            "job": job.id,
            "state": job.state,
            "sentence": sentence,
            "at": now,
            "requester": job.terms.requester,
            "provider": None if job.record is None else job.record.provider,
            "attempt": job.attempt,
            "declines": job.declines,
            "price_cap": session.money.text(job.terms.price_cap),
            "commitment": job.commitment,
            "claimed_at": job.claimed_at or None,
            "next_deadline": deadline,
            "latest_end": latest,
            "moves": [
                {
                    "who": move.who,
                    "what": move.what,
                    "since": move.since or None,
                    "until": move.until or None,
                    "is_open": move.is_open(now),
                }
                for move in found
            ],
            "attempts": [attempt_data(attempt, session.money) for attempt in job.attempts],
            "excluded": [each.provider for each in job.excluded],
        },
        lines,
    )


def attempt_data(attempt: Any, shown: Money) -> dict[str, Any]:
    """An attempt as JSON."""
    record = attempt.record
    return {
        "provider": record.provider,
        "node": record.node,
        "keeper": record.keeper,
        "outcome": attempt.outcome,
        "matched_at": record.matched_at,
        "price": shown.text(record.price),
        "tip": shown.text(record.tip),
        "lock": shown.text(record.lock),
        "commitment": attempt.commitment,
        "refuter": attempt.refuter,
        "slash": shown.text(attempt.slash),
        "to_requester": shown.text(attempt.to_requester),
        "to_refuter": shown.text(attempt.to_refuter),
        "to_keeper": shown.text(attempt.to_keeper),
        "to_sink": shown.text(attempt.to_sink),
        "txs": list(attempt.txs),
    }


def _bid(session: Session, ledger: Ledger, bid: OpenJob) -> Answer:
    now, terms = ledger.now, bid.terms
    is_over = now > terms.final_deadline
    is_revoked = terms.epoch != session.escrow.bid_epoch(terms.requester)
    sentence = "it is signed, and waits on the board for an offer that fits"
    if is_revoked:
        sentence = "it was signed, and its requester has revoked all bids since"
    elif is_over:
        sentence = "it was signed, and nobody has matched it in time; nothing is put aside for it"
    return Answer(
        {
            "job": bid.job_id,
            "state": "revoked" if is_revoked else "over" if is_over else "signed",
            "sentence": sentence,
            "at": now,
            "requester": terms.requester,
            "price_cap": session.money.text(terms.price_cap),
            "members": list(bid.inputs),
            "next_deadline": None if is_over else terms.final_deadline,
        },
        fields(
            [
                ("job" if not bid.inputs else f"batch of {len(bid.inputs)}", hexed(bid.job_id)),
                ("state", sentence),
                ("requester", terms.requester),
                ("cap", session.money.of(terms.price_cap)),
                ("until", moment(terms.final_deadline)),
            ]
        ),
    )
