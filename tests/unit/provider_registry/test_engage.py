from dataclasses import replace

import pytest

from headrace.terms import requirement as rule
from headrace.terms.words import Requirement
from tests.harness import reverts
from tests.unit.provider_registry.conftest import HEARTBEAT_TTL, SPEC, World

# What SPEC meets to the last unit, on every count that is about the node.
TIGHT = Requirement(
    gpu_mask=1 << SPEC.gpu_model | 1 << 95,
    region_mask=1 << SPEC.region | 1 << 31,
    min_vram_gib=SPEC.vram_gib,
    min_gpu_count=SPEC.gpu_count,
    max_latency_class=SPEC.latency_class,
    flags=SPEC.flags,
    min_benchmark=SPEC.benchmark,
)
# One notch more on one count: (what is asked for, the bit, the reason of a match).
TOO_MUCH = [
    (replace(TIGHT, gpu_mask=1 << 0 | 1 << 2), rule.GPU_MODEL, "registry: wrong gpu model"),
    (replace(TIGHT, min_gpu_count=3), rule.GPU_COUNT, "registry: too few gpus"),
    (replace(TIGHT, min_vram_gib=41), rule.VRAM, "registry: too little vram"),
    (replace(TIGHT, region_mask=1 << 6), rule.REGION, "registry: wrong region"),
    (replace(TIGHT, max_latency_class=1), rule.LATENCY, "registry: latency too high"),
    (replace(TIGHT, flags=0b11), rule.ATTESTATION, "registry: not attested"),
    (replace(TIGHT, min_benchmark=1_001), rule.BENCHMARK, "registry: benchmark too low"),
    (replace(TIGHT, min_completions=1), rule.COMPLETIONS, "registry: too few completions"),
    (replace(TIGHT, min_weight=1), rule.WEIGHT, "registry: weight too low"),
]


def test_takes_places_and_nothing_else(world: World) -> None:
    before = world.record()
    receipt = world.engage(requirement=TIGHT.pack(), count=3)
    assert receipt.events == []
    assert world.record() == before._replace(active=3)
    assert world.registry.places(world.provider, 0) == 2
    assert world.registry.unmet(TIGHT.pack(), world.provider, 0) == 0


@pytest.mark.parametrize(("wanted", "bit", "reason"), TOO_MUCH, ids=[r for *_, r in TOO_MUCH])
def test_refuses_one_notch_too_much(
    world: World, wanted: Requirement, bit: int, reason: str
) -> None:
    assert world.registry.unmet(wanted.pack(), world.provider, 0) == bit
    with reverts(reason):
        world.engage(requirement=wanted.pack())


def test_reasons_of_the_record_and_of_the_fault_rate(world: World) -> None:
    world.engage(count=2)
    world.disengage("COMPLETION", 9 << 16)
    world.disengage("FAULT", 1 << 16)
    asks = world.registry.unmet
    rate = rule.fault_rate_bps(*world.record()[-3:-1])
    assert rate in (999, 1_000)
    limit = Requirement(min_completions=1, max_fault_bps=rate, min_weight=8)
    assert asks(limit.pack(), world.provider, 0) == 0
    world.engage(requirement=limit.pack())
    world.disengage("VOID")
    stricter = replace(limit, max_fault_bps=rate - 1).pack()
    assert asks(stricter, world.provider, 0) == rule.FAULT_RATE
    with reverts("registry: fault rate too high"):
        world.engage(requirement=stricter)
    assert asks(replace(limit, min_weight=9).pack(), world.provider, 0) == rule.WEIGHT


def test_places_run_out(world: World) -> None:
    with reverts("registry: no place left"):
        world.engage(count=6)
    world.engage(count=5)
    assert world.registry.unmet(0, world.provider, 0) == rule.CAPACITY
    with reverts("registry: no place left"):
        world.engage()
    world.disengage("VOID", count=2)
    world.engage(count=2)


def test_places_of_one_node_are_not_anothers(world: World) -> None:
    full = replace(SPEC, capacity=63).pack()
    for node in range(8):
        world.registry.set_node(node, full, sender=world.provider)
    for node in (7, 0, 3):
        world.engage(node=node, count=63)
    assert [world.registry.places(world.provider, n) for n in range(8)] == [
        0,
        63,
        63,
        0,
        63,
        63,
        63,
        0,
    ]
    with reverts("registry: no place left"):
        world.engage(node=3)


def test_a_provider_is_stale_a_second_after_its_time(world: World) -> None:
    edge = world.record().last_seen + HEARTBEAT_TTL
    unmet = world.registry.unmet
    assert unmet(0, world.provider, 0, timestamp=edge) == 0
    assert unmet(0, world.provider, 0, timestamp=edge + 1) == rule.STALE
    with reverts("registry: stale"):
        world.engage(timestamp=edge + 1)
    # The refused match made a block; time does not go back.
    world.registry.heartbeat(world.provider, sender=world.operator)
    world.engage()


def test_a_match_is_no_sign_of_life(world: World) -> None:
    edge = world.record().last_seen + HEARTBEAT_TTL
    world.engage(timestamp=edge)
    with reverts("registry: stale"):
        world.engage()


@pytest.mark.parametrize("node", [1, 8, 2**256 - 1])
def test_wants_a_node(world: World, node: int) -> None:
    bits = world.registry.unmet(0, world.provider, node)
    assert rule.bit_names(bits) == ("no_node", "capacity")
    with reverts("registry: no such node"):
        world.engage(node=node)


def test_wants_a_live_provider(world: World) -> None:
    bits = world.registry.unmet(0, world.stranger, 0)
    names = ("not_active", "unavailable", "stale", "no_node", "capacity")
    assert rule.bit_names(bits) == names
    with reverts("registry: not active"):
        world.engage(account=world.stranger)


def test_the_lowest_bit_gives_the_reason_and_the_asks_come_last(world: World) -> None:
    world.registry.set_available(world.provider, False, sender=world.operator)
    hopeless = {"requirement": TOO_MUCH[0][0].pack(), "signer": world.stranger, "epoch": 3}
    with reverts("registry: unavailable"):
        world.engage(**hopeless)
    world.registry.set_available(world.provider, True, sender=world.operator)
    with reverts("registry: wrong gpu model"):
        world.engage(**hopeless)
    with reverts("registry: wrong signer"):
        world.engage(signer=world.stranger, epoch=3, lane=16)
    with reverts("registry: wrong epoch"):
        world.engage(signer=world.provider, epoch=3, lane=16)
    for lane in (16, 2**256 - 1):
        with reverts("registry: lane is revoked"):
            world.engage(lane=lane)


def test_a_requirement_with_unknown_flags_is_met_by_nobody(world: World) -> None:
    for flag in range(1, 8):
        with reverts("registry: not attested"):
            world.engage(requirement=Requirement(flags=1 << flag).pack())


def test_only_the_escrow(world: World) -> None:
    for sender in (world.provider, world.operator, world.owner, world.stranger):
        with reverts("registry: not the escrow"):
            world.engage(sender=sender)
