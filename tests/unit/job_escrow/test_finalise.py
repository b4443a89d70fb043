"""Finalising: a claim that stands is paid, to the unit of the quote, and the levy is spent."""

from dataclasses import replace

import pytest
from eth_utils import keccak

from headrace.terms import money
from headrace.terms.words import ZERO_ADDRESS
from tests.harness import reverts
from tests.models.job_money import final
from tests.system import (
    BURNS_GAS,
    CLAIMED,
    ESCROW_BOOK,
    FALLS,
    FINAL,
    NEVER_DUE,
    PENDING,
    REVERTS,
    STANDS,
    System,
)
from tests.unit.job_escrow.conftest import Books


def test_pays_what_was_quoted(system: System, books: Books) -> None:
    terms, ask = system.terms(), system.ask(2)
    quote = system.rules.quote(terms.pack(), ask.pack(), timestamp=system.chain.now() + 1)
    attempt = system.standing(terms, ask)
    record = attempt.record
    with books(final(record, record.provider)):
        receipt = system.finalise(attempt)
    assert system.job(attempt) == (FINAL, 1, 0, 0)
    event = receipt.only("Finalised")
    assert event == (attempt.job_id, record.provider, quote.price)
    paid = system.parameters.funds - system.vault.free_of(terms.requester)
    assert paid == quote.total == quote.price + quote.tip + quote.levy + quote.charge
    provider = system.registry.provider_of(record.provider)
    assert (provider.active, provider.completions) == (0, 1)
    # What was sunk as charge is what the record weighs: nothing else was the provider's to buy.
    assert provider.good_weight == quote.charge == money.share(quote.price, record.charge_bps)
    assert provider.last_seen == receipt.timestamp


def test_a_payout_address_of_its_own(system: System, books: Books) -> None:
    attempt = system.standing(ask=system.ask(1))
    assert system.payouts[1] != system.providers[1]
    with books(final(attempt.record, system.payouts[1].address)):
        system.finalise(attempt)


def test_the_payout_is_that_of_the_end(system: System, books: Books) -> None:
    attempt = system.standing(ask=system.ask(2))
    system.registry.set_payout(system.stranger, sender=system.providers[2])
    with books(final(attempt.record, system.stranger.address)):
        system.finalise(attempt)


@pytest.mark.parametrize("payout", [0, 1], ids=["own payout", "other payout"])
@pytest.mark.parametrize(
    "amounts", [(10_000, 5_000, 337), (31_337, 1, 1), (0, 40_000, 5), (20_000, 11_336, 2)]
)
def test_the_levy_pays_the_verifiers_payees(
    system: System, books: Books, payout: int, amounts: tuple[int, int, int]
) -> None:
    people = [system.watchers[0], system.stranger, system.requesters[0]]
    payees = [(who.address, amount) for who, amount in zip(people, amounts, strict=True)]
    attempt = system.standing(ask=system.ask(payout))
    assert attempt.record.levy == 31_337
    system.dummy.set_payees(payees)
    with books(final(attempt.record, system.payouts[payout].address, payees)):
        system.finalise(attempt)


def test_payouts_to_nobody_are_left_out(system: System, books: Books) -> None:
    payees = [(ZERO_ADDRESS, 500), (system.stranger.address, 31_000), (ZERO_ADDRESS, 1)]
    payees += [(system.watchers[i % 3].address, 100) for i in range(5)]
    attempt = system.standing()
    system.dummy.set_payees(payees)
    with books(final(attempt.record, attempt.record.provider, payees)):
        system.finalise(attempt)
    assert system.vault.free_of(ZERO_ADDRESS) == 0


def test_one_account_may_play_every_role(system: System, books: Books) -> None:
    account = system.providers[0]
    terms = system.terms(requester=account.address)
    attempt = system.match(terms, system.ask(), keeper=account)
    system.claim(attempt)
    system.rule(attempt, STANDS)
    payees = [(account.address, 1_000)]
    system.dummy.set_payees(payees)
    moves = final(attempt.record, account.address, payees)
    assert set(moves.changes()) == {account.address}
    with books(moves):
        system.finalise(attempt, sender=account)


