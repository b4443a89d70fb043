import pytest

from tests.harness import reverts
from tests.unit.vault.world import START, World


@pytest.mark.parametrize("index", [0, 1, 2])
def test_puts_aside_on_both_sides_and_logs_nothing(world: World, index: int) -> None:
    book = world.books[index]
    receipt = world.vault.reserve_pair(world.alice, 300, world.bob, 700, sender=book)

    def at_index(amount: int) -> list[int]:
        return [amount if i == index else 0 for i in range(3)]

    assert world.lanes(world.alice) == (START - 300, *at_index(300))
    assert world.lanes(world.bob) == (START - 700, *at_index(700))
    assert world.vault.total_held() == 3 * START
    assert receipt.events == []
    world.assert_conserved()


@pytest.mark.parametrize("index", [0, 1, 2])
def test_one_account_can_be_both(world: World, index: int) -> None:
    book = world.books[index]
    with reverts("vault: not enough to reserve"):
        world.vault.reserve_pair(world.alice, 600, world.alice, 401, sender=book)
    world.vault.reserve_pair(world.alice, 600, world.alice, 400, sender=book)
    assert world.vault.free_of(world.alice) == 0
    assert world.vault.reserved_of(world.alice, index) == START


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_payer_that_pays_nothing_is_not_asked(world: World, index: int) -> None:
    """Its money was put aside when it posted the job; it may have revoked since."""
    book = world.books[index]
    world.vault.revoke(1 << index, sender=world.alice)
    world.vault.reserve_pair(world.alice, 0, world.bob, 700, sender=book)
    assert world.lanes(world.alice) == (START, 0, 0, 0)
    assert world.vault.reserved_of(world.bob, index) == 700
    with reverts("vault: book not authorised"):
        world.vault.reserve_pair(world.alice, 1, world.bob, 0, sender=book)


def test_the_locker_is_always_asked(world: World) -> None:
    world.vault.revoke(1, sender=world.bob)
    for lock in (0, 1):
        with reverts("vault: book not authorised"):
            world.vault.reserve_pair(world.alice, 300, world.bob, lock, sender=world.escrow)


def test_reserves_the_last_unit_of_either_and_no_more(world: World) -> None:
    for payment, lock in ((START + 1, 1), (1, START + 1), (2**80, 1), (1, 2**256 - 1)):
        with reverts("vault: not enough to reserve"):
            world.vault.reserve_pair(world.alice, payment, world.bob, lock, sender=world.escrow)
    assert world.lanes(world.alice) == world.lanes(world.bob) == (START, 0, 0, 0)
    world.vault.reserve_pair(world.alice, START, world.bob, START, sender=world.escrow)


def test_refuses_whoever_is_no_book(world: World) -> None:
    with reverts("vault: caller is no book"):
        world.vault.reserve_pair(world.alice, 1, world.bob, 1, sender=world.alice)
