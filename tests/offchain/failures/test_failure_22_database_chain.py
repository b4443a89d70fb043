"""Failure 22, the chain's tables: locked, full disk, corrupt. It ends with what to do; no half."""

import logging
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.chain.sqlite import SqliteFile
from headrace.daemon import loop
from headrace.errors import HeadraceError, UsageError
from tests.offchain.failures.follow import Reading, source
from tests.offchain.failures.test_failure_06_below_final import PROGRAM

__all__ = ["source"]


def connection(reading: Reading) -> sqlite3.Connection:
    database = reading.db._db
    assert isinstance(database, SqliteFile)
    return database.connection


def test_failure_22_a_full_disk_writes_nothing_and_ends_the_loop(source, tmp_path: Path):
    reading = Reading(source, tmp_path)
    source.emit(3)
    reading.catch_up()
    before, cursor = reading.rows, reading.db.cursor()
    # SQLite's own way to a full disk: the file may not grow.
    pages = connection(reading).execute("PRAGMA page_count").fetchone()[0]
    connection(reading).execute(f"PRAGMA max_page_count = {pages}")
    source.emit(2_000, 5)
    with pytest.raises(HeadraceError, match="full") as caught:
        loop.run(reading.step, loop.Stop(), poll=0.01)
    assert not isinstance(caught.value, loop.PASSING), "it would try for ever"
    assert (reading.rows, reading.db.cursor()) == (before, cursor)
    # With room again, the same connection goes on: it was not left inside a transaction.
    connection(reading).execute("PRAGMA max_page_count = 1000000")
    reading.catch_up()
    reading.check()
    reading.close()


def test_failure_22_a_locked_file_says_so(source, tmp_path: Path):
    reading = Reading(source, tmp_path)
    source.emit(1)
    connection(reading).execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(tmp_path / "chain.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UsageError, match="locked by another process"):
        reading.step()
    other.execute("ROLLBACK")
    other.close()
    reading.catch_up()
    reading.check()
    reading.close()


@pytest.mark.parametrize("damage", ["head", "middle", "all"])
def test_failure_22_a_corrupt_file_ends_the_process_and_is_rebuilt(
    source, tmp_path: Path, damage: str
):
    reading = Reading(source, tmp_path)
    for salt in range(20):
        source.emit(20, salt)
    reading.catch_up()
    reading.close()
    path = tmp_path / "chain.db"
    assert not path.with_name("chain.db-wal").exists(), "closed, so all is in the file"
    content = bytearray(path.read_bytes())
    if damage == "all":
        content[:] = b"\xa5" * len(content)
    else:
        at = 0 if damage == "head" else 4096
        content[at : at + (4096 if at == 0 else len(content) - at)] = b"\xa5" * (
            4096 if at == 0 else len(content) - at
        )
    path.write_bytes(content)
    program = [sys.executable, "-c", PROGRAM, source.url, str(path)]
    identity = [str(source.chain_id), source.genesis.hex(), source.address, str(reading.start)]
    ended = subprocess.run([*program, *identity], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "move it away and start again" in ended.stderr
    # Just that: all of it comes back from the chain.
    path.rename(tmp_path / "chain.db.damaged")
    reading.mirror.by_subject.clear()
    reading.open()
    reading.catch_up()
    reading.check()
    reading.close()


def test_failure_22_a_lost_file_costs_time_and_nothing_else(source, tmp_path: Path, caplog):
    reading = Reading(source, tmp_path)
    source.emit(5)
    source.mine(300)
    source.emit(5)
    reading.catch_up()
    before = reading.rows
    reading.close()
    (tmp_path / "chain.db").unlink()
    with caplog.at_level(logging.ERROR):
        reading.open()
        reading.mirror.by_subject.clear()
        reading.catch_up()
    assert reading.rows == before
    reading.check()
    assert not caplog.records
    reading.close()
