"""SQLite files: how they are opened, what their errors mean, and one as a `Database`."""

import fcntl
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, ClassVar

from headrace.chain.database import Database
from headrace.errors import HeadraceError, UsageError

_PAGE_BYTES = 8_192
# Pages in the log beside the file at which they are put into it.
_WAL_PAGES = 4_000


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
            # Of a new file. Fewer and larger pages for random keys, written back less often.
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
            # What one large transaction has made of it is given back.
            connection.execute(f"PRAGMA journal_size_limit = {2 * _WAL_PAGES * _PAGE_BYTES}")
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


class SqliteFile(Database):
    """A file in WAL mode, which any number of processes may read."""

    types: ClassVar[Mapping[str, str]] = {
        "word": "INTEGER",
        "bytes": "BLOB",
        "serial": "INTEGER PRIMARY KEY",
        "end": "WITHOUT ROWID",
    }

    def __init__(
        self,
        path: Path,
        *,
        is_readonly: bool = False,
        is_durable: bool = False,
        is_shared: bool = False,
    ) -> None:
        """
        One process writes it, or several in turn if it `is_shared`; `is_durable` commits wait for
        the disk. UsageError if another process writes it alone, or if it is damaged or not ours to
        write.
        """
        self.label = str(path)
        self.path = path
        self.is_readonly = is_readonly
        self._lock: IO[str] | None = None
        self.connection = connect(path, is_readonly=is_readonly, is_durable=is_durable)
        if not is_readonly and not is_shared:
            try:
                self._lock = _take_lock(path)
            except BaseException:
                self.connection.close()
                raise

    def has_table(self, table: str) -> bool:
        """Whether there is a table of this name."""
        query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        return bool(self.read(query, (table,)))

    def has_tables(self) -> bool:
        """Whether it was used before."""
        return bool(self.read("SELECT count(*) FROM sqlite_master")[0][0])

    def read(self, statement: str, args: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a statement."""
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

    def backup(self, label: str) -> None:
        """A copy `<file>.<label>`, unless an earlier try has made it."""
        copy = self.path.with_name(f"{self.path.name}.{label}")
        if not copy.exists():
            partial = copy.with_name(copy.name + ".new")
            partial.unlink(missing_ok=True)
            self.write("VACUUM INTO ?", (str(partial),))
            partial.rename(copy)

    def close(self) -> None:
        """Give the file free for others."""
        self.connection.close()
        if self._lock is not None:
            self._lock.close()


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
