"""Logs are found by what they are about, whatever was added, taken out or repaired."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.chain import log_tables
from headrace.chain.abi import Log, checksummed
from headrace.chain.db import ChainDb
from headrace.chain.rpc import Header
from headrace.errors import HeadraceError, UsageError
from tests.offchain.chain.earlier import make_earlier
from tests.offchain.chain.fakes import ADDRESS

PLACE = checksummed(ADDRESS)
# Two that share their last eight bytes, one whose word is negative, an address and a number.
TOPICS = (
    b"\x01" * 24 + b"\x77" * 8,
    b"\x02" * 24 + b"\x77" * 8,
    b"\xff" * 32,
    bytes(12) + b"\x05" * 20,
    (9).to_bytes(32),
)


def open_db(folder: Path, **options) -> ChainDb:
    return ChainDb(folder / "chain.db", chain_id=1, genesis=bytes(32), escrow=PLACE, **options)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[ChainDb]:
    made = open_db(tmp_path)
    yield made
    made.close()


def block(number: int, subjects: list[int]) -> tuple[Header, list[Log]]:
    """A block whose logs are about `TOPICS` of these numbers; -1 is about nothing."""
    header = Header(number, number.to_bytes(32), max(0, number - 1).to_bytes(32), number, 0)
    logs = [
        Log(
            number,
            position,
            header.hash,
            bytes(32),
            PLACE,
            (b"\x22" * 32,) if subject < 0 else (b"\x22" * 32, TOPICS[subject]),
            bytes([subject % 256]),
            number,
        )
        for position, subject in enumerate(subjects)
    ]
    return header, logs


def add(db: ChainDb, number: int, subjects: list[int]) -> list[Log]:
    header, logs = block(number, subjects)
    db.append([header], logs, keep=1_000)
    return logs


def check(db: ChainDb, expected: list[Log]) -> None:
    """The tables hold these logs, and both ways to them agree."""
    assert list(db.logs()) == expected
    words = {(log_tables.subject_of(log), log.block_number, log.log_index) for log in expected}
    assert sorted(words) == db._db.read("SELECT * FROM about ORDER BY 1, 2, 3")
    for topic in TOPICS:
        assert db.logs_about([topic]) == [log for log in expected if log.topics[1:2] == (topic,)]
    assert db.logs_about(TOPICS) == [log for log in expected if len(log.topics) > 1]


SUBJECTS = st.lists(st.integers(-1, len(TOPICS) - 1), max_size=6)
MOVES = st.lists(
    st.tuples(st.sampled_from(["add", "back", "repair"]), st.integers(0, 5), SUBJECTS), max_size=12
)


@settings(deadline=None, max_examples=80)
@given(moves=MOVES)
def test_whatever_was_added_and_taken_out_is_found(moves, tmp_path_factory):
    db = open_db(tmp_path_factory.mktemp("tables"))
    held: list[list[Log]] = [add(db, 0, [])]
    for kind, back, subjects in moves:
        at = max(0, len(held) - 1 - back)
        if kind == "add":
            held.append(add(db, len(held), subjects))
        elif kind == "back":
            removed = db.rollback(at, at.to_bytes(32))
            assert removed == [log for logs in held[at + 1 :] for log in logs]
            del held[at + 1 :]
        else:
            held[at] = block(at, subjects)[1]
            db.repair([at], held[at], notes={})
    check(db, [log for logs in held for log in logs])
    db.forget()
    check(db, [])
    db.close()


def test_a_checkpoint_gives_everything_about_what_it_keeps(db):
    first = add(db, 1, [0, 1, 2, 3, -1])
    then = add(db, 2, [4, 3])
    db.keep_checkpoint(1, [TOPICS[0]], [PLACE])
    wanted = list(db.logs_wanted(PLACE))
    # What shares a word with it comes too, whole; what is about something else doesn't.
    assert wanted == [first[0], first[1], first[3], *then]


@pytest.mark.parametrize("version", [1, 2])
def test_what_an_earlier_version_has_read_is_read_anew(tmp_path, version):
    db = open_db(tmp_path)
    logs = add(db, 1, [0, 1, 2, -1]) + add(db, 2, [3, 4, 0])
    for key in ("halted", "final", "checkpoint"):
        db.set_note(key, "1")
    make_earlier(db, version)
    # Who only reads has all of it until then, but for the ways that it didn't have.
    reader = open_db(tmp_path, is_readonly=True)
    assert reader.is_earlier
    assert (reader.cursor().number, reader.note("halted"), list(reader.logs())) == (2, "1", logs)
    for ask in (lambda: reader.logs_about([TOPICS[0]]), lambda: list(reader.logs_wanted(PLACE))):
        with pytest.raises(UsageError, match="start its daemon with this version first"):
            ask()
    reader.close()
    db = open_db(tmp_path)
    assert not db.is_earlier
    check(db, [])
    assert (db.cursor(), db.headers(below=10, count=9), db.checkpoint) == (None, [], None)
    # A halt is a person's to clear; what was final is found out again.
    assert (db.note("halted"), db.note("final")) == ("1", None)
    again = add(db, 1, [0, 1]) + add(db, 2, [0])
    db.close()
    db = open_db(tmp_path)
    check(db, again)
    db.close()


def test_tables_are_renewed_in_one_step_or_not_at_all(tmp_path, monkeypatch):
    db = open_db(tmp_path)
    logs = add(db, 1, [0, 1, 2])
    make_earlier(db, 2)
    monkeypatch.setattr(log_tables, "_SET_SCHEMA", "INSERT INTO nowhere VALUES (?)")
    with pytest.raises(HeadraceError, match="nowhere"):
        open_db(tmp_path)
    monkeypatch.undo()
    before = open_db(tmp_path, is_readonly=True)
    assert (before.is_earlier, list(before.logs()), before.cursor().number) == (True, logs, 1)
    before.close()
    db = open_db(tmp_path)
    check(db, [])
    db.close()


def test_tables_of_another_chain_are_not_touched(tmp_path):
    make_earlier(open_db(tmp_path), 2)
    with pytest.raises(UsageError, match="from another chain"):
        ChainDb(tmp_path / "chain.db", chain_id=2, genesis=bytes(32), escrow=PLACE)
    then = sqlite3.connect(tmp_path / "chain.db")
    assert then.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone() == ("2",)
    then.close()


def test_tables_of_a_later_version_are_refused(tmp_path):
    db = open_db(tmp_path)
    later = str(log_tables.SCHEMA + 1)
    db._db.write("UPDATE meta SET value = ? WHERE key = 'schema'", (later,))
    db.close()
    for is_readonly in (False, True):
        with pytest.raises(UsageError, match=f"later version of this program .schema {later}"):
            open_db(tmp_path, is_readonly=is_readonly)
