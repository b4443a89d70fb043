from tests.harness import ZERO_ADDRESS, Account, reverts
from tests.unit.vault.world import ALL, World, seen


def book(number: int) -> str:
    return f"0x{number:0>40}"  # decimal digits only, so that no checksum applies


def test_appends(world: World) -> None:
    receipt = world.vault.add_book(book(77), sender=world.owner)

    assert seen(receipt, world.vault) == [("BookAdded", 3, book(77))]
    assert world.vault.book_at(3) == book(77)
    assert [world.vault.book_at(i) for i in range(3)] == [b.address for b in world.books]
    assert world.vault.book_at(4) == ZERO_ADDRESS


def test_earlier_authorisations_do_not_reach_it(world: World) -> None:
    assert world.vault.account_of(world.alice).books == ALL
    new = Account(world.dave.address)
    world.vault.add_book(new, sender=world.owner)
    assert not world.vault.may_reserve(world.alice, 3)
    with reverts("vault: book not authorised"):
        world.vault.reserve(world.alice, 1, sender=new)
    world.vault.authorise(1 << 3, sender=world.alice)
    world.vault.reserve(world.alice, 1, sender=new)
    assert world.vault.reserved_of(world.alice, 3) == 1


def test_there_are_sixteen_at_most(world: World) -> None:
    for index in range(3, 16):
        world.vault.add_book(book(1000 + index), sender=world.owner)
    assert world.vault.book_at(15) == book(1015)
    assert world.vault.book_at(16) == ZERO_ADDRESS
    with reverts("vault: too many books"):
        world.vault.add_book(book(1016), sender=world.owner)

    world.vault.authorise(2**16 - 1, sender=world.dave)
    assert world.vault.may_reserve(world.dave, 15)
    assert not world.vault.may_reserve(world.dave, 16)
    last = world.chain.impersonate(book(1015))
    world.fund(world.dave, 50, books=0)
    world.vault.reserve(world.dave, 30, sender=last)
    world.vault.release(world.dave, 10, sender=last)
    assert world.vault.reserved_of(world.dave, 15) == 20
    assert world.vault.account_of(world.dave) == (30, 0, 0, 2**16 - 1)
    with reverts("vault: no such book"):
        world.vault.authorise(1 << 16, sender=world.dave)


def test_refuses(world: World) -> None:
    for who in (world.alice, world.escrow, world.chain.accounts[0]):
        with reverts("ownable: caller is not the owner"):
            world.vault.add_book(book(77), sender=who)
    with reverts("vault: book is zero"):
        world.vault.add_book(ZERO_ADDRESS, sender=world.owner)
    for known in world.books:
        with reverts("vault: book exists"):
            world.vault.add_book(known, sender=world.owner)
