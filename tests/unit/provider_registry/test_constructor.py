import pytest

from tests.harness import ZERO_ADDRESS, Chain, reverts
from tests.unit.provider_registry.conftest import (
    ATTEMPT_MAX,
    DELAY_MAX,
    HALF_LIFE,
    HEARTBEAT_TTL,
    MIN_BOND,
    THAW_SECONDS,
    WEIGHT_CAP,
    World,
    arguments,
)

YEAR = 365 * 86_400


def test_keeps_what_it_is_told(empty: World) -> None:
    registry = empty.registry
    assert registry.VAULT() == empty.vault.address
    assert registry.ESCROW() == empty.escrow.address
    assert registry.owner() == empty.owner.address
    assert registry.MIN_BOND() == MIN_BOND
    assert registry.HEARTBEAT_TTL() == HEARTBEAT_TTL
    assert registry.HALF_LIFE() == HALF_LIFE
    assert registry.WEIGHT_CAP() == WEIGHT_CAP
    assert registry.THAW_SECONDS() == THAW_SECONDS == ATTEMPT_MAX + DELAY_MAX + 172_800


def test_the_owner_hands_over_in_two_steps(empty: World) -> None:
    registry = empty.registry
    registry.transfer_ownership(empty.stranger, sender=empty.owner)
    assert registry.owner() == empty.owner.address
    assert registry.pending_owner() == empty.stranger.address
    registry.accept_ownership(sender=empty.stranger)
    assert registry.owner() == empty.stranger.address


@pytest.mark.parametrize(
    ("index", "value", "reason"),
    [
        (1, ZERO_ADDRESS, "registry: escrow is zero"),
        (2, ZERO_ADDRESS, "registry: owner is zero"),
        (3, 0, "registry: bad min_bond"),
        (3, 2**80, "registry: bad min_bond"),
        (4, 0, "registry: bad heartbeat_ttl"),
        (4, YEAR + 1, "registry: bad heartbeat_ttl"),
        (5, 0, "registry: bad attempt_max"),
        (5, YEAR + 1, "registry: bad attempt_max"),
        (6, 0, "registry: bad delay_max"),
        (6, YEAR + 1, "registry: bad delay_max"),
        (7, 0, "registry: bad half_life"),
        (7, YEAR + 1, "registry: bad half_life"),
        (8, 0, "registry: bad weight_cap"),
        (8, 2**40, "registry: bad weight_cap"),
    ],
)
def test_refuses(empty: World, chain: Chain, index: int, value: object, reason: str) -> None:
    given = arguments(empty.vault, empty.escrow, empty.owner)
    given[index] = value
    with reverts(reason):
        chain.deploy("ProviderRegistry", *given)


def test_takes_every_bound_itself(empty: World, chain: Chain) -> None:
    given = [empty.vault, empty.escrow, empty.owner, 2**80 - 1, *[YEAR] * 4, 2**40 - 1]
    assert chain.deploy("ProviderRegistry", *given).THAW_SECONDS() == 2 * YEAR + 172_800
