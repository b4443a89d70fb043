"""The keeper's decisions: what is due to the second, nothing twice, nothing that isn't due."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from headrace.chain.pace import block_seconds
from headrace.chain.views import JobState, Outcome, Slot, Verdict
from headrace.keeper.decide import VOID_GRACE, Policy, name, plan
from headrace.keeper.rank import rank
from headrace.keeper.state import Fee, Kept, agrees, claims_of, may_be_due
from headrace.terms.money import exclusion_after
from headrace.terms.words import claim_digest, claim_id, record_hash
from tests.offchain.keeper.states import (
    COMMITMENT,
    EAGER,
    FALLS,
    KEEPER,
    OTHER_KEEPER,
    PROVIDER,
    T0,
    UNIT,
    WINDOW,
    decide,
    make_job,
    make_record,
    make_state,
    stands,
)
from tests.offchain.market.worlds import MAKERS, World
from tests.offchain.terms.examples import address, make_terms

MATCHED, CLAIMED, CONTESTED = JobState.MATCHED, JobState.CLAIMED, JobState.CONTESTED
TERMINAL = [JobState.FINAL, JobState.REFUTED, JobState.EXPIRED, JobState.CANCELLED]
ALWAYS = 1 << 90
WINDOW_ENDS = T0 + 10 + WINDOW


def moves(state: Any, policy: Policy = EAGER) -> list[str]:
    return [action.function for action in decide(state, policy)]


# ---- the last second before, and the first


def test_an_attempt_is_expired_in_the_first_second_after_its_claims_last():
    job = make_job(MATCHED)
    assert job.claim_until == T0 + 600
    assert moves(make_state(T0 + 600, job)) == []
    (action,) = decide(make_state(T0 + 601, job), EAGER)
    assert (action.function, action.args) == ("expire", (job.id, job.record))


def test_a_claim_is_paid_in_the_first_second_after_its_window():
    job = make_job(CLAIMED)
    assert moves(make_state(WINDOW_ENDS, job)) == []
    (action,) = decide(make_state(WINDOW_ENDS + 1, job), EAGER)
    assert (action.function, action.args) == ("finalise", (job.id, job.record, COMMITMENT))


def test_a_contested_claim_is_paid_when_its_verifier_says_so_and_not_by_its_window():
    job = make_job(CONTESTED)
    late = WINDOW_ENDS + 100
    assert moves(make_state(late, job)) == []
    assert moves(make_state(late, job, outcomes={job.id: stands(late)})) == []
    assert moves(make_state(late + 1, job, outcomes={job.id: stands(late)})) == ["finalise"]


def test_a_verifier_that_wants_to_be_asked_is_asked():
    job = make_job(CLAIMED, settings=ALWAYS)
    assert may_be_due(job, T0 + 11)
    assert moves(make_state(WINDOW_ENDS + 1, job)) == []
    assert moves(make_state(T0 + 21, job, outcomes={job.id: stands(T0 + 20)})) == ["finalise"]


def test_a_verdict_is_carried_out_at_once():
    job = make_job(CONTESTED)
    (action,) = decide(make_state(T0 + 11, job, outcomes={job.id: FALLS}), EAGER)
    assert (action.function, action.args) == ("refute", (job.id, job.record, COMMITMENT))


@pytest.mark.parametrize("outcome", [None, Outcome(Verdict.PENDING, 0, address(0), ())])
def test_a_claim_whose_verifier_has_failed_is_voided_after_the_grace(outcome: Outcome | None):
    job = make_job(CONTESTED)
    end = T0 + 10 + World().snapshot.delay_max + VOID_GRACE
    assert moves(make_state(end, job, outcomes={job.id: outcome})) == []
    assert moves(make_state(end + 1, job, outcomes={job.id: outcome})) == ["void_claim"]


def test_a_claim_that_stands_or_falls_is_never_voided():
    job = make_job(CONTESTED)
    late = T0 + 10 + World().snapshot.delay_max + VOID_GRACE + 1
    assert moves(make_state(late, job, outcomes={job.id: stands(late - 1)})) == ["finalise"]
    assert moves(make_state(late, job, outcomes={job.id: FALLS})) == ["refute"]


def test_an_undisputed_claim_is_never_voided():
    late = T0 + 10 + World().snapshot.delay_max + VOID_GRACE + 1
    assert moves(make_state(late, make_job(CLAIMED))) == ["finalise"]


def test_an_open_job_is_cancelled_in_the_first_second_after_its_deadline():
    record = make_record(make_terms(salt=1))
    job = make_job(JobState.OPEN, excluded=(exclusion_after(record),))
    assert moves(make_state(T0 + 7_200, job)) == []
    (action,) = decide(make_state(T0 + 7_201, job), EAGER)
    assert (action.function, action.args) == ("cancel", (job.terms, job.excluded))


def test_a_job_is_matched_with_the_cheapest_ask_from_when_the_ramp_allows_it():
    world = World(now=T0)
    dear, cheap = world.ask(MAKERS[0], 8 * UNIT), world.ask(MAKERS[1], 6 * UNIT)
    terms = make_terms(damage_cap=0, price_start=0, tip_fixed=0, tip_share_bps=0)
    job = make_job(JobState.OPEN, terms=terms)
    # 20 tokens in 160 seconds; the price and half a percent.
    at = T0 + (6 * UNIT * 201 // 200 * 160 - 1) // (20 * UNIT) + 1
    assert moves(make_state(at - 1, job, world=world)) == []
    (action,) = decide(make_state(at, job, world=world), EAGER)
    assert (action.function, action.args[2], action.ground) == ("match", cheap.ask, cheap.ask_hash)
    barred = frozenset({(job.id, cheap.ask_hash)})
    (action,) = decide(make_state(T0 + 160, job, world=world, barred=barred), EAGER)
    assert action.ground == dear.ask_hash


def test_a_match_for_less_than_the_least_tip_is_not_made():
    world = World(now=T0 + 100)
    world.ask(MAKERS[0], UNIT)
    job = make_job(
        JobState.OPEN, terms=make_terms(damage_cap=0, tip_share_bps=0, tip_fixed=UNIT // 50)
    )
    state = make_state(T0 + 100, job, world=world)
    assert moves(state, replace(EAGER, min_tip=UNIT // 50)) == ["match"]
    assert moves(state, replace(EAGER, min_tip=UNIT // 50 + 1)) == []


def test_a_signed_batch_is_sent_with_all_its_inputs_when_some_are_on_record_already():
    world = World(now=T0 + 100)
    world.ask(MAKERS[0], UNIT)
    inputs = tuple(bytes([i]) * 32 for i in range(3))
    batch = world.job(state=0, inputs=inputs[1:], input_id=b"\x00" * 32)
    state = make_state(T0 + 100, world=world, batches={batch.job_id: inputs})
    (action,) = decide(state, EAGER)
    assert (action.function, action.args[1]) == ("match_batch", inputs)
    assert action.key == f"match_batch:{batch.job_id.hex()}"


# ---- whose turn it is


def test_what_pays_another_keeper_is_left_to_it_for_a_while():
    job = make_job(CLAIMED, keeper=OTHER_KEEPER)
    policy = Policy(patience=20, stagger_blocks=0)
    assert moves(make_state(WINDOW_ENDS + 20, job), policy) == []
    assert moves(make_state(WINDOW_ENDS + 21, job), policy) == ["finalise"]
    contested = make_job(CONTESTED, keeper=OTHER_KEEPER)
    fallen = {contested.id: FALLS}
    assert moves(make_state(T0 + 30, contested, outcomes=fallen), policy) == []
    assert moves(make_state(T0 + 31, contested, outcomes=fallen), policy) == ["refute"]


def test_what_pays_me_is_not_waited_for():
    patient = Policy(patience=10_000, stagger_blocks=5_000)
    assert moves(make_state(WINDOW_ENDS + 1, make_job(CLAIMED)), patient) == ["finalise"]
    # The fee of a no-show goes to whoever ends it, whoever made the match.
    unclaimed = make_job(MATCHED, keeper=OTHER_KEEPER)
    assert moves(make_state(T0 + 601, unclaimed), patient) == ["expire"]
    mine = make_job(CONTESTED)
    assert moves(make_state(T0 + 11, mine, outcomes={mine.id: FALLS}), patient) == ["refute"]


def test_keepers_take_turns_at_what_anybody_may_do():
    keepers = tuple(address(0x500 + number) for number in range(5))
    policy = Policy(patience=0, stagger_blocks=5)
    job = make_job(MATCHED, keeper=OTHER_KEEPER)
    places = [rank(job.id, keeper, keepers) for keeper in keepers]
    assert sorted(places) == [0, 1, 2, 3, 4]
    for keeper, place in zip(keepers, places, strict=True):
        at = T0 + 601 + 10 * place
        early, late = (make_state(now, job, keepers=keepers) for now in (at - 1, at))
        assert decide(early, policy, keeper) == []
        assert [move.function for move in decide(late, policy, keeper)] == ["expire"]


@pytest.mark.parametrize("seconds", [1, 2, 12])
@pytest.mark.parametrize("behind", range(0, 12, 5))
def test_turns_are_blocks_apart_on_fast_and_on_slow_chains(seconds: int, behind: int):
    keepers = tuple(address(0x500 + number) for number in range(3))
    job = make_job(MATCHED, keeper=OTHER_KEEPER)
    policy = Policy()
    # The block before it is due is number 100, `behind` seconds before.
    due_at = T0 + 601

    def time_of(number: int) -> int:
        return due_at - 1 - behind % seconds + seconds * (number - 100)

    def first_block(keeper: str) -> int:
        for number in range(100, 200):
            now = time_of(number)
            pace = block_seconds(number, time_of)
            state = make_state(now, job, keepers=keepers, block_seconds=pace)
            if decide(state, policy, keeper):
                return number
        raise AssertionError("it never acts")

    acts = {rank(job.id, keeper, keepers): first_block(keeper) for keeper in keepers}
    assert acts[0] == 101
    assert acts[1] - acts[0] == acts[2] - acts[1] == policy.stagger_blocks == 3


@pytest.mark.parametrize(("pace", "wait"), [(1, 3), (2, 6), (Fraction(13, 6), 7), (12, 36)])
def test_a_stagger_is_rounded_up_to_whole_seconds(pace: Fraction, wait: int):
    job = make_job(MATCHED)
    second = next(address(n) for n in range(900, 999) if rank(job.id, KEEPER, [address(n)]) == 1)
    for now, expected in ((T0 + 600 + wait, []), (T0 + 601 + wait, ["expire"])):
        state = make_state(now, job, keepers=(KEEPER, second), block_seconds=Fraction(pace))
        assert moves(state, Policy()) == expected


def test_whoever_waits_for_its_turn_says_so():
    job = make_job(MATCHED)
    second = next(address(n) for n in range(900, 999) if rank(job.id, KEEPER, [address(n)]) == 1)
    state = make_state(T0 + 601, job, keepers=(KEEPER, second))
    planned = plan(state, T0 + 601, KEEPER, Policy(patience=0, stagger_blocks=5))
    assert planned.moves == ()
    assert planned.withheld == {f"expire:{name(job)}": "turn"}


def test_the_turns_of_a_match_begin_when_it_was_seen_first():
    world = World(now=T0 + 100)
    world.ask(MAKERS[0], UNIT)
    job = make_job(JobState.OPEN, terms=make_terms(damage_cap=0))
    second = next(address(n) for n in range(900, 999) if rank(job.id, KEEPER, [address(n)]) == 1)
    key = f"match:{name(job)}"
    policy = replace(EAGER, stagger_blocks=5)
    for seen, expected in ({}, []), ({key: T0 + 91}, []), ({key: T0 + 90}, ["match"]):
        state = make_state(T0 + 100, job, world=world, keepers=(KEEPER, second), seen=seen)
        assert moves(state, policy) == expected
        assert plan(state, T0 + 100, KEEPER, policy).withheld.get(key) == (
            None if expected else "turn"
        )


# ---- what it earns


def test_a_match_has_to_bring_more_than_its_gas():
    world = World(now=T0 + 100)
    world.ask(MAKERS[0], UNIT)
    terms = make_terms(damage_cap=0, tip_share_bps=0, tip_fixed=UNIT // 10)
    job = make_job(JobState.OPEN, terms=terms)
    # 240,000 gas at 10 gwei are 2.4 * 10**15 wei; a token for 0.024 ether makes that 100,000 units.
    costs = {"max_fee": 10 * 10**9}
    state = make_state(T0 + 100, job, world=world, **costs)
    rate = 41_666_666
    policy = replace(EAGER, token_per_ether=rate, margin=0)
    assert policy.gas_cost(240_000, 10 * 10**9) == 100_000
    (match,) = decide(state, policy)
    assert match.est_gain == 0
    assert moves(state, replace(policy, margin=1)) == []
    assert moves(state, replace(policy, token_per_ether=rate + 1_000)) == []
    withheld = plan(state, T0 + 100, KEEPER, replace(policy, margin=1)).withheld
    assert withheld == {f"match:{name(job)}": "margin"}


def test_what_ends_something_is_done_whatever_it_costs():
    dear = replace(EAGER, token_per_ether=10**30, margin=10**30)
    costs = {"max_fee": 10**12}
    unclaimed, stood = make_job(MATCHED, 1), make_job(CLAIMED, 2)
    fallen = make_job(CONTESTED, 3)
    state = make_state(WINDOW_ENDS + 1, unclaimed, stood, outcomes={}, **costs)
    assert sorted(moves(state, dear)) == ["expire", "finalise"]
    state = make_state(T0 + 11, fallen, outcomes={fallen.id: FALLS}, **costs)
    assert moves(state, dear) == ["refute"]


def test_a_match_is_good_until_the_first_of_both_sides_ends():
    world = World(now=T0 + 100)
    ask = world.ask(MAKERS[0], UNIT, expiry=T0 + 500)
    job = make_job(JobState.OPEN, terms=make_terms(damage_cap=0))
    (match,) = decide(make_state(T0 + 100, job, world=world), EAGER)
    assert (match.not_before, match.deadline) == (job.terms.valid_from, ask.ask.expiry)
    assert match.is_good(T0 + 500)
    assert not match.is_good(T0 + 501)


def test_only_so_many_matches_are_made_and_the_others_come_later():
    world = World(now=T0 + 100)
    for maker in MAKERS:
        world.ask(maker, UNIT)
    jobs = [make_job(JobState.OPEN, terms=make_terms(damage_cap=0, salt=salt)) for salt in range(5)]
    state = make_state(T0 + 100, *jobs, world=world)
    planned = plan(state, T0 + 100, KEEPER, replace(EAGER, most_matches=3))
    assert len(planned.moves) == 3
    assert sorted(planned.withheld.values()) == ["later", "later"]
    # A plan over a large market has not the rest of it.
    planned = plan(state, T0 + 100, KEEPER, replace(EAGER, most_matches=2))
    assert (len(planned.moves), len(planned.withheld)) == (2, 2)


# ---- batches, fees, the sink


def test_claims_that_share_a_record_are_paid_together_and_others_apart():
    shared = [replace(make_job(CLAIMED, salt), terms=make_terms(salt=salt)) for salt in range(40)]
    other = make_job(CLAIMED, 99, tip=1)
    actions = decide(make_state(WINDOW_ENDS + 1, *shared, other), EAGER)
    assert [action.function for action in actions] == ["finalise_batch"] * 2 + ["finalise"]
    first, second, single = actions
    assert [len(action.args[1]) for action in (first, second)] == [32, 8]
    paid = [job_id for action in (first, second) for job_id, _ in action.args[1]]
    assert sorted(paid) == sorted(job.id for job in shared)
    assert single.args[0] == other.id


def test_what_a_payment_under_way_makes_final_is_not_paid_again():
    first, second, third = (make_job(CLAIMED, salt) for salt in (1, 2, 3))
    state = make_state(WINDOW_ENDS + 1, first, second, third, busy=frozenset({first.id, second.id}))
    (action,) = decide(state, EAGER)
    assert (action.function, action.args[0]) == ("finalise", third.id)


def test_a_demands_fee_is_sent_on_and_the_sink_swept_from_a_threshold():
    record = make_record(make_terms())
    fee = Fee(claim_id=b"\x01" * 32, job_id=b"\x02" * 32, record=record, attempt=2, since=T0)
    state = make_state(T0, fees=(fee,), kept=(Kept(provider=PROVIDER, amount=99, completions=7),))
    assert moves(state, replace(EAGER, sweep_from=100)) == []
    later = replace(state, snapshot=replace(state.snapshot, now=T0 + 1))
    settle, sweep = decide(later, replace(EAGER, sweep_from=99))
    assert (settle.contract, settle.args) == ("FaultProof", (fee.job_id, record, 2))
    assert (sweep.args, sweep.key) == ((PROVIDER,), f"sweep:{PROVIDER}:7")


def test_nothing_is_swept_when_nothing_is_kept():
    state = make_state(T0, kept=(Kept(provider=PROVIDER, amount=0, completions=7),))
    assert moves(state, replace(EAGER, sweep_from=0)) == []


def test_attempts_are_told_apart_after_a_decline():
    matched = make_job(MATCHED)
    declined = replace(matched.attempts[0], outcome="declined")
    again = replace(matched, attempts=(declined, matched.attempts[0]), declines=1)
    assert name(matched) != name(again)
    claimed = make_job(CLAIMED)
    twice = replace(claimed, attempts=(declined, claimed.attempts[0]), declines=1)
    expected = [(claim_id(claimed.id, 1, PROVIDER), 1, claimed.record)]
    assert list(claims_of(twice)) == list(claims_of(claimed)) == expected


@pytest.mark.parametrize("state", [JobState.OPEN, MATCHED, CLAIMED, CONTESTED])
def test_a_job_counts_only_if_its_slot_says_the_same(state: JobState):
    job = make_job(state)
    digests = {
        JobState.OPEN: 0,
        MATCHED: record_hash(make_record(job.terms)),
        CLAIMED: claim_digest(make_record(job.terms), COMMITMENT),
    }
    slot = Slot(state, job.attempt, 0, digests.get(state, digests[CLAIMED]))
    assert agrees(job, slot)
    assert not agrees(job, replace(slot, digest=5))
    assert not agrees(job, replace(slot, attempt=3))
    assert not agrees(job, replace(slot, state=JobState.FINAL))
