"""Refuting: the requester is made whole, the slash is divided, the job opens again or ends."""

from dataclasses import replace

import pytest
from eth_utils import keccak

from headrace.terms import money, words
from headrace.terms.words import ZERO_ADDRESS
from tests.harness import reverts
from tests.models.job_money import refuted
from tests.system import (
    CLAIMED,
    FALLS,
    OPEN,
    PENDING,
    REFUTED,
    REVERTS,
    STANDS,
    UNIT,
    System,
)
from tests.unit.job_escrow.conftest import Books


@pytest.mark.parametrize("is_open", [True, False])
def test_divides_the_lock(system: System, books: Books, is_open: bool) -> None:
    terms = system.terms(max_attempts=2 if is_open else 1)
    attempt = system.falling(terms, system.ask(2))
    record, refuter = attempt.record, system.watchers[0].address
    with books(refuted(record, refuter, is_open)):
        receipt = system.refute(attempt)
    split = money.split_refuted(record.lock, record.damage_cap, record.keeper_fee)
    assert receipt.only("Refuted") == (
        attempt.job_id,
        record.provider,
        refuter,
        record.lock,
        split.to_requester,
        split.to_refuter,
        split.to_keeper,
        split.to_sink,
        is_open,
    )
    assert split.to_requester == record.damage_cap
    assert 2 * split.to_sink >= record.lock
    if is_open:
        assert system.job(attempt) == (OPEN, 1, 0, words.excluded_hash([attempt.exclusion]))
    else:
        assert system.job(attempt) == (REFUTED, 1, 0, 0)
    provider = system.registry.provider_of(record.provider)
    assert (provider.active, provider.faults, provider.completions) == (0, 1, 0)
    assert provider.bad_weight >= split.to_sink
    assert system.vault.reserved_of(record.provider, 0) == 0


@pytest.mark.parametrize("late", [0, 1])
def test_opens_again_up_to_the_final_deadline(system: System, books: Books, late: int) -> None:
    deadline = system.chain.now() + 5_000
    attempt = system.falling(system.terms(final_deadline=deadline))
    moves = refuted(attempt.record, system.watchers[0].address, is_open=not late)
    with books(moves):
        system.refute(attempt, timestamp=deadline + late)
    assert system.job(attempt).state == (REFUTED if late else OPEN)


def test_without_a_refuter_its_share_is_sunk(system: System, books: Books) -> None:
    attempt = system.falling(refuter=ZERO_ADDRESS)
    system.dummy.set_payees([(system.stranger.address, 10**9)])
    with books(refuted(attempt.record, ZERO_ADDRESS, is_open=True)):
        event = system.refute(attempt).only("Refuted")
    assert (event.refuter, event.to_refuter) == (ZERO_ADDRESS, 0)
    assert event.to_requester + event.to_keeper + event.to_sink == event.slash


@pytest.mark.parametrize("amounts", [(100, 2_000, 30_000), (0, 10**9, 10**9), (10**7, 0, 0)])
def test_payees_are_paid_out_of_the_refuters_share(
    system: System, books: Books, amounts: tuple[int, int, int]
) -> None:
    people = (system.stranger, system.requesters[0], system.providers[0])
    payees = [(who.address, amount) for who, amount in zip(people, amounts, strict=True)]
    attempt = system.falling()
    system.dummy.set_payees(payees)
    with books(refuted(attempt.record, system.watchers[0].address, True, payees)):
        system.refute(attempt)


@pytest.mark.parametrize("role", ["provider", "requester", "keeper"])
def test_the_refuter_may_be_a_party(system: System, books: Books, role: str) -> None:
    """An alias that refutes itself still loses half of the lock."""
    attempt = system.claimed()
    record = attempt.record
    refuter = getattr(record, role)
    system.rule(attempt, FALLS, refuter)
    moves = refuted(record, refuter, is_open=True)
    assert 2 * moves.sunk >= record.lock
    with books(moves):
        system.refute(attempt)


def test_one_account_may_play_every_role(system: System, books: Books) -> None:
    account = system.providers[0]
    attempt = system.match(system.terms(requester=account.address), keeper=account)
    system.claim(attempt)
    system.rule(attempt, FALLS, account)
    moves = refuted(attempt.record, account.address, is_open=True)
    assert set(moves.changes()) == {account.address}
    with books(moves):
        system.refute(attempt)


