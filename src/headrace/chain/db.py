"""What a daemon has read of the chain: headers, logs and the cursor, in one SQLite file.

The file belongs to one chain (id and genesis) and one JobEscrow. The cursor moves in the
transaction that writes the rows it covers, so a crash at any instruction leaves a state that was
true once. All of it can be read again from the chain: losing the file costs time, not money. The
same tables may be on a PostgreSQL server instead (`postgres.py`).
"""

import fcntl
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from headrace.chain.abi import Log
from headrace.chain.rpc import Header
from headrace.errors import HeadraceError, UsageError

SCHEMA = 1
# {word}, {bytes} and {end} are what the databases name differently.
_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) {end};
CREATE TABLE blocks (
    number {word} PRIMARY KEY, hash {bytes} NOT NULL, parent {bytes} NOT NULL, time {word} NOT NULL
);
CREATE TABLE cursor (
    one {word} PRIMARY KEY CHECK (one = 1), number {word} NOT NULL, hash {bytes} NOT NULL
);
CREATE TABLE logs (
    number {word} NOT NULL, position {word} NOT NULL, block_hash {bytes} NOT NULL,
    tx_hash {bytes} NOT NULL, address TEXT NOT NULL, topics {bytes} NOT NULL, data {bytes} NOT NULL,
    time {word} NOT NULL, subject {bytes} NOT NULL, PRIMARY KEY (number, position)
) {end};
CREATE INDEX logs_by_subject ON logs (subject, number, position)
"""
_LOG_COLUMNS = "number, position, block_hash, tx_hash, address, topics, data, time"
_INSERT_LOG = "INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SET_META = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_SET_CURSOR = (
    "INSERT INTO cursor VALUES (1, ?, ?) "
    "ON CONFLICT (one) DO UPDATE SET number = excluded.number, hash = excluded.hash"
)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last block that has been read."""

    number: int
    hash: bytes


