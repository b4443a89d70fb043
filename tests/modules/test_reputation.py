from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.harness import Chain, Contract
from tests.models.provider import MAX_WEIGHT, Word, add, decay, fault_rate, grow

weights = st.integers(0, 2**20) | st.integers(0, MAX_WEIGHT) | st.just(MAX_WEIGHT)
# What was sunk is not bounded by the word.
sums = weights | st.integers(0, 2**256 - 1)
half_lives = st.integers(1, 10) | st.integers(1, 365 * 86_400) | st.just(2**40)


@st.composite
def spans(draw: st.DrawFn) -> tuple[int, int]:
    """Seconds that passed, and a half-life, the first up to some fifty of the second."""
    half_life = draw(half_lives)
    whole = draw(st.integers(0, 3) | st.integers(0, 50))
    return whole * half_life + draw(st.integers(0, half_life - 1)), half_life


@pytest.fixture(scope="module")
def harness(chain: Chain) -> Contract:
    return chain.deploy("ReputationHarness")


@given(weight=weights, span=spans())
def test_decay_is_the_twins(harness: Contract, weight: int, span: tuple[int, int]) -> None:
    assert harness.decay(weight, *span) == decay(weight, *span)


@given(weight=sums, span=spans())
def test_growth_is_the_twins(harness: Contract, weight: int, span: tuple[int, int]) -> None:
    assert harness.grow(weight, *span) == grow(weight, *span)


@given(weight=weights, more=sums)
def test_sums_stop_at_the_maximum(harness: Contract, weight: int, more: int) -> None:
    assert harness.add(weight, more) == add(weight, more) == min(weight + more, MAX_WEIGHT)


@given(good=weights, bad=weights)
def test_fault_rate_is_the_twins(harness: Contract, good: int, bad: int) -> None:
    assert harness.fault_rate(good, bad) == fault_rate(good, bad) <= 10_000


def test_half_lives_in_whole_numbers(harness: Contract) -> None:
    day = 86_400
    cases = [(0, 1_000), (day // 2, 750), (day, 500), (3 * day // 2, 375), (2 * day, 250)]
    for elapsed, left in cases:
        assert harness.decay(1_000, elapsed, day) == left
    assert harness.decay(MAX_WEIGHT, 40 * day, day) == 0
    assert harness.decay(MAX_WEIGHT, 2**255, day) == 0
    assert harness.fault_rate(0, 0) == 0
    assert harness.fault_rate(0, 1) == 10_000
    assert harness.fault_rate(9_999, 1) == 1


# The rest is about the twin alone, which is the contract's maths: many examples cost nothing.


@given(weight=weights, span=spans())
def test_decay_rounds_down_by_less_than_two(weight: int, span: tuple[int, int]) -> None:
    elapsed, half_life = span
    whole, rest = divmod(elapsed, half_life)
    exact = Fraction(weight, 2**whole) * (1 - Fraction(rest, 2 * half_life))
    assert 0 <= decay(weight, *span) <= exact < decay(weight, *span) + 2


@given(weight=weights, span=spans(), later=st.integers(0, 10**9))
def test_decay_never_rises_with_time(weight: int, span: tuple[int, int], later: int) -> None:
    elapsed, half_life = span
    assert decay(weight, elapsed + later, half_life) <= decay(weight, elapsed, half_life)


@given(weight=weights, steps=st.lists(st.integers(1, 10**6), max_size=30))
def test_being_heard_often_slows_decay_by_less_than_half_a_half_life(
    weight: int, steps: list[int]
) -> None:
    # Straight lines lie above the curve, so each update on the way leaves a little more: at most
    # what a half-life ln 4 = 1.386 times as long would leave.
    half_life, left = 10**6, weight
    for elapsed in steps:
        left = decay(left, elapsed, half_life)
    assert left <= weight * 2 ** (-sum(steps) / (1.387 * half_life)) + 1
    assert left >= decay(weight, sum(steps), half_life) - 2 * len(steps) - 2


@given(weight=sums, span=spans())
def test_growth_undoes_decay_and_at_most_an_eighth_more(weight: int, span: tuple[int, int]) -> None:
    grown = grow(weight, *span)
    left = decay(grown, *span)
    assert left <= weight * 9 // 8 + 1
    if grown < MAX_WEIGHT:
        assert left >= weight


seen_words = st.builds(
    Word,
    status=st.just(1),
    last_seen=st.integers(0, 2**32 - 1),
    active=st.just((1, 0, 0, 0, 0, 0, 0, 63)),
    completions=st.integers(0, 2**20 - 1),
    good=weights,
    bad=weights,
)


@given(word=seen_words, more=sums, span=spans())
def test_what_a_word_becomes_is_the_twins(
    harness: Contract, word: Word, more: int, span: tuple[int, int]
) -> None:
    elapsed, half_life = span
    now = word.last_seen + elapsed
    assert harness.weights(word.pack(), now, half_life) == word.weights(now, half_life)
    assert harness.seen(word.pack(), more, now, half_life) == word.seen(more, now, half_life).pack()
    blamed = word.blamed(more, now, half_life)
    assert harness.blamed(word.pack(), more, now, half_life) == blamed.pack()
