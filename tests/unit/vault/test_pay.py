import pytest

from tests.harness import ZERO_ADDRESS, reverts
from tests.unit.vault.world import START, World, seen


@pytest.mark.parametrize("index", [0, 1, 2])
def test_pays_out_of_what_is_reserved(world: World, index: int) -> None:
    book = world.books[index]
    for each in world.books:
        world.vault.reserve(world.alice, 300, sender=each)
    receipt = world.vault.pay(world.alice, world.dave, 100, sender=book)

    reserved = [200 if i == index else 300 for i in range(3)]
    assert world.lanes(world.alice) == (START - 900, *reserved)
    assert world.lanes(world.dave) == (100, 0, 0, 0)
    assert world.vault.total_held() == 3 * START
    world.assert_conserved()
    alice, dave = world.alice.address, world.dave.address
    assert seen(receipt, world.vault) == [("Paid", alice, dave, index, 100)]


@pytest.mark.parametrize("index", [0, 1, 2])
def test_paying_oneself_is_a_release(world: World, index: int) -> None:
    world.vault.reserve(world.alice, 300, sender=world.books[index])
    world.vault.pay(world.alice, world.alice, 300, sender=world.books[index])
    assert world.lanes(world.alice) == (START, 0, 0, 0)


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        (0, "vault: not enough reserved"),
        (1, "vault: not enough reserved"),
        (2, "vault: not enough in the book"),
    ],
)
def test_pays_what_it_has_reserved_and_no_more(world: World, index: int, reason: str) -> None:
    book = world.books[index]
    world.vault.reserve(world.alice, 300, sender=book)
    for amount in (301, 2**80, 2**256 - 1):
        with reverts(reason):
            world.vault.pay(world.alice, world.dave, amount, sender=book)
    with reverts(reason):
        world.vault.pay(world.bob, world.dave, 1, sender=book)
    world.vault.pay(world.alice, world.dave, 300, sender=book)


def test_refuses_to_pay_nobody(world: World) -> None:
    world.vault.reserve(world.alice, 300, sender=world.escrow)
    with reverts("vault: payee is zero"):
        world.vault.pay(world.alice, ZERO_ADDRESS, 1, sender=world.escrow)
    world.vault.pay(world.alice, ZERO_ADDRESS, 0, sender=world.escrow)
    assert world.lanes(world.alice) == (START - 300, 300, 0, 0)


def test_refuses_whoever_is_no_book(world: World) -> None:
    with reverts("vault: caller is no book"):
        world.vault.pay(world.bob, world.alice, 0, sender=world.alice)
