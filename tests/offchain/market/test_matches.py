"""Matches in columns: what is read is what was put in, whatever its size, in the right order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.market.matches import Amounts, Matches
from headrace.market.plan import Match
from tests.offchain.market.worlds import make_ask

EDGES = st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64, 2**80 - 1])
AMOUNTS = st.lists(EDGES | st.integers(0, 2**80 - 1), max_size=20)


@given(AMOUNTS, st.lists(st.tuples(st.integers(0, 19), EDGES)))
def test_amounts_are_what_a_list_would_have(
    given: list[int], changes: list[tuple[int, int]]
) -> None:
    amounts, expected = Amounts(), list(given)
    for amount in given:
        amounts.append(amount)
    for number, amount in changes:
        if number < len(expected):
            amounts[number] = expected[number] = amount
    assert len(amounts) == len(expected)
    assert list(amounts) == expected


@given(st.permutations(range(6)), st.integers(0, 5), EDGES)
def test_matches_are_read_by_waiting_and_replaced_by_serving(
    served: list[int], number: int, amount: int
) -> None:
    asks = [make_ask(salt=salt) for salt in range(4)]
    job_ids = [bytes([place]) * 32 for place in range(6)]
    matches = Matches(job_ids, asks)
    expected = {}
    for place in served:
        matches.add(place, place % 4, place, 2 * place, 3 * place)
        expected[place] = Match(job_ids[place], asks[place % 4], place, 2 * place, 3 * place)
    matches.replace(number, 3, amount, amount, amount)
    changed = served[number]
    expected[changed] = Match(job_ids[changed], asks[3], amount, amount, amount)
    assert list(matches) == [expected[place] for place in served]
    matches.sort()
    waiting = tuple(expected[place] for place in sorted(served))
    assert tuple(matches) == waiting
    assert matches == waiting != matches[1:]
    assert matches[-1] == waiting[-1]
    assert matches[1:3] == waiting[1:3]
    with pytest.raises(IndexError):
        matches[6]
