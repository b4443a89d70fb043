"""The tables of what is read of the chain, and how its logs get into them.

An index over random keys costs more than all else about a log once it is larger than the cache, as
each key that is added touches another page. So `about`, which finds logs by their second topic, is
a table of its own that holds eight bytes of it, and gets its rows in their order, many at a time.
"""

from collections.abc import Sequence
from typing import Any

from headrace.chain.abi import Log
from headrace.chain.database import Database

SCHEMA = 3
LOG_COLUMNS = (
    "logs.number, logs.position, logs.block_hash, logs.tx_hash, logs.address, logs.topics, "
    "logs.data, logs.time"
)
# {word}, {bytes} and {end} are what the databases name differently.
_CHAIN = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) {end};
CREATE TABLE blocks (
    number {word} PRIMARY KEY, hash {bytes} NOT NULL, parent {bytes} NOT NULL, time {word} NOT NULL
);
CREATE TABLE cursor (
    one {word} PRIMARY KEY CHECK (one = 1), number {word} NOT NULL, hash {bytes} NOT NULL
)
"""
# `kept` are the subjects whose logs a restart has to read, as of the checkpoint.
_LOGS = """
CREATE TABLE logs (
    number {word} NOT NULL, position {word} NOT NULL, block_hash {bytes} NOT NULL,
    tx_hash {bytes} NOT NULL, address TEXT NOT NULL, topics {bytes} NOT NULL, data {bytes} NOT NULL,
    time {word} NOT NULL, subject {word} NOT NULL, PRIMARY KEY (number, position)
) {end};
CREATE TABLE about (
    subject {word} NOT NULL, number {word} NOT NULL, position {word} NOT NULL,
    PRIMARY KEY (subject, number, position)
) {end};
CREATE TABLE kept (subject {word} PRIMARY KEY) {end}
"""
_INSERT_LOG = "INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_ABOUT = "INSERT INTO about VALUES (?, ?, ?)"
_DELETE_ABOUT = "DELETE FROM about WHERE subject = ? AND number = ? AND position = ?"
_SET_SCHEMA = (
    "INSERT INTO meta VALUES ('schema', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)


def create(db: Database) -> None:
    """Make the tables, in a transaction of the caller."""
    db.create(_CHAIN)
    db.create(_LOGS)
    db.write(_SET_SCHEMA, (str(SCHEMA),))


def renew(db: Database) -> None:
    """
    Put these tables in the place of those of version 1 or 2, in a transaction of the caller. What
    was read is read again from the chain, in the follower's own steps: to carry it over would take
    longer than a daemon's loop may be silent. A halt stays: only a person clears it.
    """
    db.write("DROP TABLE logs")
    if db.has_table("kept"):
        db.write("DROP TABLE kept")
    db.create(_LOGS)
    for table in ("blocks", "cursor"):
        db.write(f"DELETE FROM {table}")  # noqa: S608
    db.write("DELETE FROM meta WHERE key LIKE 'note:%' AND key <> 'note:halted'")
    db.write(_SET_SCHEMA, (str(SCHEMA),))


def insert(db: Database, logs: Sequence[Log]) -> None:
    """Write new logs, in a transaction of the caller."""
    rows = [_row(log) for log in logs]
    db.write_many(_INSERT_LOG, rows)
    db.write_many(_INSERT_ABOUT, sorted([(row[8], row[0], row[1]) for row in rows]))


def delete(db: Database, where: str, args: Sequence[object]) -> list[Log]:
    """Take out logs by a condition, in a transaction of the caller; returns them in order."""
    found = db.read(f"SELECT {LOG_COLUMNS} FROM logs WHERE {where} ORDER BY 1, 2", args)  # noqa: S608
    logs = [to_log(row) for row in found]
    db.write_many(
        _DELETE_ABOUT, [(subject_of(log), log.block_number, log.log_index) for log in logs]
    )
    db.write(f"DELETE FROM logs WHERE {where}", args)  # noqa: S608
    return logs


def subject_word(topic: bytes) -> int:
    """
    What stands for a second topic in the tables: its last eight bytes, which differ for hashes,
    addresses and numbers alike. Two topics may share it, so it finds at least the logs wanted.
    """
    return int.from_bytes(topic[-8:], signed=True)


def subject_of(log: Log) -> int:
    """The word of a log's second topic; 0 without one."""
    return subject_word(log.topics[1]) if len(log.topics) > 1 else 0


def to_log(row: Sequence[Any]) -> Log:
    """A row of `LOG_COLUMNS` as a log."""
    number, position, block_hash, tx_hash, address, packed, data, time = row
    topics = tuple([packed[i : i + 32] for i in range(0, len(packed), 32)])
    return Log(number, position, block_hash, tx_hash, address, topics, data, time)


def _row(log: Log) -> tuple[Any, ...]:
    return (
        log.block_number,
        log.log_index,
        log.block_hash,
        log.tx_hash,
        log.address,
        b"".join(log.topics),
        log.data,
        log.timestamp,
        subject_of(log),
    )
