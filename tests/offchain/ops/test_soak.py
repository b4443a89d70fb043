"""The soak's own arithmetic: whether memory grows, by process, once it has warmed up."""

import pytest

from scripts.soak.memory import Memory, slope


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([], 0.0),
        ([(1, 5)], 0.0),
        ([(1, 5), (1, 7)], 0.0),
        ([(0, 5), (10, 5), (20, 5)], 0.0),
        ([(0, 1), (10, 21)], 2.0),
        ([(0, 3), (1, 2), (2, 1)], -1.0),
        ([(0, 0), (1, 2), (2, 1), (3, 3)], 0.8),
    ],
)
def test_the_slope_is_that_of_the_least_squares(points, expected):
    assert slope(points) == pytest.approx(expected)


def memory(**samples) -> Memory:
    return Memory(samples={(name, 1): points for name, points in samples.items()})


def test_what_a_process_needs_to_warm_up_is_no_growth():
    warming = [(t, min(50 + 10 * t, 90)) for t in range(20)]
    assert memory(keeper=warming).slopes(["keeper"]) == {"keeper": 0.0}


def test_growth_is_told_by_the_minute():
    growing = [(5 * t, 80 + 0.1 * t) for t in range(20)]
    assert memory(keeper=growing).slopes(["keeper"])["keeper"] == pytest.approx(1.2)


def test_only_who_was_asked_for_and_lived_long_enough_is_judged():
    flat = [(t, 80.0) for t in range(20)]
    found = memory(keeper=flat, node=flat, watcher=flat[:9]).slopes(["keeper", "watcher"])
    assert found == {"keeper": 0.0}


def test_a_process_that_was_started_again_is_another_one():
    made = Memory()
    made.samples = {("keeper", 1): [(0, 90.0)] * 5, ("keeper", 2): [(t, 80.0) for t in range(20)]}
    assert made.slopes(["keeper"]) == {"keeper": 0.0}
    assert set(made.series()) == {"keeper-1", "keeper-2"}