class Database(Protocol):
    """
    Where the tables are. Statements mark their arguments with `?`. Errors come out as HeadraceError
    with what to do; UsageError if only a person can.
    """

    # For messages: never with a password.
    label: str
    is_readonly: bool

    def has_tables(self) -> bool:
        """Whether it was used before."""

    def create(self, tables: str) -> None:
        """Run the statements of `tables`, inside a transaction of the caller."""

    def read(self, statement: str, args: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""

    def stream(self, statement: str, args: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query that may have very many."""

    def write(self, statement: str, args: Sequence[object] = ()) -> None:
        """One statement."""

    def write_many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """The same statement for each of `rows`."""

    def transaction(self) -> AbstractContextManager[None]:
        """All of it or nothing."""

    def close(self) -> None:
        """Let go of it."""


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
        # On a full disk this is what fails, and the connection must not stay inside.
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite takes some back by itself
            connection.execute("ROLLBACK")
        raise


class SqliteFile:
    """A `Database` in a file. One process writes it, any number may read it."""

    def __init__(self, path: Path, *, is_readonly: bool = False) -> None:
        """UsageError if another process writes it, or if it is damaged or not ours to write."""
        self.label = str(path)
        self.path = path
        self.is_readonly = is_readonly
        self._lock: IO[str] | None = None
        self.connection = connect(path, is_readonly=is_readonly)
        if not is_readonly:
            try:
                self._lock = _take_lock(path)
            except BaseException:
                self.connection.close()
                raise

    def has_tables(self) -> bool:
        """Whether it was used before."""
        return bool(self.read("SELECT count(*) FROM sqlite_master")[0][0])

    def create(self, tables: str) -> None:
        """Run the statements of `tables`, inside a transaction of the caller."""
        filled = tables.format(word="INTEGER", bytes="BLOB", end="WITHOUT ROWID")
        for statement in filled.split(";"):
            self.write(statement)

    def read(self, statement: str, args: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with clear_errors(self.path):
            return self.connection.execute(statement, args).fetchall()

    def stream(self, statement: str, args: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query that may have very many."""
        with clear_errors(self.path):
            yield from self.connection.execute(statement, args)

    def write(self, statement: str, args: Sequence[object] = ()) -> None:
        """One statement."""
        with clear_errors(self.path):
            self.connection.execute(statement, args)

    def write_many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """The same statement for each of `rows`."""
        with clear_errors(self.path):
            self.connection.executemany(statement, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing."""
        with clear_errors(self.path), transaction(self.connection):
            yield

    def close(self) -> None:
        """Give the file free for others."""
        self.connection.close()
        if self._lock is not None:
            self._lock.close()


class ChainDb:
    """The open tables. One process writes them; any number may read them (`is_readonly`)."""

    def __init__(
        self,
        place: Path | Database,
        *,
        chain_id: int,
        genesis: bytes,
        escrow: str,
        is_readonly: bool = False,
    ) -> None:
        """
        Open the file `place`, or make it; or use a database that is open, which `close` closes.
        UsageError if it is from another chain or another JobEscrow, if another process writes it,
        or if it is damaged.
        """
        database: Database = (
            SqliteFile(place, is_readonly=is_readonly) if isinstance(place, Path) else place
        )
        self._db = database
        self.label = database.label
        try:
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
        if not self._db.is_readonly and not self._db.has_tables():
            with self._db.transaction():
                self._db.create(_TABLES)
                self._db.write_many("INSERT INTO meta VALUES (?, ?)", list(identity.items()))
        known = dict(self._db.read("SELECT key, value FROM meta"))
        words = {
            "schema": "another version of this program",
            "chain_id": "another chain",
            "genesis": "another chain with the same id (a local chain that was started anew?)",
            "escrow": "another deployment",
        }
        for key, value in identity.items():
            if known.get(key) != value:
                raise UsageError(
                    f"{self.label} is from {words[key]} ({key} {known.get(key)}, not {value}): "
                    "choose another home directory or move the file away"
                )

    def close(self) -> None:
        """Give it free for others."""
        self._db.close()

    # ---- what is there

    def cursor(self) -> Cursor | None:
        """How far the chain has been read; None if it has not."""
        rows = self._db.read("SELECT number, hash FROM cursor")
        return Cursor(*rows[0]) if rows else None

    def headers(self, *, below: int, count: int) -> list[tuple[int, bytes]]:
        """Number and hash of the `count` highest stored headers under `below`, highest first."""
        return [
            (number, block_hash)
            for number, block_hash in self._db.read(
                "SELECT number, hash FROM blocks WHERE number < ? ORDER BY number DESC LIMIT ?",
                (below, count),
            )
        ]

    def logs(self, address: str | None = None) -> Iterator[Log]:
        """Every log, or those of the contract at `address` (checksummed), in the chain's order."""
        where, args = ("", ()) if address is None else ("WHERE address = ?", (address,))
        query = f"SELECT {_LOG_COLUMNS} FROM logs {where} ORDER BY number, position"  # noqa: S608
        return map(_log, self._db.stream(query, args))

    def logs_about(self, subjects: Iterable[bytes]) -> list[Log]:
        """The logs with one of `subjects` as their second topic, in the chain's order."""
        query = f"SELECT {_LOG_COLUMNS} FROM logs WHERE subject = ?"  # noqa: S608
        rows = [row for subject in subjects for row in self._db.read(query, (subject,))]
        return [_log(row) for row in sorted(rows, key=lambda row: row[:2])]

    def logs_between(self, first: int, last: int) -> list[Log]:
        """The logs of the blocks from `first` to `last`, in the chain's order."""
        query = (
            f"SELECT {_LOG_COLUMNS} FROM logs WHERE number BETWEEN ? AND ? "  # noqa: S608
            "ORDER BY number, position"
        )
        return [_log(row) for row in self._db.read(query, (first, last))]

    def note(self, key: str) -> str | None:
        """A word that was kept under `key` with `set_note`; None without one."""
        rows = self._db.read("SELECT value FROM meta WHERE key = ?", (f"note:{key}",))
        return str(rows[0][0]) if rows else None

    # ---- changes

    def set_note(self, key: str, value: str | None) -> None:
        """Keep a word beside the rows, or forget it."""
        if value is None:
            self._db.write("DELETE FROM meta WHERE key = ?", (f"note:{key}",))
        else:
            self._db.write(_SET_META, (f"note:{key}", value))

    def append(
        self,
        headers: Sequence[Header],
        logs: Sequence[Log],
        *,
        keep: int,
        notes: Mapping[str, str] | None = None,
    ) -> None:
        """
        Write logs and the headers they belong to; the last header becomes the cursor. Of all
        headers the highest `keep` stay. `notes` are set in the same transaction.
        """
        last = headers[-1]
        with self._db.transaction():
            self._db.write_many(
                "INSERT INTO blocks VALUES (?, ?, ?, ?)",
                [(h.number, h.hash, h.parent, h.timestamp) for h in headers],
            )
            self._db.write_many(_INSERT_LOG, map(_row, logs))
            self._db.write(_SET_CURSOR, (last.number, last.hash))
            self._db.write("DELETE FROM blocks WHERE number <= ?", (last.number - keep,))
            for key, value in (notes or {}).items():
                self._db.write(_SET_META, (f"note:{key}", value))

    def rollback(self, number: int, block_hash: bytes) -> list[Log]:
        """Take out all above the block `number`, which becomes the cursor; returns those logs."""
        query = f"SELECT {_LOG_COLUMNS} FROM logs WHERE number > ? ORDER BY 1, 2"  # noqa: S608
        with self._db.transaction():
            removed = [_log(row) for row in self._db.read(query, (number,))]
            self._db.write("DELETE FROM logs WHERE number > ?", (number,))
            self._db.write("DELETE FROM blocks WHERE number > ?", (number,))
            self._db.write(_SET_CURSOR, (number, block_hash))
        return removed

    def repair(
        self, numbers: Iterable[int], logs: Sequence[Log], *, notes: Mapping[str, str]
    ) -> None:
        """Replace the logs of the blocks `numbers` by `logs`, and set `notes`, at once."""
        with self._db.transaction():
            self._db.write_many("DELETE FROM logs WHERE number = ?", [(n,) for n in numbers])
            self._db.write_many(_INSERT_LOG, map(_row, logs))
            for key, value in notes.items():
                self._db.write(_SET_META, (f"note:{key}", value))

    def forget(self) -> None:
        """Take out everything that was read, and all notes: the chain is read anew."""
        with self._db.transaction():
            for table in ("logs", "blocks", "cursor"):
                self._db.write(f"DELETE FROM {table}")  # noqa: S608
            self._db.write("DELETE FROM meta WHERE key LIKE 'note:%'")


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
    topics = log.topics
    return (
        log.block_number,
        log.log_index,
        log.block_hash,
        log.tx_hash,
        log.address,
        b"".join(topics),
        log.data,
        log.timestamp,
        topics[1] if len(topics) > 1 else b"",
    )


def _log(row: Sequence[Any]) -> Log:
    number, position, block_hash, tx_hash, address, packed, data, time = row
    topics = tuple([packed[i : i + 32] for i in range(0, len(packed), 32)])
    return Log(number, position, block_hash, tx_hash, address, topics, data, time)
