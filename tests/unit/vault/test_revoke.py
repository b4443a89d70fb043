import pytest

from tests.harness import ZERO_ADDRESS, reverts
from tests.unit.vault.world import ALL, ESCROW, REGISTRY, START, THIRD, World, seen


@pytest.mark.parametrize("books", [ESCROW, REGISTRY, THIRD, ESCROW | THIRD, ALL])
def test_stops_exactly_these_books(world: World, books: int) -> None:
    receipt = world.vault.revoke(books, sender=world.alice)

    gone = [i for i in range(3) if books >> i & 1]
    assert seen(receipt, world.vault) == [
        ("Authorised", world.alice.address, i, False) for i in gone
    ]
    assert world.vault.account_of(world.alice) == (START, 0, 0, ALL & ~books)
    assert world.vault.account_of(world.bob).books == ALL
    for i, book in enumerate(world.books):
        if i in gone:
            with reverts("vault: book not authorised"):
                world.vault.reserve(world.alice, 1, sender=book)
        else:
            world.vault.reserve(world.alice, 1, sender=book)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_what_is_reserved_is_not_trapped(world: World, index: int) -> None:
    book = world.books[index]
    world.vault.reserve(world.alice, 100, sender=book)
    world.vault.revoke(ALL, sender=world.alice)

    world.vault.release(world.alice, 10, sender=book)
    world.vault.pay(world.alice, world.dave, 20, sender=book)
    world.vault.sink(world.alice, 30, sender=book)
    nobody = ZERO_ADDRESS
    world.vault.settle(
        world.alice, 40, 15, 0, nobody, 0, 0, world.dave, 20, world.bob, 5, 0, sender=book
    )
    assert world.lanes(world.alice) == (START - 100 + 10 + 15, 0, 0, 0)
    assert world.lanes(world.dave) == (40, 0, 0, 0)
    world.assert_conserved()


def test_cancels_what_was_signed(world: World) -> None:
    """Also when there is nothing else to revoke."""
    world.vault.revoke(ALL, sender=world.alice)
    assert world.vault.revoke(ALL, sender=world.alice).events == []
    assert world.vault.nonces(world.alice) == 2


def test_refuses(world: World) -> None:
    with reverts("vault: no book to revoke"):
        world.vault.revoke(0, sender=world.alice)
    for books in (8, 1 << 16, 2**256 - 1):
        with reverts("vault: no such book"):
            world.vault.revoke(books, sender=world.alice)
    assert world.vault.nonces(world.alice) == 0
