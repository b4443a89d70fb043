from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness import reverts
from tests.models.provider import MAX_COMPLETIONS, MAX_COUNT, MAX_WEIGHT, Word
from tests.unit.provider_registry.conftest import (
    ENDINGS,
    HALF_LIFE,
    HEARTBEAT_TTL,
    SPEC,
    WEIGHT_CAP,
    World,
    set_word,
)

COUNTERS = {
    "COMPLETION": "completions",
    "FAULT": "faults",
    "NO_SHOW": "no_shows",
    "DECLINE": "declines",
}


def test_a_completion_counts_weighs_and_shows_life(world: World) -> None:
    world.engage(count=3)
    before = world.record()
    later = before.last_seen + HEARTBEAT_TTL + 50
    receipt = world.disengage("COMPLETION", 5_000, count=2, timestamp=later)
    assert receipt.return_value == world.provider.address
    assert receipt.events == []
    assert world.record() == before._replace(
        active=1, completions=2, good_weight=5_000, last_seen=later
    )
    world.engage(timestamp=later + HEARTBEAT_TTL)


@pytest.mark.parametrize("ending", ["FAULT", "NO_SHOW"])
def test_what_is_sunk_weighs_against_the_provider_without_a_cap(world: World, ending: str) -> None:
    world.engage(count=2)
    before = world.record()
    sunk = 7 * WEIGHT_CAP + 1
    world.disengage(ending, sunk, timestamp=before.last_seen + 2)
    record = world.record()
    assert sunk <= record.bad_weight <= sunk + sunk // 8
    counted = {COUNTERS[ending]: 1, "active": 1, "bad_weight": record.bad_weight}
    assert record == before._replace(**counted)


@pytest.mark.parametrize("ending", ["FAULT", "NO_SHOW", "DECLINE", "VOID"])
def test_only_a_completion_is_a_sign_of_life(world: World, ending: str) -> None:
    world.engage()
    seen = world.record().last_seen
    world.disengage(ending, 1_000, timestamp=seen + HEARTBEAT_TTL)
    assert world.record().last_seen == seen
    with reverts("registry: stale"):
        world.engage()


