"""What a verifier asks: which live claim this is."""

from dataclasses import replace

from eth_utils import keccak

from tests.harness import reverts
from tests.system import FALLS, STANDS, Attempt, System


def context(system: System, attempt: Attempt, **changes: object) -> object:
    values = {
        "terms": attempt.terms.pack(),
        "record": attempt.record.pack(),
        "commitment": attempt.commitment,
    } | changes
    return system.escrow.claim_context(*values.values())


def test_knows_the_claim(system: System) -> None:
    attempt = system.match()
    claimed_at = system.claim(attempt).timestamp
    assert context(system, attempt) == (attempt.job_id, attempt.claim_id, claimed_at)


def test_only_a_live_claim(system: System) -> None:
    attempt = system.match()
    with reverts("escrow: no claim"):
        context(system, attempt)
    for verdict in (STANDS, FALLS):
        attempt = system.claimed()
        system.rule(attempt, verdict, system.watchers[0])
        system.finalise(attempt) if verdict == STANDS else system.refute(attempt)
        with reverts("escrow: no claim"):
            context(system, attempt)


def test_only_with_just_this(system: System) -> None:
    attempt, other = system.claimed(), system.claimed(system.terms(units=2))
    with reverts("escrow: wrong record"):
        context(system, attempt, record=other.record.pack())
    with reverts("escrow: wrong record"):
        context(system, attempt, record=attempt.lied(lock=1).record.pack())
    with reverts("escrow: wrong record"):
        context(system, attempt, commitment=other.commitment)
    with reverts("escrow: wrong record"):
        context(system, attempt, terms=other.terms.pack())
    # Other terms are another job.
    strange = replace(attempt.terms, program=keccak(text="another program"))
    with reverts("escrow: no claim"):
        context(system, attempt, terms=strange.pack())
