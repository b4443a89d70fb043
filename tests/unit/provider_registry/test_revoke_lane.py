import pytest

from tests.harness import reverts
from tests.unit.provider_registry.conftest import World


@pytest.mark.parametrize("who", ["provider", "operator"])
@pytest.mark.parametrize("lane", [0, 15])
def test_voids_the_asks_of_one_lane(world: World, who: str, lane: int) -> None:
    receipt = world.registry.revoke_lane(world.provider, lane, sender=getattr(world, who))
    assert tuple(receipt.only("LaneRevoked")) == (world.provider.address, lane)
    assert world.record().revoked_lanes == 1 << lane
    assert world.record().epoch == 0
    with reverts("registry: lane is revoked"):
        world.engage(lane=lane)
    world.engage(lane=7)


def test_a_second_time_is_no_error(world: World) -> None:
    for lane in (2, 4, 2):
        world.registry.revoke_lane(world.provider, lane, sender=world.operator)
    assert world.record().revoked_lanes == 0b10100


@pytest.mark.parametrize("lane", [16, 2**256 - 1])
def test_there_are_sixteen(world: World, lane: int) -> None:
    with reverts("registry: no such lane"):
        world.registry.revoke_lane(world.provider, lane, sender=world.operator)


def test_refuses_others(world: World) -> None:
    with reverts("registry: not the operator"):
        world.registry.revoke_lane(world.provider, 0, sender=world.stranger)
    with reverts("registry: not registered"):
        world.registry.revoke_lane(world.stranger, 0, sender=world.stranger)
