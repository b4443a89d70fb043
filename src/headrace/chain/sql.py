"""The few things that an outbox asks of a database, for SQLite (the other: `postgres_outbox`).

Statements are written with `?` for values and in the words that both databases know. Errors come
out as what a caller can act on: a database that can't be written ends the process, because nothing
may be sent that isn't written down.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from headrace.chain.db import clear_errors, connect


class Database(ABC):
    """An open database of one writer at a time."""

    # What the tables call a column that numbers itself, and one of bytes.
    types: ClassVar[Mapping[str, str]]
    name: str

    @abstractmethod
    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of a statement."""

    @abstractmethod
    def run(self, statement: str, *values: object) -> None:
        """Run a statement without rows."""

    @abstractmethod
    def transaction(self) -> Any:
        """A context: all of it or nothing, on disk when it ends, and no other writer inside."""

    @abstractmethod
    def has_table(self, table: str) -> bool:
        """Whether there is a table of this name."""

    @abstractmethod
    def backup(self, label: str) -> None:
        """Put a copy beside it, named with `label`, where that can be done here."""

    @abstractmethod
    def close(self) -> None:
        """Close it."""


class SqliteDatabase(Database):
    """A file in WAL mode whose commits wait for the disk."""

    types: ClassVar[Mapping[str, str]] = {"serial": "INTEGER PRIMARY KEY", "bytes": "BLOB"}

    def __init__(self, path: Path) -> None:
        """UsageError if it is locked, damaged or not ours to write."""
        self.name = str(path)
        self._path = path
        self.connection = connect(path, is_durable=True)

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of a statement."""
        with clear_errors(self._path):
            return self.connection.execute(statement, values).fetchall()

    def run(self, statement: str, *values: object) -> None:
        """Run a statement without rows."""
        with clear_errors(self._path):
            self.connection.execute(statement, values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """
        All of it or nothing. A commit that fails is taken back too: on a full disk that is where it
        shows, and the connection must not stay inside the transaction.
        """
        with clear_errors(self._path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                # SQLite takes some back by itself.
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    def has_table(self, table: str) -> bool:
        """Whether there is a table of this name."""
        found = self.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", table)
        return bool(found)

    def backup(self, label: str) -> None:
        """A copy `<file>.<label>`, unless an earlier try has made it."""
        copy = self._path.with_name(f"{self._path.name}.{label}")
        if not copy.exists():
            partial = copy.with_name(copy.name + ".new")
            partial.unlink(missing_ok=True)
            self.run("VACUUM INTO ?", str(partial))
            partial.rename(copy)

    def close(self) -> None:
        """Close the file."""
        self.connection.close()
