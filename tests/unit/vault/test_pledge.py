import pytest

from tests.harness import reverts
from tests.unit.vault.world import START, World

TAKEN = {0: "vault: not enough reserved", 2: "vault: not enough in the book"}


def at(index: int, amount: int) -> list[int]:
    return [amount if i == index else 0 for i in range(3)]


@pytest.mark.parametrize("index", [0, 1, 2])
def test_both_sides_are_in_the_lockers_lane_and_nothing_is_logged(world: World, index: int) -> None:
    book = world.books[index]
    receipt = world.vault.pledge(world.alice, 0, 300, world.bob, 700, sender=book)

    assert world.lanes(world.alice) == (START - 300, 0, 0, 0)
    assert world.lanes(world.bob) == (START - 700, *at(index, 1000))
    assert [world.vault.account_of(a).books for a in (world.alice, world.bob)] == [7, 7]
    assert world.vault.total_held() == 3 * START
    assert receipt.events == []
    world.assert_conserved()


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize(("held", "payment"), [(400, 300), (400, 400), (300, 400), (400, 0)])
def test_what_is_held_goes_back_before_the_payment(
    world: World, index: int, held: int, payment: int
) -> None:
    book = world.books[index]
    world.vault.reserve(world.alice, 500, sender=book)
    world.vault.pledge(world.alice, held, payment, world.bob, 700, sender=book)

    assert world.lanes(world.alice) == (START - 500 + held - payment, *at(index, 500 - held))
    assert world.lanes(world.bob) == (START - 700, *at(index, 700 + payment))
    world.assert_conserved()


@pytest.mark.parametrize("index", [0, 1, 2])
def test_one_account_can_be_both(world: World, index: int) -> None:
    book = world.books[index]
    world.vault.reserve(world.alice, 100, sender=book)
    with reverts("vault: not enough to lock"):
        world.vault.pledge(world.alice, 100, 600, world.alice, 401, sender=book)
    world.vault.pledge(world.alice, 100, 600, world.alice, 400, sender=book)
    assert world.lanes(world.alice) == (0, *at(index, START))
    world.assert_conserved()


@pytest.mark.parametrize("index", [0, 2])
def test_a_payer_is_asked_only_for_more_than_it_promised(world: World, index: int) -> None:
    """It may have revoked since it posted the job; what it put aside then is still good."""
    book = world.books[index]
    world.vault.reserve(world.alice, 500, sender=book)
    world.vault.revoke(1 << index, sender=world.alice)
    with reverts("vault: payer not authorised"):
        world.vault.pledge(world.alice, 300, 301, world.bob, 0, sender=book)
    with reverts("vault: payer not authorised"):
        world.vault.pledge(world.alice, 0, 1, world.bob, 0, sender=book)
    world.vault.pledge(world.alice, 300, 300, world.bob, 10, sender=book)
    world.vault.pledge(world.alice, 200, 150, world.bob, 10, sender=book)
    world.vault.pledge(world.alice, 0, 0, world.bob, 10, sender=book)
    assert world.lanes(world.alice) == (START - 450, 0, 0, 0)
    assert world.lanes(world.bob) == (START - 30, *at(index, 480))


@pytest.mark.parametrize("index", [0, 2])
def test_the_locker_is_always_asked(world: World, index: int) -> None:
    world.vault.revoke(1 << index, sender=world.bob)
    for lock in (0, 1):
        with reverts("vault: locker not authorised"):
            world.vault.pledge(world.alice, 0, 300, world.bob, lock, sender=world.books[index])


@pytest.mark.parametrize("index", [0, 2])
def test_no_more_than_there_is(world: World, index: int) -> None:
    def pledge(held: int, payment: int, lock: int) -> None:
        book = world.books[index]
        world.vault.pledge(world.alice, held, payment, world.bob, lock, sender=book)

    world.vault.reserve(world.alice, 400, sender=world.books[index])
    for held in (401, 2**80, 2**256 - 1):
        for payment in (0, 1, held):
            with reverts(TAKEN[index]):
                pledge(held, payment, 0)
    for held, most in ((0, 600), (400, 1000)):
        for payment in (most + 1, 2**80, 2**256 - 1):
            with reverts("vault: not enough to pay"):
                pledge(held, payment, 0)
    for lock in (START + 1, 2**80, 2**256 - 1):
        with reverts("vault: not enough to lock"):
            pledge(0, 1, lock)
    assert world.lanes(world.alice) == (START - 400, *at(index, 400))
    pledge(400, START, START)
    assert world.lanes(world.alice) == (0, 0, 0, 0)
    assert world.lanes(world.bob) == (0, *at(index, 2 * START))


def test_refuses_whoever_is_no_book(world: World) -> None:
    with reverts("vault: caller is no book"):
        world.vault.pledge(world.alice, 0, 1, world.bob, 1, sender=world.alice)
