from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest

from tests.harness import ZERO_ADDRESS, Receipt, reverts
from tests.unit.vault.world import START, World


@dataclass(frozen=True)
class Split:
    """The amounts of a settlement, in the order of the arguments."""

    payer_out: int = 0
    payer_back: int = 0
    locker_out: int = 0
    locker_back: int = 0
    first: int = 0
    second: int = 0
    sunk: int = 0


FINAL = Split(400, 70, 600, 600, 310, 15, 5)


def settle(
    world: World, split: Split, *parties: Any, book: Any = None, **options: Any
) -> Receipt:
    payer, locker, first, second = parties or (world.alice, world.bob, world.carol, world.dave)
    arguments = (payer, split.payer_out, split.payer_back, locker, split.locker_out)
    arguments += (split.locker_back, first, split.first, second, split.second, split.sunk)
    return world.vault.settle(*arguments, sender=book or world.escrow, **options)


@pytest.fixture(params=[0, 1, 2])
def running(world: World, request: pytest.FixtureRequest) -> tuple[World, int]:
    """alice has 400 and bob 600 reserved, 100 more of each in every book."""
    for i, book in enumerate(world.books):
        here = i == request.param
        world.vault.reserve(world.alice, 400 if here else 100, sender=book)
        world.vault.reserve(world.bob, 600 if here else 100, sender=book)
    return world, request.param


def test_divides_among_four_and_the_sink(running: tuple[World, int]) -> None:
    world, index = running
    receipt = settle(world, FINAL, book=world.books[index])

    others = [0 if i == index else 100 for i in range(3)]
    assert world.lanes(world.alice) == (START - 600 + 70, *others)
    assert world.lanes(world.bob) == (START - 800 + 600, *others)
    assert world.lanes(world.carol) == (START + 310, 0, 0, 0)
    assert world.lanes(world.dave) == (15, 0, 0, 0)
    assert (world.vault.sunk(), world.vault.total_held()) == (5, 3 * START)
    assert [world.vault.account_of(a).books for a in (world.alice, world.bob)] == [7, 7]
    assert receipt.events == []
    world.assert_conserved()


def test_every_way_to_be_the_same_account(running: tuple[World, int]) -> None:
    """The four parties may be any of one to four accounts; each gets the sum of its parts."""
    world, index = running
    people = (world.alice, world.bob, world.carol, world.dave)
    split = Split(100, 30, 150, 60, 90, 40, 30)
    for account in (world.carol, world.dave):
        world.fund(account)
        world.vault.reserve(account, 300, sender=world.books[index])
    before = {person: world.lanes(person) for person in people}
    for places in product(range(4), repeat=4):
        # One naming of each of the 15 patterns: a new name is the next one.
        if any(place > len(set(places[:i])) for i, place in enumerate(places)):
            continue
        parties = [people[place] for place in places]
        out = dict.fromkeys(people, 0)
        back = dict.fromkeys(people, 0)
        out[parties[0]] += split.payer_out
        out[parties[1]] += split.locker_out
        amounts = (split.payer_back, split.locker_back, split.first, split.second)
        for person, amount in zip(parties, amounts, strict=True):
            back[person] += amount
        with world.chain.isolated():
            settle(world, split, *parties, book=world.books[index])
            for person in people:
                expected = list(before[person])
                expected[0] += back[person]
                expected[index + 1] -= out[person]
                assert world.lanes(person) == tuple(expected), parties
            assert world.vault.sunk() == split.sunk
            world.assert_conserved()


def test_zeros_touch_nothing(world: World) -> None:
    """Nobody is not credited with nothing, and a word that doesn't change is not read."""
    plain = settle(world, Split(), *[ZERO_ADDRESS] * 4)
    named = settle(world, Split(), world.alice, world.bob, world.carol, world.dave)
    # The addresses cost their calldata; reading their words would cost 2,100 each.
    assert named.gas_used - plain.gas_used <= 4 * 20 * 30
    assert world.lanes(world.alice) == (START, 0, 0, 0)


