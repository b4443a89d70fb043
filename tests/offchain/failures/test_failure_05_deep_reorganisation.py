"""Failure 5: 4 to 64 blocks, the same way; how deep it was is counted."""

from pathlib import Path

import pytest

from tests.offchain.failures.follow import Reading, source

__all__ = ["source"]


@pytest.mark.parametrize("depth", [4, 33, 63, 64])
def test_failure_05_deep_reorganisations(source, tmp_path: Path, depth: int):
    reading = Reading(source, tmp_path)
    for salt in range(20):
        source.emit(1, salt)
        source.mine(3)
    reading.catch_up()
    reading.check()
    source.reorganise(depth, [(2, 500 + at, at) for at in range(0, depth, 3)])
    source.emit(1, 7)
    reading.catch_up()
    reading.check()
    assert reading.follower.counters.deepest == depth
    assert reading.follower.counters.reorganisations == 1
    reading.close()


def test_failure_05_while_the_process_is_away(source, tmp_path: Path):
    reading = Reading(source, tmp_path)
    for salt in range(70):
        source.emit(1, salt)
    reading.catch_up()
    reading.close()
    source.reorganise(64, [(1, 900 + at, at) for at in range(64)])
    reading.open()
    reading.catch_up()
    reading.check()
    reading.close()
