"""Finalising many jobs of one record at once: an item that is not due is skipped."""

import pytest
from eth_utils import keccak

from tests.harness import Receipt, reverts
from tests.models.job_money import Moves, final
from tests.system import (
    CLAIMED,
    FALLS,
    FINAL,
    PENDING,
    REVERTS,
    SKIP_RECORD,
    SKIP_STATE,
    SKIP_TIME,
    SKIP_VERDICT,
    STANDS,
    Attempt,
    System,
)
from tests.unit.job_escrow.conftest import Books


def finalise(
    system: System, items: list[tuple[bytes, bytes]], attempt: Attempt, **options: object
) -> Receipt:
    options = {"sender": system.stranger} | options
    return system.escrow.finalise_batch(attempt.record.pack(), items, **options)


def items_of(attempts: list[Attempt]) -> list[tuple[bytes, bytes]]:
    return [(attempt.job_id, attempt.commitment) for attempt in attempts]


def standing(system: System, count: int, provider: int = 0) -> list[Attempt]:
    inputs = [keccak(text=f"member {i}") for i in range(count)]
    attempts = system.match_batch(inputs=inputs, ask=system.ask(provider))
    system.escrow.submit_claims(
        attempts[0].record.pack(), items_of(attempts), sender=system.operators[provider]
    )
    for attempt in attempts:
        system.rule(attempt, STANDS)
    return attempts


@pytest.mark.parametrize("provider", [0, 1], ids=["own payout", "other payout"])
def test_pays_every_item(system: System, books: Books, provider: int) -> None:
    attempts = standing(system, 3, provider)
    payees = [(system.watchers[0].address, 3_001), (system.watchers[1].address, 40_000)]
    system.dummy.set_payees(payees)
    record = attempts[0].record
    moves = final(record, system.payouts[provider].address, payees).times(3)
    with books(moves):
        receipt = finalise(system, items_of(attempts), attempts[0])
    for attempt, event in zip(attempts, receipt.named("Finalised"), strict=True):
        assert event == (attempt.job_id, record.provider, record.price)
        assert system.job(attempt) == (FINAL, 1, 0, 0)
    provider_now = system.registry.provider_of(record.provider)
    assert (provider_now.active, provider_now.completions) == (0, 3)


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize(
    ("hostile", "bits"),
    [
        ("unknown", SKIP_STATE),
        ("final", SKIP_STATE),
        ("matched", SKIP_STATE),
        ("other record", SKIP_RECORD),
        ("other commitment", SKIP_RECORD),
        ("pending", SKIP_VERDICT),
        ("falls", SKIP_VERDICT),
        ("early", SKIP_TIME),
        ("twice", SKIP_STATE),
    ],
)
def test_a_hostile_item_is_skipped(
    system: System, books: Books, place: int, hostile: str, bits: int
) -> None:
    *good, spare = standing(system, 4)
    item = (spare.job_id, spare.commitment)
    if hostile == "unknown":
        item = (keccak(text="nothing"), spare.commitment)
    elif hostile == "final":
        system.finalise(spare)
    elif hostile == "matched":
        item = (system.match().job_id, spare.commitment)
    elif hostile == "other record":
        other = system.standing(system.terms(units=2))
        item = (other.job_id, other.commitment)
    elif hostile == "other commitment":
        item = (spare.job_id, keccak(text="another"))
    elif hostile == "pending":
        system.rule(spare, PENDING)
    elif hostile == "falls":
        system.rule(spare, FALLS, system.watchers[0])
    elif hostile == "early":
        system.rule(spare, STANDS, not_before=system.chain.now() + 1_000)
    items = items_of(good)
    if hostile == "twice":
        item = items[(place + 1) % 3]
    items.insert(place, item)
    with books(final(good[0].record, system.payouts[0].address).times(3)):
        receipt = finalise(system, items, good[0])
    assert receipt.named("Skipped") == [(item[0], bits)]
    assert {system.job(attempt).state for attempt in good} == {FINAL}
    if hostile in ("pending", "falls", "early", "other commitment"):
        assert system.job(spare).state == CLAIMED


def test_nothing_due_moves_nothing(system: System, books: Books) -> None:
    attempts = standing(system, 2)
    for attempt in attempts:
        system.rule(attempt, PENDING)
    with books(Moves()):
        receipt = finalise(system, items_of(attempts), attempts[0])
    assert receipt.named("Skipped") == [(a.job_id, SKIP_VERDICT) for a in attempts]
    with books(Moves()):
        assert finalise(system, [], attempts[0]).events == []


def test_the_edge_of_the_window(system: System) -> None:
    attempts = standing(system, 2)
    edge = system.chain.now() + 100
    for attempt in attempts:
        system.rule(attempt, STANDS, not_before=edge)
    with system.chain.isolated():
        receipt = finalise(system, items_of(attempts), attempts[0], timestamp=edge)
        assert receipt.named("Skipped") == [(a.job_id, SKIP_TIME) for a in attempts]
    receipt = finalise(system, items_of(attempts), attempts[0], timestamp=edge + 1)
    assert receipt.named("Skipped") == []


def test_a_made_up_record_pays_nothing(system: System, books: Books) -> None:
    attempts = standing(system, 2)
    lie = attempts[0].lied(tip=10**9, keeper=system.stranger.address)
    with books(Moves()):
        receipt = finalise(system, items_of(attempts), lie)
    assert receipt.named("Skipped") == [(a.job_id, SKIP_RECORD) for a in attempts]


def test_a_broken_verifier_pays_nothing(system: System) -> None:
    """All items have one verifier: if it can't be asked there is nothing to save of the batch."""
    attempts = standing(system, 2)
    system.dummy.set_mode(REVERTS)
    with reverts("dummy: broken"):
        finalise(system, items_of(attempts), attempts[0])


def test_the_longest_batch_of_payouts(system: System, books: Books) -> None:
    attempts = standing(system, 32)
    payees = [(system.watchers[i % 3].address, 3_000 + i) for i in range(8)]
    system.dummy.set_payees(payees)
    moves = final(attempts[0].record, system.payouts[0].address, payees).times(32)
    with books(moves):
        finalise(system, items_of(attempts), attempts[0])
