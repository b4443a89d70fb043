"""What `make fuzz-keeper` passes: nothing that it counts may be out of bounds unseen."""

import pytest

from scripts.fuzz.__main__ import BOUNDS, broken

GOOD = {
    "lost": 0,
    "phantom": 0,
    "double": 0,
    "left_undone": 0,
    "late": 0,
    "reverted_share": 0.02,
    "rival_reverted_share": 0.01,
}


def test_figures_at_their_bounds_pass():
    assert set(GOOD) == set(BOUNDS)
    assert broken(GOOD) == []


@pytest.mark.parametrize("name", ["lost", "phantom", "double", "left_undone", "late"])
def test_one_of_what_must_not_be_fails(name: str):
    assert broken(GOOD | {name: 1}) == [f"{name} is 1"]


@pytest.mark.parametrize("name", ["reverted_share", "rival_reverted_share"])
def test_a_share_just_above_its_bound_fails(name: str):
    assert broken(GOOD | {name: GOOD[name] + 0.0001}) == [f"{name} is {GOOD[name] + 0.0001}"]
