"""Freivalds' test: right products pass, any wrong one is seen, and where."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.graph2 import freivalds
from headrace.graph2.freivalds import PRIME, Challenge


def product(rng, rows, columns, terms):
    a = rng.integers(-128, 128, (rows, terms)).astype(np.int8)
    weights = rng.integers(-128, 128, (columns, terms)).astype(np.int8)
    return a, weights, (a.astype(np.int64) @ weights.T.astype(np.int64)).astype(np.int32)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 2**32),
    st.sampled_from([1, -1, 1 << 15, 1 << 16, -(1 << 16), 1 << 30]),
)
def test_one_wrong_element_is_seen_in_its_row(rows, columns, terms, seed, by):
    rng = np.random.default_rng(seed)
    a, weights, right = product(rng, rows, columns, terms)
    challenge = Challenge(weights)
    assert challenge.holds(a, right)
    row, column = int(rng.integers(rows)), int(rng.integers(columns))
    wrong = right.copy()
    wrong[row, column] += by
    assert challenge.wrong_rows(a, wrong).tolist() == [at == row for at in range(rows)]
    assert not challenge.holds(a, wrong)


def test_errors_that_cancel_in_a_plain_sum_are_seen():
    a, weights, right = product(np.random.default_rng(1), 6, 8, 5)
    wrong = right.copy()
    wrong[2, 1] += 7
    wrong[2, 6] -= 7
    wrong[4] = right[5]
    wrong[5] = right[4]
    seen = Challenge(weights).wrong_rows(a, wrong)
    assert seen.tolist() == [False, False, True, False, True, True]


def test_the_largest_numbers_stay_exact():
    weights = np.full((4_096, 4_096), -128, dtype=np.int8)
    a = np.full((2, 4_096), -128, dtype=np.int8)
    right = np.full((2, 4_096), 1 << 26, dtype=np.int32)
    # The largest vector there is: every piece of 16 bits is as large as it can be.
    challenge = Challenge(weights, [PRIME - 1] * 4_096)
    assert challenge.holds(a, right)
    wrong = right.copy()
    wrong[1, 4_095] = -(1 << 31)
    assert challenge.wrong_rows(a, wrong).tolist() == [False, True]
    everywhere = np.full((2, 4_096), (1 << 31) - 1, dtype=np.int32)
    total = 4_096 * ((1 << 31) - 1 - (1 << 26)) * (PRIME - 1) % PRIME
    assert total != 0
    assert challenge.wrong_rows(a, everywhere).all()


def test_a_known_vector_can_be_fooled_and_a_drawn_one_differs():
    # why the vector is secret: with r = (1, 2) an error of (2, -1) is in its kernel
    a, weights, right = product(np.random.default_rng(2), 3, 2, 4)
    wrong = right.copy()
    wrong[0] += np.array([2, -1], dtype=np.int32)
    assert Challenge(weights, [1, 2]).holds(a, wrong)
    assert not Challenge(weights).holds(a, wrong)


def test_vectors_are_drawn_below_the_prime(monkeypatch):
    asked = []

    def drawn(limit):
        asked.append(limit)
        return 5

    monkeypatch.setattr(freivalds.secrets, "randbelow", drawn)
    Challenge(np.ones((3, 2), dtype=np.int8))
    assert asked == [2**61 - 1] * 3


def test_what_does_not_fit_is_refused():
    a, weights, right = product(np.random.default_rng(3), 3, 2, 4)
    with pytest.raises(ValueError, match="weights"):
        Challenge(weights.astype(np.int16))
    with pytest.raises(ValueError, match="weights"):
        Challenge(np.zeros((1, 4_097), dtype=np.int8))
    for vector in ([1], [1, PRIME], [1, -1]):
        with pytest.raises(ValueError, match="vector"):
            Challenge(weights, vector)
    challenge = Challenge(weights)
    with pytest.raises(ValueError, match="left side"):
        challenge.holds(a[:, :3], right)
    with pytest.raises(ValueError, match="left side"):
        challenge.holds(a.astype(np.int16), right)
    with pytest.raises(ValueError, match="product"):
        challenge.holds(a, right[:2])
    with pytest.raises(ValueError, match="product"):
        challenge.holds(a, right.astype(np.float64))


def test_sums_that_cannot_be_are_refused_at_once():
    weights = np.full((2, 3), -128, dtype=np.int8)
    a = np.full((4, 3), -128, dtype=np.int8)
    right = np.full((4, 2), 3 << 14, dtype=np.int64)
    challenge = Challenge(weights)
    assert challenge.holds(a, right)
    wrong = right.copy()
    wrong[1, 0] += 1
    wrong[2, 1] = -(1 << 62)
    wrong[3, 0] += PRIME  # right modulo p
    assert challenge.wrong_rows(a, wrong).tolist() == [False, True, True, True]
