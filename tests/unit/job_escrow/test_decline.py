"""Declining: the provider steps back without a slash, three times a job at most."""

import pytest

from headrace.terms import words
from tests.harness import reverts
from tests.models.job_money import undone
from tests.system import CANCELLED, CLAIMED, FINAL, OPEN, UNIT, System
from tests.unit.job_escrow.conftest import Books


def test_opens_the_job_for_others(system: System, books: Books) -> None:
    attempt = system.match(system.terms(), system.ask(2))
    before = system.registry.provider_of(system.providers[2])
    with books(undone(attempt.record, is_open=True)):
        receipt = system.decline(attempt)
    provider = attempt.record.provider
    # One decline, in the low two bits, and when it was.
    opening = receipt.timestamp << 2 | 1
    assert system.job(attempt) == (OPEN, 0, opening, words.excluded_hash([attempt.exclusion]))
    assert receipt.only("Declined") == (attempt.job_id, provider, True)
    assert system.escrow.declines_of(attempt.record.requester) == 1
    after = system.registry.provider_of(system.providers[2])
    assert (after.active, after.declines) == (before.active - 1, before.declines + 1)
    # Declining is no sign of life and no fault.
    assert (after.last_seen, after.bad_weight) == (before.last_seen, before.bad_weight)


@pytest.mark.parametrize("who", ["provider", "operator"])
def test_provider_and_operator_decline(system: System, who: str) -> None:
    attempt = system.match(system.terms(), system.ask(1))
    sender = system.providers[1] if who == "provider" else system.operators[1]
    system.decline(attempt, sender=sender)


def test_nobody_else_declines(system: System) -> None:
    attempt = system.match(system.terms(), system.ask(1))
    for sender in (system.requesters[0], system.keepers[0], system.operators[2], system.owner):
        with reverts("escrow: not the provider"):
            system.decline(attempt, sender=sender)


def test_only_within_ack_seconds(system: System) -> None:
    attempt = system.match(system.terms(ack_seconds=60))
    last = attempt.record.matched_at + 60
    with system.chain.isolated(), reverts("decline: too late"):
        system.decline(attempt, timestamp=last + 1)
    system.decline(attempt, timestamp=last)
    assert system.job(attempt).state == OPEN


def test_the_third_decline_closes_the_job(system: System, books: Books) -> None:
    terms, excluded = system.terms(max_attempts=1), []
    for index in range(3):
        attempt = system.match(terms, system.ask(index), excluded=excluded)
        assert (attempt.number, attempt.record.declines) == (1, index)
        with books(undone(attempt.record, is_open=index < 2)):
            receipt = system.decline(attempt)
        assert receipt.only("Declined").is_open == (index < 2)
        excluded.append(attempt.exclusion)
    assert system.job(terms) == (CANCELLED, 0, 0, 0)
    assert system.escrow.declines_of(terms.requester) == 3
    with reverts("match: job is not open"):
        system.match(terms, system.ask(3), excluded=excluded)


def test_declines_are_counted_across_failures(system: System) -> None:
    terms = system.terms(max_attempts=4)
    excluded = []
    for index, is_decline in enumerate([True, False, True, False]):
        attempt = system.match(terms, system.ask(index), excluded=excluded)
        system.decline(attempt) if is_decline else system.expire(attempt)
        excluded.append(attempt.exclusion)
    # When the last was is only known until the job is opened by something else.
    assert system.job(terms)[:3] == (OPEN, 2, 2)
    attempt = system.match(terms, system.ask(4), excluded=excluded)
    assert (attempt.number, attempt.record.declines) == (3, 2)
    system.decline(attempt)
    assert system.job(terms) == (CANCELLED, 2, 0, 0)


def test_uses_no_attempt(system: System) -> None:
    terms = system.terms(max_attempts=1)
    attempt = system.match(terms)
    system.decline(attempt)
    again = system.match(terms, system.ask(1), excluded=[attempt.exclusion])
    assert again.number == 1
    system.claim(again)


@pytest.mark.parametrize("late", [0, 1])
def test_after_the_final_deadline_it_closes_the_job(
    system: System, books: Books, late: int
) -> None:
    deadline = system.chain.now() + 30
    attempt = system.match(system.terms(final_deadline=deadline, ack_seconds=60))
    with books(undone(attempt.record, is_open=not late)):
        receipt = system.decline(attempt, timestamp=deadline + late)
    assert receipt.only("Declined").is_open == (not late)
    assert system.job(attempt)[:2] == ((CANCELLED, 0) if late else (OPEN, 0))


def test_only_what_is_matched(system: System) -> None:
    attempt = system.claimed()
    with reverts("escrow: job is not matched"):
        system.decline(attempt)
    assert system.job(attempt).state == CLAIMED
    system.rule(attempt, 2)
    system.finalise(attempt)
    assert system.job(attempt).state == FINAL
    with reverts("escrow: job is not matched"):
        system.decline(attempt)


def test_wants_the_record_of_the_match(system: System) -> None:
    attempt = system.match(system.terms(), system.ask(1))
    for lie in (
        {"provider": system.providers[2].address},
        {"ack_seconds": 61},
        {"lock": attempt.record.lock + 1},
        {"declines": 1},
    ):
        with reverts("escrow: wrong match record"):
            system.decline(attempt.lied(**lie), sender=system.providers[2])


def test_the_ramp_starts_anew(system: System) -> None:
    """Else a provider could match, wait, decline for nothing, and let a friend in at the cap."""
    terms = system.terms(
        price_start=4 * UNIT,
        price_cap=10 * UNIT,
        ramp_seconds=1_000,
        ack_seconds=1_000,
        tip_share_bps=0,
    )
    attempt = system.match(terms)
    at = system.decline(attempt, timestamp=attempt.record.matched_at + 999).timestamp
    ask, excluded = system.ask(1, price_base=5 * UNIT), [attempt.exclusion]
    quote = system.rules.quote(terms.pack(), ask.pack(), timestamp=at + 1_000)
    edge = at - (4 * UNIT - quote.total) * 1_000 // (6 * UNIT)  # rounded up
    assert at + 400 < edge < at + 600
    with system.chain.isolated(), reverts("match: price above the ramp"):
        system.match(terms, ask, excluded=excluded, timestamp=edge - 1)
    system.match(terms, ask, excluded=excluded, timestamp=edge)
