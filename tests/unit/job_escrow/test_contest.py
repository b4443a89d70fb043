"""Contesting: a verifier that isn't asked about every claim wants to be asked about this one."""

from dataclasses import replace

import pytest
from eth_utils import keccak

from tests.harness import Receipt, reverts
from tests.models.job_money import final, refuted, undone
from tests.system import (
    CLAIMED,
    CONTESTED,
    FALLS,
    NEVER_DUE,
    PENDING,
    REVERTS,
    SKIP_TIME,
    SKIP_VERDICT,
    STANDS,
    VOID_GRACE,
    Attempt,
    System,
)
from tests.unit.job_escrow.conftest import Books

WINDOW = 600
QUIET = 300 << 32 | WINDOW  # no hooks: D is five minutes longer than the window


@pytest.fixture
def quiet(system: System) -> None:
    """The DummyVerifier, wanting no hooks, as FaultProof does."""
    system.dummy.set_hooks(0)


def claimed(system: System, **changes: object) -> Attempt:
    terms = system.terms(settings=QUIET, **changes)
    return system.claimed(terms, system.ask(settings=QUIET))


def contest(system: System, attempt: Attempt, **options: object) -> Receipt:
    return system.dummy.contest(
        attempt.terms.pack(), attempt.record.pack(), attempt.commitment, **options
    )


def claimed_batch(system: System) -> tuple[list[Attempt], list[tuple[bytes, bytes]]]:
    terms = system.terms(settings=QUIET, input_id=bytes(32))
    attempts = system.match_batch(terms, ask=system.ask(settings=QUIET))
    items = [(attempt.job_id, attempt.commitment) for attempt in attempts]
    system.escrow.submit_claims(attempts[0].record.pack(), items, sender=system.providers[0])
    return attempts, items


@pytest.mark.usefixtures("quiet")
class TestUncontested:
    """The verifier said how long it takes: a claim that it didn't contest stands by itself."""

    def test_the_window_is_in_the_record(self, system: System) -> None:
        attempt = claimed(system)
        assert attempt.record.window == WINDOW
        assert system.dummy.claim_of(attempt.claim_id).stage == 0

    def test_is_final_after_the_window(self, system: System, books: Books) -> None:
        attempt = claimed(system)
        # No payouts: the whole levy is sunk, whatever the verifier would say now.
        system.dummy.set_payees([(system.stranger.address, 1)])
        system.dummy.set_mode(REVERTS)
        edge = system.job(attempt).time + WINDOW
        with system.chain.isolated(), reverts("finalise: window is open"):
            system.finalise(attempt, timestamp=edge)
        with books(final(attempt.record, system.payouts[0].address)):
            system.finalise(attempt, timestamp=edge + 1)

    def test_in_a_batch(self, system: System) -> None:
        attempts, items = claimed_batch(system)
        record = attempts[0].record.pack()
        edge = system.job(attempts[0]).time + WINDOW
        with system.chain.isolated():
            receipt = system.escrow.finalise_batch(record, items, timestamp=edge)
            assert receipt.named("Skipped") == [(a.job_id, SKIP_TIME) for a in attempts]
        receipt = system.escrow.finalise_batch(record, items, timestamp=edge + 1)
        assert len(receipt.named("Finalised")) == len(attempts)

    def test_may_still_fall(self, system: System, books: Books) -> None:
        attempt = claimed(system)
        system.rule(attempt, FALLS, system.watchers[0])
        with books(refuted(attempt.record, system.watchers[0].address, is_open=True)):
            system.refute(attempt)

    @pytest.mark.parametrize("mode", [0, REVERTS, NEVER_DUE])
    def test_is_not_voided(self, system: System, books: Books, mode: int) -> None:
        """A verifier that breaks later doesn't undo what it had let stand."""
        attempt = claimed(system)
        system.dummy.set_mode(mode)
        late = system.job(attempt).time + system.parameters.delay_max + VOID_GRACE + 1
        with reverts("void: there is a verdict"):
            system.void(attempt, timestamp=late)
        with books(final(attempt.record, system.payouts[0].address)):
            system.finalise(attempt)


