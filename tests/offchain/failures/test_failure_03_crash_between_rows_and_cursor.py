"""Failure 3: a crash between rows and cursor. There is no such place: killed at every statement."""

import multiprocessing
import os
import signal
from itertools import count
from pathlib import Path

import pytest

from headrace.chain.sqlite import SqliteFile
from tests.offchain.failures.follow import Reading, source

__all__ = ["source"]


def killed_at(number: int, reading: Reading) -> bool:
    """Follow to the head in a process that is killed at its statement `number`; whether it was."""

    def child() -> None:
        reading.open()
        database = reading.db._db
        assert isinstance(database, SqliteFile)
        statements = count(1)

        def trace(_: str) -> None:
            if next(statements) == number:
                os.kill(os.getpid(), signal.SIGKILL)

        database.connection.set_trace_callback(trace)
        while not reading.follower.step().is_caught_up:
            pass
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(30)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


@pytest.mark.parametrize("depth", [0, 3])
def test_failure_03_killed_at_every_statement(source, tmp_path: Path, depth: int):
    reading = Reading(source, tmp_path)
    for salt in range(4):
        source.emit(2, salt)
    reading.catch_up()
    reading.close()
    # What there is to do: new blocks, and for the second case old ones to take back.
    for number in count(1):
        if depth:
            source.reorganise(depth, [(1, number, 0), (2, number, 2)])
        source.emit(1, number)
        if not killed_at(number, reading):
            break
        reading.open()
        cursor = reading.db.cursor()
        assert cursor is not None
        # Rows and cursor are of one moment: none above it, all up to it, on its own branch.
        headers = dict(reading.db.headers(below=cursor.number + 1, count=10_000))
        assert headers[cursor.number] == cursor.hash
        assert all(row[0] <= cursor.number and headers[row[0]] == row[2] for row in reading.rows)
        there = source.rpc.header(cursor.number)
        if there is not None and there.hash == cursor.hash:
            assert reading.rows == [row for row in reading.truth if row[0] <= cursor.number]
        reading.close()
    assert number > 10
    reading.open()
    reading.catch_up()
    assert reading.rows == reading.truth
    reading.close()
