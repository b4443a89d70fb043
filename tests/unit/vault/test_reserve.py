import pytest

from tests.harness import ZERO_ADDRESS, reverts
from tests.unit.vault.world import ALL, START, World, seen


@pytest.mark.parametrize("index", [0, 1, 2])
def test_puts_aside_for_the_calling_book_alone(world: World, index: int) -> None:
    book = world.books[index]
    totals = world.vault.total_held()
    receipt = world.vault.reserve(world.alice, 300, sender=book)
    world.vault.reserve(world.alice, 100, sender=book)

    reserved = [400 if i == index else 0 for i in range(3)]
    assert world.lanes(world.alice) == (START - 400, *reserved)
    assert world.vault.account_of(world.alice).books == ALL
    assert world.lanes(world.bob) == (START, 0, 0, 0)
    assert world.vault.total_held() == totals
    world.assert_conserved()
    assert seen(receipt, world.vault) == [("Reserved", world.alice.address, index, 300)]


@pytest.mark.parametrize("index", [0, 1, 2])
def test_reserves_the_last_unit_and_no_more(world: World, index: int) -> None:
    book = world.books[index]
    for amount in (START + 1, 2**80, 2**176, 2**256 - 1):
        with reverts("vault: not enough to reserve"):
            world.vault.reserve(world.alice, amount, sender=book)
    world.vault.reserve(world.alice, START, sender=book)
    with reverts("vault: not enough to reserve"):
        world.vault.reserve(world.alice, 1, sender=book)
    world.vault.reserve(world.alice, 0, sender=book)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_wants_the_accounts_authorisation(world: World, index: int) -> None:
    world.vault.revoke(1 << index, sender=world.alice)
    for amount in (0, 1):
        with reverts("vault: book not authorised"):
            world.vault.reserve(world.alice, amount, sender=world.books[index])
    with reverts("vault: book not authorised"):
        world.vault.reserve(ZERO_ADDRESS, 0, sender=world.books[index])


def test_refuses_whoever_is_no_book(world: World) -> None:
    for who in (world.alice, world.owner, world.sink):
        with reverts("vault: caller is no book"):
            world.vault.reserve(world.alice, 1, sender=who)
