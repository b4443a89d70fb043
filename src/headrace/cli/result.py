"""`result`: a job's result, checked against what its provider has committed to on chain."""

import time
from pathlib import Path

import click

from headrace.chain.jobs import Job
from headrace.chain.views import JobState
from headrace.cli import story
from headrace.cli.answer import Answer
from headrace.cli.app import command
from headrace.cli.ledger import Ledger, read_ledger
from headrace.cli.rows import SUFFIXES, write_rows
from headrace.cli.session import Session
from headrace.cli.show import hexed, when
from headrace.errors import Rejected, RetryLater, UsageError
from headrace.store.errors import MissingBlob

_PAUSE = 0.5
_LOOK = 2.0


@command("result")
@click.argument("job")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write it to a .npy, .csv or .json file."
)
@click.option(
    "--wait", type=click.IntRange(min=1), metavar="SECONDS", help="Wait until it is final."
)
def result(session: Session, job: str, out: Path | None, wait: int | None) -> Answer:
    """Fetch the result of JOB, check it against the claim, and say whether it is final.

    A result that isn't final can still be proven wrong: don't rely on it yet.
    """
    if out is not None and out.suffix not in SUFFIXES:
        raise UsageError(f"--out: {out} should end in {', '.join(SUFFIXES)}")
    ledger, found = _wait(session, job, wait)
    commitment = found.commitment
    if found.state not in (JobState.CLAIMED, JobState.CONTESTED, JobState.FINAL):
        sentence = story.in_words(found, ledger.dispute(found), ledger.now)
        raise Rejected(f"there is no result: {sentence}")
    if commitment is None:
        raise Rejected("there is no result")
    model = session.store.get_model(found.terms.program)
    tensor = session.store.get_result(commitment, model, found.terms.units)
    is_final = found.state == JobState.FINAL
    if out is not None:
        write_rows(out, tensor)
    provider = None if found.record is None else found.record.provider
    lines = [_standing(session, ledger, found)]
    if out is not None:
        lines.append(f"{tensor.shape[0]} rows of {tensor.shape[1]} are in {out}")
    else:
        lines += [",".join(map(str, row)) for row in tensor.tolist()]
    return Answer(
        {
            "job": found.id,
            "is_final": is_final,
            "state": found.state,
            "provider": provider,
            "commitment": commitment,
            "units": tensor.shape[0],
            "width": tensor.shape[1],
            "out": None if out is None else str(out),
            "rows": None if out is not None else tensor.tolist(),
        },
        lines,
    )


def _standing(session: Session, ledger: Ledger, job: Job) -> str:
    if job.state == JobState.FINAL:
        return f"final: job {hexed(job.id)}"
    delay_max = int(session.escrow.read("DELAY_MAX"))
    found = story.moves(
        job,
        ledger.dispute(job),
        ledger.now,
        verifiers=session.verifiers,
        delay_max=delay_max,
    )
    deadline = story.next_deadline(found, ledger.now)
    until = "" if deadline is None else f" before {when(deadline, ledger.now)}"
    return f"NOT FINAL YET{until}: it can still be proven wrong"


def _wait(session: Session, reference: str, seconds: int | None) -> tuple[Ledger, Job]:
    until = time.monotonic() + (seconds or 0)
    with session.step("waiting for the result"):
        while True:
            ledger = read_ledger(session)
            job_id = ledger.find(reference)
            found = ledger.job(job_id)
            if found is not None and (seconds is None or not found.state.is_live):
                return ledger, _with_result(session, found)
            if seconds is None:
                raise Rejected("there is no result: the job is only signed, nobody works on it")
            if time.monotonic() > until:
                where = "signed" if found is None else story.state_name(found, ledger.now)
                raise RetryLater(f"not final after {seconds} s: the job is {where}")
            time.sleep(_PAUSE)


def _with_result(session: Session, job: Job) -> Job:
    """A claim may be on chain a moment before its result is in the store."""
    if not job.state.is_claimed or job.commitment is None:
        return job
    model = session.store.get_model(job.terms.program)
    until = time.monotonic() + _LOOK
    while True:
        try:
            session.store.get_result(job.commitment, model, job.terms.units)
        except MissingBlob:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return job
