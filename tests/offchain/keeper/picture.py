"""The picture that a keeper takes of a model of the contracts."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from headrace.chain.jobs import Job
from headrace.daemon.disputes import Case
from headrace.daemon.games import Game
from headrace.keeper.state import Fee, Kept, State, asks_verifier, claims_of
from headrace.keeper.verifiers import NodeFee
from headrace.market.book import Book
from tests.offchain.keeper.model import Model
from tests.offchain.keeper.states import make_state


def picture(
    model: Model,
    jobs: Mapping[bytes, Job] | None = None,
    cases: Mapping[bytes, Case] | None = None,
    games: Mapping[bytes, Game] | None = None,
    **changes: Any,
) -> State:
    """
    What a keeper decides on, put together as `keeper.reading` does it: what views answer is the
    model's, where to look are the `jobs`, `cases` and `games` of a keeper's folds, by default the
    model's own.
    """
    jobs = model.jobs if jobs is None else jobs
    cases = model.cases if cases is None else cases
    games = model.games if games is None else games
    book = Book(asks=model.world.book.asks())
    batches = {}
    for bid in model.bids.values():
        left = tuple(model.members_left(bid).values())
        if bid.inputs and left:
            book.add_job(replace(bid, inputs=left))
            batches[bid.job_id] = bid.inputs
        elif not bid.inputs and bid.job_id not in model.jobs:
            book.add_job(bid)
    book.prune(model.now)
    claims = {
        claim: (job.id, number, record)
        for job in jobs.values()
        for claim, number, record in claims_of(job)
    }
    values: dict[str, Any] = {
        "world": replace(model.world, book=book),
        "outcomes": {
            job.id: model.outcome(job)
            for job in jobs.values()
            if job.state.is_claimed and asks_verifier(job)
        },
        "batches": batches,
        "fees": tuple(_fees(jobs, cases.values(), claims)),
        "node_fees": tuple(_node_fees(model, jobs, games.values(), claims)),
        "kept": tuple(
            Kept(provider=name, amount=model.kept[name], completions=model.completions[name])
            for name in sorted(model.completions)
        ),
    }
    live = [jobs[job_id] for job_id in sorted(jobs) if jobs[job_id].state.is_live]
    return make_state(model.now, *live, **(values | changes))


_Claims = Mapping[bytes, tuple[bytes, int, Any]]


def _has_ended(jobs: Mapping[bytes, Job], job_id: bytes, number: int) -> bool:
    job = jobs[job_id]
    return not (job.state.is_claimed and job.attempt == number)


def _fees(jobs: Mapping[bytes, Job], cases: Iterable[Case], claims: _Claims) -> Iterable[Fee]:
    for case in sorted(cases, key=lambda case: case.claim_id):
        job_id, number, record = claims.get(case.claim_id, (b"", 0, None))
        if case.has_fee and job_id and _has_ended(jobs, job_id, number):
            yield Fee(
                claim_id=case.claim_id,
                job_id=job_id,
                record=record,
                attempt=number,
                since=case.due,
            )


def _node_fees(
    model: Model, jobs: Mapping[bytes, Job], games: Iterable[Game], claims: _Claims
) -> Iterable[NodeFee]:
    for game in sorted(games, key=lambda game: game.claim_id):
        job_id, number, record = claims.get(game.claim_id, (b"", 0, None))
        if not (game.has_fees and job_id and _has_ended(jobs, job_id, number)):
            continue
        for state in game.nodes:
            # The events don't say which were settled; GraphProof does.
            if (game.claim_id, state.node) not in model.settled_nodes:
                yield NodeFee(
                    claim_id=game.claim_id,
                    job_id=job_id,
                    record=record,
                    attempt=number,
                    node=state.node,
                    demander=state.demander,
                    answerer=state.answerer or state.demander,
                    since=state.due,
                )
