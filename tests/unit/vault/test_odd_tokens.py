"""Tokens that don't do what they say, and tokens that come back in the middle of a call."""

from dataclasses import dataclass

import pytest

from tests.harness import Account, Chain, Contract, reverts
from tests.unit.vault.world import World, deploy_vault

NOTHING, REFUSE, LIE, FEE, REVERT = range(1, 6)


@dataclass
class Odd:
    """A vault over an odd token; alice has 1000 in it, and the token itself 1000 and book 1."""

    chain: Chain
    token: Contract
    vault: Contract
    alice: Account
    escrow: Account
    sink: Account

    def lanes(self, account: object) -> tuple[int, ...]:
        return tuple(self.vault.account_of(account))

    def assert_whole(self) -> None:
        total = sum(sum(self.lanes(a)[:3]) for a in (self.alice, self.token))
        assert total + self.vault.sunk() == self.vault.total_held()
        assert self.token.balanceOf(self.vault) == self.vault.total_held()


@pytest.fixture
def odd(chain: Chain) -> Odd:
    token = chain.deploy("OddToken")
    vault = deploy_vault(chain, token, registry=token)
    sink, escrow, alice = chain.accounts[2], chain.accounts[3], chain.accounts[6]
    for holder in (alice, token):
        token.mint(holder, 3000)
    token.approve(vault, 3000, sender=alice)
    token.act(token, token.encode("approve", vault, 3000))
    vault.deposit_and_authorise(1000, 3, sender=alice)
    token.act(vault, vault.encode("deposit_and_authorise", 1000, 3))
    vault.reserve(alice, 100, sender=escrow)
    return Odd(chain, token, vault, alice, escrow, sink)


def test_one_that_answers_nothing_is_fine(odd: Odd) -> None:
    odd.token.set_mode(NOTHING)
    odd.vault.deposit(500, sender=odd.alice)
    odd.vault.withdraw(300, odd.alice, sender=odd.alice)
    odd.vault.sink(odd.alice, 40, sender=odd.escrow)
    odd.vault.flush_sink()

    assert odd.lanes(odd.alice)[:2] == (1100, 60)
    assert odd.token.balanceOf(odd.alice) == 3000 - 1500 + 300
    assert odd.token.balanceOf(odd.sink) == 40
    odd.assert_whole()


def test_one_that_says_no(odd: Odd) -> None:
    odd.vault.sink(odd.alice, 40, sender=odd.escrow)
    odd.token.set_mode(REFUSE)
    with reverts("vault: token refused to pull"):
        odd.vault.deposit(500, sender=odd.alice)
    with reverts("vault: token refused to pay"):
        odd.vault.withdraw(500, odd.alice, sender=odd.alice)
    with reverts("vault: token refused the flush"):
        odd.vault.flush_sink()
    assert (odd.lanes(odd.alice)[:2], odd.vault.sunk()) == ((900, 60), 40)
    odd.assert_whole()


def test_one_that_reverts(odd: Odd) -> None:
    odd.vault.sink(odd.alice, 40, sender=odd.escrow)
    odd.token.set_mode(REVERT)
    for call in (
        lambda: odd.vault.deposit(500, sender=odd.alice),
        lambda: odd.vault.withdraw(500, odd.alice, sender=odd.alice),
        odd.vault.flush_sink,
    ):
        with reverts("odd token: told to revert"):
            call()


@pytest.mark.parametrize("mode", [LIE, FEE])
def test_less_than_the_amount_is_refused(odd: Odd, mode: int) -> None:
    odd.token.set_mode(mode)
    with reverts("vault: not the amount came in"):
        odd.vault.deposit(500, sender=odd.alice)
    with reverts("vault: not the amount came in"):
        odd.vault.deposit_and_authorise(500, 1, sender=odd.alice)
    with reverts("vault: not the amount came in"):
        odd.vault.deposit_with_permit(500, 1, 0, 27, bytes(32), bytes(32), sender=odd.alice)
    odd.assert_whole()


def test_more_than_the_amount_is_refused(odd: Odd) -> None:
    """A gift in the middle of a deposit is not the depositor's."""
    odd.token.set_hook(odd.token, odd.token.encode("transfer", odd.vault, 7))
    with reverts("vault: not the amount came in"):
        odd.vault.deposit(500, sender=odd.alice)


def test_a_deposit_that_is_a_withdrawal_is_refused(odd: Odd) -> None:
    odd.token.set_hook(odd.token, odd.token.encode("burn", odd.vault, 600))
    with reverts("vault: not the amount came in"):
        odd.vault.deposit(500, sender=odd.alice)


