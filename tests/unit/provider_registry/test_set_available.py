import pytest

from tests.harness import reverts
from tests.unit.provider_registry.conftest import World


@pytest.mark.parametrize("who", ["provider", "operator"])
def test_stops_and_resumes_matches(world: World, who: str) -> None:
    sender = getattr(world, who)
    receipt = world.registry.set_available(world.provider, False, sender=sender)
    assert tuple(receipt.only("AvailabilitySet")) == (world.provider.address, False)
    assert not world.record().is_available
    with reverts("registry: unavailable"):
        world.engage()

    world.registry.set_available(world.provider, True, sender=sender)
    assert world.record().is_available
    world.engage()


def test_running_jobs_still_end(world: World) -> None:
    world.engage()
    world.registry.set_available(world.provider, False, sender=world.operator)
    world.disengage("COMPLETION")
    assert world.record().completions == 1
    assert not world.record().is_available


def test_is_no_sign_of_life(world: World) -> None:
    before = world.record().last_seen
    world.registry.set_available(world.provider, True, sender=world.operator)
    assert world.record().last_seen == before


def test_refuses_others(world: World) -> None:
    with reverts("registry: not the operator"):
        world.registry.set_available(world.provider, False, sender=world.stranger)
    with reverts("registry: not registered"):
        world.registry.set_available(world.stranger, False, sender=world.stranger)
