"""Expiry: no claim in time costs the provider its no-show share; the job opens again or ends."""

import pytest

from headrace.terms import money, words
from tests.harness import reverts
from tests.models.job_money import no_show, no_show_slash, total
from tests.system import EXPIRED, OPEN, UNIT, System
from tests.unit.job_escrow.conftest import Books


@pytest.mark.parametrize("is_open", [True, False])
def test_divides_the_no_show_share(system: System, books: Books, is_open: bool) -> None:
    terms = system.terms(max_attempts=2 if is_open else 1)
    attempt = system.match(terms, system.ask(2))
    record = attempt.record
    caller = system.stranger
    with books(no_show(record, caller.address, is_open)):
        receipt = system.expire(attempt, sender=caller)
    slash = no_show_slash(record)
    split = money.split_no_show(slash, record.keeper_fee)
    assert receipt.only("Expired") == (
        attempt.job_id,
        record.provider,
        caller.address,
        slash,
        split.to_requester,
        split.to_keeper,
        split.to_sink,
        is_open,
    )
    assert 2 * split.to_sink >= slash > split.to_sink > 0
    if is_open:
        assert system.job(attempt) == (OPEN, 1, 0, words.excluded_hash([attempt.exclusion]))
    else:
        assert system.job(attempt) == (EXPIRED, 1, 0, 0)
    provider = system.registry.provider_of(record.provider)
    assert (provider.active, provider.no_shows, provider.faults) == (0, 1, 0)
    assert provider.bad_weight >= split.to_sink


def test_only_when_the_time_is_over(system: System) -> None:
    attempt = system.match()
    with system.chain.isolated(), reverts("expire: attempt is running"):
        system.expire(attempt, timestamp=attempt.ends)
    system.expire(attempt, timestamp=attempt.ends + 1)


@pytest.mark.parametrize("late", [0, 1])
def test_opens_again_up_to_the_final_deadline(system: System, books: Books, late: int) -> None:
    deadline = system.chain.now() + 5_000
    attempt = system.match(system.terms(final_deadline=deadline, attempt_seconds=600))
    with books(no_show(attempt.record, system.keepers[2].address, is_open=not late)):
        receipt = system.expire(attempt, timestamp=deadline + late)
    assert receipt.only("Expired").is_open == (not late)
    assert system.job(attempt).state == (EXPIRED if late else OPEN)


@pytest.mark.parametrize("attempts", [1, 2, 3, 4])
def test_after_the_last_attempt_all_is_released(system: System, attempts: int) -> None:
    terms, excluded, held = system.terms(max_attempts=attempts), [], 0
    for index in range(attempts):
        assert system.vault.reserved_of(terms.requester, 0) == held
        attempt = system.match(terms, system.ask(index), excluded=excluded)
        assert system.vault.reserved_of(terms.requester, 0) == 0
        system.expire(attempt)
        excluded.append(attempt.exclusion)
        held = total(attempt.record)
    assert system.job(terms) == (EXPIRED, attempts, 0, 0)
    assert system.vault.reserved_of(terms.requester, 0) == 0


@pytest.mark.parametrize("role", ["provider", "requester", "keeper", "payout"])
def test_the_caller_may_be_anyone(system: System, books: Books, role: str) -> None:
    attempt = system.match(system.terms(), system.ask(1))
    caller = {
        "provider": system.providers[1],
        "requester": system.requesters[0],
        "keeper": system.keepers[0],
        "payout": system.payouts[1],
    }[role]
    with books(no_show(attempt.record, caller.address, is_open=True)):
        system.expire(attempt, sender=caller)


def test_the_lock_bounds_the_slash(system: System, books: Books) -> None:
    """A verifier that wants no lock: what there is covers keepers, the share is cut to it."""
    system.dummy.set_price(0, 0, 0)
    terms = system.terms(damage_cap=0, no_show_bps=5_000)
    attempt = system.match(terms, system.ask(price_base=UNIT))
    lock = attempt.record.lock
    assert lock == 8 * system.parameters.keeper_fee < attempt.record.price // 2
    with books(no_show(attempt.record, system.keepers[2].address, is_open=True)):
        assert system.expire(attempt).only("Expired").slash == lock


@pytest.mark.parametrize("price", [0, 1, 99_991])
def test_a_job_for_nothing_still_pays_its_keeper(system: System, books: Books, price: int) -> None:
    """Else a no-show at no price would cost nothing, and ending it earn nothing."""
    attempt = system.match(ask=system.ask(price_base=price, price_per_unit=0))
    assert attempt.record.price == price
    with books(no_show(attempt.record, system.keepers[2].address, is_open=True)):
        event = system.expire(attempt).only("Expired")
    assert event.slash == 4 * system.parameters.keeper_fee
    assert event.to_keeper == event.to_requester == system.parameters.keeper_fee


def test_a_policy_without_a_fee(system: System, books: Books) -> None:
    system.enact(charge_bps=0, keeper_fee=0)
    system.dummy.set_price(0, 0, 0)
    ask = system.ask(price_base=0, price_per_unit=0)
    attempt = system.match(system.terms(damage_cap=0), ask)
    assert (attempt.record.price, attempt.record.lock, attempt.record.tip) == (0, 0, 0)
    with books(no_show(attempt.record, system.keepers[2].address, is_open=True)):
        assert system.expire(attempt).only("Expired").slash == 0


def test_only_what_is_matched(system: System) -> None:
    attempt = system.claimed()
    with reverts("escrow: job is not matched"):
        system.expire(attempt, timestamp=attempt.ends + 1)
    other = system.match()
    system.expire(other)
    with reverts("escrow: job is not matched"):
        system.expire(other)


def test_wants_the_record_of_the_match(system: System) -> None:
    attempt = system.match(system.terms(), system.ask(1))
    for lie in (
        {"price": 0},
        {"no_show_bps": 1_000},
        {"keeper_fee": 10 * UNIT},
        {"requester": system.stranger.address},
        {"provider": system.providers[2].address},
        {"max_attempts": 4},
        {"final_deadline": 2**40 - 1},
    ):
        with reverts("escrow: wrong match record"):
            system.expire(attempt.lied(**lie), timestamp=attempt.ends + 1)
        attempt = system.match(system.terms(), system.ask(1))


def test_needs_no_verifier(system: System) -> None:
    """A broken verifier doesn't keep an attempt alive."""
    attempt = system.match()
    system.chain.rpc("anvil_setCode", system.dummy.address, "0xfe")
    system.expire(attempt)
