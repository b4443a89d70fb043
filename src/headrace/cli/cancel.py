"""`cancel` and `revoke`: take back what was posted or signed."""

import click

from headrace.chain.views import JobState
from headrace.cli.answer import Answer
from headrace.cli.app import command
from headrace.cli.ledger import read_ledger
from headrace.cli.offers import read_asks
from headrace.cli.providers import my_provider
from headrace.cli.session import Session
from headrace.cli.show import hexed
from headrace.errors import Rejected, UsageError
from headrace.terms.money import held_for


@command("cancel")
@click.argument("job")
def cancel(session: Session, job: str) -> Answer:
    """Close JOB while nobody works on it: its money is free again at once.

    A job that was only signed can't be matched any more then, by anyone.
    """
    ledger = read_ledger(session)
    job_id = ledger.find(job)
    found, bid = ledger.job(job_id), ledger.bids().get(job_id)
    if found is not None and found.state != JobState.OPEN:
        # Said here, because an earlier `cancel` of the same job would be taken for this one.
        raise Rejected("escrow: job is not open")
    if found is None and (bid is None or job_id in ledger.jobs.revoked):
        raise Rejected("it was only signed, and is revoked already")
    if found is None and bid is not None and bid.inputs:
        raise UsageError("it is a batch: `headrace revoke` takes back all that was only signed")
    terms = found.terms if found is not None else bid.terms if bid is not None else None
    if terms is None:
        raise UsageError(f"the terms of {hexed(job_id)} aren't known here")
    excluded = () if found is None else found.excluded
    receipt = session.send(session.escrow.cancel(terms, excluded), f"cancel:{job_id.hex()}")
    session.board.remove("bid", job_id)
    freed = 0 if found is None else held_for(terms, excluded)
    shown = session.money
    return Answer(
        {
            "job": job_id,
            "freed": shown.text(freed),
            "tx": receipt.tx_hash,
        },
        [f"cancelled {hexed(job_id)}" + (f"; {shown.of(freed)} are free again" if freed else "")],
    )


@command("revoke")
@click.option("--asks", is_flag=True, help="A provider's asks instead, all that were signed.")
@click.option("--lane", type=click.IntRange(0, 15), help="Only the asks of one lane.")
@click.option(
    "--provider", metavar="ADDRESS", help="Whose asks  [the account's, or its employer's]"
)
def revoke(session: Session, asks: bool, lane: int | None, provider: str | None) -> Answer:
    """Take back every bid that was signed and isn't matched yet; or, with --asks, offers.

    What is posted on chain stays: `headrace cancel` is for that.
    """
    if asks or lane is not None:
        return _asks(session, lane, provider)
    if provider is not None:
        raise UsageError("--provider goes with --asks or --lane")
    receipt = session.send(session.escrow.revoke_bids())
    me, removed = session.key.address, 0
    for bid_id, bid in read_ledger(session).bids().items():
        if bid.terms.requester == me:
            removed += session.board.remove("bid", bid_id)
    epoch = session.escrow.bid_epoch(me)
    return Answer(
        {"requester": me, "epoch": epoch, "removed": removed, "tx": receipt.tx_hash},
        [f"nothing that {me} has only signed can be matched any more ({removed} off the board)"],
    )


def _asks(session: Session, lane: int | None, provider: str | None) -> Answer:
    who, registry = my_provider(session, provider), session.registry
    call = registry.bump_epoch(who) if lane is None else registry.revoke_lane(who, lane)
    receipt = session.send(call)
    removed = 0
    for ask in read_asks(session, session.head().timestamp):
        if ask.ask.provider == who and lane in (None, ask.ask.lane):
            removed += session.board.remove("ask", ask.ask_hash)
    which = "asks" if lane is None else f"asks of lane {lane}"
    return Answer(
        {"provider": who, "lane": lane, "removed": removed, "tx": receipt.tx_hash},
        [f"no {which} of {who} can be matched any more; a running node signs new ones"],
    )
