from tests.harness import reverts
from tests.models.provider import EXITING
from tests.unit.provider_registry.conftest import MIN_BOND, THAW_SECONDS, World


def test_bars_matches_voids_asks_and_starts_the_thaw(world: World) -> None:
    world.registry.revoke_lane(world.provider, 1, sender=world.operator)
    receipt = world.registry.begin_exit(sender=world.provider)
    thaws_at = receipt.timestamp + THAW_SECONDS
    assert tuple(receipt.only("ExitBegun")) == (world.provider.address, thaws_at)
    record = world.record()
    assert (record.status, record.epoch, record.revoked_lanes) == (EXITING, 1, 0)
    assert (record.thaws_at, record.bond) == (thaws_at, MIN_BOND)
    assert world.vault.reserved_of(world.provider, 1) == MIN_BOND
    with reverts("registry: not active"):
        world.engage(epoch=1)


def test_running_jobs_end_as_they_would_have(world: World) -> None:
    world.engage(count=2)
    world.registry.begin_exit(sender=world.provider)
    assert world.disengage("COMPLETION", 5).return_value == world.provider.address
    world.disengage("FAULT", 7)
    record = world.record()
    assert (record.completions, record.faults, record.active) == (1, 1, 0)


def test_refuses(world: World) -> None:
    for account in (world.operator, world.stranger):
        with reverts("registry: not registered"):
            world.registry.begin_exit(sender=account)
    first = world.registry.begin_exit(sender=world.provider)
    with reverts("registry: exit has begun"):
        world.registry.begin_exit(sender=world.provider)
    assert world.record().thaws_at == first.timestamp + THAW_SECONDS