@pytest.mark.parametrize("elapsed", [5, HALF_LIFE // 2, HALF_LIFE, 3 * HALF_LIFE + 1])
def test_blame_counts_in_full_however_late_it_comes(world: World, elapsed: int) -> None:
    world.engage()
    sunk = 10_000_019
    world.disengage("FAULT", sunk, timestamp=world.record().last_seen + elapsed)
    assert sunk <= world.record().bad_weight <= sunk * 9 // 8 + 1


@pytest.mark.parametrize(("ending", "field"), [("DECLINE", "declines"), ("VOID", None)])
def test_nothing_weighs_where_nothing_was_sunk(
    world: World, ending: str, field: str | None
) -> None:
    world.engage(count=2)
    before = world.record()
    world.disengage(ending, 0, count=2)
    counted = {field: 2} if field else {}
    assert world.record() == before._replace(active=0, **counted)


def test_a_jobs_good_weight_is_capped(world: World) -> None:
    world.engage(count=3)
    world.disengage("COMPLETION", WEIGHT_CAP + 1)
    assert world.record().good_weight == WEIGHT_CAP
    receipt = world.disengage("COMPLETION", 2**255, count=2)
    elapsed = world.record().last_seen - receipt.timestamp
    assert elapsed == 0
    # One second of decay of the first job, which rounds against it.
    assert 3 * WEIGHT_CAP - 5 <= world.record().good_weight < 3 * WEIGHT_CAP


def test_counters_and_weights_stop_at_their_maximum(world: World) -> None:
    now = world.record().last_seen + 100
    full = Word(
        status=1,
        is_available=1,
        last_seen=now,
        active=(0, 0, 4, 0, 0, 0, 0, 63),
        completions=MAX_COMPLETIONS,
        faults=MAX_COUNT,
        no_shows=MAX_COUNT,
        declines=MAX_COUNT,
        good=MAX_WEIGHT,
        bad=MAX_WEIGHT - 1,
    )
    set_word(world, full)
    for ending in COUNTERS:
        world.disengage(ending, 2**256 - 1, node=2, timestamp=now)
        now += 1
    record = world.record()
    assert [getattr(record, name) for name in COUNTERS.values()] == [
        MAX_COMPLETIONS,
        MAX_COUNT,
        MAX_COUNT,
        MAX_COUNT,
    ]
    assert record.active == 63
    assert (record.epoch, record.revoked_lanes, record.status) == (0, 0, 1)
    assert MAX_WEIGHT - 10**7 < record.good_weight <= MAX_WEIGHT
    assert MAX_WEIGHT - 10**7 < record.bad_weight <= MAX_WEIGHT


def test_places_are_given_back_once(world: World) -> None:
    with reverts("registry: places are not taken"):
        world.disengage("VOID")
    world.engage(count=2)
    for node, count in ((0, 3), (1, 1), (8, 1), (2**256 - 1, 1)):
        with reverts("registry: places are not taken"):
            world.disengage("COMPLETION", 1, count=count, node=node)
    world.disengage("VOID", count=2)
    with reverts("registry: places are not taken"):
        world.disengage("VOID")


def test_pays_the_account_that_was_set(empty: World) -> None:
    empty.enlist(empty.provider, empty.operator, payout=empty.payee)
    empty.engage()
    assert empty.disengage("COMPLETION", 1).return_value == empty.payee.address


def test_only_the_escrow(world: World) -> None:
    world.engage()
    for sender in (world.provider, world.operator, world.owner):
        with reverts("registry: not the escrow"):
            world.registry.disengage(world.provider, 0, 1, 0, 1, sender=sender)


step = st.tuples(
    st.sampled_from([*ENDINGS, "engage", "heartbeat"]),
    st.integers(0, 2),
    st.integers(1, 6),
    st.one_of(st.integers(0, 3 * WEIGHT_CAP), st.sampled_from([MAX_WEIGHT, 2**200])),
    st.one_of(st.integers(1, 500), st.integers(HALF_LIFE // 3, 3 * HALF_LIFE)),
)


@given(steps=st.lists(step, min_size=4, max_size=14))
@settings(max_examples=20)
def test_any_course_of_jobs_leaves_what_the_twin_says(
    world: World, steps: list[tuple[str, int, int, int, int]]
) -> None:
    with world.chain.isolated():
        for node in (1, 2):
            world.registry.set_node(node, SPEC.pack(), sender=world.provider)
        twin = Word(status=1, is_available=1, last_seen=world.record().last_seen)
        now = world.chain.now()
        for move, node, count, weight, wait in steps:
            now += wait
            if move == "heartbeat":
                world.registry.heartbeat(world.provider, sender=world.operator, timestamp=now)
                twin = twin.seen(0, now, HALF_LIFE)
            elif move == "engage":
                stale = now > twin.last_seen + HEARTBEAT_TTL
                full = twin.active[node] + count > SPEC.capacity
                options = {"node": node, "count": count, "timestamp": now}
                if stale or full:
                    with reverts("registry: stale" if stale else "registry: no place left"):
                        world.engage(**options)
                else:
                    world.engage(**options)
                    twin = twin.taken(node, count)
            elif count > twin.active[node]:
                with reverts("registry: places are not taken"):
                    world.disengage(move, weight, count=count, node=node, timestamp=now)
            else:
                world.disengage(move, weight, count=count, node=node, timestamp=now)
                twin = twin.taken(node, -count).ended(
                    move, weight, count, now, HALF_LIFE, WEIGHT_CAP
                )
        record = world.record()
        good, bad = twin.weights(now, HALF_LIFE)
        assert record == replace_record(record, twin, good, bad)
        for node in range(3):
            assert world.registry.places(world.provider, node) == (
                SPEC.capacity - twin.active[node]
            )


def replace_record(record: object, twin: Word, good: int, bad: int) -> object:
    """`record` with every field that jobs touch as the twin has it."""
    same = ("last_seen", "completions", "faults", "no_shows", "declines", "epoch", "revoked_lanes")
    expected = {name: getattr(twin, name) for name in same}
    return record._replace(  # type: ignore[attr-defined]
        **expected, active=sum(twin.active), good_weight=good, bad_weight=bad
    )


def test_the_twin_keeps_fields_apart() -> None:
    word = Word(active=(1, 2, 3, 4, 5, 6, 7, 8))
    assert replace(word, completions=5).pack() - word.pack() == 5 << 116
