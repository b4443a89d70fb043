"""`post`: put a job on chain, or its signed bid on the board."""

import json
from pathlib import Path
from typing import Any

import click

from headrace.cli.answer import Answer, plain
from headrace.cli.app import command
from headrace.cli.draft import Draft, draw
from headrace.cli.hints import hint
from headrace.cli.quote import conditions, notices
from headrace.cli.session import Session
from headrace.cli.show import hexed, wrapped
from headrace.errors import Rejected, UsageError
from headrace.market.postings import bid_posting
from headrace.terms import eip712
from headrace.terms.unmet import check_terms


@command("post")
@click.argument("jobfile", type=click.Path(path_type=Path))
@click.option("--sign-only", is_flag=True, help="Sign it and put the bid on the board: no gas.")
@click.option(
    "--dry-run", is_flag=True, help="Send nothing; show what a wallet would send or sign."
)
@click.option("--from", "requester", metavar="ADDRESS", help="With --dry-run: whose job it is")
def post(
    session: Session, jobfile: Path, sign_only: bool, dry_run: bool, requester: str | None
) -> Answer:
    """Post the job in JOBFILE; several inputs make a job each.

    What is agreed to is said before anything is sent. With --sign-only a keeper brings the bid on
    chain when it is matched; a list of inputs is signed as one batch then.
    """
    if requester is not None and not dry_run:
        raise UsageError("--from goes with --dry-run: jobs are posted by the --account")
    me = session.address if requester is None else session.address_in(requester, "--from")
    draft = draw(session, jobfile, me)
    check_terms(draft.terms, int(session.rules.read("ATTEMPT_MAX")), draft.drawn_at)
    notes = notices(session, draft)
    data = {"requester": me, **conditions(session, draft), "notices": notes}
    if dry_run:
        return _shown(session, draft, data, notes, sign_only)
    for line in wrapped(notes):
        session.say(line)
    if sign_only:
        return _signed(session, draft, data)
    return _posted(session, draft, data)


def _posted(session: Session, draft: Draft, data: dict[str, Any]) -> Answer:
    account = session.vault.account_of(draft.terms.requester)
    needed = draft.terms.price_cap * len(draft.jobs)
    if account.books & 1 and account.free < needed:
        # Said for all of them at once, before the first is posted.
        reason = "vault: not enough to reserve"
        raise Rejected(
            f"{reason}: {len(draft.jobs)} jobs need {session.money.of(needed)}, "
            f"{session.money.of(account.free)} are free; {hint(reason)}"
        )
    done: list[dict[str, Any]] = []
    lines = []
    for terms in draft.jobs:
        job_id = eip712.job_id(terms, session.domain)
        receipt = session.send(session.escrow.post_job(terms), f"post:{job_id.hex()}")
        done.append(
            {
                "job": job_id,
                "input": terms.input_id,
                "tx": receipt.tx_hash,
                "gas": receipt.gas_used,
                "block": receipt.block_number,
            }
        )
        lines.append(f"posted {hexed(job_id)}")
    held = session.money.of(needed)
    lines.append(f"{held} are put aside; see `headrace status {hexed(done[0]['job'])[:12]}`")
    return Answer(data | {"posted": done, "held": session.money.text(needed)}, lines)


def _signed(session: Session, draft: Draft, data: dict[str, Any]) -> Answer:
    inputs = [each.id for each in draft.inputs] if len(draft.inputs) > 1 else []
    terms = draft.terms if inputs else draft.jobs[0]
    domain = session.domain
    digest = eip712.batch_id(terms, inputs, domain) if inputs else eip712.job_id(terms, domain)
    signature = session.key.sign_digest(digest)
    session.board.post("bid", digest, bid_posting(terms, signature, inputs))
    jobs = [eip712.job_id(each, domain) for each in draft.jobs]
    what = f"batch {hexed(digest)} of {len(jobs)} jobs" if inputs else f"job {hexed(digest)}"
    return Answer(
        data
        | {
            "bid": digest,
            "signature": signature,
            "jobs": jobs,
            "board": str(session.board.path),
        },
        [
            f"signed {what}; the bid is on {session.board.path}",
            "nothing is put aside: keep enough free until it is matched; "
            "`headrace cancel` or `headrace revoke` takes it back",
        ],
    )


def _shown(
    session: Session, draft: Draft, data: dict[str, Any], notes: list[str], sign_only: bool
) -> Answer:
    if sign_only:
        inputs = [each.id for each in draft.inputs] if len(draft.inputs) > 1 else []
        terms = draft.terms if inputs else draft.jobs[0]
        typed = (
            eip712.batch_message(terms, inputs, session.domain)
            if inputs
            else eip712.terms_message(terms, session.domain)
        )
        document = json.dumps(plain_numbers(typed), indent=2)
        return Answer(
            data | {"typed_data": plain_numbers(typed)},
            [*wrapped(notes), "", "to sign (eth_signTypedData_v4):", document],
        )
    calls, lines = [], [*wrapped(notes)]
    names = ("w0", "w1", "requirement", "program", "input_id", "w5", "w6", "w7")
    for terms in draft.jobs:
        call = session.escrow.post_job(terms)
        words = [_word(word) for word in terms.pack()]
        job_id = eip712.job_id(terms, session.domain)
        calls.append(
            {
                "job": job_id,
                "to": call.to,
                "words": dict(zip(names, words, strict=True)),
                "calldata": call.data,
            }
        )
        lines += ["", f"job {hexed(job_id)}", f"post_job at {call.to} with the terms"]
        lines += [f"  {name.ljust(11)} {word}" for name, word in zip(names, words, strict=True)]
        lines += ["or this calldata:", f"  {hexed(call.data)}"]
    return Answer(data | {"calls": calls}, lines)


def plain_numbers(message: dict[str, Any]) -> Any:
    """Typed data as wallets take it: large numbers as strings, bytes as 0x and digits."""
    return plain(message)


def _word(word: int | bytes) -> str:
    return hexed(word if isinstance(word, bytes) else word.to_bytes(32))
