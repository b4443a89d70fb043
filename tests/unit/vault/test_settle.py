from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest

from tests.harness import ZERO_ADDRESS, Receipt, reverts
from tests.unit.vault.world import START, World


@dataclass(frozen=True)
class Split:
    """The amounts of a settlement, in the order of the arguments."""

    out: int = 0
    back: int = 0
    kept: int = 0
    to_free: int = 0
    to_reserved: int = 0
    first: int = 0
    second: int = 0
    sunk: int = 0


WHOLE = Split(600, 300, 0, 100, 80, 60, 40, 20)


def settle(world: World, split: Split, *parties: Any, book: Any = None, **options: Any) -> Receipt:
    account, payer, first, second = parties or (world.bob, world.alice, world.carol, world.dave)
    return world.vault.settle(
        account,
        split.out,
        split.back,
        split.kept,
        payer,
        split.to_free,
        split.to_reserved,
        first,
        split.first,
        second,
        split.second,
        split.sunk,
        sender=book or world.escrow,
        **options,
    )


@pytest.fixture(params=[0, 1, 2])
def running(world: World, request: pytest.FixtureRequest) -> tuple[World, int]:
    """One book has reserved 600 of bob; all books have reserved 100 more of bob and of alice."""
    for book in world.books:
        world.vault.reserve(world.alice, 100, sender=book)
        world.vault.reserve(world.bob, 100, sender=book)
    world.vault.reserve(world.bob, 600, sender=world.books[request.param])
    return world, request.param


def test_divides_what_is_reserved_of_one(running: tuple[World, int]) -> None:
    world, index = running
    receipt = settle(world, WHOLE, book=world.books[index])

    hundreds = [100, 100, 100]
    raised = [180 if i == index else 100 for i in range(3)]
    assert world.lanes(world.bob) == (START - 900 + 300, *hundreds)
    assert world.lanes(world.alice) == (START - 300 + 100, *raised)
    assert world.lanes(world.carol) == (START + 60, 0, 0, 0)
    assert world.lanes(world.dave) == (40, 0, 0, 0)
    assert (world.vault.sunk(), world.vault.total_held()) == (20, 3 * START)
    assert [world.vault.account_of(a).books for a in (world.alice, world.bob)] == [7, 7]
    assert receipt.events == []
    world.assert_conserved()


def test_book_0_can_leave_some_to_book_1(world: World) -> None:
    world.vault.reserve(world.bob, 600, sender=world.escrow)
    world.vault.reserve(world.bob, 100, sender=world.registry)
    settle(world, Split(600, 500, kept=70, first=30))
    assert world.lanes(world.bob) == (START - 700 + 500, 0, 170, 0)
    world.assert_conserved()

    world.vault.reserve(world.bob, 5, sender=world.escrow)
    settle(world, Split(5, kept=5))
    assert world.lanes(world.bob) == (START - 205, 0, 175, 0)
    world.vault.sink(world.bob, 75, sender=world.registry)
    assert world.vault.sunk() == 75
    world.assert_conserved()


def test_no_other_book_can(world: World) -> None:
    for book in (world.registry, world.third):
        world.vault.reserve(world.bob, 600, sender=book)
        with reverts("vault: only book 0 keeps"):
            settle(world, Split(600, 599, kept=1), book=book)
        settle(world, Split(600, 600), book=book)


def test_every_way_to_be_the_same_account(running: tuple[World, int]) -> None:
    """The four parties may be any of one to four accounts; each gets the sum of its parts."""
    world, index = running
    people = (world.bob, world.alice, world.carol, world.dave)
    split = Split(500, 30, 7 if index == 0 else 0, 60, 200, 90, 80, 33 if index == 0 else 40)
    before = {person: world.lanes(person) for person in people}
    for places in product(range(4), repeat=4):
        # One naming of each of the 15 patterns: a new name is the next one.
        if any(place > len(set(places[:i])) for i, place in enumerate(places)):
            continue
        parties = [people[place] for place in places]
        expected = {person: list(lanes) for person, lanes in before.items()}
        expected[parties[0]][index + 1] -= split.out
        expected[parties[0]][2] += split.kept
        expected[parties[1]][index + 1] += split.to_reserved
        amounts = (split.back, split.to_free, split.first, split.second)
        for person, amount in zip(parties, amounts, strict=True):
            expected[person][0] += amount
        with world.chain.isolated():
            settle(world, split, *parties, book=world.books[index])
            for person in people:
                assert world.lanes(person) == tuple(expected[person]), places
            assert world.vault.sunk() == split.sunk
            world.assert_conserved()