def test_one_second_after_not_before(system: System) -> None:
    attempt = system.claimed()
    edge = system.chain.now() + 500
    system.rule(attempt, STANDS, not_before=edge)
    with system.chain.isolated(), reverts("finalise: window is open"):
        system.finalise(attempt, timestamp=edge)
    system.finalise(attempt, timestamp=edge + 1)


def test_a_blinded_claim_stands_once_opened_and_its_window_over(system: System) -> None:
    attempt = system.match()
    receipt = system.claim(attempt)
    edge = receipt.timestamp + 600
    with reverts("finalise: no such verdict"):
        system.finalise(attempt)
    with reverts("dummy: opens to another"):
        system.dummy.open_claim(attempt.claim_id, keccak(text="other"), attempt.claim_id)
    system.open(attempt)
    assert system.dummy.claim_of(attempt.claim_id).opened == attempt.job_id
    with system.chain.isolated(), reverts("finalise: window is open"):
        system.finalise(attempt, timestamp=edge)
    system.finalise(attempt, timestamp=edge + 1)


@pytest.mark.parametrize("verdict", [PENDING, FALLS, PENDING | STANDS, STANDS | FALLS])
def test_only_a_claim_that_stands(system: System, verdict: int) -> None:
    attempt = system.claimed()
    system.rule(attempt, verdict, system.watchers[0])
    with reverts("finalise: no such verdict"):
        system.finalise(attempt)


def test_a_broken_verifier(system: System) -> None:
    attempt = system.standing()
    for mode, reason in ((REVERTS, "dummy: broken"), (NEVER_DUE, "finalise: window is open")):
        system.dummy.set_mode(mode)
        with reverts(reason):
            system.finalise(attempt)
    system.dummy.set_mode(BURNS_GAS)
    with reverts(""):
        system.finalise(attempt, gas=2_000_000)
    assert system.job(attempt).state == CLAIMED


def test_only_what_is_claimed(system: System) -> None:
    matched = system.match()
    with reverts("escrow: no claim"):
        system.finalise(matched)
    attempt = system.standing()
    system.finalise(attempt)
    with reverts("escrow: no claim"):
        system.finalise(attempt)
    with reverts("escrow: no claim"):
        system.finalise(replace(attempt, job_id=system.job_id(system.post())))


def test_wants_record_and_commitment_of_the_claim(system: System) -> None:
    attempt = system.standing()
    stranger = system.stranger.address
    for lie in (
        {"price": attempt.record.price + 1},
        {"tip": 10**9},
        {"keeper": stranger},
        {"provider": stranger},
        {"requester": stranger},
        {"verifier": stranger},
        {"levy": 0},
        {"charge_bps": 0},
        {"price_cap": 0},
    ):
        with reverts("escrow: wrong record"):
            system.finalise(attempt.lied(**lie), attempt.commitment)
    with reverts("escrow: wrong record"):
        system.finalise(attempt, keccak(text="another"))


def test_nothing_that_changes_later_touches_it(system: System, books: Books) -> None:
    """Policy, price, authorisation, free money, exit: the record is what was agreed."""
    attempt = system.standing(ask=system.ask(2))
    moves = final(attempt.record, attempt.record.provider)
    system.escrow.stop_verifier(system.dummy, sender=system.owner)
    system.dummy.set_price(0, 10**12, 9)
    for account in (system.requesters[0], system.providers[2]):
        system.vault.revoke(ESCROW_BOOK, sender=account)
        free = system.vault.free_of(account)
        system.vault.withdraw(free, system.stranger, sender=account)
    system.registry.begin_exit(sender=system.providers[2])
    with books(moves):
        system.finalise(attempt)


def test_a_second_attempt_pays_its_own_provider_and_keeper(system: System, books: Books) -> None:
    terms = system.terms()
    first = system.match(terms)
    system.expire(first)
    attempt = system.match(
        terms, system.ask(3), excluded=[first.exclusion], keeper=system.keepers[3]
    )
    system.claim(attempt)
    system.rule(attempt, STANDS)
    with books(final(attempt.record, system.providers[3].address)):
        system.finalise(attempt)
    assert attempt.record.keeper == system.keepers[3].address
    assert system.job(attempt) == (FINAL, 2, 0, 0)
