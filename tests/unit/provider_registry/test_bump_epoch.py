import pytest

from tests.harness import reverts
from tests.models.provider import Word
from tests.unit.provider_registry.conftest import World, set_word


@pytest.mark.parametrize("who", ["provider", "operator"])
def test_voids_every_ask_and_clears_the_lanes(world: World, who: str) -> None:
    sender = getattr(world, who)
    world.registry.revoke_lane(world.provider, 3, sender=sender)
    receipt = world.registry.bump_epoch(world.provider, sender=sender)
    assert tuple(receipt.only("EpochBumped")) == (world.provider.address, 1)
    record = world.record()
    assert (record.epoch, record.revoked_lanes) == (1, 0)
    with reverts("registry: wrong epoch"):
        world.engage(epoch=0)
    world.engage(epoch=1, lane=3)


def test_refuses_others(world: World) -> None:
    with reverts("registry: not the operator"):
        world.registry.bump_epoch(world.provider, sender=world.stranger)
    with reverts("registry: not registered"):
        world.registry.bump_epoch(world.stranger, sender=world.stranger)


def test_the_last_epoch_has_no_next_but_an_exit(world: World) -> None:
    set_word(world, Word(status=1, is_available=1, epoch=2**20 - 2, revoked_lanes=5))
    assert world.registry.bump_epoch(world.provider, sender=world.operator).events
    with reverts("registry: no epoch left"):
        world.registry.bump_epoch(world.provider, sender=world.operator)
    world.registry.begin_exit(sender=world.provider)
    record = world.record()
    assert (record.status, record.epoch) == (2, 2**20 - 1)
