"""Failure 7: the new branch is longer already at the next poll. Hashes show it, heights don't."""

from pathlib import Path

import pytest

from tests.offchain.failures.follow import Reading, source

__all__ = ["source"]


@pytest.mark.parametrize("near", [128, 0])
@pytest.mark.parametrize("longer", [1, 5, 40])
def test_failure_07_found_by_the_parent(source, tmp_path: Path, near: int, longer: int):
    reading = Reading(source, tmp_path, near=near)
    for salt in range(5):
        source.emit(2, salt)
    reading.catch_up()
    before = source.head()
    source.reorganise(2, [(1, 50, 1)])
    source.mine(longer)
    source.emit(3, 51)
    assert source.head() > before
    reading.catch_up()
    reading.check()
    assert reading.follower.counters.deepest == 2
    reading.close()