def test_zeros_touch_nothing(world: World) -> None:
    """Nobody is not credited with nothing, and a word that doesn't change is not read."""
    plain = settle(world, Split(), *[ZERO_ADDRESS] * 4)
    named = settle(world, Split())
    # The addresses cost their calldata; reading their words would cost 2,100 each.
    assert named.gas_used - plain.gas_used <= 4 * 20 * 30
    assert world.lanes(world.alice) == (START, 0, 0, 0)


def test_what_is_free_and_what_other_books_have_stays_out_of_it(world: World) -> None:
    world.vault.reserve(world.bob, 400, sender=world.registry)
    with reverts("vault: not enough reserved"):
        settle(world, Split(1, first=1))
    with reverts("vault: not enough in the book"):
        settle(world, Split(1, first=1), book=world.third)


@pytest.mark.parametrize("field", Split.__dataclass_fields__)
@pytest.mark.parametrize("by", [-1, 1, 2**80, 2**128, -(2**128)])
def test_refuses_what_does_not_add_up(world: World, field: str, by: int) -> None:
    world.vault.reserve(world.bob, 1_000, sender=world.escrow)
    whole = {**WHOLE.__dict__, "kept": 10, "back": 290}
    amounts = whole | {field: (whole[field] + by) % 2**256}
    with reverts("vault: out differs from in"):
        settle(world, Split(**amounts))
    settle(world, Split(**whole))


@pytest.mark.parametrize(
    "split",
    [
        # Sums that wrap around 2^256 to what goes out.
        Split(400, 2**255, 0, 2**255, first=400),
        Split(400, 2**256 - 1, 0, 1, second=400),
        Split(400, kept=2**256 - 1, sunk=401),
        Split(0, to_reserved=2**255, first=2**255),
        # They add up, but no lane holds so much.
        Split(2**80, 2**80),
        Split(2**256 - 1, sunk=2**256 - 1),
    ],
)
def test_refuses_sums_that_wrap(world: World, split: Split) -> None:
    world.vault.reserve(world.bob, 600, sender=world.escrow)
    with reverts("vault: out differs from in"):
        settle(world, split)


def test_no_more_than_is_reserved(running: tuple[World, int]) -> None:
    world, index = running
    book = world.books[index]
    reason = "vault: not enough in the book" if index == 2 else "vault: not enough reserved"
    with reverts(reason):
        settle(world, Split(701, first=701), book=book)
    # What comes back in the same call is not there to be taken.
    with reverts(reason):
        settle(world, Split(701, 701), book=book)
    same = [world.bob] * 4
    with reverts(reason):
        settle(world, Split(701, to_reserved=701), *same, book=book)
    settle(world, Split(700, to_reserved=700), *same, book=book)
    settle(world, Split(700, first=700), book=book)
    assert world.vault.reserved_of(world.bob, index) == 0


@pytest.mark.parametrize(
    ("field", "position", "reason"),
    [
        ("to_free", 1, "vault: refund to zero"),
        ("to_reserved", 1, "vault: refund to zero"),
        ("first", 2, "vault: payee is zero"),
        ("second", 3, "vault: payee is zero"),
    ],
)
def test_refuses_to_pay_nobody(world: World, field: str, position: int, reason: str) -> None:
    world.vault.reserve(world.bob, 600, sender=world.escrow)
    parties: list[Any] = [world.bob, world.alice, world.carol, world.dave]
    parties[position] = ZERO_ADDRESS
    with reverts(reason):
        settle(world, Split(400, 399, **{field: 1}), *parties)


def test_refuses_whoever_is_no_book(world: World) -> None:
    for who in (world.alice, world.owner):
        with reverts("vault: caller is no book"):
            settle(world, Split(), book=who)
