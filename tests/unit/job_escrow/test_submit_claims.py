"""Claiming many jobs of one record at once: a bad item is skipped, the rest succeed."""

from dataclasses import replace

import pytest
from eth_utils import keccak

from headrace.terms import words
from headrace.terms.words import ZERO_HASH
from tests.harness import Receipt, reverts
from tests.models.job_money import Moves
from tests.system import (
    CLAIMED,
    MATCHED,
    SKIP_COMMITMENT,
    SKIP_RECORD,
    SKIP_STATE,
    SKIP_TIME,
    Attempt,
    System,
)
from tests.unit.job_escrow.conftest import Books


def submit(
    system: System, items: list[tuple[bytes, bytes]], attempt: Attempt, **options: object
) -> Receipt:
    options = {"sender": system.operator_of(attempt.record.provider)} | options
    return system.escrow.submit_claims(attempt.record.pack(), items, **options)


def items_of(attempts: list[Attempt]) -> list[tuple[bytes, bytes]]:
    return [(attempt.job_id, attempt.commitment) for attempt in attempts]


def test_claims_every_item(system: System, books: Books) -> None:
    attempts = system.match_batch()
    with books(Moves()):
        receipt = submit(system, items_of(attempts), attempts[0])
    for attempt, event in zip(attempts, receipt.named("Claimed"), strict=True):
        assert event == (attempt.job_id, attempt.record.provider, attempt.commitment)
        digest = words.claim_digest(attempt.record, attempt.commitment)
        assert system.job(attempt) == (CLAIMED, 1, receipt.timestamp, digest)
        assert system.dummy.claim_of(attempt.claim_id).commitment == attempt.commitment
    assert receipt.named("Skipped") == []


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize(
    ("hostile", "bits"),
    [
        ("unknown", SKIP_STATE),
        ("claimed", SKIP_STATE),
        ("open", SKIP_STATE),
        ("other record", SKIP_RECORD),
        ("zero", SKIP_COMMITMENT),
        ("twice", SKIP_STATE),
    ],
)
def test_a_hostile_item_is_skipped(system: System, place: int, hostile: str, bits: int) -> None:
    *good, spare = system.match_batch(
        inputs=[keccak(text=f"member {i}") for i in range(4)], ask=system.ask(1)
    )
    item = (spare.job_id, spare.commitment)
    if hostile == "unknown":
        item = (keccak(text="nothing"), spare.commitment)
    elif hostile == "claimed":
        system.claim(spare)
    elif hostile == "open":
        system.decline(spare)
    elif hostile == "other record":
        item = (system.match(system.terms(units=2), system.ask(1)).job_id, spare.commitment)
    elif hostile == "zero":
        item = (spare.job_id, ZERO_HASH)
    items = items_of(good)
    if hostile == "twice":
        # The second of two is the hostile one, wherever the first is.
        item = items[(place + 1) % 3]
    items.insert(place, item)
    receipt = submit(system, items, good[0])
    assert receipt.named("Skipped") == [(item[0], bits)]
    assert {system.job(attempt).state for attempt in good} == {CLAIMED}
    assert len(receipt.named("Claimed")) == 3


@pytest.mark.parametrize("late", [0, 1])
def test_the_last_second(system: System, late: int) -> None:
    attempts = system.match_batch()
    receipt = submit(system, items_of(attempts), attempts[0], timestamp=attempts[0].ends + late)
    skipped = [(a.job_id, SKIP_TIME) for a in attempts] if late else []
    assert receipt.named("Skipped") == skipped
    state = MATCHED if late else CLAIMED
    assert {system.job(attempt).state for attempt in attempts} == {state}


def test_only_the_provider_and_its_operator(system: System) -> None:
    attempts = system.match_batch(ask=system.ask(1))
    for sender in (system.stranger, system.operators[2], system.requesters[0]):
        with reverts("escrow: not the provider"):
            submit(system, items_of(attempts), attempts[0], sender=sender)
    submit(system, items_of(attempts), attempts[0], sender=system.providers[1])


def test_a_record_made_up_for_oneself_claims_nothing(system: System) -> None:
    attempts = system.match_batch(ask=system.ask(1))
    provider = system.providers[2]
    lie = attempts[0].lied(provider=provider.address)
    receipt = submit(system, items_of(attempts), lie, sender=provider)
    assert receipt.named("Skipped") == [(a.job_id, SKIP_RECORD) for a in attempts]
    assert {system.job(attempt).state for attempt in attempts} == {MATCHED}


def test_items_may_be_none(system: System) -> None:
    attempt = system.match()
    assert submit(system, [], attempt).events == []


def test_a_single_match_has_the_same_record_form(system: System) -> None:
    attempt = system.match()
    submit(system, items_of([attempt]), attempt)
    assert system.job(replace(attempt)).state == CLAIMED
