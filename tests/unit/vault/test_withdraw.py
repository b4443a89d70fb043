import pytest

from tests.harness import ZERO_ADDRESS, reverts
from tests.unit.vault.world import START, World, seen


def test_pays_the_receiver_out_of_what_is_free(world: World) -> None:
    world.vault.reserve(world.alice, 300, sender=world.registry)
    receipt = world.vault.withdraw(200, world.dave, sender=world.alice)

    assert world.lanes(world.alice) == (START - 500, 0, 300, 0)
    assert world.vault.account_of(world.alice).books == 0b111
    assert world.token.balanceOf(world.dave) == 200
    assert world.vault.total_held() == 3 * START - 200
    world.assert_conserved()
    assert seen(receipt, world.vault) == [
        ("Withdrawn", world.alice.address, world.dave.address, 200)
    ]


def test_takes_the_last_unit_but_no_reserved_one(world: World) -> None:
    world.vault.reserve(world.alice, 300, sender=world.third)
    with reverts("vault: not enough free"):
        world.vault.withdraw(START - 299, world.alice, sender=world.alice)
    world.vault.withdraw(START - 300, world.alice, sender=world.alice)
    assert world.lanes(world.alice) == (0, 0, 0, 300)
    with reverts("vault: not enough free"):
        world.vault.withdraw(1, world.alice, sender=world.alice)


@pytest.mark.parametrize("amount", [2**80, 2**80 + 1, 2**128, 2**256 - 1])
def test_refuses_amounts_that_no_lane_can_hold(world: World, amount: int) -> None:
    with reverts("vault: not enough free"):
        world.vault.withdraw(amount, world.alice, sender=world.alice)


def test_refuses(world: World) -> None:
    with reverts("vault: withdrawal is zero"):
        world.vault.withdraw(0, world.alice, sender=world.alice)
    with reverts("vault: bad receiver"):
        world.vault.withdraw(1, ZERO_ADDRESS, sender=world.alice)
    with reverts("vault: bad receiver"):
        world.vault.withdraw(1, world.vault, sender=world.alice)
    with reverts("vault: not enough free"):
        world.vault.withdraw(1, world.dave, sender=world.dave)


def test_nobody_can_stop_it(world: World) -> None:
    """Neither books that hold a part, nor a revocation, nor the owner stand in the way."""
    for book in world.books:
        world.vault.reserve(world.alice, 100, sender=book)
    world.vault.revoke(0b111, sender=world.alice)
    world.vault.withdraw(START - 300, world.alice, sender=world.alice)
    assert world.token.balanceOf(world.alice) == START - 300
