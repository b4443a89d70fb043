import pytest

from tests.harness import reverts
from tests.models.provider import decay
from tests.unit.provider_registry.conftest import HALF_LIFE, HEARTBEAT_TTL, World


@pytest.mark.parametrize("who", ["provider", "operator"])
def test_keeps_the_provider_from_turning_stale(world: World, who: str) -> None:
    edge = world.record().last_seen + HEARTBEAT_TTL
    sender = getattr(world, who)
    receipt = world.registry.heartbeat(world.provider, sender=sender, timestamp=edge)
    assert tuple(receipt.only("Heartbeat")) == (world.provider.address,)
    assert world.record().last_seen == edge
    world.engage(timestamp=edge + HEARTBEAT_TTL)
    with reverts("registry: stale"):
        world.engage(timestamp=edge + HEARTBEAT_TTL + 1)


def test_brings_a_stale_provider_back(world: World) -> None:
    late = world.record().last_seen + 10 * HEARTBEAT_TTL
    world.registry.heartbeat(world.provider, sender=world.operator, timestamp=late)
    world.engage()


def test_carries_the_decay_along(world: World) -> None:
    world.engage(count=2)
    start = world.disengage("COMPLETION", 7_000_001).timestamp
    world.disengage("FAULT", 9_000_001, timestamp=start)
    later = start + HALF_LIFE + HALF_LIFE // 3
    world.registry.heartbeat(world.provider, sender=world.operator, timestamp=later)
    record = world.record()
    assert record.good_weight == decay(7_000_001, later - start, HALF_LIFE)
    assert record.bad_weight == decay(9_000_001, later - start, HALF_LIFE)


def test_refuses_others(world: World) -> None:
    with reverts("registry: not the operator"):
        world.registry.heartbeat(world.provider, sender=world.stranger)
    with reverts("registry: not registered"):
        world.registry.heartbeat(world.operator, sender=world.operator)
