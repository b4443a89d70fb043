"""The soak's own judgement: whether memory grows, by process, and what a run is long enough for."""

import pytest

from scripts.soak.__main__ import GROWTH, LONG, of_faults, of_growth, of_lies
from scripts.soak.faults import KINDS
from scripts.soak.memory import LONG_ENOUGH, Memory, slope


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


def life(seconds: float, *, mb_per_minute: float = 0.0) -> list[tuple[float, float]]:
    return [(t, 80.0 + mb_per_minute * t / 60) for t in range(0, int(seconds) + 1, 5)]


def test_what_a_process_needs_to_warm_up_is_no_growth():
    warming = [(t, min(50 + t, 90)) for t in range(0, 305, 5)]
    assert memory(keeper=warming).slopes() == {"keeper": 0.0}


def test_growth_is_told_by_the_minute():
    slopes = memory(keeper=life(LONG_ENOUGH, mb_per_minute=1.2)).slopes()
    assert slopes["keeper"] == pytest.approx(1.2)


def test_everybody_who_lived_long_enough_is_judged():
    found = memory(keeper=life(LONG_ENOUGH), node=life(LONG_ENOUGH), watcher=life(LONG_ENOUGH - 5))
    assert found.slopes() == {"keeper": 0.0, "node": 0.0}


def test_a_process_that_was_hardly_looked_at_is_not_judged():
    assert memory(keeper=[(0, 80.0), (LONG_ENOUGH, 90.0)]).slopes() == {}


def test_a_process_that_was_started_again_is_another_one_and_the_worst_counts():
    made = Memory()
    growing = life(LONG_ENOUGH, mb_per_minute=0.6)
    made.samples = {
        ("keeper", 1): [(0, 90.0)] * 5,
        ("keeper", 2): growing,
        ("keeper", 3): life(LONG_ENOUGH),
    }
    assert made.slopes() == {"keeper": pytest.approx(0.6)}
    assert set(made.series()) == {"keeper-1", "keeper-2", "keeper-3"}


# ---- claims


@pytest.mark.parametrize(
    ("slopes", "seconds", "is_true"),
    [
        ({"keeper0": GROWTH, "node3": 0.0}, LONG, True),
        ({"keeper0": GROWTH + 0.01}, LONG, False),
        ({"keeper0": 0.0, "node3": GROWTH + 0.01}, LONG, False),  # may die, and was judged
        ({"node3": 0.0}, LONG, False),  # who never died wasn't judged
        ({}, LONG, False),
        ({}, LONG - 1, None),
        ({"keeper0": 0.0}, LONG - 1, None),
        ({"keeper0": GROWTH + 0.01}, LONG - 1, False),
    ],
)
def test_growth_is_claimed_only_of_what_was_judged(slopes, seconds, is_true):
    assert of_growth(slopes, ["keeper0"], seconds).is_true is is_true


def test_each_kind_of_fault_has_to_happen_in_a_long_run():
    every = dict.fromkeys(KINDS, 1)
    assert of_faults(every, LONG).is_true
    assert of_faults(every, 60).is_true
    for kind in KINDS:
        claim = of_faults(every | {kind: 0}, LONG)
        assert (claim.is_true, claim.figure) == (False, f"never: {kind}")
        assert of_faults(every | {kind: 0}, LONG - 1).is_true is None


@pytest.mark.parametrize(
    ("refuted", "seconds", "is_true"),
    [(1, LONG, True), (1, 60, True), (0, LONG, False), (0, LONG - 1, None)],
)
def test_a_lie_has_to_be_refuted_in_a_long_run(refuted, seconds, is_true):
    assert of_lies(refuted, seconds).is_true is is_true


def test_a_claim_without_a_verdict_says_so():
    assert str(of_faults({}, 60)) == "--  each kind of fault has happened: too short to judge"
    assert str(of_lies(0, LONG)) == "NO  lies were refuted: 0"
    assert str(of_lies(2, LONG)) == "ok  lies were refuted: 2"
