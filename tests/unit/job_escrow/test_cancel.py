"""Cancelling: an open job closes and the money comes back; a signed bid is revoked for good."""

from dataclasses import replace

import pytest

from headrace.terms.words import Exclusion
from tests.harness import reverts
from tests.models.job_money import Moves, cancelled, total
from tests.system import CANCELLED, CLAIMED, FINAL, MATCHED, OPEN, UNIT, System
from tests.unit.job_escrow.conftest import Books


def test_gives_the_reserve_back(system: System, books: Books) -> None:
    terms = system.post()
    with books(cancelled(terms)):
        receipt = system.cancel(terms)
    assert system.job(terms) == (CANCELLED, 0, 0, 0)
    assert [event.name for event in receipt.events] == ["Cancelled", "Released"]
    assert receipt.only("Cancelled") == (system.job_id(terms), terms.requester)


def test_between_two_attempts(system: System, books: Books) -> None:
    terms = system.post()
    first = system.match(terms)
    system.expire(first)
    second = system.match(terms, system.ask(1, price_base=3 * UNIT), excluded=[first.exclusion])
    system.expire(second)
    for lie in (
        [],
        [first.exclusion],
        [second.exclusion],
        [second.exclusion, first.exclusion],
        [first.exclusion, replace(second.exclusion, held=10**9)],
        [first.exclusion, second.exclusion, second.exclusion],
    ):
        with reverts("escrow: wrong exclusions"):
            system.cancel(terms, excluded=lie)
    # What is held is what the last attempt would have cost.
    assert total(second.record) != total(first.record)
    with books(cancelled(terms, total(second.record))):
        system.cancel(terms, excluded=[first.exclusion, second.exclusion])
    assert system.job(terms) == (CANCELLED, 2, 0, 0)


def test_a_job_without_exclusions_has_none(system: System) -> None:
    exclusion = Exclusion(provider=system.stranger.address, held=10**12)
    for terms in (system.post(), system.terms()):
        with reverts("escrow: wrong exclusions"):
            system.cancel(terms, excluded=[exclusion])


def test_a_bid_that_was_only_signed_is_revoked(system: System, books: Books) -> None:
    terms, other = system.terms(), system.terms()
    signature = system.sign_terms(terms)
    with books(Moves()):
        system.cancel(terms)
    assert system.job(terms).state == CANCELLED
    with reverts("match: job is not open"):
        system.match(terms, bid=signature)
    assert system.job(system.match(other)).state == MATCHED


def test_nobody_else_revokes_a_signed_bid(system: System) -> None:
    terms = system.terms()
    with reverts("escrow: only requester revokes"):
        system.cancel(terms, system.stranger)
    system.chain.travel(terms.final_deadline - system.chain.now() + 1)
    with reverts("escrow: only requester revokes"):
        system.cancel(terms, system.stranger)


def test_anyone_closes_it_after_the_final_deadline(system: System, books: Books) -> None:
    terms = system.post()
    with reverts("escrow: before final deadline"):
        system.cancel(terms, system.stranger, timestamp=terms.final_deadline)
    with books(cancelled(terms)):
        system.cancel(terms, system.stranger, timestamp=terms.final_deadline + 1)


@pytest.mark.parametrize("state", [MATCHED, CLAIMED, FINAL, CANCELLED])
def test_only_an_open_job(system: System, state: int) -> None:
    terms = system.post()
    if state == CANCELLED:
        system.cancel(terms)
    else:
        attempt = system.match(terms)
        if state != MATCHED:
            system.claim(attempt)
        if state == FINAL:
            system.open(attempt)
            system.chain.travel(700)
            system.finalise(attempt)
    assert system.job(terms).state == state
    with reverts("escrow: job is not open"):
        system.cancel(terms)


def test_an_open_job_is_left_alone_by_others(system: System) -> None:
    terms = system.post()
    with reverts("escrow: before final deadline"):
        system.cancel(terms, system.requesters[1])
    assert system.job(terms).state == OPEN
