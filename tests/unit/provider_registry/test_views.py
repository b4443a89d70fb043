"""Views that nothing else is told about: who may operate, places, and what isn't there."""

from dataclasses import replace

from tests.harness import ZERO_ADDRESS
from tests.unit.provider_registry.conftest import SPEC, World


def test_may_operate_is_the_provider_and_its_operator(world: World) -> None:
    registry = world.registry
    assert registry.may_operate(world.provider, world.provider)
    assert registry.may_operate(world.provider, world.operator)
    assert not registry.may_operate(world.provider, world.stranger)
    assert not registry.may_operate(world.operator, world.operator)
    assert not registry.may_operate(world.stranger, ZERO_ADDRESS)


def test_places_are_capacity_less_running_jobs(world: World) -> None:
    registry = world.registry
    registry.set_node(3, replace(SPEC, capacity=63).pack(), sender=world.provider)
    assert registry.places(world.provider, 0) == 5
    assert registry.places(world.provider, 3) == 63
    world.engage(node=3, count=63)
    world.engage(node=0, count=2)
    assert registry.places(world.provider, 0) == 3
    assert registry.places(world.provider, 3) == 0
    assert world.record().active == 65
    for node in (1, 8, 2**256 - 1):
        assert registry.places(world.provider, node) == 0


def test_nobody_has_an_empty_record(world: World) -> None:
    assert world.registry.provider_of(world.stranger) == (
        0,
        False,
        ZERO_ADDRESS,
        ZERO_ADDRESS,
        *[0] * 12,
    )
    assert world.registry.node_of(world.stranger, 0) == 0
    assert world.registry.node_of(world.provider, 8) == 0
