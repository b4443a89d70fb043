"""Stopping: at once, for new matches alone, and the proposal that waits is dropped."""

from tests.harness import reverts
from tests.models.job_money import final
from tests.system import STANDS, System
from tests.unit.job_escrow.conftest import Books


def test_stops_new_matches_at_once(system: System) -> None:
    posted, terms, ask = system.post(), system.terms(), system.ask()
    receipt = system.escrow.stop_verifier(system.dummy, sender=system.owner)
    assert receipt.only("VerifierStopped") == (system.dummy.address,)
    assert system.escrow.policy_of(system.dummy) == (False, 0, 0)
    for job in (posted, terms):
        with reverts("match: verifier is stopped"):
            system.match(job, ask)
    # The requester's money isn't held by it.
    system.cancel(posted)


def test_only_the_owner(system: System) -> None:
    with reverts("ownable: caller is not the owner"):
        system.escrow.stop_verifier(system.dummy, sender=system.stranger)


def test_what_runs_ends_as_it_would_have(system: System, books: Books) -> None:
    attempt = system.match()
    system.escrow.stop_verifier(system.dummy, sender=system.owner)
    system.claim(attempt)
    system.rule(attempt, STANDS)
    with books(final(attempt.record, system.payouts[0].address)):
        system.finalise(attempt)


def test_a_failed_job_finds_no_new_match(system: System) -> None:
    attempt = system.match()
    system.escrow.stop_verifier(system.dummy, sender=system.owner)
    system.expire(attempt)
    with reverts("match: verifier is stopped"):
        system.match(attempt.terms, system.ask(1), excluded=[attempt.exclusion])


def test_drops_the_proposal(system: System) -> None:
    system.escrow.propose_policy(system.dummy, 0, 0, sender=system.owner)
    system.chain.travel(system.parameters.timelock)
    system.escrow.stop_verifier(system.dummy, sender=system.owner)
    with reverts("policy: nothing is proposed"):
        system.escrow.enact_policy(system.dummy)


def test_only_this_verifier(system: System) -> None:
    system.escrow.stop_verifier(system.fault_proof, sender=system.owner)
    assert system.policy(system.fault_proof).is_enabled is False
    system.match()


def test_can_be_enabled_again_after_the_timelock(system: System) -> None:
    system.escrow.stop_verifier(system.dummy, sender=system.owner)
    system.escrow.propose_policy(system.dummy, 9, 8, sender=system.owner)
    system.chain.travel(system.parameters.timelock)
    system.escrow.enact_policy(system.dummy)
    assert system.match().record.charge_bps == 9
