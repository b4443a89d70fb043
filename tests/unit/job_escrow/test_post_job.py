"""Posting: a job opens, its price cap is put aside."""

from dataclasses import replace

import pytest

from tests.harness import reverts
from tests.models.job_money import posted
from tests.system import CANCELLED, ESCROW_BOOK, MATCHED, OPEN, UNIT, System
from tests.unit.job_escrow.conftest import Books


def test_opens_the_job_and_puts_the_cap_aside(system: System, books: Books) -> None:
    terms = system.terms()
    with books(posted(terms)):
        receipt = system.escrow.post_job(terms.pack(), sender=system.requesters[0])
    assert system.job(terms) == (OPEN, 0, 0, 0)
    event = receipt.only("Posted")
    assert event.job_id == system.job_id(terms)
    assert event.requester == terms.requester
    assert tuple(event.terms) == terms.pack()


@pytest.mark.parametrize("missing", [0, 1])
def test_wants_all_of_the_cap_free(system: System, missing: int) -> None:
    terms = system.terms()
    free = system.vault.free_of(terms.requester)
    system.vault.withdraw(
        free - terms.price_cap + missing, system.stranger, sender=system.requesters[0]
    )
    if missing:
        with reverts("vault: not enough to reserve"):
            system.post(terms)
    else:
        system.post(terms)
        assert system.vault.free_of(terms.requester) == 0


def test_wants_the_escrow_authorised(system: System) -> None:
    system.vault.revoke(ESCROW_BOOK, sender=system.requesters[0])
    with reverts("vault: book not authorised"):
        system.post()


def test_only_the_requester_posts(system: System) -> None:
    with reverts("escrow: not the requester"):
        system.escrow.post_job(system.terms().pack(), sender=system.requesters[1])


def test_terms_out_of_bounds_are_refused(system: System) -> None:
    with reverts("terms: bad max_attempts"):
        system.post(max_attempts=0)


@pytest.mark.parametrize("state", [OPEN, MATCHED, CANCELLED])
def test_terms_open_once(system: System, state: int) -> None:
    terms = system.terms()
    if state == CANCELLED:
        system.cancel(terms)
    else:
        system.post(terms)
    if state == MATCHED:
        system.match(terms)
    assert system.job(terms).state == state
    with reverts("escrow: job exists"):
        system.post(terms)


def test_a_new_salt_is_a_new_job(system: System) -> None:
    terms = system.post()
    other = system.post(replace(terms, salt=terms.salt + 1))
    assert system.vault.reserved_of(terms.requester, 0) == 2 * terms.price_cap
    assert system.job(other).state == OPEN


def test_posted_and_signed_terms_are_one_job(system: System) -> None:
    terms = system.terms()
    signature = system.sign_terms(terms)
    system.post(terms)
    attempt = system.match(terms, bid=signature)
    assert attempt.job_id == system.rules.job_id(terms.pack())
    # What was put aside at the posting is all that there is: the rest of it is free again.
    assert system.vault.reserved_of(terms.requester, 0) == 0


def test_spare_bits_are_refused(system: System) -> None:
    words = list(system.terms().pack())
    for index in (0, 5):
        bent = list(words)
        bent[index] |= 1 << 15
        with reverts("terms: spare bits"):
            system.escrow.post_job(tuple(bent), sender=system.requesters[0])


def test_an_epoch_that_is_not_the_current_one_will_do(system: System) -> None:
    """Revoking is for what was signed; a posted job is cancelled by itself."""
    system.escrow.revoke_bids(sender=system.requesters[0])
    attempt = system.match(system.post(epoch=0, price_cap=10 * UNIT))
    assert system.job(attempt).state == MATCHED
