"""`python -m scripts.demo`: play it, show it, write `build/demo.json`; ends with 0 if all holds."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headrace.chain.accounts import Key
from headrace.chain.jobs import Job
from headrace.chain.views import Provider as ProviderRecord
from headrace.daemon.context import Context
from headrace.daemon.loop import Stop
from headrace.daemon.opening import open_context
from headrace.errors import HeadraceError
from headrace.formats import trace_bytes
from headrace.graph.digits import Digits, build_digits
from headrace.market.postings import bid_posting
from headrace.settings import Settings
from headrace.terms import eip712
from headrace.terms.unmet import explain
from headrace.terms.words import Terms
from scripts.demo import record as records
from scripts.demo import tables, verdict
from scripts.demo.acts import ACTS, IMAGES, ROWS, UNSERVED, terms_of
from scripts.demo.cast import PROVIDERS
from scripts.demo.playbill import Playbill, engage
from scripts.demo.stage import ROOT, Stage, raised
from scripts.demo.works import (
    DIGITS,
    EMBEDDINGS,
    Sentences,
    Work,
    digits_work,
    labels_of,
    sentences,
    work_of,
)

OUTPUT = ROOT / "build" / "demo.json"
# The longest that all jobs may take, in seconds of the chain.
PATIENCE = 300
_BLOCK = 1


def say(text: str = "") -> None:
    """A line to whoever watches."""
    print(text, flush=True)


def main() -> int:
    """Play it; the exit code."""
    began = time.monotonic()
    say("Training a network on scikit-learn's digits and quantising it to int8 ...")
    digits = build_digits()
    accuracy = digits.accuracy
    say(
        f"  held-out accuracy over {accuracy.images} images: float {accuracy.float_accuracy:.2%}, "
        f"int8 {accuracy.int8_accuracy:.2%}"
    )
    say("Building a sentence encoder of integers alone (all-MiniLM-L6-v2, six layers) ...")
    texts = sentences()
    encoder = texts.work.model
    say(f"  {encoder.op_count} operators; a job's trace has {_megabytes(texts)} MB")
    with raised(ROOT / "build" / "demo") as stage:
        say(f"A chain of its own at {stage.url}; the contracts are deployed.")
        works = {DIGITS: digits_work(digits), EMBEDDINGS: texts.work}
        playbill = engage(stage, works)
        context = _director(stage)
        try:
            return _play(stage, playbill, context, digits, texts, began)
        finally:
            context.close()


def _megabytes(texts: Sentences) -> str:
    return f"{trace_bytes(texts.work.model, texts.work.units) / 1e6:.0f}"


def _director(stage: Stage) -> Context:
    key = stage.key("director")
    settings = Settings(
        home=stage.home("director"),
        rpc_url=stage.url,  # type: ignore[arg-type]
        manifest=stage.manifest,
        store=stage.store_path,
        confirmations=0,
    )
    return open_context("director", settings, Stop(), key=key, keeps_ended=True)


def _play(
    stage: Stage,
    playbill: Playbill,
    context: Context,
    digits: Digits,
    texts: Sentences,
    began: float,
) -> int:
    works = {DIGITS: digits_work(digits), EMBEDDINGS: texts.work}
    people = list(playbill.names)
    before = records.books(context, people)
    reputations = _reputations(context, playbill)
    playbill.start_daemons(stage)
    say(f"{len(stage.names)} daemons, each a process: {', '.join(stage.names)}.")
    playbill.wait_for_asks(stage)
    stage.tick(_BLOCK)

    say(f"Posting {len(ACTS)} jobs over {IMAGES} held-out images and {_count(texts)} sentences.")
    ids = [_post(stage, playbill, context, works, index) for index in range(len(ACTS))]
    why = _watch(stage, playbill, context, ids)
    jobs = [context.jobs.jobs[job_id] for job_id in ids]

    record = records.read(context)
    after = records.books(context, people)
    later = _reputations(context, playbill)
    right = _right_answers(context, digits, jobs)
    near = _neighbours(context, texts, jobs)
    checks = verdict.checks(
        jobs, record, playbill.names, before, after, digits.accuracy, right, near, why
    )
    ok = all(check.holds for check in checks)

    amount = _amount(context.token.decimals())
    say("\nThe jobs (prices in tokens)")
    say(tables.jobs_table(jobs, record, playbill.names, amount))
    say("\nWhat was proven")
    say(tables.faults_table(record, jobs))
    say("\nWhere every unit of the slashes went")
    say(tables.slashes_table(record, jobs, playbill.names, amount))
    say("\nBalances in the Vault")
    say(tables.balances_table(before, after, playbill.names, amount))
    say("\nRecords")
    pairs = {name: (old, later[name]) for name, old in reputations.items()}
    say(tables.records_table(pairs, amount))
    say(f"\nJob {UNSERVED + 1} had no taker: {why}")
    say(f"Results that were paid for: {right[0]} of {right[1]} classes are what the image shows.")
    say(
        f"Embeddings that were paid for: for {near[0]} of {near[1]} sentences the nearest other "
        "one is on the subject that the float network finds."
    )
    say(
        f"Conserved: {after.is_conserved}: accounts and sink are {amount(after.total_held)}, "
        "which is what the Vault holds of the token"
    )
    say("\nExpectations")
    say(tables.checks_list(checks))
    _write(jobs, record, playbill, after, digits, near, ids, why, checks, ok)
    seconds = time.monotonic() - began
    end = "All is well" if ok else "NOT as expected"
    say(f"\n{end} after {seconds:.0f} s; the figures are in {OUTPUT.relative_to(ROOT)}")
    return 0 if ok else 1


def _count(texts: Sentences) -> int:
    return sum(len(batch) for batch in texts.work.inputs)


def _post(
    stage: Stage, playbill: Playbill, context: Context, works: Mapping[str, Work], index: int
) -> bytes:
    act = ACTS[index]
    work = work_of(works, act)
    requester = playbill.requesters[act.requester]
    if act.has_input:
        stage.store.put_input(work.form, work.input_of(index))
    terms = terms_of(
        act, index, work, context.deployment, context.rpc, requester.address, playbill.catalogue
    )
    job_id = eip712.job_id(terms, context.domain)
    if act.is_signed:
        signature = eip712.sign(job_id, requester._account)
        stage.board.post("bid", job_id, bid_posting(terms, signature))
    else:
        _send(stage, context, requester, terms)
    return job_id


def _send(stage: Stage, context: Context, requester: Key, terms: Terms) -> None:
    stage.send(requester, context.escrow.post_job(terms))


def _watch(stage: Stage, playbill: Playbill, context: Context, ids: Sequence[bytes]) -> str:
    """Until every job is over; the one that nobody can serve is cancelled. Returns why it was."""
    why = ""
    shown: dict[bytes, str] = {}
    until: int | None = None
    while True:
        stage.check_running()
        view = context.look()
        until = view.now + PATIENCE if until is None else until
        for number, job_id in enumerate(ids, start=1):
            job = context.jobs.jobs.get(job_id)
            state = "signed" if job is None else _state(job, playbill)
            if shown.get(job_id) != state:
                shown[job_id] = state
                say(f"  job {number:>2}  {state}")
        others = [context.jobs.jobs.get(job_id) for i, job_id in enumerate(ids) if i != UNSERVED]
        if all(job is not None and not job.state.is_live for job in others):
            job = context.jobs.jobs[ids[UNSERVED]]
            if not job.state.is_live:
                return why
            if not why:
                why = _why(context, playbill, job)
                requester = playbill.requesters[ACTS[UNSERVED].requester]
                stage.send(requester, context.escrow.cancel(job.terms, job.excluded))
        if view.now > until:
            raise HeadraceError(f"not over after {PATIENCE} s: {sorted(shown.values())}")
        time.sleep(0.25)


def _state(job: Job, playbill: Playbill) -> str:
    name = verdict.outcome_of(job)
    if job.provider is not None:
        return f"{name} by {playbill.names[job.provider]}"
    if job.attempts and job.state.is_live:
        last = job.attempts[-1]
        return f"{name} again: {playbill.names[last.record.provider]} {last.outcome}"
    return name


def _why(context: Context, playbill: Playbill, job: Job) -> str:
    """The chain's own reasons against the best honest node, as `headrace why` gives them."""
    ask = playbill.ask_of(context, "haven")
    ours, theirs = context.rules.unmet(
        job.terms, ask.ask, ask.proof(job.terms.program), job.excluded, playbill.keeper
    )
    return "; ".join(reason.sentence for reason in explain(ours, theirs))


