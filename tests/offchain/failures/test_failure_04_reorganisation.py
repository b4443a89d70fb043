"""Failure 4: a reorganisation of 1 to 3 blocks is rolled back and read anew, by nobody's hand."""

from pathlib import Path

import pytest

from tests.offchain.failures.follow import Reading, source

__all__ = ["source"]


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("new", [0, 2])
def test_failure_04_short_reorganisations(source, tmp_path: Path, depth: int, new: int):
    reading = Reading(source, tmp_path)
    for salt in range(6):
        source.emit(2, salt)
    reading.catch_up()
    reading.check()
    # The same height with other contents, more logs, fewer logs.
    source.reorganise(depth, [(new, 100, 0)] if new else [])
    back = reading.step()
    assert len(back.removed) == 2 * depth
    assert not back.added
    reading.catch_up()
    reading.check()
    assert reading.follower.counters.reorganisations == 1
    assert reading.follower.counters.deepest == depth
    reading.close()


def test_failure_04_one_after_another_without_a_look_in_between(source, tmp_path: Path):
    reading = Reading(source, tmp_path)
    for salt in range(8):
        source.emit(1, salt)
    reading.catch_up()
    for turn in range(12):
        source.reorganise(1 + turn % 3, [(1 + turn % 2, turn, 0)])
        source.emit(1, turn)
        if turn % 4 == 0:
            reading.step()
    reading.catch_up()
    reading.check()
    reading.close()
