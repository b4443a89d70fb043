"""The auction and the pools behind it, against all offers looked at one by one and scipy."""

import random
from array import array
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.market import auction as auction_module
from headrace.market.auction import NOTHING, Auction
from headrace.market.candidates import Candidates, Case, Offer
from headrace.market.engine import propose
from headrace.market.matching import judge
from headrace.market.plan import Choice
from headrace.market.pool import Pool
from headrace.terms.money import price_of
from headrace.terms.words import Node
from scripts.bench.matching import ASSIGNED, price_gap
from scripts.bench.random_market import Size, market
from tests.offchain.market.worlds import World, make_provider
from tests.offchain.terms.examples import UNIT, address

A = address(0xB0)

# More offers than a pool looks at, all for one program.
CROWD = Size(jobs=40, asks=200, capacity=2, programs=1, listed=1, open_jobs=4)


def crowd(seed: int, size: Size = CROWD) -> Candidates:
    candidates = Candidates(*market(size, seed), frozenset())
    assert candidates.enter()
    return candidates


def prices(pool: Pool, units: int) -> list[float]:
    """What each offer in the pool asks now, ascending."""
    index = pool.index
    slots = pool.cheapest(units, pool.size())
    return sorted(float(index.now[slot] + index.per_unit[slot] * units) for slot in slots)


@given(st.integers(0, 3), st.lists(st.tuples(st.integers(0, 2), st.integers(0, 199)), max_size=60))
@settings(max_examples=60, deadline=None)
def test_a_pool_finds_the_lowest_two_whatever_has_been_bid_taken_and_given(
    seed: int, changes: list[tuple[int, int]]
) -> None:
    candidates = crowd(seed)
    pools = {id(pool): pool for pool in candidates.pool_of if pool is not None}
    index = next(iter(pools.values())).index
    for number, (kind, slot) in enumerate(changes):
        if kind == 0 and index.is_open[slot]:
            index.bid(slot, float(index.now[slot] - index.base[slot]) + 1_000.0 * (slot + 1))
        elif kind == 1:
            index.take(slot)
        elif kind == 2 and not index.is_open[slot]:
            index.give(slot)
        for pool in pools.values():
            units = 1 + (37 * number + 11 * slot) % 1_000
            asked = prices(pool, units)
            two, near = pool.two(units), pool.nearly_two(units)
            if not asked:
                assert two is None
                assert near is None
                continue
            assert two is not None
            assert near is not None
            assert two.price == pytest.approx(asked[0])
            assert asked[0] * (1 - 1e-9) <= near.price <= asked[0] * 1.25
            if len(asked) > 1:
                assert two.second_price == pytest.approx(asked[1])
                assert near.second_price <= asked[1] * (1 + 1e-9)
            else:
                assert two.second == two.first


@pytest.mark.parametrize("capacity", [38, 19, 9, 3])
def test_plans_cost_little_more_than_the_best_assignment(capacity: int) -> None:
    # From four places a job down to a third of one.
    size = replace(ASSIGNED, capacity=capacity)
    ours, best = np.sum([price_gap(*market(size, 7 + seed)) for seed in range(3)], axis=0)
    assert best <= ours * (1 + 1e-9)
    assert ours <= best * 1.02


def run(candidates: Candidates, waiting: "array[int]") -> Auction:
    have = candidates
    auction = Auction(have.columns.room, have.offers_of, have.columns.places, len(have.job_ids))
    auction.run(waiting, have.pool_of, have.units, have.limits, 0)
    return auction