@pytest.mark.usefixtures("quiet")
def test_has_the_verifier_asked(system: System, books: Books) -> None:
    attempt = claimed(system)
    before = system.job(attempt)
    receipt = contest(system, attempt)
    assert receipt.return_value == (attempt.job_id, attempt.claim_id, before.time)
    assert receipt.only("Contested") == (attempt.job_id, attempt.record.provider)
    assert system.job(attempt) == (CONTESTED, *before[1:])
    context = system.escrow.claim_context(
        attempt.terms.pack(), attempt.record.pack(), attempt.commitment
    )
    assert context == (attempt.job_id, attempt.claim_id, before.time)
    # From now on time alone makes nothing final.
    late = before.time + WINDOW + 1
    with reverts("finalise: no such verdict"):
        system.finalise(attempt, timestamp=late)
    edge = late + 200
    payees = [(system.watchers[1].address, 31_000)]
    system.dummy.set_payees(payees)
    system.rule(attempt, STANDS, not_before=edge)
    with system.chain.isolated(), reverts("finalise: window is open"):
        system.finalise(attempt, timestamp=edge)
    with books(final(attempt.record, system.payouts[0].address, payees)):
        system.finalise(attempt, timestamp=edge + 1)


@pytest.mark.usefixtures("quiet")
def test_and_falls(system: System, books: Books) -> None:
    attempt = claimed(system, max_attempts=1)
    contest(system, attempt)
    system.rule(attempt, FALLS, system.watchers[2])
    with books(refuted(attempt.record, system.watchers[2].address, is_open=False)):
        system.refute(attempt)


@pytest.mark.usefixtures("quiet")
def test_up_to_the_end_of_the_window(system: System) -> None:
    attempt = claimed(system)
    edge = system.job(attempt).time + WINDOW
    with system.chain.isolated(), reverts("contest: window is over"):
        contest(system, attempt, timestamp=edge + 1)
    contest(system, attempt, timestamp=edge)
    # What is contested stays so; asking again changes nothing, however late.
    job = system.job(attempt)
    receipt = contest(system, attempt, timestamp=edge + 100)
    assert receipt.named("Contested") == []
    assert system.job(attempt) == job == (CONTESTED, 1, edge - WINDOW, job.digest)


@pytest.mark.usefixtures("quiet")
def test_only_its_own_verifier(system: System) -> None:
    attempt = claimed(system)
    call = (attempt.terms.pack(), attempt.record.pack(), attempt.commitment)
    for sender in (system.stranger, system.requesters[0], system.owner):
        with reverts("contest: not the verifier"):
            system.escrow.contest(*call, sender=sender)
    # A record that names the caller is not the claim's.
    lie = replace(attempt.record, verifier=system.stranger.address)
    with reverts("escrow: wrong record"):
        system.escrow.contest(call[0], lie.pack(), call[2], sender=system.stranger)


@pytest.mark.usefixtures("quiet")
def test_only_a_live_claim(system: System) -> None:
    matched = system.match(system.terms(settings=QUIET), system.ask(settings=QUIET))
    with reverts("escrow: no claim"):
        contest(system, matched)
    attempt = claimed(system)
    with reverts("escrow: wrong record"):
        system.dummy.contest(attempt.terms.pack(), attempt.record.pack(), keccak(text="another"))
    system.finalise(attempt, timestamp=system.job(attempt).time + WINDOW + 1)
    with reverts("escrow: no claim"):
        contest(system, attempt)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("mode", [0, REVERTS, NEVER_DUE])
def test_a_verifier_that_contests_and_fails(system: System, books: Books, mode: int) -> None:
    attempt = claimed(system)
    contest(system, attempt)
    system.dummy.set_mode(mode)
    edge = system.job(attempt).time + system.parameters.delay_max + VOID_GRACE
    with system.chain.isolated(), reverts("void: too early"):
        system.void(attempt, timestamp=edge)
    with books(undone(attempt.record)):
        system.void(attempt, timestamp=edge + 1)


@pytest.mark.usefixtures("quiet")
def test_batches_ask_about_the_contested(system: System) -> None:
    attempts, items = claimed_batch(system)
    contest(system, attempts[1])
    system.rule(attempts[1], PENDING)
    edge = system.job(attempts[0]).time + WINDOW
    record = attempts[0].record.pack()
    receipt = system.escrow.finalise_batch(record, items, timestamp=edge + 1)
    assert receipt.named("Skipped") == [(attempts[1].job_id, SKIP_VERDICT)]
    assert system.job(attempts[1]).state == CONTESTED


def test_a_verifier_that_is_always_asked_may_contest_too(system: System) -> None:
    attempt = system.claimed()
    assert system.job(attempt).state == CLAIMED
    contest(system, attempt)
    assert system.job(attempt).state == CONTESTED
    with reverts("finalise: no such verdict"):
        system.finalise(attempt)
    system.rule(attempt, STANDS)
    system.finalise(attempt)