LOCKED = [
    ("deposit", 100),
    ("deposit_and_authorise", 100, 1),
    ("deposit_with_permit", 100, 1, 0, 27, bytes(32), bytes(32)),
    ("withdraw", 100, "token"),
    ("authorise", 1),
    ("revoke", 1),
    ("authorise_by_signature", "alice", 1, True, 2**40, b""),
    ("flush_sink",),
    ("add_book", "alice"),
]


@pytest.mark.parametrize("move", LOCKED, ids=lambda move: move[0])
@pytest.mark.parametrize("during", ["deposit", "withdraw", "flush_sink"])
def test_no_way_back_in(odd: Odd, during: str, move: tuple[object, ...]) -> None:
    odd.vault.sink(odd.alice, 40, sender=odd.escrow)
    name, *arguments = move
    arguments = [getattr(odd, a) if isinstance(a, str) else a for a in arguments]
    before = odd.lanes(odd.token)
    odd.token.set_hook(odd.vault, odd.vault.encode(name, *arguments))

    if during == "deposit":
        odd.vault.deposit(500, sender=odd.alice)
    elif during == "withdraw":
        odd.vault.withdraw(500, odd.alice, sender=odd.alice)
    else:
        odd.vault.flush_sink()

    # The lock reverts without a word; without it, these would fail with one or succeed.
    assert odd.token.hook_target() == "0x" + "00" * 20
    assert (odd.token.hook_succeeded(), odd.token.hook_answer()) == (False, b"")
    assert odd.lanes(odd.token) == before
    odd.assert_whole()


BOOK_MOVES = [
    (("reserve", "alice", 50), (-50, 0, 50)),
    (("release", "alice", 30), (30, 0, -30)),
    (("pay", "alice", "token", 30), (0, 0, -30)),
    (("sink", "alice", 30), (0, 0, -30)),
    (("pledge", "alice", 30, 50, "token", 40), (-20, 0, -30)),
    (("settle", "alice", 90, 60, 0, "token", 0, 0, "token", 20, "alice", 3, 7), (63, 0, -90)),
]


@pytest.mark.parametrize(("move", "change"), BOOK_MOVES, ids=lambda v: str(v[0]))
@pytest.mark.parametrize("during", ["deposit", "withdraw", "flush_sink"])
def test_a_token_that_is_a_book_gains_nothing_by_timing(
    odd: Odd, during: str, move: tuple[object, ...], change: tuple[int, ...]
) -> None:
    """Books aren't locked out: in the middle of a call they find what they find at any time."""
    odd.vault.sink(odd.alice, 40, sender=odd.escrow)
    odd.token.act(odd.vault, odd.vault.encode("reserve", odd.alice, 100))
    name, *arguments = move
    arguments = [getattr(odd, a) if isinstance(a, str) else a for a in arguments]
    before = odd.lanes(odd.alice)
    odd.token.set_hook(odd.vault, odd.vault.encode(name, *arguments))

    own = 0
    if during == "deposit":
        odd.vault.deposit(500, sender=odd.alice)
        own = 500
    elif during == "withdraw":
        odd.vault.withdraw(500, odd.alice, sender=odd.alice)
        own = -500
    else:
        odd.vault.flush_sink()

    assert odd.token.hook_succeeded()
    expected = [a + b for a, b in zip(before, (*change, 0), strict=True)]
    expected[0] += own
    assert odd.lanes(odd.alice) == tuple(expected)
    odd.assert_whole()


@pytest.mark.parametrize("during", ["deposit", "withdraw"])
def test_a_book_in_the_middle_can_not_use_what_moves(odd: Odd, during: str) -> None:
    """What is not in yet, or out already, can't be reserved."""
    free = odd.vault.free_of(odd.alice)
    too_much = free + 1 if during == "deposit" else free - 499
    odd.token.set_hook(odd.vault, odd.vault.encode("reserve", odd.alice, too_much))
    if during == "deposit":
        odd.vault.deposit(500, sender=odd.alice)
    else:
        odd.vault.withdraw(500, odd.alice, sender=odd.alice)
    assert not odd.token.hook_succeeded()
    assert odd.vault.account_of(odd.alice).reserved_registry == 0
    odd.assert_whole()


def test_views_answer_in_the_middle(world: World, odd: Odd) -> None:
    odd.token.set_hook(odd.vault, odd.vault.encode("free_of", odd.alice))
    odd.vault.withdraw(500, odd.alice, sender=odd.alice)
    assert odd.token.hook_succeeded()
    assert int.from_bytes(odd.token.hook_answer()) == 400
