"""`earnings`: what an account has, and what it has earned and lost."""

from dataclasses import dataclass

import click

from headrace.cli.answer import Answer
from headrace.cli.app import command
from headrace.cli.ledger import Ledger, read_ledger
from headrace.cli.providers import status_name
from headrace.cli.session import Session
from headrace.cli.show import fields
from headrace.terms.money import total_of


@dataclass(slots=True)
class Sums:
    """What the events say an account has come to, in token units."""

    final_jobs: int = 0
    prices: int = 0
    running_jobs: int = 0
    locked: int = 0
    pending: int = 0
    slashes: int = 0
    slashed: int = 0
    tips: int = 0
    fees: int = 0
    rewards: int = 0
    damages: int = 0
    spent: int = 0


def sums(ledger: Ledger, account: str) -> Sums:
    """Add up every attempt that the account had a part in, in whatever role."""
    found = Sums()
    for job in ledger.jobs.jobs.values():
        for attempt in job.attempts:
            record = attempt.record
            if record.provider == account:
                if attempt.outcome == "final":
                    found.final_jobs += 1
                    found.prices += record.price
                elif attempt.outcome in ("running", "claimed"):
                    found.running_jobs += 1
                    found.locked += record.lock
                    found.pending += record.price
                if attempt.slash:
                    found.slashes += 1
                    found.slashed += attempt.slash
            if record.requester == account:
                found.damages += attempt.to_requester
                found.spent += total_of(record) if attempt.outcome == "final" else 0
            if record.keeper == account and attempt.outcome == "final":
                found.tips += record.tip
            ended_by = attempt.keeper if attempt.outcome == "expired" else record.keeper
            if ended_by == account:
                found.fees += attempt.to_keeper
            if attempt.refuter == account:
                found.rewards += attempt.to_refuter
    return found


@command("earnings")
@click.option("--of", "whose", metavar="ADDRESS", help="Whose  [--account's]")
def earnings(session: Session, whose: str | None) -> Answer:
    """What the account has in the Vault, and what it has earned and lost in every role."""
    me = session.address if whose is None else session.address_in(whose, "--of")
    ledger = read_ledger(session)
    block, shown = ledger.head.number, session.money
    account = session.vault.account_of(me, block)
    record = session.registry.provider_of(me, block)
    found = sums(ledger, me)
    demands = sum(
        session.vault.reserved_of(me, index, block)
        for index in (session.vault.FAULT_PROOF_BOOK, session.vault.GRAPH_PROOF_BOOK)
    )
    amounts = {
        "wallet": session.token.balance_of(me, block),
        "free": account.free,
        "reserved_for_jobs": account.reserved_escrow,
        "reserved_for_demands": demands,
        "bond": record.bond,
        "earned": found.prices,
        "pending": found.pending,
        "locked": found.locked,
        "slashed": found.slashed,
        "tips": found.tips,
        "keeper_fees": found.fees,
        "rewards": found.rewards,
        "damages": found.damages,
        "spent": found.spent,
    }
    titles = {
        "wallet": "in the wallet",
        "free": "free in the Vault",
        "reserved_for_jobs": "put aside for jobs",
        "reserved_for_demands": "put aside for demands",
        "earned": f"earned with {found.final_jobs} jobs",
        "pending": f"may earn with {found.running_jobs} running",
        "locked": "of it at stake for them",
        "slashed": f"slashed, {found.slashes} times",
        "keeper_fees": "keeper's fees",
        "rewards": "rewards for refuting",
        "spent": "spent on jobs",
    }
    always = ("wallet", "free", "reserved_for_jobs", "bond", "earned", "slashed")
    rows = [
        (titles.get(name, name), shown.of(units))
        for name, units in amounts.items()
        if units or name in always
    ]
    if record.status and record.payout != me:
        rows.append(("prices go to", record.payout))
    return Answer(
        {
            "account": me,
            "provider": status_name(record) if record.status else None,
            "payout": record.payout if record.status else None,
            "final_jobs": found.final_jobs,
            "running_jobs": found.running_jobs,
            "slashes": found.slashes,
            "completions": record.completions,
            "faults": record.faults,
            "no_shows": record.no_shows,
            "declines": record.declines,
            **{name: shown.text(units) for name, units in amounts.items()},
        },
        [me, *fields(rows)],
    )
