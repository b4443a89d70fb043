"""What becomes of the fees of a watcher's own demands on models of version 2."""

from collections.abc import Container

from headrace.daemon.actions import Action
from headrace.daemon.context import Context
from headrace.terms.words import claim_id as claim_id_of
from headrace.watch import large_moves
from headrace.watch.record import WatchRecord


def fees(context: Context, record: WatchRecord, is_open: Container[bytes]) -> list[Action]:
    """Have the fees of own demands sent on, once their claims have ended."""
    actions = []
    for claim_id in context.games.unsettled:
        game, place = context.games.games[claim_id], record.place(claim_id)
        if claim_id in is_open or place is None:
            continue
        job_id, number = place
        job = context.jobs.jobs.get(job_id)
        for attempt in () if job is None else job.attempts:
            provider = attempt.record.provider
            if claim_id_of(job_id, number, provider) == claim_id:
                actions += [
                    large_moves.settle(job_id, number, provider, claim_id, state)
                    for state in game.nodes
                    if state.demander == context.address
                ]
                break
    return actions
