import pytest

from tests.harness import Chain, Contract, reverts
from tests.unit.vault.world import M80, START, World, deploy_vault, seen


def test_is_free_for_the_caller(bare: World) -> None:
    bare.equip(bare.alice, 700)
    receipt = bare.vault.deposit(300, sender=bare.alice)

    assert bare.lanes(bare.alice) == (300, 0, 0, 0)
    assert bare.vault.account_of(bare.alice).books == 0
    assert bare.token.balanceOf(bare.alice) == 400
    assert bare.token.balanceOf(bare.vault) == bare.vault.total_held() == 300
    alice = bare.alice.address
    assert seen(receipt, bare.vault) == [("Deposited", alice, alice, 300)]


def test_adds_up_and_leaves_the_rest_of_the_word(world: World) -> None:
    world.vault.reserve(world.alice, 400, sender=world.escrow)
    world.equip(world.alice, 50)
    world.vault.deposit(20, sender=world.alice)
    world.vault.deposit(30, sender=world.alice)

    assert world.lanes(world.alice) == (START - 400 + 50, 400, 0, 0)
    assert world.vault.account_of(world.alice).books == 0b111
    world.assert_conserved()


def test_refuses_nothing(world: World) -> None:
    with reverts("vault: deposit is zero"):
        world.vault.deposit(0, sender=world.alice)


def test_passes_the_tokens_reason_on(world: World) -> None:
    with reverts("erc20: insufficient allowance"):
        world.vault.deposit(1, sender=world.dave)


@pytest.fixture
def deep(chain: Chain) -> tuple[Contract, Contract]:
    """A vault over a token of which there is more than 80 bits."""
    token = chain.deploy("OddToken")
    vault = deploy_vault(chain, token)
    for account in chain.accounts[6:8]:
        token.mint(account, 2**200)
        token.approve(vault, 2**256 - 1, sender=account)
    return token, vault


def test_all_that_is_held_has_80_bits(chain: Chain, deep: tuple[Contract, Contract]) -> None:
    _, vault = deep
    alice, bob = chain.accounts[6:8]
    with reverts("vault: total above 80 bits"):
        vault.deposit(2**80, sender=alice)
    with reverts("vault: total above 80 bits"):
        vault.deposit(2**256 - 1, sender=alice)
    vault.deposit(M80 - 1, sender=alice)
    with reverts("vault: total above 80 bits"):
        vault.deposit(2, sender=bob)
    vault.deposit(1, sender=bob)
    with reverts("vault: total above 80 bits"):
        vault.deposit(1, sender=bob)

    assert (vault.free_of(alice), vault.free_of(bob)) == (M80 - 1, 1)
    assert vault.total_held() == M80

    vault.withdraw(M80 - 1, bob, sender=alice)
    vault.deposit(5, sender=alice)
    assert vault.total_held() == 6


def test_a_full_account_can_still_be_paid_all_there_is(
    chain: Chain, deep: tuple[Contract, Contract]
) -> None:
    """Nobody blocks a settlement by filling an account up: whatever is held fits every lane."""
    _, vault = deep
    alice, bob = chain.accounts[6:8]
    escrow = chain.accounts[3]
    vault.deposit_and_authorise(M80 - 10, 1, sender=alice)
    vault.deposit_and_authorise(10, 1, sender=bob)
    vault.reserve(bob, 10, sender=escrow)
    vault.pay(bob, alice, 10, sender=escrow)
    assert vault.account_of(alice) == (M80, 0, 0, 1)

    vault.reserve(alice, M80, sender=escrow)
    assert vault.account_of(alice) == (0, M80, 0, 1)
    vault.settle(alice, M80, 0, 0, alice, 0, M80, bob, 0, bob, 0, 0, sender=escrow)
    assert vault.account_of(alice) == (0, M80, 0, 1)
    vault.settle(alice, M80, 7, M80 - 7, bob, 0, 0, bob, 0, bob, 0, 0, sender=escrow)
    assert vault.account_of(alice) == (7, 0, M80 - 7, 1)
    vault.release(alice, M80 - 7, sender=chain.accounts[4])
    vault.pledge(alice, 0, 9, alice, M80 - 9, sender=escrow)
    assert vault.account_of(alice) == (0, M80, 0, 1)
    vault.release(alice, M80, sender=escrow)
    vault.reserve(alice, M80, sender=escrow)
    vault.sink(alice, M80, sender=escrow)
    assert (vault.sunk(), vault.total_held()) == (M80, M80)
