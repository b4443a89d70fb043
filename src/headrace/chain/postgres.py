"""The tables of `db.py` on a PostgreSQL server: for hosts that share a key, or for public readers.

Each daemon has a schema of its own there, as it has a file of its own otherwise, and holds an
advisory lock on it: a second writer, on whatever host, is refused. A lost connection ends the
process, since the lock went with it; its supervisor starts it again. Needs the extra `postgres`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from headrace.errors import HeadraceError, Unreachable, UsageError

if TYPE_CHECKING:
    import psycopg

_SCHEMES = ("postgresql", "postgres")
_ROWS_AT_ONCE = 2_000


class PostgresTables:
    """A `Database` in one schema of a server."""

    def __init__(
        self, url: str, schema: str, *, is_readonly: bool = False, timeout: float = 10.0
    ) -> None:
        """
        Connect to `url` (postgresql://...) within `timeout` seconds and make `schema` if need be.
        UsageError if another process writes there, the URL can't be one, or the extra is missing;
        Unreachable if no server answers.
        """
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES:
            raise UsageError("the database URL must start with postgresql://")
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", schema):
            raise UsageError(f"{schema!r} can't name a schema: small letters, digits and _ only")
        try:
            import psycopg
        except ImportError:
            raise UsageError(
                "a database URL needs the package psycopg: pip install 'headrace[postgres]'"
            ) from None
        self._psycopg = psycopg
        # The URL may carry a password: the host is all that is shown of it.
        self.label = f"{schema} at {parts.hostname or 'the local server'}"
        self.is_readonly = is_readonly
        self._schema = schema
        try:
            self._connection = psycopg.connect(
                url,
                autocommit=True,
                connect_timeout=max(1, int(timeout)),
                # Servers made without an encoding give texts as bytes otherwise.
                client_encoding="utf8",
            )
        except psycopg.OperationalError:
            raise Unreachable(f"no database answers for {self.label}") from None
        except psycopg.Error:
            raise UsageError(f"{self.label}: the database URL is refused") from None
        try:
            self._enter()
        except BaseException:
            self.close()
            raise

    def _enter(self) -> None:
        if self.is_readonly:
            self.write("SET default_transaction_read_only = on")
            if not self.read(
                "SELECT 1 FROM information_schema.schemata WHERE schema_name = ?", (self._schema,)
            ):
                raise UsageError(f"{self.label} does not exist yet: start a daemon with it first")
        elif not self.read(
            "SELECT pg_try_advisory_lock(hashtextextended(?, 0))", (f"headrace:{self._schema}",)
        )[0][0]:
            raise UsageError(f"{self.label} is in use by another process: stop it first")
        else:
            self.write(f"CREATE SCHEMA IF NOT EXISTS {self._schema}")
        self.write(f"SET search_path TO {self._schema}")

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except self._psycopg.Error as error:
            said = " ".join(str(error).split())[:200]
            if self._connection.closed or self._connection.broken:
                raise HeadraceError(f"{self.label}: the connection was lost") from None
            raise HeadraceError(f"{self.label}: {said}") from error

    def has_tables(self) -> bool:
        """Whether it was used before."""
        found = self.read(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = ?", (self._schema,)
        )
        return bool(found[0][0])

    def create(self, tables: str) -> None:
        """Run the statements of `tables`, inside a transaction of the caller."""
        for statement in tables.format(word="BIGINT", bytes="BYTEA", end="").split(";"):
            self.write(statement)

    def read(self, statement: str, args: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self._clear_errors():
            return self._connection.execute(_own(statement), args).fetchall()

    def stream(self, statement: str, args: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query that may have very many; they stay on the server until asked for."""
        with self._clear_errors(), self._connection.cursor(name="rows", withhold=True) as cursor:
            cursor.execute(_own(statement), args)
            while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                yield from rows

    def write(self, statement: str, args: Sequence[object] = ()) -> None:
        """One statement."""
        with self._clear_errors():
            self._connection.execute(_own(statement), args)

    def write_many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """The same statement for each of `rows`."""
        with self._clear_errors(), self._connection.cursor() as cursor:
            cursor.executemany(_own(statement), rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing."""
        with self._clear_errors(), self._connection.transaction():
            yield

    def close(self) -> None:
        """Give the lock back, and drop the connection: the server would notice that only later."""
        with suppress(self._psycopg.Error):
            self._connection.execute("SELECT pg_advisory_unlock_all()")
        self._connection.close()


def _own(statement: str) -> "psycopg.sql.SQL":
    from psycopg.sql import SQL

    # A percent sign is the driver's; none of our statements has a question mark in a text.
    return SQL(statement.replace("%", "%%").replace("?", "%s"))