def _reputations(context: Context, playbill: Playbill) -> dict[str, ProviderRecord]:
    return {
        provider.name: context.registry.provider_of(playbill.providers[provider.name].address)
        for provider in PROVIDERS
    }


def _right_answers(context: Context, digits: Digits, jobs: Sequence[Job]) -> tuple[int, int]:
    """How many of the classes that were paid for are what the images show, and of how many."""
    right = of = 0
    for index, job in enumerate(jobs):
        is_final = verdict.outcome_of(job) == "final"
        if not is_final or job.commitment is None or ACTS[index].work != DIGITS:
            continue
        result = context.store.get_result(job.commitment, digits.model, ROWS)
        right += int((result[:, 0] == labels_of(digits, index)).sum())
        of += ROWS
    return right, of


def _neighbours(context: Context, texts: Sentences, jobs: Sequence[Job]) -> tuple[int, int]:
    """
    The requester's search over what it has bought: for how many sentences the nearest other one is
    on the subject that the float network finds. (0, 0) while a part is missing.
    """
    found = []
    for act, job in zip(ACTS, jobs, strict=True):
        if act.work == EMBEDDINGS:
            if verdict.outcome_of(job) != "final" or job.commitment is None:
                return 0, 0
            found.append(
                context.store.get_result(job.commitment, texts.work.model, texts.work.units)
            )
    return texts.agreement(np.concatenate(found))