@given(st.integers(0, 50), st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_room_is_given_once_and_nobody_could_do_much_better(seed: int, capacity: int) -> None:
    have = crowd(seed, replace(CROWD, jobs=120, asks=30, capacity=capacity))
    base = {index: index.now.copy() for index in have.falls()}
    auction = run(have, array("q", range(120)))
    held: dict[int, int] = {}
    for place, slot in enumerate(auction.slots):
        if slot != NOTHING:
            node = have.node_of(have.pool_at(place).index, slot)
            held[node] = held.get(node, 0) + 1
    assert all(count <= have.columns.room[node] for node, count in held.items())
    for place, pool in enumerate(have.pool_of):
        if pool is None:
            continue
        slot, units = auction.slots[place], have.units[place]
        asked = prices(pool, units)
        mine = have.limits[place]
        if slot != NOTHING:
            mine = float(pool.index.now[slot] + pool.index.per_unit[slot] * units)
        # The last step that was made is at most twice a price, or a part of the limit.
        step = max(2 * mine, have.limits[place] / 16, 1)
        assert not asked or mine - asked[0] <= step + 1e-6 * mine
    auction.close()
    assert all((index.now == before).all() for index, before in base.items())


def test_those_who_would_pay_any_price_for_what_is_free_end_their_war() -> None:
    world = World()
    for _ in range(3):
        world.job(price_start=2**79, price_cap=2**79)
    world.ask(A, 0, node=0)
    have = Candidates(world.book, world.snapshot, frozenset())
    assert have.enter()
    have.columns.room[0] = 1
    auction = run(have, array("q", range(3)))
    assert sorted(auction.slots) == [NOTHING, NOTHING, 0]
    # A step is a sixteenth of what they would pay, and the last is one beyond it.
    assert have.pool_at(0).index.now[0] == pytest.approx(2**79 * 17 / 16)


def test_an_auction_comes_to_an_end_whatever_is_bid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auction_module, "_LEAST_STEP", 0.0)
    world = World()
    for _ in range(3):
        world.job(price_start=2**79, price_cap=2**79)
    world.ask(A, 0, node=0)
    have = Candidates(world.book, world.snapshot, frozenset())
    assert have.enter()
    have.columns.room[0] = 1
    waiting = array("q", range(3))
    auction = run(have, waiting)
    assert len(waiting) == 2
    assert sorted(auction.slots) == [NOTHING, NOTHING, 0]


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_nobody_could_have_had_for_less_what_is_free_in_the_end(seed: int) -> None:
    draw = random.Random(seed)
    size = Size(
        jobs=60,
        asks=draw.choice([20, 150]),
        capacity=draw.choice([1, 3]),
        programs=draw.choice([1, 3]),
        listed=2,
        open_jobs=draw.choice([1, 5]),
    )
    book, snapshot = market(size, seed)
    # Stakes that last for a few places each: the auction doesn't know of them.
    for provider in snapshot.providers:
        snapshot.free[provider] = draw.choice([10**6, 10**7, 3 * 10**7, 10**15])
    plan = propose(book, snapshot)
    room = {
        name: Node.unpack(state.nodes[0].word).capacity
        for name, state in snapshot.providers.items()
    }
    free = dict(snapshot.free)
    had = {match.job_id: match for match in plan.matches}
    for match in plan.matches:
        room[match.ask.ask.provider] -= 1
        free[match.ask.ask.provider] -= match.lock
    assert min(room.values()) >= 0
    assert min(free.values()) >= 0
    for job in book.jobs():
        match = had.get(job.job_id)
        units = job.terms.units
        for ask in book.asks_for(job.terms.program):
            is_free = room[ask.ask.provider] > 0 and (match is None or match.ask != ask)
            if is_free and (
                match is None or price_of(ask.ask, units) < price_of(match.ask.ask, units)
            ):
                verdict = judge(job, ask, snapshot)
                assert not verdict.fits or verdict.quote.lock > free[ask.ask.provider]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The slots of the offers that are looked at closely."""
    found: list[int] = []
    offer = Candidates.offer

    def counted(self: Candidates, case: Case, slot: int, held: int = 0) -> Offer | str:
        found.append(slot)
        return offer(self, case, slot, held)

    monkeypatch.setattr(Candidates, "offer", counted)
    return found


ONE_PROGRAM = Size(jobs=600, asks=300, programs=1, listed=1, open_jobs=4)


def test_offers_without_stake_are_not_looked_at_by_every_job(looks: list[int]) -> None:
    book, snapshot = market(ONE_PROGRAM, 5)
    draw = random.Random(1)
    for provider in snapshot.free:
        snapshot.free[provider] = draw.choice([10**5, 10**6, 3 * 10**6])
    plan = propose(book, snapshot, choice=Choice(reports=0))
    assert len(plan.matches) > 200
    # Twenty and more if each tries all that are too poor for it.
    assert len(looks) < 6 * ONE_PROGRAM.jobs


@pytest.mark.parametrize("useless", [{"max_lock": 0}, {"max_delay": 1}])
def test_offers_that_nobody_can_have_are_not_looked_at_by_every_job(
    looks: list[int], useless: dict[str, int]
) -> None:
    book, snapshot = market(ONE_PROGRAM, 5)
    good = propose(book, snapshot)
    model = next(book.asks())
    for number in range(1_000):
        ask = replace(model.ask, price_base=1, price_per_unit=0, salt=number, **useless)
        book.add_ask(replace(model, ask=ask, ask_hash=number.to_bytes(32)))
    looks.clear()
    assert propose(book, snapshot, choice=Choice(reports=0)).matches == good.matches
    assert len(looks) < 6 * ONE_PROGRAM.jobs


def test_who_makes_offers_can_still_have_its_own_with_what_it_pays_in_hand() -> None:
    world = World()
    # The lock is three prices; the cap that is put aside for the job covers price and lock.
    world.job(requester=A, price_start=14 * UNIT, price_cap=14 * UNIT)
    world.providers[A] = make_provider()
    world.free[A] = 0
    world.ask(A, UNIT)
    snapshot = world.snapshot
    verifiers = {
        name: replace(state, lock_per_price=3) for name, state in snapshot.verifiers.items()
    }
    plan = propose(world.book, replace(snapshot, verifiers=verifiers))
    assert len(plan.matches) == 1
