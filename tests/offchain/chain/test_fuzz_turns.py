"""How late the fuzz of sending lets a deed be: both sides of every edge."""

import pytest

from headrace.keeper.rank import rank
from scripts.fuzz.turns import Mishap, allowed, cost, responsible

KEEPERS = tuple("0x" + bytes([n] * 20).hex() for n in (1, 2, 3))
TASK = 7
ROW = sorted(KEEPERS, key=lambda who: rank(TASK.to_bytes(32), who, KEEPERS))
STAGGER = 3


def test_the_first_has_to_do_it_while_all_are_alive():
    assert responsible(TASK, 100, KEEPERS, {}, STAGGER) == 0
    assert responsible(TASK, 100, KEEPERS, {ROW[1]: 1, ROW[2]: 1}, STAGGER) == 0


@pytest.mark.parametrize(
    ("ended", "place"),
    [
        ({0: 99}, 1),
        ({0: 100}, 1),  # at its own turn: it may have done it or not
        ({0: 101}, 0),
        ({0: 100, 1: 103}, 2),
        ({0: 100, 1: 104}, 1),
    ],
)
def test_who_was_killed_before_its_turn_has_not(ended: dict[int, int], place: int):
    found = {ROW[at]: block for at, block in ended.items()}
    assert responsible(TASK, 100, KEEPERS, found, STAGGER) == place


@pytest.mark.parametrize(("ended", "place"), [(102, 1), (103, 0)])
def test_a_mishap_gives_the_one_that_is_killed_so_much_longer_to_do_it(ended: int, place: int):
    mishaps = [Mishap(100, 2)]
    assert responsible(TASK, 100, KEEPERS, {ROW[0]: ended}, STAGGER, mishaps) == place


def test_somebody_has_to_be_left():
    with pytest.raises(ValueError, match="nobody is left"):
        responsible(TASK, 100, KEEPERS, dict.fromkeys(KEEPERS, 100), STAGGER)


def test_the_first_is_allowed_nothing_and_each_further_one_a_stagger():
    assert [allowed(100, 101, place, STAGGER) for place in range(3)] == [0, 3, 6]


@pytest.mark.parametrize(("block", "costs"), [(98, 0), (99, 2), (100, 2), (104, 2), (105, 0)])
def test_only_a_mishap_that_the_task_met_counts(block: int, costs: int):
    assert cost(100, 104, [Mishap(block, 2)]) == costs
    assert allowed(100, 104, 0, STAGGER, [Mishap(block, 2)]) == costs


def test_mishaps_add_up():
    assert allowed(100, 110, 1, STAGGER, [Mishap(101, 2), Mishap(102, 1)]) == 6