def test_the_partys_own_money_stays_out_of_it(world: World) -> None:
    """What is free, and what other books have reserved, can't be settled."""
    world.vault.reserve(world.alice, 400, sender=world.registry)
    for book in (world.escrow, world.third):
        reason = "vault: not enough " + ("reserved" if book is world.escrow else "in the book")
        with reverts(reason):
            settle(world, Split(payer_out=1, payer_back=1), book=book)
        with reverts(reason):
            settle(world, Split(locker_out=1, first=1), book=book)


@pytest.mark.parametrize("field", Split.__dataclass_fields__)
@pytest.mark.parametrize("by", [-1, 1, 2**80, 2**128, -(2**128)])
def test_refuses_what_does_not_add_up(world: World, field: str, by: int) -> None:
    world.vault.reserve_pair(world.alice, 500, world.bob, 700, sender=world.escrow)
    amounts = {**FINAL.__dict__}
    amounts[field] = (amounts[field] + by) % 2**256
    with reverts("vault: out differs from in"):
        settle(world, Split(**amounts))
    settle(world, FINAL)


@pytest.mark.parametrize(
    "split",
    [
        # Each side's sum wraps around 2^256 to the same small number.
        Split(400, 2**255, 0, 2**255, 400, 0, 0),
        Split(2**255, 100, 2**255, 0, 0, 0, 2**256 - 100),
        Split(400, 2**256 - 1, 600, 1, 500, 500, 0),
        # Adds up, but with amounts that no lane holds.
        Split(2**80, 2**80, 0, 0, 0, 0, 0),
        Split(2**255, 0, 2**255, 0, 2**255, 2**255, 0),
    ],
)
def test_refuses_sums_that_wrap(world: World, split: Split) -> None:
    world.vault.reserve_pair(world.alice, 400, world.bob, 600, sender=world.escrow)
    with reverts("vault: out differs from in"):
        settle(world, split)


@pytest.mark.parametrize("same", [True, False])
def test_no_more_than_is_reserved(running: tuple[World, int], same: bool) -> None:
    world, index = running
    book = world.books[index]
    reason = "vault: not enough in the book" if index == 2 else "vault: not enough reserved"
    locker = world.alice if same else world.bob
    parties = (world.alice, locker, world.carol, world.dave)
    most = 0 if same else 600
    with reverts(reason):
        settle(world, Split(401, 0, most, 0, 401 + most), *parties, book=book)
    with reverts(reason):
        settle(world, Split(400, 0, most + 1, 0, 401 + most), *parties, book=book)
    # What comes back in the same call is not there to be taken.
    with reverts(reason):
        settle(world, Split(401, 401), *parties, book=book)
    with reverts(reason):
        settle(world, Split(400, 401, most + 1, most), *parties, book=book)
    settle(world, Split(400, 0, most, 0, 400 + most), *parties, book=book)
    assert world.vault.reserved_of(world.alice, index) == 0


@pytest.mark.parametrize("position", range(4))
def test_refuses_to_pay_nobody(world: World, position: int) -> None:
    world.vault.reserve_pair(world.alice, 400, world.bob, 600, sender=world.escrow)
    parties = [world.alice, world.bob, world.carol, world.dave]
    amounts = [0, 0, 0, 0]
    amounts[position] = 400
    parties[position] = ZERO_ADDRESS
    # The other side pays, so that it is the payee that is wrong, not the payer.
    out = {"locker_out": 400} if position == 0 else {"payer_out": 400}
    backs = dict(zip(("payer_back", "locker_back", "first", "second"), amounts, strict=True))
    with reverts("vault: payee is zero"):
        settle(world, Split(**out, **backs), *parties)


def test_refuses_whoever_is_no_book(world: World) -> None:
    for who in (world.alice, world.owner):
        with reverts("vault: caller is no book"):
            settle(world, Split(), book=who)
