"""When a watcher commits, proves, claims or waits: both sides of every edge."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.chain.graph_rules import REWARD_BLOCKS
from headrace.daemon.games import Game, Promise
from headrace.watch.rewards import (
    PATIENCE_BLOCKS,
    ROOM_BLOCKS,
    Standing,
    Step,
    can_claim,
    carries_out,
    is_falling,
    next_step,
)
from tests.offchain.terms.examples import address

PACE = 12
BLOCK, NOW = 1_000, 1_700_000_000
FAR = NOW + 10**6
OWN, OTHER, THIRD = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32
ME, STRANGER = address(1), address(2)
LIVE = Standing(block=BLOCK, now=NOW, edge=FAR, end=FAR + 1_000, pace=PACE)


def committed(standing: Standing, number: int, at: int, *before: int) -> Standing:
    """With a commitment of ours, and strangers' before it, in these blocks."""
    own = Promise(OWN, number, at)
    others = tuple(Promise(OTHER, place + 1, block) for place, block in enumerate(before))
    return replace(standing, promises=(*others, own), own=own)


# ---- nobody has moved


def test_a_fault_is_committed_to_first():
    assert next_step(LIVE) == Step.COMMIT


def test_who_may_not_commit_proves():
    assert next_step(replace(LIVE, may_commit=False)) == Step.PROVE


@pytest.mark.parametrize(
    ("left", "step"),
    [
        (ROOM_BLOCKS * PACE, Step.COMMIT),
        (ROOM_BLOCKS * PACE - 1, Step.PROVE),
        (0, Step.PROVE),
        (-1, Step.WAIT),
    ],
)
def test_the_time_that_is_left(left: int, step: Step):
    assert next_step(replace(LIVE, edge=NOW + left)) == step


# ---- somebody else has committed


@pytest.mark.parametrize(
    ("age", "step"), [(0, Step.WAIT), (PATIENCE_BLOCKS - 1, Step.WAIT), (PATIENCE_BLOCKS, None)]
)
@pytest.mark.parametrize("may_commit", [True, False])
def test_an_earlier_commitment_is_left_some_blocks(age: int, step: Step | None, may_commit: bool):
    ahead = (Promise(OTHER, 1, BLOCK - age),)
    wanted = step or (Step.COMMIT if may_commit else Step.PROVE)
    assert next_step(replace(LIVE, promises=ahead, may_commit=may_commit)) == wanted


@pytest.mark.parametrize(
    ("blocks", "step"),
    [(ROOM_BLOCKS + 1, Step.WAIT), (ROOM_BLOCKS, Step.COMMIT), (ROOM_BLOCKS - 1, Step.PROVE)],
)
def test_nobody_is_waited_for_until_it_is_too_late(blocks: int, step: Step):
    ahead = (Promise(OTHER, 1, BLOCK),)
    assert next_step(replace(LIVE, promises=ahead, edge=NOW + blocks * PACE)) == step


def test_a_commitment_in_every_block_holds_nobody_up():
    ahead = tuple(Promise(OTHER, n + 1, BLOCK - PATIENCE_BLOCKS + n) for n in range(6))
    assert next_step(replace(LIVE, promises=ahead)) == Step.COMMIT


@pytest.mark.parametrize(
    ("age", "to_end", "step"),
    [
        (REWARD_BLOCKS - 1, 0, Step.PROVE),
        (REWARD_BLOCKS, 0, Step.WAIT),
        (REWARD_BLOCKS - 1, -1, Step.WAIT),
    ],
)
def test_commitments_keep_a_claim_provable_past_its_edge(age: int, to_end: int, step: Step):
    ahead = (Promise(OTHER, 1, BLOCK - age),)
    late = replace(LIVE, promises=ahead, edge=NOW - 1, end=NOW + to_end)
    assert next_step(late) == step


# ---- ours is on chain


@pytest.mark.parametrize(("age", "step"), [(0, Step.WAIT), (1, Step.CLAIM)])
def test_a_commitment_counts_in_later_blocks(age: int, step: Step):
    assert next_step(committed(LIVE, 1, BLOCK - age)) == step


@pytest.mark.parametrize("may_commit", [True, False])
def test_a_commitment_is_opened_even_if_no_other_may_be_made(may_commit: bool):
    standing = committed(replace(LIVE, may_commit=may_commit, edge=NOW), 1, BLOCK - 1)
    assert next_step(standing) == Step.CLAIM


@pytest.mark.parametrize(
    ("age", "step"), [(PATIENCE_BLOCKS - 1, Step.WAIT), (PATIENCE_BLOCKS, Step.CLAIM)]
)
def test_the_one_before_ours_goes_first(age: int, step: Step):
    assert next_step(committed(LIVE, 2, BLOCK - 1, BLOCK - age)) == step