def _amount(decimals: int) -> Any:
    def text(units: int) -> str:
        sign = "-" if units < 0 else ""
        whole, rest = divmod(abs(units), 10**decimals)
        return f"{sign}{whole}.{rest:0{decimals}d}"

    return text


def _write(
    jobs: Sequence[Job],
    record: records.Record,
    playbill: Playbill,
    after: records.Books,
    digits: Digits,
    near: tuple[int, int],
    ids: Sequence[bytes],
    why: str,
    checks: Sequence[verdict.Check],
    ok: bool,
) -> None:
    places = {job_id: "0x" + job_id.hex() for job_id in ids}
    names = playbill.names
    report = {
        "ok": ok,
        "conserved": after.is_conserved,
        "accuracy": {
            "float": digits.accuracy.float_accuracy,
            "int8": digits.accuracy.int8_accuracy,
            "images": digits.accuracy.images,
        },
        "embeddings": {"sentences": near[1], "found": near[0]},
        "jobs": [
            {
                "id": places[job.id],
                "title": act.title,
                "policy": "exact",
                "outcome": verdict.outcome_of(job),
                "attempts": job.attempt,
                "served_by": verdict.served_by(job, names),
                "price": job.record.price if job.record and verdict.served_by(job, names) else 0,
                "gas": record.gas.get(job.id, 0),
            }
            for act, job in zip(ACTS, jobs, strict=True)
        ],
        "faults": [
            {
                "job": places[fault.job_id],
                "kind": records.KINDS[fault.kind],
                "operator": fault.operator,
                "element": [fault.row, fault.column],
                "claimed": fault.claimed,
                "right": fault.right,
                "gas": fault.gas,
            }
            for fault in record.faults
            if fault.kind != records.SILENCE
        ],
        "slashes": [
            {
                "job": places[slash.job_id],
                "provider": names[slash.provider],
                "kind": slash.kind,
                "amount": slash.amount,
                "to_requester": slash.to_requester,
                "to_refuter": slash.to_refuter,
                "to_keeper": slash.to_keeper,
                "to_sink": slash.to_sink,
            }
            for slash in record.slashes
        ],
        "unserved": [{"job": places[ids[UNSERVED]], "why": why}],
        "checks": [{"text": check.text, "holds": check.holds} for check in checks],
    }
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(f"{OUTPUT}.new")
    partial.write_text(json.dumps(report, indent=2) + "\n")
    partial.replace(OUTPUT)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HeadraceError as error:
        say(f"demo: {error}")
        sys.exit(1)
