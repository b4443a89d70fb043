from dataclasses import replace

import pytest

from tests.harness import reverts
from tests.unit.provider_registry.conftest import SPEC, World
from tests.unit.provider_registry.test_register import BAD_SPECS

OTHER = replace(SPEC, gpu_model=2, capacity=9, region=3).pack()


def test_adds_a_node_at_every_index(world: World) -> None:
    for node in range(1, 8):
        receipt = world.registry.set_node(node, OTHER, sender=world.provider)
        assert tuple(receipt.only("NodeSet")) == (world.provider.address, node, OTHER)
        assert world.registry.node_of(world.provider, node) == OTHER
    assert world.registry.node_of(world.provider, 0) == SPEC.pack()


def test_replaces_a_node(world: World) -> None:
    world.registry.set_node(0, OTHER, sender=world.provider)
    assert world.registry.node_of(world.provider, 0) == OTHER


@pytest.mark.parametrize("spec", [0, replace(SPEC, capacity=0).pack(), 1])
def test_capacity_zero_takes_the_node_away(world: World, spec: int) -> None:
    receipt = world.registry.set_node(0, spec, sender=world.provider)
    assert receipt.only("NodeSet").spec == 0
    assert world.registry.node_of(world.provider, 0) == 0
    with reverts("registry: no such node"):
        world.engage()


@pytest.mark.parametrize(("spec", "reason"), BAD_SPECS)
def test_refuses_what_is_no_node(world: World, spec: int, reason: str) -> None:
    with reverts(reason):
        world.registry.set_node(1, spec, sender=world.provider)


@pytest.mark.parametrize("node", [8, 255, 2**256 - 1])
def test_there_are_eight_nodes(world: World, node: int) -> None:
    with reverts("registry: node out of range"):
        world.registry.set_node(node, OTHER, sender=world.provider)


def test_a_node_stays_as_it_was_matched_while_jobs_run(world: World) -> None:
    world.registry.set_node(1, OTHER, sender=world.provider)
    world.engage(count=2)
    world.disengage("VOID")
    for spec in (OTHER, 0):
        with reverts("registry: node has running jobs"):
            world.registry.set_node(0, spec, sender=world.provider)
    world.registry.set_node(1, 0, sender=world.provider)

    world.disengage("VOID")
    world.registry.set_node(0, OTHER, sender=world.provider)


def test_only_a_provider_has_nodes(world: World) -> None:
    for account in (world.operator, world.stranger):
        with reverts("registry: not registered"):
            world.registry.set_node(0, OTHER, sender=account)
