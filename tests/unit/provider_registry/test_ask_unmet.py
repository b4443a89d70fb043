from tests.harness import ZERO_ADDRESS
from tests.unit.provider_registry.conftest import World

SIGNER, EPOCH, LANE = 1, 2, 4


def test_an_ask_of_the_provider_or_its_operator_binds(world: World) -> None:
    for signer in (world.provider, world.operator):
        for lane in range(16):
            assert world.registry.ask_unmet(world.provider, signer, 0, lane) == 0


def test_each_bit_alone_and_all_together(world: World) -> None:
    registry, provider = world.registry, world.provider
    registry.revoke_lane(provider, 5, sender=provider)
    assert registry.ask_unmet(provider, world.stranger, 0, 0) == SIGNER
    assert registry.ask_unmet(provider, ZERO_ADDRESS, 0, 0) == SIGNER
    for epoch in (1, 2**20, 2**24 - 1):
        assert registry.ask_unmet(provider, provider, epoch, 0) == EPOCH
    for lane in (5, 16, 255, 2**256 - 1):
        assert registry.ask_unmet(provider, provider, 0, lane) == LANE
    assert registry.ask_unmet(provider, world.stranger, 9, 5) == SIGNER | EPOCH | LANE
