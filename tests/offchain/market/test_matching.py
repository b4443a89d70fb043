"""Plans: the cheapest first, within every limit, and nothing left out without a reason."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import Rejected
from headrace.market.book import Book, LiveAsk, OpenJob
from headrace.market.matching import NodeState, Snapshot, fits_from, judge, propose
from headrace.terms.requirement import PROVIDER_BITS, REQUESTER_BITS
from headrace.terms.unmet import CAPACITY, FUNDS, PRICE, STAKE, TOO_EARLY
from headrace.terms.words import Exclusion, Requirement
from tests.offchain.market.worlds import MAKERS, NODE, World, make_provider, worlds
from tests.offchain.terms.examples import KEEPER, REQUESTER, T0, UNIT, address

A, B, C, D = MAKERS


def pairs(world: World) -> list[tuple[OpenJob, LiveAsk]]:
    """What is proposed."""
    return [(match.job, match.ask) for match in propose(world.book, world.snapshot).matches]


def named(bits: int, table: Mapping[int, str]) -> list[str]:
    """The names of bits."""
    return [name for bit, name in table.items() if bits >> bit & 1]


# ---- one job


def test_the_cheapest_offer_wins_whoever_keeps() -> None:
    world = World()
    job = world.job()
    world.ask(A, 5 * UNIT, counterparty=KEEPER)  # the keeper's own, dearer
    cheap = world.ask(B, 4 * UNIT)
    assert pairs(world) == [(job, cheap)]


def test_a_better_record_breaks_a_tie() -> None:
    world = World()
    job = world.job()
    world.providers[A] = make_provider(good_weight=50, bad_weight=1, completions=99)
    world.providers[B] = make_provider(good_weight=10)
    world.providers[C] = make_provider(good_weight=40)
    world.providers[D] = make_provider(good_weight=40, completions=3)
    asks = {maker: world.ask(maker, 4 * UNIT) for maker in MAKERS}
    for best in (D, C, B, A):
        assert pairs(world) == [(job, asks[best])]
        world.book.drop_ask(asks[best].ask_hash)


def test_excluded_providers_are_passed_over() -> None:
    world = World()
    job = world.job(excluded=(Exclusion(provider=A, held=3 * UNIT),))
    world.ask(A, UNIT)
    other = world.ask(B, 2 * UNIT)
    plan = propose(world.book, world.snapshot)
    assert [(m.job, m.ask) for m in plan.matches] == [(job, other)]
    assert named(plan.drops[0].requester_bits, REQUESTER_BITS) == ["excluded"]


def test_each_drop_says_why() -> None:
    world = World()
    world.job(requirement=Requirement(gpu_mask=1, min_vram_gib=25).pack(), units=10)
    world.ask(A, UNIT, max_units=9, expiry=world.now - 1)
    (drop,) = propose(world.book, world.snapshot).drops
    assert named(drop.requester_bits, REQUESTER_BITS) == ["gpu_model", "vram"]
    assert named(drop.provider_bits, PROVIDER_BITS) == ["expired", "units"]


def test_unknown_providers_and_verifiers_are_dropped_not_errors() -> None:
    world = World()
    world.job(verifier=address(0xDEAD))
    world.ask(A, UNIT)
    del world.providers[A], world.free[A]
    (drop,) = propose(world.book, world.snapshot).drops
    ours = named(drop.requester_bits, REQUESTER_BITS)
    assert {"not_active", "no_node", "verifier_stopped"} <= set(ours)
    assert {"verifier", "stake"} <= set(named(drop.provider_bits, PROVIDER_BITS))


def test_an_ask_signed_by_a_stranger_is_dropped() -> None:
    world = World()
    world.job()
    world.ask(A, UNIT, signer=C)
    (drop,) = propose(world.book, world.snapshot).drops
    assert named(drop.provider_bits, PROVIDER_BITS) == ["signer"]
    world.ask(A, UNIT, signer=world.providers[A].operator)
    assert len(pairs(world)) == 1


def test_a_malformed_bid_is_refused_in_the_contracts_words() -> None:
    world = World()
    world.job(state=0, max_attempts=5)
    world.ask(A, UNIT)
    plan = propose(world.book, world.snapshot)
    assert plan.matches == ()
    assert [drop.refusal for drop in plan.drops] == ["terms: bad max_attempts"]


def test_offers_of_other_programs_are_not_looked_at() -> None:
    world = World()
    world.job()
    world.ask(A, UNIT, programs=(b"\x08" * 32,))
    plan = propose(world.book, world.snapshot)
    assert (plan.matches, plan.drops, plan.waits) == ((), (), ())


# ---- reservations


def test_places_are_given_once() -> None:
    world = World()
    jobs = [world.job() for _ in range(3)]
    ask = world.ask(A, UNIT)
    plan = propose(world.book, world.snapshot)
    assert len(plan.matches) == NODE.capacity == 2
    left_out = {job.job_id for job in jobs} - {m.job.job_id for m in plan.matches}
    assert [(d.job_id, d.requester_bits) for d in plan.drops] == [(left_out.pop(), CAPACITY)]
    assert plan.drops[0].ask_hash == ask.ask_hash


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
    plan = propose(world.book, world.snapshot)
    assert len(plan.matches) == 1
    assert Counter(d.provider_bits for d in plan.drops)[STAKE] == 2


def test_funds_of_signed_jobs_are_given_once() -> None:
    # The ramp is at 14 tokens; with charge and tip a match comes to 2.005.
    world = World(free={REQUESTER: 2 * 2_005_000 - 1})
    world.job(state=0)
    world.job(state=0)
    world.job(state=1)  # its cap is put aside already
    world.ask(A, UNIT)
    world.ask(B, UNIT)
    plan = propose(world.book, world.snapshot)
    assert sorted(m.job.state for m in plan.matches) == [0, 1]
    assert FUNDS in [d.requester_bits for d in plan.drops]
    assert {m.quote.total for m in plan.matches} == {2_005_000}
    world.free[REQUESTER] += 1
    assert len(propose(world.book, world.snapshot).matches) == 3


def test_a_batch_takes_a_place_and_a_lock_for_each_member() -> None:
    world = World()
    inputs = tuple(bytes([i]) * 32 for i in range(3))
    world.job(state=0, inputs=inputs)
    ask = world.ask(A, UNIT)
    (drop,) = propose(world.book, world.snapshot).drops
    assert drop.requester_bits == CAPACITY
    world.providers[A] = make_provider(
        nodes={0: NodeState(word=replace(NODE, capacity=3).pack(), active=0)}
    )
    world.free[A] = 9 * UNIT - 1
    (drop,) = propose(world.book, world.snapshot).drops
    assert drop.provider_bits == STAKE
    world.free[A] = 9 * UNIT
    world.free[REQUESTER] = 3 * 2_005_000 - 1
    (drop,) = propose(world.book, world.snapshot).drops
    assert drop.requester_bits == FUNDS
    world.free[REQUESTER] = 3 * 2_005_000
    (match,) = propose(world.book, world.snapshot).matches
    assert match.ask == ask


def test_who_serves_itself_needs_both_sides_money() -> None:
    world = World()
    for _ in range(2):
        world.job(state=0, requester=A)
    world.ask(A, UNIT)
    world.free[A] = 2 * (2_005_000 + 3 * UNIT) - 1
    plan = propose(world.book, world.snapshot)
    assert len(plan.matches) == 1
    assert [drop.provider_bits for drop in plan.drops] == [STAKE]
    world.free[A] += 1
    assert len(pairs(world)) == 2


def test_a_job_that_opens_again_pays_what_it_lacks() -> None:
    world = World(free={REQUESTER: 4_999})
    job = world.job(excluded=(Exclusion(provider=B, held=2 * UNIT),))
    ask = world.ask(A, UNIT)
    plan = propose(world.book, world.snapshot)
    assert [drop.requester_bits for drop in plan.drops] == [FUNDS]
    world.free[REQUESTER] += 1
    assert pairs(world) == [(job, ask)]
    del world.free[REQUESTER]  # without an authorisation only what is held can be used
    assert pairs(world) == []
    world.book.drop_job(job.job_id)
    full = world.job(excluded=(Exclusion(provider=B, held=2_005_000),))
    assert pairs(world) == [(full, ask)]


def test_nobody_waits_for_a_total_that_will_not_be_there() -> None:
    world = World(now=T0, free={REQUESTER: 12_080_000})
    world.job(state=0, tip_share_bps=0)
    world.ask(B, 12 * UNIT)
    assert propose(world.book, world.snapshot).wake_at == T0 + 81
    world.free[REQUESTER] -= 1
    assert propose(world.book, world.snapshot).wake_at is None


# ---- waiting for the ramp


def test_a_dear_offer_waits_for_the_ramp() -> None:
    world = World(now=T0)
    job = world.job(tip_share_bps=0)
    dear = world.ask(A, 15 * UNIT)
    cheaper = world.ask(B, 12 * UNIT)
    world.ask(C, 25 * UNIT)
    plan = propose(world.book, world.snapshot)
    assert plan.matches == ()
    # 12 + 0.06 + 0.02 of 4 + 0.1 a second
    (wait,) = plan.waits
    assert (wait.job_id, wait.ask_hash, wait.at) == (job.job_id, cheaper.ask_hash, T0 + 81)
    assert plan.wake_at == T0 + 81
    world.now = T0 + 80
    assert pairs(world) == []
    world.now = T0 + 81
    assert pairs(world) == [(job, cheaper)]
    verdict = judge(job, dear, world.snapshot)
    assert verdict.requester_bits == PRICE
    assert fits_from(job, dear, verdict, world.snapshot) == T0 + 111


def test_a_job_that_is_not_valid_yet_waits() -> None:
    world = World(now=T0)
    world.job(valid_from=T0 + 50, price_start=10 * UNIT)
    world.ask(A, UNIT)
    plan = propose(world.book, world.snapshot)
    assert [d.requester_bits for d in plan.drops] == [TOO_EARLY]
    assert plan.wake_at == T0 + 50


def test_a_bid_whose_deadline_is_too_far_waits() -> None:
    far = T0 + 30 * 86_400 + 50
    world = World(now=T0)
    world.job(state=0, final_deadline=far)
    world.ask(A, UNIT)
    world.ask(B, UNIT, expiry=T0 + 49)
    plan = propose(world.book, world.snapshot)
    assert {d.requester_bits for d in plan.drops} == {TOO_EARLY}
    assert plan.wake_at == T0 + 50
    world = World(now=T0)
    world.job(state=1, final_deadline=far)  # posted ones were checked when they were posted
    world.ask(A, UNIT)
    assert len(pairs(world)) == 1


def test_nobody_waits_past_a_deadline_or_an_expiry() -> None:
    world = World(now=T0)
    world.job(final_deadline=T0 + 80)
    ask = world.ask(A, 12 * UNIT)
    assert propose(world.book, world.snapshot).waits == ()
    world.book.drop_ask(ask.ask_hash)
    world = World(now=T0)
    world.job()
    world.ask(A, 12 * UNIT, expiry=T0 + 80)
    assert propose(world.book, world.snapshot).wake_at is None


def test_nobody_waits_for_what_time_does_not_change() -> None:
    world = World(now=T0)
    world.job(requirement=Requirement(gpu_mask=1).pack())
    world.ask(A, 12 * UNIT)
    assert propose(world.book, world.snapshot).waits == ()


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


@given(worlds())
@settings(max_examples=60)
def test_plans_keep_every_limit(world: World) -> None:
    snapshot = world.snapshot
    plan = propose(world.book, snapshot)
    chosen = [(match.job, match.ask) for match in plan.matches]
    assert len({job.job_id for job, _ in chosen}) == len(chosen)
    for match in plan.matches:
        verdict = judge(match.job, match.ask, snapshot)
        assert (verdict.requester_bits, verdict.provider_bits) == (0, 0)
        assert verdict.quote == match.quote
        assert match.quote.total <= match.quote.limit
    assert ledger(snapshot, chosen)


@given(worlds())
@settings(max_examples=60)
def test_each_job_gets_the_cheapest_that_is_left(world: World) -> None:
    snapshot = world.snapshot
    plan = propose(world.book, snapshot)
    found = {match.job.job_id: match.ask for match in plan.matches}
    chosen: list[tuple[OpenJob, LiveAsk]] = []
    for job in world.book.jobs():
        totals = {}
        for ask in world.book.asks():
            verdict = judge(job, ask, snapshot)
            if verdict.fits and ledger(snapshot, [*chosen, (job, ask)]):
                totals[ask.ask_hash] = verdict.quote.total
        mine = found.get(job.job_id)
        assert (mine is None) == (not totals)
        if mine is not None:
            assert totals[mine.ask_hash] == min(totals.values())
            chosen.append((job, mine))


@given(worlds(), st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_plans_do_not_depend_on_the_order_of_hearing(world: World, random: object) -> None:
    jobs, asks = list(world.book.jobs()), list(world.book.asks())
    random.shuffle(jobs)  # type: ignore[attr-defined]
    random.shuffle(asks)  # type: ignore[attr-defined]
    assert propose(Book(jobs, asks), world.snapshot) == propose(world.book, world.snapshot)


@given(worlds())
@settings(max_examples=60)
def test_every_pair_is_matched_or_dropped(world: World) -> None:
    plan = propose(world.book, world.snapshot)
    matched = {(m.job.job_id, m.ask.ask_hash) for m in plan.matches}
    dropped = {(d.job_id, d.ask_hash) for d in plan.drops}
    assert len(dropped) == len(plan.drops)
    assert not matched & dropped
    assert matched | dropped == {
        (job.job_id, ask.ask_hash) for job in world.book.jobs() for ask in world.book.asks()
    }
    served = {m.job.job_id for m in plan.matches}
    for drop in plan.drops:
        if not (drop.requester_bits or drop.provider_bits or drop.refusal):
            assert drop.job_id in served  # it was dearer


@given(worlds())
@settings(max_examples=60)
def test_a_wait_ends_in_the_first_second_that_fits(world: World) -> None:
    snapshot = world.snapshot
    for wait in propose(world.book, snapshot).waits:
        job, ask = world.book.job(wait.job_id), world.book.ask(wait.ask_hash)
        assert job is not None
        assert ask is not None
        assert wait.at > snapshot.now
        assert judge(job, ask, replace(snapshot, now=wait.at)).fits
        assert not judge(job, ask, replace(snapshot, now=wait.at - 1)).fits


def test_a_verifier_that_refuses_is_a_refusal() -> None:
    world = World()
    job, ask = world.job(), world.ask(A, UNIT)
    snapshot = world.snapshot
    (verifier,) = snapshot.verifiers
    refusing = replace(snapshot.verifiers[verifier], quote=lambda _terms, _price: None)
    plan = propose(world.book, replace(snapshot, verifiers={verifier: refusing}))
    assert [drop.refusal for drop in plan.drops] == ["the verifier refuses the job"]
    with pytest.raises(Rejected, match="the verifier refuses the job"):
        judge(job, ask, replace(snapshot, verifiers={verifier: refusing}))
