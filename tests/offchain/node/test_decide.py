"""A node's decisions, on both sides of every edge."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.chain.views import DisputeStatus, JobState
from headrace.node.decide import Held, Move, Step, decide, margin
from headrace.node.record import Entry, Stage

KEY = (b"\x01" * 32, 1)
T, ACK, ATTEMPT = 1_000, 30, 100
DECLINE_UNTIL, CLAIM_UNTIL = T + ACK, T + ATTEMPT
ROOT = b"\x05" * 32
COMPUTED = Entry(Stage.COMPUTED, ROOT)
READY = Entry(Stage.COMPUTED, ROOT, is_published=True)
CLAIMED = Entry(Stage.CLAIMED, ROOT, is_published=True)


def held(**changes: Any) -> Held:
    values: dict[str, Any] = {
        "key": KEY,
        "state": JobState.MATCHED,
        "matched_at": T,
        "decline_until": DECLINE_UNTIL,
        "claim_until": CLAIM_UNTIL,
        "entry": Entry(),
    }
    return Held(**(values | changes))


def contested(now_due: int, **changes: Any) -> Held:
    values: dict[str, Any] = {
        "state": JobState.CONTESTED,
        "decline_until": 0,
        "claim_until": 0,
        "entry": CLAIMED,
        "demand": DisputeStatus.DEMANDED,
        "due": now_due,
    }
    return held(**(values | changes))


def steps(attempt: Held, now: int) -> list[Step]:
    return [move.step for move in decide([attempt], now)]


# ---- the way of a job that goes well


@pytest.mark.parametrize("entry", [None, Entry()])
def test_a_new_attempt_is_fetched_and_run(entry: Entry | None):
    assert steps(held(entry=entry), T) == [Step.FETCH]


def test_one_that_runs_is_let_be():
    assert steps(held(is_running=True), T) == []


def test_a_computed_one_is_published_then_claimed():
    assert steps(held(entry=COMPUTED), T) == [Step.PUBLISH, Step.CLAIM]


def test_a_published_one_is_claimed():
    assert steps(held(entry=READY), T) == [Step.CLAIM]


def test_a_claim_that_did_not_get_into_the_chain_is_made_again():
    assert steps(held(entry=CLAIMED), T + 5) == [Step.CLAIM]


def test_a_claim_on_chain_that_nobody_contests_needs_nothing():
    claimed = held(state=JobState.CLAIMED, entry=CLAIMED, claim_until=0, decline_until=0)
    assert steps(claimed, T + 5) == []


def test_what_could_not_be_published_before_the_claim_is_published_after_it():
    claimed = held(state=JobState.CLAIMED, entry=Entry(Stage.CLAIMED, ROOT), claim_until=0)
    assert steps(claimed, T + 5) == [Step.PUBLISH]


# ---- the deadline of the claim


def test_the_claims_edge():
    assert steps(held(entry=READY), CLAIM_UNTIL) == [Step.CLAIM]
    assert decide([held(entry=READY)], CLAIM_UNTIL + 1) == [Move(KEY, Step.GIVE_UP, "too late")]


def test_a_lost_attempt_is_noted_once():
    assert steps(held(entry=Entry(Stage.FAILED)), CLAIM_UNTIL + 1) == []
    assert steps(held(entry=Entry(Stage.DECLINED)), CLAIM_UNTIL + 1) == []


# ---- declining


def test_a_missing_input_is_tried_for_until_the_margin():
    attempt = held(trouble="missing")
    least = DECLINE_UNTIL - margin(ACK)
    assert steps(attempt, least - 1) == [Step.FETCH]
    assert decide([attempt], least) == [Move(KEY, Step.DECLINE, "missing")]


def test_the_edge_of_declining():
    attempt = held(trouble="missing")
    assert steps(attempt, DECLINE_UNTIL) == [Step.DECLINE]
    # Afterwards there is still the claim to be made, if the input turns up.
    assert steps(attempt, DECLINE_UNTIL + 1) == [Step.FETCH]


def test_what_can_never_run_is_declined_at_once():
    assert steps(held(trouble="ill-formed", is_final=True), T) == [Step.DECLINE]


def test_what_can_never_run_and_was_found_too_late_is_given_up():
    attempt = held(trouble="ill-formed", is_final=True)
    assert steps(attempt, DECLINE_UNTIL + 1) == [Step.GIVE_UP]
    noted = held(trouble="ill-formed", is_final=True, entry=Entry(Stage.FAILED))
    assert steps(noted, DECLINE_UNTIL + 1) == []


def test_what_is_on_record_as_declined_stays_declined():
    attempt = held(entry=Entry(Stage.DECLINED, reason="missing"))
    assert decide([attempt], T) == [Move(KEY, Step.DECLINE, "missing")]
    assert steps(attempt, DECLINE_UNTIL) == [Step.DECLINE]
    assert steps(attempt, DECLINE_UNTIL + 1) == [Step.FETCH]


def test_what_is_computed_is_claimed_whatever_else_is_wrong():
    attempt = held(entry=READY, trouble="gone", is_final=True)
    assert steps(attempt, DECLINE_UNTIL) == [Step.CLAIM]


@given(st.integers(0, 10**6))
def test_the_margin_lies_within_the_time_to_acknowledge(seconds: int):
    assert 0 <= margin(seconds) <= min(seconds, 60)
    if seconds >= 2:
        assert margin(seconds) >= 2


# ---- demands


def test_the_edge_of_an_answer():
    assert steps(contested(T + 9), T + 9) == [Step.ANSWER]
    assert steps(contested(T + 9), T + 10) == []


def test_a_trace_that_is_not_kept_is_got_back():
    assert steps(contested(T + 9, has_trace=False), T) == [Step.RECALL]
    assert steps(contested(T + 9, has_trace=False, is_running=True), T) == []


def test_an_answered_demand_is_let_be():
    assert steps(contested(0, demand=DisputeStatus.NONE), T) == []


def test_the_most_urgent_comes_first():
    late = held(key=(b"\x02" * 32, 1), claim_until=CLAIM_UNTIL + 50)
    demand = contested(T + 5, key=(b"\x09" * 32, 2))
    soon = held()
    moves = decide([late, soon, demand], T)
    assert [move.key[0][0] for move in moves] == [9, 1, 2]