@pytest.mark.parametrize("damage_cap", [0, 1, 659_999, 660_018, 660_019, 5 * UNIT])
def test_damages_up_to_the_cap(system: System, books: Books, damage_cap: int) -> None:
    """The lock grows so that its 15 % always cover the damages that were agreed."""
    attempt = system.falling(system.terms(damage_cap=damage_cap))
    with books(refuted(attempt.record, system.watchers[0].address, is_open=True)):
        event = system.refute(attempt).only("Refuted")
    assert event.to_requester == damage_cap
    assert event.slash == max(2 * attempt.record.price, -(-damage_cap * 10_000 // 1_500))


def test_the_least_lock_pays_keeper_and_refuter(system: System, books: Books) -> None:
    system.dummy.set_price(0, 0, 0)
    attempt = system.falling(system.terms(damage_cap=0))
    fee = system.parameters.keeper_fee
    assert attempt.record.lock == 8 * fee
    with books(refuted(attempt.record, system.watchers[0].address, is_open=True)):
        event = system.refute(attempt).only("Refuted")
    assert (event.to_keeper, event.to_refuter) == (fee, money.share(8 * fee, 3_500) - fee)
    assert event.to_refuter >= 179 * fee // 100


def test_nothing_at_stake(system: System, books: Books) -> None:
    """Neither verifier nor policy wants a lock: the verdict still goes through."""
    system.enact(charge_bps=0, keeper_fee=0)
    system.dummy.set_price(0, 0, 0)
    attempt = system.falling(system.terms(damage_cap=0, max_attempts=1))
    assert attempt.record.lock == 0
    with books(refuted(attempt.record, system.watchers[0].address, is_open=False)):
        system.refute(attempt)
    assert system.job(attempt).state == REFUTED


@pytest.mark.parametrize("verdict", [PENDING, STANDS, FALLS | STANDS])
def test_only_a_claim_that_falls(system: System, verdict: int) -> None:
    attempt = system.claimed()
    system.rule(attempt, verdict, system.watchers[0])
    with reverts("refute: no such verdict"):
        system.refute(attempt)


def test_nobody_makes_the_verdict_but_the_verifier(system: System) -> None:
    attempt = system.claimed()
    with reverts("refute: no such verdict"):
        system.refute(attempt)
    system.dummy.set_mode(REVERTS)
    with reverts("dummy: broken"):
        system.refute(attempt)
    # Another verifier's word, however it is passed in, is not asked for.
    other = system.chain.deploy("DummyVerifier", system.escrow)
    other.rule(attempt.claim_id, FALLS, 0, system.stranger)
    with reverts("escrow: wrong record"):
        system.refute(attempt.lied(verifier=other.address), attempt.commitment)
    assert system.job(attempt).state == CLAIMED


def test_only_what_is_claimed(system: System) -> None:
    with reverts("escrow: no claim"):
        system.refute(system.match())
    attempt = system.falling(system.terms(max_attempts=1))
    system.refute(attempt)
    with reverts("escrow: no claim"):
        system.refute(attempt)
    again = system.falling(system.terms())
    system.refute(again)
    with reverts("escrow: no claim"):
        system.refute(again)


def test_wants_record_and_commitment_of_the_claim(system: System) -> None:
    attempt = system.falling()
    for lie in (
        {"lock": 10**9},
        {"damage_cap": 10**9},
        {"keeper_fee": 0},
        {"requester": system.stranger.address},
        {"provider": system.providers[3].address},
        {"max_attempts": 4},
    ):
        with reverts("escrow: wrong record"):
            system.refute(attempt.lied(**lie), attempt.commitment)
    with reverts("escrow: wrong record"):
        system.refute(attempt, keccak(text="another"))


def test_the_verdict_is_for_one_attempt_alone(system: System) -> None:
    """A second provider's claim of the same result is a claim of its own."""
    attempt = system.falling()
    system.refute(attempt)
    again = system.match(
        attempt.terms, system.ask(1), excluded=[attempt.exclusion], keeper=system.keepers[1]
    )
    system.claim(again, attempt.commitment)
    with reverts("refute: no such verdict"):
        system.refute(again, attempt.commitment)
    with reverts("escrow: wrong record"):
        system.refute(replace(again, record=attempt.record), attempt.commitment)
