"""
What it costs to buy a record by trading with oneself.

Price, tip and levy come back to a buyer who is requester, provider, keeper and checker at once; the
charge goes to the sink, and only that is what the good weight counts.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.terms import requirement as rule
from headrace.terms.words import Requirement
from tests.harness import reverts
from tests.unit.provider_registry.conftest import WEIGHT_CAP, World

charges = st.lists(st.integers(0, 3 * WEIGHT_CAP), min_size=1, max_size=8)


@given(charges=charges, pause=st.integers(1, 3_000_000))
@settings(max_examples=15)
def test_good_weight_never_exceeds_what_was_sunk_for_it(
    world: World, charges: list[int], pause: int
) -> None:
    with world.chain.isolated():
        for charge in charges:
            world.registry.heartbeat(world.provider, sender=world.operator)
            world.engage()
            later = world.chain.now() + pause
            world.disengage("COMPLETION", charge, timestamp=later)
            assert world.record().good_weight <= sum(min(c, WEIGHT_CAP) for c in charges)
        bought = world.record().good_weight
        assert bought <= sum(charges)
        # So a weight in a requirement is met only by who sank that much.
        asked = Requirement(min_weight=(sum(charges) >> 16) + 1).pack()
        assert world.registry.unmet(asked, world.provider, 0) & rule.WEIGHT


def test_one_dear_job_buys_no_more_than_the_cap(world: World) -> None:
    world.engage()
    world.disengage("COMPLETION", 1_000 * WEIGHT_CAP)
    assert world.record().good_weight == WEIGHT_CAP


def test_a_batch_buys_what_its_jobs_would(world: World) -> None:
    world.engage(count=5)
    world.disengage("COMPLETION", 1_000 * WEIGHT_CAP, count=5)
    assert world.record().good_weight == 5 * WEIGHT_CAP


def test_washing_out_a_fault_costs_many_times_what_was_lost_by_it(world: World) -> None:
    # A lie about a job of 100 tokens: 3 times the price locked, half of it sunk at least.
    sunk = 150_000_000
    limit = Requirement(max_fault_bps=500).pack()
    world.engage()
    world.disengage("FAULT", sunk)
    spent = 0
    while world.registry.unmet(limit, world.provider, 0) & rule.FAULT_RATE:
        world.engage(count=5)
        world.disengage("COMPLETION", 5 * WEIGHT_CAP, count=5)
        spent += 5 * WEIGHT_CAP
    # 5 % of bad weight takes 19 times as much of good weight.
    assert 18 * sunk < spent <= 20 * sunk + 5 * WEIGHT_CAP
    world.engage(requirement=limit)


def test_a_declined_or_voided_job_buys_nothing(world: World) -> None:
    world.engage(count=2)
    world.disengage("DECLINE", WEIGHT_CAP)
    world.disengage("VOID", WEIGHT_CAP)
    assert world.record()[-3:-1] == (0, 0)
    with reverts("registry: weight too low"):
        world.engage(requirement=Requirement(min_weight=1).pack())