def test_those_after_ours_are_not_waited_for():
    standing = committed(LIVE, 1, BLOCK - 1)
    later = Promise(OTHER, 2, BLOCK)
    assert next_step(replace(standing, promises=(*standing.promises, later))) == Step.CLAIM


@pytest.mark.parametrize(
    ("blocks", "step"), [(ROOM_BLOCKS, Step.WAIT), (ROOM_BLOCKS - 1, Step.CLAIM)]
)
def test_the_one_before_ours_is_not_waited_for_until_it_is_too_late(blocks: int, step: Step):
    standing = committed(LIVE, 2, BLOCK - 1, BLOCK - 1)
    assert next_step(replace(standing, edge=NOW - 1, end=NOW + blocks * PACE)) == step


def test_a_commitment_that_the_chain_does_not_take_holds_no_proof_up():
    assert next_step(replace(committed(LIVE, 1, BLOCK - 1), is_refused=True)) == Step.PROVE
    # Not even for somebody who may be about to prove.
    assert next_step(replace(committed(LIVE, 2, BLOCK, BLOCK), is_refused=True)) == Step.PROVE


# ---- somebody has proven it


def proven(standing: Standing, block: int) -> Standing:
    return replace(standing, proven_in=block, open_until=block + REWARD_BLOCKS)


@pytest.mark.parametrize(("age", "step"), [(0, Step.WAIT), (1, Step.CLAIM)])
def test_only_a_commitment_of_an_earlier_block_beats_a_proof(age: int, step: Step):
    at = BLOCK - 3
    assert next_step(proven(committed(LIVE, 1, at - age), at)) == step


def test_a_first_commitment_is_opened_at_once_even_if_it_was_refused_before():
    standing = replace(committed(LIVE, 1, BLOCK - 1), is_refused=True)
    assert next_step(proven(standing, BLOCK)) == Step.CLAIM


@pytest.mark.parametrize(
    ("age", "step"), [(PATIENCE_BLOCKS - 1, Step.WAIT), (PATIENCE_BLOCKS, Step.CLAIM)]
)
def test_after_a_proof_too_the_one_before_ours_goes_first(age: int, step: Step):
    at = BLOCK - age
    assert next_step(proven(committed(LIVE, 2, at - 9, at - 99), at)) == step


@pytest.mark.parametrize(
    ("age", "step"), [(REWARD_BLOCKS - 1, Step.CLAIM), (REWARD_BLOCKS, Step.WAIT)]
)
def test_the_reward_is_open_for_some_blocks(age: int, step: Step):
    assert next_step(proven(committed(LIVE, 1, BLOCK - 30), BLOCK - age)) == step


@pytest.mark.parametrize(("left", "step"), [(0, Step.CLAIM), (-1, Step.WAIT)])
def test_the_reward_is_open_until_the_end_at_most(left: int, step: Step):
    standing = replace(committed(LIVE, 1, BLOCK - 9), edge=NOW - 50, end=NOW + left)
    assert next_step(proven(standing, BLOCK - 1)) == step


def test_whose_the_reward_is_waits_and_who_never_committed_too():
    assert next_step(replace(proven(committed(LIVE, 2, BLOCK - 9), BLOCK), holds=True)) == Step.WAIT
    assert next_step(proven(LIVE, BLOCK)) == Step.WAIT


# ---- ends


def test_a_claim_falls_once_somebody_has_proven_it():
    assert not is_falling(None)
    assert not is_falling(Game(OWN))
    assert is_falling(Game(OWN, refuter=STRANGER))


@pytest.mark.parametrize(("block", "can"), [(BLOCK - 1, True), (BLOCK, False)])
def test_a_reward_can_be_claimed_up_to_its_last_block(block: int, can: bool):
    game = Game(OWN, refuter=STRANGER, open_until=BLOCK, promises=(Promise(OWN, 1, 1),))
    assert can_claim(game, block) == can
    assert not can_claim(replace(game, promises=()), block)


@pytest.mark.parametrize(
    ("block", "does"), [(BLOCK + PATIENCE_BLOCKS, False), (BLOCK + PATIENCE_BLOCKS + 1, True)]
)
def test_whose_the_reward_is_ends_the_claim(block: int, does: bool):
    game = Game(OWN, refuter=ME, open_until=BLOCK)
    assert carries_out(game, ME, block) == does
    assert not carries_out(game, STRANGER, block)
    # Convicted in one transaction: nothing is left to do.
    assert not carries_out(replace(game, open_until=0), ME, block)


# ---- whatever others do


