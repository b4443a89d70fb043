import pytest

from tests.harness import reverts
from tests.unit.vault.world import START, World, seen


@pytest.mark.parametrize("index", [0, 1, 2])
def test_gives_back_to_what_is_free(world: World, index: int) -> None:
    for book in world.books:
        world.vault.reserve(world.alice, 300, sender=book)
    receipt = world.vault.release(world.alice, 100, sender=world.books[index])

    reserved = [200 if i == index else 300 for i in range(3)]
    assert world.lanes(world.alice) == (START - 800, *reserved)
    assert world.vault.account_of(world.alice).books == 0b111
    world.assert_conserved()
    assert seen(receipt, world.vault) == [("Released", world.alice.address, index, 100)]


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        (0, "vault: not enough reserved"),
        (1, "vault: not enough reserved"),
        (2, "vault: not enough in the book"),
    ],
)
def test_gives_back_what_it_has_reserved_and_no_more(world: World, index: int, reason: str) -> None:
    for book in world.books:
        world.vault.reserve(world.alice, 300, sender=book)
    for amount in (301, 2**80, 2**176, 2**256 - 300):
        with reverts(reason):
            world.vault.release(world.alice, amount, sender=world.books[index])
    with reverts(reason):
        world.vault.release(world.bob, 1, sender=world.books[index])
    world.vault.release(world.alice, 300, sender=world.books[index])
    with reverts(reason):
        world.vault.release(world.alice, 1, sender=world.books[index])


def test_nothing_is_nothing(world: World) -> None:
    receipt = world.vault.release(world.alice, 0, sender=world.escrow)
    assert world.lanes(world.alice) == (START, 0, 0, 0)
    assert seen(receipt, world.vault) == [("Released", world.alice.address, 0, 0)]


def test_refuses_whoever_is_no_book(world: World) -> None:
    world.vault.reserve(world.alice, 300, sender=world.escrow)
    with reverts("vault: caller is no book"):
        world.vault.release(world.alice, 1, sender=world.alice)
