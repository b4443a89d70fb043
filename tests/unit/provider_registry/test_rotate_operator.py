from tests.harness import ZERO_ADDRESS, reverts
from tests.unit.provider_registry.conftest import MIN_BOND, World


def test_replaces_the_operator_at_once(world: World) -> None:
    receipt = world.registry.rotate_operator(world.stranger, sender=world.provider)
    assert tuple(receipt.only("OperatorRotated")) == (
        world.provider.address,
        world.operator.address,
        world.stranger.address,
    )
    assert world.record().operator == world.stranger.address
    assert world.record().bond == MIN_BOND
    assert world.registry.may_operate(world.provider, world.stranger)
    assert not world.registry.may_operate(world.provider, world.operator)
    with reverts("registry: wrong signer"):
        world.engage(signer=world.operator)
    world.engage(signer=world.stranger)


def test_still_possible_while_leaving(world: World) -> None:
    world.registry.begin_exit(sender=world.provider)
    world.registry.rotate_operator(world.stranger, sender=world.provider)
    assert world.record().operator == world.stranger.address


def test_refuses(world: World) -> None:
    with reverts("registry: operator is zero"):
        world.registry.rotate_operator(ZERO_ADDRESS, sender=world.provider)
    with reverts("registry: not registered"):
        world.registry.rotate_operator(world.stranger, sender=world.operator)
