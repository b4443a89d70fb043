"""Enacting: after the timelock anyone puts a proposal into force, for new matches alone."""

from tests.harness import reverts
from tests.models.job_money import final, no_show, refuted
from tests.system import FALLS, STANDS, System
from tests.unit.job_escrow.conftest import Books


def test_puts_the_proposal_into_force(system: System) -> None:
    due = system.escrow.propose_policy(system.dummy, 123, 456, sender=system.owner)
    due_at = due.timestamp + system.parameters.timelock
    with system.chain.isolated(), reverts("policy: too early"):
        system.escrow.enact_policy(system.dummy, timestamp=due_at - 1)
    receipt = system.escrow.enact_policy(system.dummy, sender=system.stranger, timestamp=due_at)
    assert receipt.only("PolicyEnacted") == (system.dummy.address, 123, 456)
    assert system.escrow.policy_of(system.dummy) == (True, 123, 456)


def test_once(system: System) -> None:
    system.escrow.propose_policy(system.dummy, 1, 2, sender=system.owner)
    system.chain.travel(system.parameters.timelock)
    system.escrow.enact_policy(system.dummy)
    with reverts("policy: nothing is proposed"):
        system.escrow.enact_policy(system.dummy)
    with reverts("policy: nothing is proposed"):
        system.escrow.enact_policy(system.stranger)


def test_a_new_verifier_can_be_used_from_then_on(system: System) -> None:
    other = system.chain.deploy("DummyVerifier", system.escrow)

    def offers() -> dict[str, object]:
        return {
            "terms": system.terms(verifier=other.address),
            "ask": system.ask(verifier=other),
        }

    with reverts("match: verifier is stopped"):
        system.match(**offers())
    system.escrow.propose_policy(other, 0, 0, sender=system.owner)
    system.chain.travel(system.parameters.timelock - 5)
    with reverts("match: verifier is stopped"):
        system.match(**offers())
    system.chain.travel(5)
    system.escrow.enact_policy(other)
    attempt = system.match(**offers())
    assert (attempt.record.charge_bps, attempt.record.keeper_fee) == (0, 0)


def change(system: System) -> None:
    system.escrow.propose_policy(system.dummy, 200, 2 * 10**6, sender=system.owner)
    system.chain.travel(system.parameters.timelock)
    system.escrow.enact_policy(system.dummy)


def test_never_touches_what_is_matched(system: System, books: Books) -> None:
    """Charge and fee are those of the match, through all three ends."""
    terms = system.terms(attempt_seconds=2 * 3_600)
    stands, falls, missing = system.match(terms), system.match(), system.match()
    for attempt, verdict in ((stands, STANDS), (falls, FALLS)):
        system.claim(attempt)
        system.rule(attempt, verdict, system.watchers[0])
    change(system)
    watcher = system.watchers[0].address
    assert {a.record.charge_bps for a in (stands, falls, missing)} == {57}
    with books(final(stands.record, system.payouts[0].address)):
        system.finalise(stands)
    with books(refuted(falls.record, watcher, is_open=True)):
        system.refute(falls)
    with books(no_show(missing.record, system.stranger.address, is_open=True)):
        system.expire(missing, sender=system.stranger)
    # The next attempt of an old job is a new match.
    again = system.match(falls.terms, system.ask(1), excluded=[falls.exclusion])
    assert (again.record.charge_bps, again.record.keeper_fee) == (200, 2 * 10**6)
