"""Plans: cheap in sum, within every limit, and no job left out without a count of the reasons."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import Rejected
from headrace.market.book import Book, LiveAsk, OpenJob
from headrace.market.engine import propose
from headrace.market.matching import judge
from headrace.market.plan import Choice, Plan, Shortfall
from headrace.market.snapshot import NodeState, Snapshot
from headrace.terms.words import Exclusion, Requirement
from tests.offchain.market.worlds import MAKERS, NODE, World, make_provider, worlds
from tests.offchain.terms.examples import KEEPER, REQUESTER, T0, UNIT, address

A, B, C, D = MAKERS
# No lots: the best record gets what costs the same.
SURE = Choice(random_bps=0)


def plan_of(world: World, **changes: Any) -> Plan:
    return propose(world.book, world.snapshot, **({"choice": SURE} | changes))


def pairs(world: World, **changes: Any) -> list[tuple[bytes, bytes]]:
    """What is proposed, by ids."""
    return [(match.job_id, match.ask.ask_hash) for match in plan_of(world, **changes).matches]


def shortfall(world: World) -> Shortfall:
    """The account of the only job that gets nothing."""
    (found,) = plan_of(world).report.shortfalls
    return found


# ---- one job


def test_the_cheapest_offer_wins_whoever_keeps() -> None:
    world = World()
    job = world.job()
    world.ask(A, 5 * UNIT, counterparty=KEEPER)  # the keeper's own, dearer
    cheap = world.ask(B, 4 * UNIT)
    assert pairs(world) == [(job.job_id, cheap.ask_hash)]


def test_a_better_record_breaks_a_tie() -> None:
    world = World()
    job = world.job()
    world.providers[A] = make_provider(good_weight=50, bad_weight=1, completions=99)
    world.providers[B] = make_provider(good_weight=10)
    world.providers[C] = make_provider(good_weight=40)
    world.providers[D] = make_provider(good_weight=40, completions=3)
    asks = {maker: world.ask(maker, 4 * UNIT) for maker in MAKERS}
    for best in (D, C, B, A):
        assert pairs(world) == [(job.job_id, asks[best].ask_hash)]
        world.book.drop_ask(asks[best].ask_hash)


def test_a_share_of_equal_offers_goes_by_lot_and_always_the_same_way() -> None:
    world = World()
    world.providers[A] = make_provider(good_weight=40, nodes=roomy())
    world.providers[B] = make_provider(nodes=roomy())
    for _ in range(40):
        world.job(state=1)
    old, new = world.ask(A, 4 * UNIT), world.ask(B, 4 * UNIT)
    assert {ask for _, ask in pairs(world)} == {old.ask_hash}
    by_lot = Counter(ask for _, ask in pairs(world, choice=Choice(random_bps=10_000)))
    assert by_lot[new.ask_hash] >= 8
    assert by_lot[old.ask_hash] >= 8
    some = Counter(ask for _, ask in pairs(world, choice=Choice(random_bps=3_000)))
    assert 0 < some[new.ask_hash] < by_lot[new.ask_hash]
    assert pairs(world, choice=Choice(random_bps=3_000)) == pairs(
        world, choice=Choice(random_bps=3_000)
    )


def test_a_better_record_may_cost_as_much_more_as_the_band_allows() -> None:
    world = World()
    job = world.job()
    world.providers[A] = make_provider(good_weight=40)
    known, cheap = world.ask(A, 4_040_000), world.ask(B, 4_000_000)
    assert pairs(world) == [(job.job_id, cheap.ask_hash)]
    for band, winner in ((99, cheap), (100, known)):
        choice = Choice(band_bps=band, random_bps=0)
        assert pairs(world, choice=choice) == [(job.job_id, winner.ask_hash)]


def roomy() -> dict[int, NodeState]:
    return {0: NodeState(word=replace(NODE, capacity=63).pack(), active=0)}


def test_excluded_providers_are_passed_over() -> None:
    world = World()
    job = world.job(excluded=(Exclusion(provider=A, held=3 * UNIT),))
    world.ask(A, UNIT)
    other = world.ask(B, 2 * UNIT)
    assert pairs(world) == [(job.job_id, other.ask_hash)]
    world.book.drop_ask(other.ask_hash)
    assert shortfall(world).dropped == {"excluded": 1}


def test_barred_pairs_are_passed_over_and_counted() -> None:
    world = World()
    job, ask = world.job(), world.ask(A, UNIT)
    plan = plan_of(world, barred={(job.job_id, ask.ask_hash)})
    assert plan.matches == ()
    assert plan.report.shortfalls[0].dropped == {"barred": 1}


# ---- what is left out says why


def test_each_filter_counts_what_it_drops() -> None:
    world = World()
    world.job(requirement=Requirement(gpu_mask=1, min_vram_gib=25).pack(), units=10)
    world.ask(A, UNIT, max_units=9)
    world.ask(B, UNIT)
    world.ask(C, UNIT, expiry=world.now - 1)
    found = shortfall(world)
    assert found.considered == 3
    assert found.dropped == {"gpu_model": 3, "vram": 3, "units": 1, "expired": 1}
    assert plan_of(world).report.dropped() == found.dropped


def test_a_job_that_no_offer_can_have_says_so_once() -> None:
    world = World()
    world.job(verifier=address(0xDEAD))
    world.ask(A, UNIT)
    plan = plan_of(world)
    assert plan.report.barred == {"verifier_stopped": 1}
    assert plan.report.shortfalls[0].refusal == "verifier_stopped"


def test_a_malformed_bid_is_refused_in_the_contracts_words() -> None:
    world = World()
    world.job(state=0, max_attempts=5)
    world.ask(A, UNIT)
    assert shortfall(world).refusal == "terms: bad max_attempts"


def test_unknown_providers_are_dropped_not_errors() -> None:
    world = World()
    world.job()
    world.ask(A, UNIT)
    del world.providers[A], world.free[A]
    assert shortfall(world).dropped["not_active"] == 1


def test_an_ask_signed_by_a_stranger_is_dropped() -> None:
    world = World()
    world.job()
    world.ask(A, UNIT, signer=C)
    assert shortfall(world).dropped == {"signer": 1}
    world.ask(A, UNIT, signer=world.providers[A].operator)
    assert len(pairs(world)) == 1


def test_offers_of_other_programs_are_not_looked_at() -> None:
    world = World()
    world.job()
    world.ask(A, UNIT, programs=(b"\x08" * 32,))
    assert shortfall(world) == Shortfall(job_id=shortfall(world).job_id, considered=0)


def test_a_verifier_that_refuses_is_a_refusal() -> None:
    world = World()
    job, ask = world.job(), world.ask(A, UNIT)
    snapshot = world.snapshot
    (verifier,) = snapshot.verifiers
    refusing = replace(snapshot.verifiers[verifier], quote=lambda _terms, _price: None)
    snapshot = replace(snapshot, verifiers={verifier: refusing})
    assert propose(world.book, snapshot).report.shortfalls[0].dropped == {"refused": 1}
    with pytest.raises(Rejected, match="the verifier refuses the job"):
        judge(job, ask, snapshot)


def test_only_so_many_are_accounted_for_and_the_rest_is_counted() -> None:
    world = World()
    for _ in range(5):
        world.job()
    report = plan_of(world, choice=replace(SURE, reports=2)).report
    assert (report.jobs, report.unmatched, report.not_accounted) == (5, 5, 3)
    assert len(report.shortfalls) == 2


# ---- reservations


def test_places_are_given_once() -> None:
    world = World()
    for _ in range(3):
        world.job()
    world.ask(A, UNIT)
    plan = plan_of(world)
    assert len(plan.matches) == NODE.capacity == 2
    assert [found.dropped for found in plan.report.shortfalls] == [{"capacity": 1}]


def test_a_node_that_only_one_job_can_use_otherwise_is_left_to_it() -> None:
    world = World()
    world.providers[A] = make_provider(nodes={0: NodeState(word=NODE.pack(), active=1)})
    picky_node = replace(NODE, gpu_model=2)
    world.providers[B] = make_provider(nodes={0: NodeState(word=picky_node.pack(), active=1)})
    anything = world.job()
    picky = world.job(requirement=Requirement(gpu_mask=4).pack())
    dear, cheap = world.ask(A, 3 * UNIT), world.ask(B, 2 * UNIT)
    assert sorted(pairs(world)) == sorted(
        [(anything.job_id, dear.ask_hash), (picky.job_id, cheap.ask_hash)]
    )


def test_stake_is_given_once_across_nodes() -> None:
    world = World()
    world.job()
    world.job()
    world.providers[A] = make_provider(
        nodes={i: NodeState(word=NODE.pack(), active=0) for i in (0, 1)}
    )
    world.free[A] = 4 * UNIT  # a lock is 3
    world.ask(A, UNIT, node=0)
    world.ask(A, UNIT, node=1)
    plan = plan_of(world)
    assert len(plan.matches) == 1
    assert [found.dropped for found in plan.report.shortfalls] == [{"stake": 2}]


def test_funds_of_signed_jobs_are_given_once() -> None:
    # The ramp is at 14 tokens; with charge and tip a match comes to 2.005.
    world = World(free={REQUESTER: 2 * 2_005_000 - 1})
    for state in (0, 0, 1):  # the cap of what is posted is put aside already
        world.job(state=state)
    world.ask(A, UNIT)
    world.ask(B, UNIT)
    plan = plan_of(world)
    assert len(plan.matches) == 2
    assert [found.dropped for found in plan.report.shortfalls] == [{"capacity": 1, "funds": 1}]
    assert {match.total for match in plan.matches} == {2_005_000}
    world.free[REQUESTER] += 1
    assert len(pairs(world)) == 3


def test_a_batch_takes_a_place_and_a_lock_for_each_member() -> None:
    world = World()
    inputs = tuple(bytes([i]) * 32 for i in range(3))
    world.job(state=0, inputs=inputs)
    ask = world.ask(A, UNIT)
    assert shortfall(world).dropped == {"capacity": 1}
    word = replace(NODE, capacity=3).pack()
    world.providers[A] = make_provider(nodes={0: NodeState(word=word, active=0)})
    world.free[A] = 9 * UNIT - 1
    assert shortfall(world).dropped == {"stake": 1}
    world.free[A] = 9 * UNIT
    world.free[REQUESTER] = 3 * 2_005_000 - 1
    assert shortfall(world).dropped == {"funds": 1}
    world.free[REQUESTER] = 3 * 2_005_000
    assert [match.ask for match in plan_of(world).matches] == [ask]


def test_who_serves_itself_needs_both_sides_money() -> None:
    world = World()
    for _ in range(2):
        world.job(state=0, requester=A)
    world.ask(A, UNIT)
    world.free[A] = 2 * (2_005_000 + 3 * UNIT) - 1
    assert len(pairs(world)) == 1
    assert shortfall(world).dropped == {"stake": 1}
    world.free[A] += 1
    assert len(pairs(world)) == 2


def test_a_job_that_opens_again_pays_what_it_lacks() -> None:
    world = World(free={REQUESTER: 4_999})
    world.job(excluded=(Exclusion(provider=B, held=2 * UNIT),))
    world.ask(A, UNIT)
    assert shortfall(world).dropped == {"funds": 1}
    world.free[REQUESTER] += 1
    assert len(pairs(world)) == 1
    del world.free[REQUESTER]  # without an authorisation only what is held can be used
    assert pairs(world) == []


# ---- waiting for the ramp


def test_a_dear_offer_waits_for_the_ramp() -> None:
    world = World(now=T0)
    job = world.job(tip_share_bps=0)
    world.ask(A, 15 * UNIT)
    cheaper = world.ask(B, 12 * UNIT)
    world.ask(C, 25 * UNIT)
    # 12 + 0.06 + 0.02 of 4 + 0.1 a second
    assert (shortfall(world).at, shortfall(world).dropped) == (T0 + 81, {"price": 3})
    world.now = T0 + 80
    assert pairs(world) == []
    world.now = T0 + 81
    assert pairs(world) == [(job.job_id, cheaper.ask_hash)]


def test_a_job_that_is_not_valid_yet_waits() -> None:
    world = World(now=T0)
    world.job(valid_from=T0 + 50, price_start=10 * UNIT)
    world.ask(A, UNIT)
    assert (shortfall(world).refusal, plan_of(world).wake_at) == ("too_early", T0 + 50)


def test_nobody_waits_for_what_time_does_not_bring() -> None:
    for changes, free in (
        ({"final_deadline": T0 + 80}, 1_000 * UNIT),
        ({"requirement": Requirement(gpu_mask=1).pack()}, 1_000 * UNIT),
        ({"state": 0}, 12_000_000),
    ):
        world = World(now=T0, free={REQUESTER: free})
        world.job(**changes)
        world.ask(A, 12 * UNIT)
        assert plan_of(world).wake_at is None


# ---- properties


def ledger(snapshot: Snapshot, chosen: list[tuple[OpenJob, LiveAsk]]) -> bool:
    """Whether places and free balances suffice for all of these at once."""
    places: Counter[tuple[str, int]] = Counter()
    money: Counter[str] = Counter()
    for job, ask in chosen:
        quote = judge(job, ask, snapshot).quote
        places[ask.ask.provider, ask.ask.node] += job.count
        payment, lock = quote.total * job.count, quote.lock * job.count
        if job.terms.requester == ask.ask.provider:
            money[ask.ask.provider] += max(payment + lock - job.held, 0)
        else:
            money[ask.ask.provider] += lock
            money[job.terms.requester] += max(payment - job.held, 0)
    for (provider, index), taken in places.items():
        node = snapshot.providers[provider].nodes[index]
        if node.active + taken > (node.word >> 200 & 255):
            return False
    return all(snapshot.free[account] >= amount for account, amount in money.items())


def chosen_in(world: World, plan: Plan) -> list[tuple[OpenJob, LiveAsk]]:
    found = []
    for match in plan.matches:
        job = world.book.job(match.job_id)
        assert job is not None
        found.append((job, match.ask))
    return found


@given(worlds(), st.sampled_from([SURE, Choice(), Choice(band_bps=2_000, random_bps=5_000)]))
@settings(max_examples=150)
def test_plans_keep_every_limit_as_the_contract_has_it(world: World, choice: Choice) -> None:
    snapshot = world.snapshot
    plan = propose(world.book, snapshot, choice=choice)
    chosen = chosen_in(world, plan)
    assert len({job.job_id for job, _ in chosen}) == len(chosen)
    for (job, ask), match in zip(chosen, plan.matches, strict=True):
        verdict = judge(job, ask, snapshot)
        assert verdict.fits
        quote = verdict.quote
        assert (quote.total, quote.tip, quote.lock) == (match.total, match.tip, match.lock)
    assert ledger(snapshot, chosen)


@given(worlds())
@settings(max_examples=150)
def test_no_job_could_have_had_what_is_left_or_had_it_cheaper(world: World) -> None:
    snapshot = world.snapshot
    chosen = chosen_in(world, plan_of(world))
    found = {job.job_id: ask for job, ask in chosen}
    for job in world.book.jobs():
        others = [pair for pair in chosen if pair[0].job_id != job.job_id]
        mine = found.get(job.job_id)
        for ask in world.book.asks():
            try:
                verdict = judge(job, ask, snapshot)
            except Rejected:
                continue
            if verdict.fits and ledger(snapshot, [*others, (job, ask)]):
                assert mine is not None
                assert judge(job, mine, snapshot).quote.price <= verdict.quote.price


@given(worlds(), st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_plans_do_not_depend_on_the_order_of_hearing(world: World, random: Any) -> None:
    jobs, asks = list(world.book.jobs()), list(world.book.asks())
    random.shuffle(jobs)
    random.shuffle(asks)
    assert propose(Book(jobs, asks), world.snapshot) == propose(world.book, world.snapshot)


@given(worlds())
@settings(max_examples=100)
def test_every_job_is_matched_or_accounted_for(world: World) -> None:
    plan = plan_of(world)
    matched = {match.job_id for match in plan.matches}
    accounted = {found.job_id for found in plan.report.shortfalls}
    assert not matched & accounted
    assert matched | accounted == set(world.book.job_ids())
    for found in plan.report.shortfalls:
        # Each offer that was considered is in at least one filter's count.
        assert found.refusal or sum(found.dropped.values()) >= found.considered
        if found.at is not None:
            assert found.at > world.now
