from tests.harness import reverts
from tests.unit.vault.world import ESCROW, THIRD, World, seen


def test_deposits_then_authorises(bare: World) -> None:
    bare.equip(bare.alice, 300)
    receipt = bare.vault.deposit_and_authorise(300, ESCROW | THIRD, sender=bare.alice)

    assert bare.lanes(bare.alice) == (300, 0, 0, 0)
    assert bare.vault.account_of(bare.alice).books == ESCROW | THIRD
    assert bare.token.balanceOf(bare.vault) == bare.vault.total_held() == 300
    alice = bare.alice.address
    assert seen(receipt, bare.vault) == [
        ("Deposited", alice, alice, 300),
        ("Authorised", alice, 0, True),
        ("Authorised", alice, 2, True),
    ]


def test_without_books_it_is_a_deposit(bare: World) -> None:
    bare.equip(bare.alice, 300)
    receipt = bare.vault.deposit_and_authorise(300, 0, sender=bare.alice)

    assert [name for name, *_ in seen(receipt, bare.vault)] == ["Deposited"]
    assert bare.vault.account_of(bare.alice) == (300, 0, 0, 0)


def test_refuses_zero(world: World) -> None:
    with reverts("vault: deposit is zero"):
        world.vault.deposit_and_authorise(0, ESCROW, sender=world.alice)


def test_refuses_a_book_that_is_not_there_and_keeps_the_money_out(bare: World) -> None:
    bare.equip(bare.alice, 300)
    with reverts("vault: no such book"):
        bare.vault.deposit_and_authorise(300, 1 << 3, sender=bare.alice)
    assert bare.token.balanceOf(bare.alice) == 300
