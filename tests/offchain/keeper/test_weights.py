"""A record's weight is told exactly, or it is said that it can't be."""

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.chain.views import Provider
from headrace.keeper.weights import MAX_WEIGHT, Ageing, Bounds, decay
from tests.models import provider as twin

WEIGHTS = st.one_of(st.integers(0, 100), st.integers(0, MAX_WEIGHT))
HALF_LIVES = st.one_of(st.integers(1, 50), st.integers(1, 365 * 86_400))
SPANS = st.one_of(st.integers(0, 200), st.integers(0, 10**9))

NOBODY = Provider(
    status=1,
    is_available=True,
    operator="0x" + "11" * 20,
    payout="0x" + "11" * 20,
    bond=5,
    epoch=0,
    revoked_lanes=0,
    last_seen=1_000,
    active=0,
    completions=0,
    faults=0,
    no_shows=0,
    declines=0,
    good_weight=0,
    bad_weight=0,
    thaws_at=0,
)


@given(WEIGHTS, SPANS, HALF_LIVES)
def test_it_decays_as_on_chain(weight: int, elapsed: int, half_life: int) -> None:
    assert decay(weight, elapsed, half_life) == twin.decay(weight, elapsed, half_life)


@given(WEIGHTS, SPANS, HALF_LIVES)
@example(MAX_WEIGHT, 0, 1)
@example(MAX_WEIGHT, 41, 1)
def test_the_bounds_are_just_what_may_have_been(weight: int, elapsed: int, half_life: int) -> None:
    left = decay(weight, elapsed, half_life)
    bounds = Bounds.of(left, elapsed, half_life)
    assert 0 <= bounds.least <= weight <= bounds.most <= MAX_WEIGHT
    assert decay(bounds.least, elapsed, half_life) == left == decay(bounds.most, elapsed, half_life)
    assert bounds.least == 0 or decay(bounds.least - 1, elapsed, half_life) < left
    assert bounds.most == MAX_WEIGHT or decay(bounds.most + 1, elapsed, half_life) > left


@given(WEIGHTS, SPANS, SPANS, HALF_LIVES)
def test_later_it_is_right_or_unknown(
    weight: int, elapsed: int, later: int, half_life: int
) -> None:
    bounds = Bounds.of(decay(weight, elapsed, half_life), elapsed, half_life)
    right = decay(weight, elapsed + later, half_life)
    assert bounds.left(elapsed + later, half_life) in (right, None)
    assert bounds.left(elapsed, half_life) == decay(weight, elapsed, half_life)


def test_a_weight_read_when_it_was_written_is_known_for_ever():
    day = 86_400
    ageing = Ageing(replace(NOBODY, good_weight=12_345_678), 1_000, 30 * day)
    for days in range(400):
        found = ageing.at(1_000 + days * day)
        assert found is not None
        assert found.good_weight == decay(12_345_678, days * day, 30 * day)


def test_what_two_weights_leave_differently_has_to_be_read_again():
    # After half a half-life both 4 and 5 leave 3; at first they are 4 and 5.
    assert decay(4, 10, 20) == decay(5, 10, 20) == 3
    read = replace(NOBODY, bad_weight=3)
    ageing = Ageing(read, 1_010, 20)
    assert ageing.at(1_010) == read
    assert (decay(4, 20, 20), decay(5, 20, 20)) == (2, 2)
    later = ageing.at(1_020)
    assert later is not None
    assert later.bad_weight == 2
    differing = [
        t for t in range(1_010, 1_020) if decay(4, t - 1_000, 20) != decay(5, t - 1_000, 20)
    ]
    assert differing
    assert all(ageing.at(t) is None for t in differing)


@pytest.mark.parametrize(("good", "bad"), [(0, 0), (7_000, 0), (0, 9)])
def test_the_same_record_is_the_same_object(good, bad):
    read = replace(NOBODY, good_weight=good, bad_weight=bad)
    ageing = Ageing(read, 1_000, 10**6)
    assert ageing.at(1_000) is read


def test_a_weight_that_has_faded_is_there_again_on_a_branch_of_an_earlier_time():
    ageing = Ageing(replace(NOBODY, good_weight=1), 1_000, 10)
    faded = ageing.at(1_015)
    assert faded is not None
    assert faded.good_weight == 0
    again = ageing.at(1_000)
    assert again is not None
    assert again.good_weight == 1
