from tests.harness import ZERO_ADDRESS
from tests.unit.vault.world import World


def test_accounts_that_never_came(world: World) -> None:
    for who in (world.dave, ZERO_ADDRESS):
        assert world.vault.account_of(who) == (0, 0, 0, 0)
        assert world.vault.free_of(who) == world.vault.reserved_of(who, 2) == 0
        assert world.vault.nonces(who) == 0


def test_indices_without_a_book(world: World) -> None:
    for index in (3, 15, 16, 2**256 - 240, 2**256 - 1):
        assert world.vault.book_at(index) == ZERO_ADDRESS
        assert world.vault.reserved_of(world.alice, index) == 0
        assert world.vault.may_reserve(world.alice, index) is False


def test_the_fields_of_a_word_are_apart(world: World) -> None:
    vault, alice = world.vault, world.alice
    vault.reserve(alice, 1, sender=world.escrow)
    vault.reserve(alice, 20, sender=world.registry)
    vault.reserve(alice, 300, sender=world.third)
    vault.revoke(2, sender=alice)

    assert vault.account_of(alice) == (679, 1, 20, 0b101)
    assert [vault.reserved_of(alice, i) for i in range(4)] == [1, 20, 300, 0]
    assert [vault.may_reserve(alice, i) for i in range(4)] == [True, False, True, False]