@given(
    blocks=st.integers(0, 60),
    others=st.lists(st.integers(0, 60), max_size=5),
    own=st.none() | st.integers(0, 60),
    may_commit=st.booleans(),
    pace=st.integers(1, 60),
)
def test_the_last_moments_are_for_the_conviction(
    blocks: int, others: list[int], own: int | None, may_commit: bool, pace: int
):
    """With less time than two transactions take, nothing but a proof of some kind is made."""
    left = min(blocks, ROOM_BLOCKS * pace - 1)
    made = [Promise(OTHER, n + 1, BLOCK - age) for n, age in enumerate(sorted(others)[::-1])]
    mine = None if own is None else Promise(OWN, len(made) + 1, BLOCK - own)
    standing = Standing(
        block=BLOCK,
        now=NOW,
        edge=NOW + left,
        end=NOW + left,
        pace=pace,
        promises=(*made, *(() if mine is None else (mine,))),
        own=mine,
        may_commit=may_commit,
    )
    step = next_step(standing)
    if mine is None:
        assert step == Step.PROVE
    else:
        assert step == (Step.CLAIM if mine.block < BLOCK else Step.WAIT)


@given(
    first=st.integers(1, 100),
    gaps=st.lists(st.integers(0, 3), max_size=40),
    may_commit=st.booleans(),
)
def test_no_stranger_puts_a_conviction_off_for_long(first: int, gaps: list[int], may_commit: bool):
    """However many commitments strangers make: ten blocks and three of our own at most."""
    made: list[Promise] = []
    at = first
    for gap in gaps:
        at += gap
        made.append(Promise(OTHER, len(made) + 1, at))
    own: Promise | None = None
    for block in range(first, first + 2 * PATIENCE_BLOCKS + 3):
        seen = tuple(promise for promise in made if promise.block <= block)
        if own is not None:
            seen = (*(p for p in seen if p.block < own.block), own)
        standing = replace(LIVE, block=block, promises=seen, own=own, may_commit=may_commit)
        step = next_step(standing)
        if step == Step.COMMIT:
            assert own is None
            before = sum(promise.block <= block + 1 for promise in made)
            own = Promise(OWN, before + 1, block + 1)
            made = [promise for promise in made if promise.block <= block + 1]
        elif step in (Step.PROVE, Step.CLAIM):
            return
    raise AssertionError("it never proved")


# ---- until when


def test_without_commitments_a_proof_has_until_the_edge():
    assert replace(LIVE, edge=NOW + 7).until == NOW + 7


@pytest.mark.parametrize(
    ("edge", "end", "age", "until"),
    [
        (-1, 10**6, 0, REWARD_BLOCKS * PACE),
        (-1, 10**6, REWARD_BLOCKS - 1, PACE),
        (-1, 5, 0, 5),
        # The edge is never given up for a commitment.
        (10**4, 10**6, 0, 10**4),
        (10**4, 10**6, REWARD_BLOCKS + 50, 10**4),
    ],
)
def test_a_commitment_lets_a_proof_come_later(edge: int, end: int, age: int, until: int):
    ahead = (Promise(OTHER, 1, BLOCK - age - 30), Promise(THIRD, 2, BLOCK - age))
    standing = replace(LIVE, edge=NOW + edge, end=NOW + end, promises=ahead)
    assert standing.until == NOW + until


@pytest.mark.parametrize(("end", "until"), [(10**6, 7 * PACE), (3, 3)])
def test_a_reward_has_until_its_last_block_or_the_end(end: int, until: int):
    standing = replace(
        committed(LIVE, 1, BLOCK - 2), proven_in=BLOCK - 1, open_until=BLOCK + 7, end=NOW + end
    )
    assert standing.until == NOW + until


@given(
    edge=st.integers(-50, 50),
    longer=st.integers(0, 50),
    ages=st.lists(st.integers(0, 30), max_size=3),
    proven=st.none() | st.integers(0, 25),
    has_own=st.booleans(),
    pace=st.integers(1, 15),
)
def test_whatever_is_decided_is_within_its_time(
    edge: int, longer: int, ages: list[int], proven: int | None, has_own: bool, pace: int
):
    """The performer drops a move past its deadline: none that the contract still takes may be."""
    made = tuple(Promise(OTHER, n + 1, BLOCK - age) for n, age in enumerate(ages))
    own = Promise(OWN, len(made) + 1, BLOCK - 1) if has_own else None
    standing = replace(
        LIVE,
        edge=NOW + edge,
        end=NOW + edge + longer,
        pace=pace,
        promises=(*made, own) if own else made,
        own=own,
        proven_in=0 if proven is None else BLOCK - proven,
        open_until=0 if proven is None else BLOCK - proven + REWARD_BLOCKS,
    )
    step = next_step(standing)
    if step == Step.COMMIT:
        assert standing.edge >= NOW
    elif step != Step.WAIT:
        assert standing.until >= NOW
