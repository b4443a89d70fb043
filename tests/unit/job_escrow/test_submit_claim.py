"""Claiming: the provider commits to its result, and its lock stands for it."""

from dataclasses import replace

import pytest
from eth_utils import keccak

from headrace.terms import words
from headrace.terms.words import ZERO_HASH
from tests.harness import reverts
from tests.models.job_money import Moves
from tests.system import CLAIMED, DEAF, MATCHED, System
from tests.unit.job_escrow.conftest import Books


def test_goes_on_record(system: System, books: Books) -> None:
    attempt = system.match(system.terms(), system.ask(2))
    commitment = keccak(text="result")
    with books(Moves()):
        receipt = system.claim(attempt, commitment)
    digest = words.claim_digest(attempt.record, commitment)
    assert system.job(attempt) == (CLAIMED, 1, receipt.timestamp, digest)
    event = receipt.only("Claimed")
    assert event == (attempt.job_id, attempt.record.provider, commitment)
    assert system.registry.provider_of(system.providers[2]).active == 1


def test_the_verifier_hears_of_it(system: System) -> None:
    attempt = system.claimed()
    known = system.dummy.claim_of(attempt.claim_id)
    assert (known.stage, known.commitment) == (2, attempt.commitment)


def test_a_verifier_that_refuses_the_claim_stops_it(system: System) -> None:
    attempt = system.match()
    system.dummy.set_mode(DEAF)
    with reverts("dummy: deaf to claims"):
        system.claim(attempt)


@pytest.mark.parametrize("who", ["provider", "operator"])
def test_provider_and_operator_claim(system: System, who: str) -> None:
    attempt = system.match(system.terms(), system.ask(1))
    sender = system.providers[1] if who == "provider" else system.operators[1]
    system.claim(attempt, sender=sender)


def test_nobody_else_claims(system: System) -> None:
    attempt = system.match(system.terms(), system.ask(1))
    for sender in (system.requesters[0], system.keepers[0], system.operators[2], system.payouts[1]):
        with reverts("escrow: not the provider"):
            system.claim(attempt, sender=sender)


def test_up_to_the_last_second(system: System) -> None:
    attempt = system.match(system.terms(attempt_seconds=3_600))
    assert attempt.ends == attempt.record.matched_at + 3_600
    with system.chain.isolated(), reverts("claim: too late"):
        system.claim(attempt, timestamp=attempt.ends + 1)
    system.claim(attempt, timestamp=attempt.ends)


def test_after_the_final_deadline_while_the_attempt_runs(system: System) -> None:
    attempt = system.match(system.terms(final_deadline=system.chain.now() + 5))
    system.claim(attempt, timestamp=attempt.ends)


def test_a_commitment_of_zero(system: System) -> None:
    with reverts("claim: commitment is zero"):
        system.claim(system.match(), ZERO_HASH)


def test_once(system: System) -> None:
    attempt = system.claimed()
    with reverts("escrow: job is not matched"):
        system.claim(attempt, keccak(text="second thoughts"))


def test_an_open_or_unknown_job(system: System) -> None:
    attempt = system.match()
    with reverts("escrow: job is not matched"):
        system.claim(replace(attempt, job_id=system.job_id(system.post())))
    with reverts("escrow: job is not matched"):
        system.claim(replace(attempt, job_id=keccak(text="unknown")))


def test_wants_the_record_of_the_match(system: System) -> None:
    attempt = system.match(system.terms(), system.ask(1))
    stranger = system.stranger.address
    for lie in (
        {"provider": stranger},
        {"price": 10**12},
        {"lock": 0},
        {"requester": stranger},
        {"keeper": stranger},
        {"verifier": stranger},
        {"settings": 0},
        {"price_cap": 0},
        {"excluded": 1},
    ):
        sender = system.stranger if "provider" in lie else None
        with reverts("escrow: wrong match record"):
            system.escrow.submit_claim(
                attempt.job_id,
                attempt.lied(**lie).record.pack(),
                attempt.commitment,
                sender=sender or system.operators[1],
            )
    assert system.job(attempt).state == MATCHED
    system.claim(attempt)


def test_the_record_of_one_job_is_no_use_for_another(system: System) -> None:
    one, other = system.match(system.terms(units=3)), system.match(system.terms(units=4))
    with reverts("escrow: wrong match record"):
        system.claim(replace(other, record=one.record))


def test_a_leaving_provider_still_claims(system: System) -> None:
    attempt = system.match(system.terms(), system.ask(1))
    system.registry.begin_exit(sender=system.providers[1])
    system.claim(attempt)
