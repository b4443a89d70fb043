"""What a daemon has read of the chain: one SQLite file with headers, logs and the cursor.

The file belongs to one chain (id and genesis) and one JobEscrow. The cursor moves in the
transaction that writes the rows it covers, so a crash at any instruction leaves a state that was
true once. All of it can be read again from the chain: losing the file costs time, not money.
"""

import fcntl
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from headrace.chain.abi import Log
from headrace.chain.rpc import Header
from headrace.errors import HeadraceError, UsageError

SCHEMA = 1
_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE blocks (
    number INTEGER PRIMARY KEY, hash BLOB NOT NULL, parent BLOB NOT NULL, time INTEGER NOT NULL
);
CREATE TABLE cursor (
    one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL, hash BLOB NOT NULL
);
CREATE TABLE logs (
    number INTEGER NOT NULL, position INTEGER NOT NULL, block_hash BLOB NOT NULL,
    tx_hash BLOB NOT NULL, address TEXT NOT NULL, topics BLOB NOT NULL, data BLOB NOT NULL,
    time INTEGER NOT NULL, subject BLOB NOT NULL, PRIMARY KEY (number, position)
) WITHOUT ROWID;
CREATE INDEX logs_by_subject ON logs (subject, number, position);
"""
_LOG_COLUMNS = "number, position, block_hash, tx_hash, address, topics, data, time"


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last block that has been read."""

    number: int
    hash: bytes


@contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Say what to do about what SQLite complains of."""
    try:
        yield
    except sqlite3.OperationalError as error:
        message = str(error)
        if "locked" in message or "busy" in message:
            raise UsageError(
                f"{path} is locked by another process: stop it, or choose another home directory"
            ) from error
        if "readonly" in message or "unable to open" in message:
            raise UsageError(f"{path} can't be opened for writing: check its owner") from error
        raise HeadraceError(f"{path}: {message}") from error
    except sqlite3.DatabaseError as error:
        raise UsageError(
            f"{path} is damaged or no file of ours ({error}): move it away and start again"
        ) from error


def connect(
    path: Path, *, is_readonly: bool = False, is_durable: bool = False
) -> sqlite3.Connection:
    """
    An open file in WAL mode; transactions are begun by hand. `is_durable` waits for the disk at
    every commit. UsageError if it is locked, damaged or not ours to write.
    """
    if not is_readonly:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    elif not path.is_file():
        raise UsageError(
            f"{path} does not exist yet: start a daemon with this home directory first"
        )
    with clear_errors(path):
        uri = f"{path.absolute().as_uri()}?mode={'ro' if is_readonly else 'rwc'}"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5.0)
        if not is_readonly:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {'FULL' if is_durable else 'NORMAL'}")
        return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing; takes the write lock at once."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


class ChainDb:
    """The open file. One process writes it; any number may read it (`is_readonly`)."""

    def __init__(
        self,
        path: Path,
        *,
        chain_id: int,
        genesis: bytes,
        escrow: str,
        is_readonly: bool = False,
    ) -> None:
        """
        Open `path`, or make it. UsageError if it is from another chain or another JobEscrow, if
        another process writes it, or if it is damaged.
        """
        self.path = path
        self._lock: IO[str] | None = None
        self._db = connect(path, is_readonly=is_readonly)
        try:
            if not is_readonly:
                self._lock = _take_lock(path)
            with clear_errors(path):
                self._bind(
                    {
                        "schema": str(SCHEMA),
                        "chain_id": str(chain_id),
                        "genesis": genesis.hex(),
                        "escrow": escrow,
                    }
                )
        except BaseException:
            self.close()
            raise

    def _bind(self, identity: dict[str, str]) -> None:
        tables = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not tables and self._lock is not None:
            with transaction(self._db):
                for statement in _TABLES.split(";"):
                    self._db.execute(statement)
                self._db.executemany("INSERT INTO meta VALUES (?, ?)", identity.items())
        known = dict(self._db.execute("SELECT key, value FROM meta"))
        words = {
            "schema": "another version of this program",
            "chain_id": "another chain",
            "genesis": "another chain with the same id (a local chain that was started anew?)",
            "escrow": "another deployment",
        }
        for key, value in identity.items():
            if known.get(key) != value:
                raise UsageError(
                    f"{self.path} is from {words[key]} ({key} {known.get(key)}, not {value}): "
                    "choose another home directory or move the file away"
                )

    def close(self) -> None:
        """Give the file free for others."""
        self._db.close()
        if self._lock is not None:
            self._lock.close()

    # ---- what is there

    def cursor(self) -> Cursor | None:
        """How far the chain has been read; None if it has not."""
        with clear_errors(self.path):
            row = self._db.execute("SELECT number, hash FROM cursor").fetchone()
        return None if row is None else Cursor(*row)

    def headers(self, *, below: int, count: int) -> list[tuple[int, bytes]]:
        """Number and hash of the `count` highest stored headers under `below`, highest first."""
        with clear_errors(self.path):
            return self._db.execute(
                "SELECT number, hash FROM blocks WHERE number < ? ORDER BY number DESC LIMIT ?",
                (below, count),
            ).fetchall()

    def logs(self) -> Iterator[Log]:
        """Every log, in the chain's order."""
        with clear_errors(self.path):
            query = f"SELECT {_LOG_COLUMNS} FROM logs ORDER BY number, position"  # noqa: S608
            for row in self._db.execute(query):
                yield _log(row)

    def logs_about(self, subjects: Iterable[bytes]) -> list[Log]:
        """The logs with one of `subjects` as their second topic, in the chain's order."""
        query = f"SELECT {_LOG_COLUMNS} FROM logs WHERE subject = ?"  # noqa: S608
        with clear_errors(self.path):
            rows = [row for subject in subjects for row in self._db.execute(query, (subject,))]
        return [_log(row) for row in sorted(rows)]

    # ---- changes

    def append(self, headers: Sequence[Header], logs: Sequence[Log], *, keep: int) -> None:
        """
        Write logs and the headers they belong to; the last header becomes the cursor. Of all
        headers the highest `keep` stay.
        """
        last = headers[-1]
        with clear_errors(self.path), transaction(self._db):
            self._db.executemany(
                "INSERT INTO blocks VALUES (?, ?, ?, ?)",
                [(h.number, h.hash, h.parent, h.timestamp) for h in headers],
            )
            self._db.executemany(
                "INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", [_row(log) for log in logs]
            )
            self._db.execute("REPLACE INTO cursor VALUES (1, ?, ?)", (last.number, last.hash))
            self._db.execute("DELETE FROM blocks WHERE number <= ?", (last.number - keep,))

    def rollback(self, number: int, block_hash: bytes) -> list[Log]:
        """Take out all above the block `number`, which becomes the cursor; returns those logs."""
        query = f"SELECT {_LOG_COLUMNS} FROM logs WHERE number > ?"  # noqa: S608
        with clear_errors(self.path), transaction(self._db):
            removed = [_log(row) for row in self._db.execute(f"{query} ORDER BY 1, 2", (number,))]
            self._db.execute("DELETE FROM logs WHERE number > ?", (number,))
            self._db.execute("DELETE FROM blocks WHERE number > ?", (number,))
            self._db.execute("REPLACE INTO cursor VALUES (1, ?, ?)", (number, block_hash))
        return removed


def _take_lock(path: Path) -> IO[str]:
    lock = path.with_name(path.name + ".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise UsageError(
            f"{path} is in use by another process: stop it, or choose another home directory"
        ) from None
    return lock


def _row(log: Log) -> tuple[object, ...]:
    subject = log.topics[1] if len(log.topics) > 1 else b""
    topics = b"".join(log.topics)
    place = (log.block_number, log.log_index, log.block_hash, log.tx_hash, log.address)
    return (*place, topics, log.data, log.timestamp, subject)


def _log(row: Sequence[object]) -> Log:
    number, position, block_hash, tx_hash, address, topics, data, time = row
    packed = bytes(topics)  # type: ignore[call-overload]
    words = tuple(packed[i : i + 32] for i in range(0, len(packed), 32))
    return Log(number, position, block_hash, tx_hash, address, words, data, time)  # type: ignore[arg-type]
