"""The secret of a watcher's record: kept, its own, and on no other's chain of words."""

import sqlite3
from pathlib import Path

import pytest

from headrace.watch.record import WatchRecord

CLAIM = b"\xc1" * 32
PLACE = (3, 5, 7)


def opened(path: Path) -> WatchRecord:
    return WatchRecord(path, {"chain": "1"})


def test_a_salt_is_the_same_after_a_restart(tmp_path: Path):
    record = opened(tmp_path / "watch.db")
    salt = record.salt(CLAIM, *PLACE)
    record.close()
    assert opened(tmp_path / "watch.db").salt(CLAIM, *PLACE) == salt
    assert len(salt) == 32


def test_no_two_places_claims_or_watchers_have_the_same_salt(tmp_path: Path):
    record = opened(tmp_path / "one.db")
    salts = {
        record.salt(CLAIM, *PLACE),
        record.salt(b"\xc2" * 32, *PLACE),
        record.salt(CLAIM, 4, 5, 7),
        record.salt(CLAIM, 3, 6, 7),
        record.salt(CLAIM, 3, 5, 8),
        opened(tmp_path / "other.db").salt(CLAIM, *PLACE),
    }
    assert len(salts) == 6


def test_a_record_of_before_gets_a_secret(tmp_path: Path):
    path = tmp_path / "watch.db"
    opened(path).close()
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM meta WHERE key = 'secret'")
    record = opened(path)
    salt = record.salt(CLAIM, *PLACE)
    record.close()
    assert opened(path).salt(CLAIM, *PLACE) == salt


def test_the_secret_waits_for_the_disk(tmp_path: Path):
    """A commitment may leave the moment after: a power cut must not take its salt."""
    record = opened(tmp_path / "watch.db")
    assert record._db.execute("PRAGMA synchronous").fetchone() == (2,)


@pytest.mark.parametrize("place", [(0, 0, 0), (256, 2**31, 4_095)])
def test_every_place_of_a_trace_has_one(tmp_path: Path, place: tuple[int, int, int]):
    assert len(opened(tmp_path / "watch.db").salt(CLAIM, *place)) == 32
