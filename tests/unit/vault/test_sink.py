import pytest

from tests.harness import reverts
from tests.unit.vault.world import START, World, seen


@pytest.mark.parametrize("index", [0, 1, 2])
def test_is_nobodys_any_more(world: World, index: int) -> None:
    for book in world.books:
        world.vault.reserve(world.alice, 300, sender=book)
    receipt = world.vault.sink(world.alice, 100, sender=world.books[index])
    world.vault.sink(world.alice, 20, sender=world.books[index])

    reserved = [180 if i == index else 300 for i in range(3)]
    assert world.lanes(world.alice) == (START - 900, *reserved)
    assert (world.vault.sunk(), world.vault.total_held()) == (120, 3 * START)
    world.assert_conserved()
    assert seen(receipt, world.vault) == [("Sunk", world.alice.address, index, 100)]


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        (0, "vault: not enough reserved"),
        (1, "vault: not enough reserved"),
        (2, "vault: not enough in the book"),
    ],
)
def test_takes_what_it_has_reserved_and_no_more(world: World, index: int, reason: str) -> None:
    book = world.books[index]
    world.vault.reserve(world.alice, 300, sender=book)
    for amount in (301, 2**80, 2**256 - 1):
        with reverts(reason):
            world.vault.sink(world.alice, amount, sender=book)
    world.vault.sink(world.alice, 300, sender=book)
    assert world.vault.sunk() == 300


def test_nothing_is_nothing(world: World) -> None:
    world.vault.sink(world.alice, 0, sender=world.escrow)
    assert (world.vault.sunk(), world.lanes(world.alice)) == (0, (START, 0, 0, 0))


def test_refuses_whoever_is_no_book(world: World) -> None:
    world.vault.reserve(world.alice, 300, sender=world.escrow)
    with reverts("vault: caller is no book"):
        world.vault.sink(world.alice, 1, sender=world.owner)
