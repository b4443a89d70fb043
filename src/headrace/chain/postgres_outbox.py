"""An outbox on a PostgreSQL server: for a key with a standby on another machine.

Each key and chain has a schema there. The right to send is a row with a *fencing token*: who takes
it over raises the token, and every transaction of the book checks that the token is still its own.
A process that was away too long (a paused machine, a cut line) therefore can't take a nonce or sign
any more, whatever it believes. The lease runs out by the database's clock alone. Needs the extra
`postgres`.
"""

import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from headrace.chain.outbox import Outbox
from headrace.chain.postgres import PostgresSchema
from headrace.errors import HeadraceError, RetryLater, UsageError

# Seconds for which a lease is good: a standby takes over at most so much after a crash.
LEASE_SECONDS = 15.0
_LEASE_TABLE = """
CREATE TABLE IF NOT EXISTS lease (
    one INTEGER PRIMARY KEY CHECK (one = 1), holder TEXT NOT NULL, token BIGINT NOT NULL,
    until TIMESTAMPTZ NOT NULL
)
"""
_TAKE = (
    "UPDATE lease SET holder = ?, token = token + 1, "
    "until = clock_timestamp() + make_interval(secs => ?) "
    "WHERE until < clock_timestamp() RETURNING token"
)
_RENEW = (
    "UPDATE lease SET until = clock_timestamp() + make_interval(secs => ?) "
    "WHERE token = ? RETURNING 1"
)


class PostgresBook(PostgresSchema):
    """The tables of one key's outbox, in a schema of their own. Of one thread."""

    token: int | None = None

    def _enter(self) -> None:
        with self.transaction():
            self.write(f"CREATE SCHEMA IF NOT EXISTS {self._schema}")
        self.write(f"SET search_path TO {self._schema}")
        # The signed bytes must survive a power cut of the server too.
        self.write("SET synchronous_commit TO on")
        with self.transaction():
            self.write(_LEASE_TABLE)
            self.write("INSERT INTO lease VALUES (1, '', 0, '-infinity') ON CONFLICT DO NOTHING")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing, one process at a time; UsageError if the lease was lost."""
        with super().transaction():
            self.write(
                "SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", (f"outbox:{self._schema}",)
            )
            if self.token is not None:
                held = self.read("SELECT token FROM lease")[0][0]
                if held != self.token:
                    raise _lost(self.label)
            yield


class RowLease:
    """The right to send with a book's key, renewed while it is held."""

    def __init__(self, book: PostgresBook, seconds: float) -> None:
        """See `take`."""
        self._book = book
        self._seconds = seconds
        self._renewed_at = time.monotonic()

    @classmethod
    def take(
        cls, book: PostgresBook, *, is_standby: bool = False, seconds: float = LEASE_SECONDS
    ) -> "RowLease":
        """
        The lease of the book's key, good for `seconds`; the book checks it from now on. If another
        process has it: UsageError that names it, or RetryLater for a standby, which asks again.
        """
        me = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        taken = book.read(_TAKE, (me, seconds))
        if not taken:
            holder = book.read("SELECT holder FROM lease")[0][0]
            if is_standby:
                raise RetryLater(f"standing by: {holder} sends with this key")
            raise UsageError(
                f"{holder} sends with this key already ({book.label}): stop it, use another "
                "account, or start this one as its standby"
            )
        book.token = int(taken[0][0])
        return cls(book, seconds)

    def hold(self) -> None:
        """Keep it for another while. UsageError if another process has taken it over."""
        if time.monotonic() - self._renewed_at < self._seconds / 3:
            return
        if not self._book.read(_RENEW, (self._seconds, self._book.token)):
            raise _lost(self._book.label)
        self._renewed_at = time.monotonic()

    def close(self) -> None:
        """Give it back, if the line is still there: else it runs out."""
        try:
            self._book.write(
                "UPDATE lease SET until = '-infinity' WHERE token = ?", (self._book.token,)
            )
        except HeadraceError:
            # The process ends; who waits for the lease gets it when its time is over.
            return


def open_shared(
    url: str,
    *,
    chain_id: int,
    genesis: bytes,
    address: str,
    with_lease: bool = True,
    is_standby: bool = False,
    seconds: float = LEASE_SECONDS,
) -> Outbox:
    """The outbox of a key on a server, with its lease or without. Errors as of its parts."""
    schema = f"outbox_{address[2:].lower()}_{genesis[:4].hex()}"
    book = PostgresBook(url, schema)
    lease = None
    try:
        if with_lease:
            lease = RowLease.take(book, is_standby=is_standby, seconds=seconds)
    except BaseException:
        book.close()
        raise
    return Outbox(book, chain_id=chain_id, address=address, lease=lease)


def _lost(name: str) -> UsageError:
    return UsageError(f"another process has taken over the sending of {name}: this one ends")
