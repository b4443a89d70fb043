"""The fuzz driver of the follower: a few of its rounds, and that it would see what is wrong."""

import sqlite3
from pathlib import Path

import pytest

from scripts.fuzz import follower
from tests.emitter import emitter


def test_some_rounds_lose_nothing_and_invent_nothing():
    figures = follower.run(8, seed=5)
    assert (figures["lost"], figures["phantom"], figures["double"]) == (0, 0, 0)
    assert figures["rounds"] == 8
    assert figures["events"] > 0
    assert figures["reorganisations"] > 0


@pytest.mark.parametrize(
    ("damage", "counted"),
    [
        ("DELETE FROM logs WHERE number = (SELECT max(number) FROM logs)", {"lost": 2}),
        ("UPDATE logs SET position = position + 7 WHERE position = 0", {"lost": 3, "phantom": 3}),
        ("UPDATE logs SET data = x'00' WHERE position = 1", {"lost": 3, "phantom": 3}),
    ],
)
def test_it_sees_what_is_wrong(tmp_path: Path, damage: str, counted: dict[str, int]):
    with emitter() as source:
        driver = follower.Driver(source, tmp_path, seed=1)
        driver.start()
        for salt in range(3):
            source.emit(2, salt)
        driver.wait()
        driver.kill()
        driver.compare()
        assert not driver.counts["lost"] + driver.counts["phantom"]
        with sqlite3.connect(driver.path) as writer:
            writer.execute(damage)
        driver.compare()
        found = {key: driver.counts[key] for key in ("lost", "phantom", "double")}
        assert found == {"lost": 0, "phantom": 0, "double": 0} | counted


def test_it_sees_a_follower_that_has_ended(tmp_path: Path):
    with emitter() as source:
        driver = follower.Driver(source, tmp_path, seed=1)
        driver.start()
        source.emit(1)
        driver.wait()
        driver.kill()
        source.emit(1)
        with pytest.raises(follower.Lagging, match="ended with -9"):
            driver.wait()
