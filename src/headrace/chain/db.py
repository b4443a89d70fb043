"""What a daemon has read of the chain: headers, logs and the cursor, in one SQLite file.

The file belongs to one chain (id and genesis) and one JobEscrow. The cursor moves in the
transaction that writes the rows it covers, so a crash at any instruction leaves a state that was
true once. All of it can be read again from the chain: losing the file costs time, not money. The
same tables may be on a PostgreSQL server instead (`postgres.py`).
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from headrace.chain import log_tables
from headrace.chain.abi import Log
from headrace.chain.database import Database
from headrace.chain.rpc import Header
from headrace.chain.sqlite import SqliteFile
from headrace.errors import UsageError

log = logging.getLogger(__name__)

# SQLite joins in the order of the words, so that nothing else is read of the logs.
_ABOUT = (
    f"SELECT {log_tables.LOG_COLUMNS} FROM about CROSS JOIN logs WHERE about.subject = ? "  # noqa: S608
    "AND logs.number = about.number AND logs.position = about.position"
)
_WANTED = (
    f"SELECT {log_tables.LOG_COLUMNS} FROM (SELECT subject FROM kept "  # noqa: S608
    "UNION SELECT subject FROM logs WHERE number > ? AND address = ?) AS wanted "
    "CROSS JOIN about CROSS JOIN logs WHERE about.subject = wanted.subject "
    "AND logs.number = about.number AND logs.position = about.position AND logs.address = ? "
    "ORDER BY logs.number, logs.position"
)
_SET_META = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_SET_CURSOR = (
    "INSERT INTO cursor VALUES (1, ?, ?) "
    "ON CONFLICT (one) DO UPDATE SET number = excluded.number, hash = excluded.hash"
)


_CHECKPOINT = "checkpoint"
# Logs between two signs of life.
_PROGRESS_EVERY = 2_000


def _nothing() -> None:
    """Nobody waits."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last block that has been read."""

    number: int
    hash: bytes


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
        What an earlier version has read is read anew, but by a reader, who has it until then.
        UsageError if it is from another chain or another JobEscrow, of a later version, if another
        process writes it, or if it is damaged.
        """
        database: Database = (
            SqliteFile(place, is_readonly=is_readonly) if isinstance(place, Path) else place
        )
        self._db = database
        self.label = database.label
        # Called now and then while very many logs are read: a process that loads a long history is
        # silent otherwise.
        self.on_progress: Callable[[], None] = _nothing
        try:
            schema = self._bind(
                {
                    "chain_id": str(chain_id),
                    "genesis": genesis.hex(),
                    "escrow": escrow,
                }
            )
            # What a reader finds there until the daemon has been started with this version.
            self.is_earlier = schema < log_tables.SCHEMA
            found = self.note(_CHECKPOINT)
            self._checkpoint = None if found is None else int(found)
        except BaseException:
            self.close()
            raise

    def _bind(self, identity: dict[str, str]) -> int:
        """Whose tables they are, and of which version."""
        if not self._db.is_readonly and not self._db.has_tables():
            with self._db.transaction():
                log_tables.create(self._db)
                self._db.write_many("INSERT INTO meta VALUES (?, ?)", list(identity.items()))
        known = dict(self._db.read("SELECT key, value FROM meta"))
        words = {
            "chain_id": "another chain",
            "genesis": "another chain with the same id (a local chain that was started anew?)",
            "escrow": "another deployment",
        }
        for key, value in identity.items():
            if known.get(key) != value:
                self._refuse(f"is from {words[key]} ({key} {known.get(key)}, not {value})")
        found = int(known["schema"])
        if found > log_tables.SCHEMA:
            self._refuse(f"is of a later version of this program (schema {found})")
        if found < log_tables.SCHEMA and not self._db.is_readonly:
            log.warning("read anew", extra={"tables": self.label, "schema": found})
            with self._db.transaction():
                log_tables.renew(self._db)
            found = log_tables.SCHEMA
        return found

    def _refuse(self, why: str) -> NoReturn:
        raise UsageError(f"{self.label} {why}: choose another home directory or move the file away")

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

    def time_of(self, number: int) -> int | None:
        """The time of block `number`, unix seconds; None if its header isn't stored."""
        rows = self._db.read("SELECT time FROM blocks WHERE number = ?", (number,))
        return int(rows[0][0]) if rows else None

    def logs(self, address: str | None = None) -> Iterator[Log]:
        """Every log, or those of the contract at `address` (checksummed), in the chain's order."""
        where, args = ("", ()) if address is None else ("WHERE address = ?", (address,))
        query = f"SELECT {log_tables.LOG_COLUMNS} FROM logs {where} ORDER BY number, position"  # noqa: S608
        return self._streamed(query, args)

    @property
    def checkpoint(self) -> int | None:
        """The block that the checkpoint is of; None without one."""
        return self._checkpoint

    def logs_wanted(self, address: str) -> Iterator[Log]:
        """
        The logs of the contract at `address`, in the chain's order, that are about something that
        the checkpoint keeps or that was logged about after it; every log without a checkpoint. All
        logs about something come or none, and perhaps some that were not wanted.
        """
        if self._checkpoint is None:
            return self.logs(address)
        self._must_be_found()
        return self._streamed(_WANTED, (self._checkpoint, address, address))

    def _streamed(self, query: str, args: tuple[object, ...]) -> Iterator[Log]:
        for number, row in enumerate(self._db.stream(query, args)):
            if number % _PROGRESS_EVERY == 0:
                self.on_progress()
            yield log_tables.to_log(row)

    def logs_since_checkpoint(self) -> int:
        """How many logs came after the checkpoint; 0 without one."""
        if self._checkpoint is None:
            return 0
        query = "SELECT count(*) FROM logs WHERE number > ?"
        return int(self._db.read(query, (self._checkpoint,))[0][0])

    def logs_about(self, subjects: Iterable[bytes]) -> list[Log]:
        """
        The logs with one of `subjects` as their second topic, in the chain's order. UsageError for
        a reader of an earlier version's tables.
        """
        self._must_be_found()
        wanted = set(subjects)
        words = {log_tables.subject_word(subject) for subject in wanted}
        rows = [row for word in words for row in self._db.read(_ABOUT, (word,))]
        found = map(log_tables.to_log, sorted(rows, key=lambda row: row[:2]))
        return [entry for entry in found if len(entry.topics) > 1 and entry.topics[1] in wanted]

    def _must_be_found(self) -> None:
        if self.is_earlier:
            raise UsageError(
                f"{self.label} is of an earlier version of this program: start its daemon with "
                "this version first"
            )

    def logs_between(self, first: int, last: int) -> list[Log]:
        """The logs of the blocks from `first` to `last`, in the chain's order."""
        query = (
            f"SELECT {log_tables.LOG_COLUMNS} FROM logs WHERE number BETWEEN ? AND ? "  # noqa: S608
            "ORDER BY number, position"
        )
        return [log_tables.to_log(row) for row in self._db.read(query, (first, last))]

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

    def keep_checkpoint(
        self, number: int, subjects: Iterable[bytes], addresses: Sequence[str]
    ) -> None:
        """
        From now on `logs_wanted` leaves out what is over: of what the contracts at `addresses` have
        logged up to the block `number` only the `subjects` are wanted, and those that were logged
        about since. A change to blocks up to `number` takes the checkpoint back. ValueError above
        the cursor.
        """
        cursor = self.cursor()
        if cursor is None or number > cursor.number:
            raise ValueError(f"no checkpoint of block {number} yet")
        with self._db.transaction():
            self._db.write("DELETE FROM kept")
            self._db.write_many(
                "INSERT INTO kept VALUES (?) ON CONFLICT DO NOTHING",
                ((log_tables.subject_word(subject),) for subject in subjects),
            )
            # What has ended since may be taken back, and is to be found again then.
            self._db.write_many(
                "INSERT INTO kept SELECT DISTINCT subject FROM logs "
                "WHERE number > ? AND address = ? ON CONFLICT DO NOTHING",
                [(number, address) for address in addresses],
            )
            self._db.write(_SET_META, (f"note:{_CHECKPOINT}", str(number)))
        self._checkpoint = number

    def _drop_stale(self, first: int) -> bool:
        """
        Inside a transaction: take the checkpoint out if blocks from `first` on are not what it saw.
        """
        is_stale = self._checkpoint is not None and first <= self._checkpoint
        if is_stale:
            self._db.write("DELETE FROM kept")
            self._db.write("DELETE FROM meta WHERE key = ?", (f"note:{_CHECKPOINT}",))
        return is_stale

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
            log_tables.insert(self._db, logs)
            self._db.write(_SET_CURSOR, (last.number, last.hash))
            self._db.write("DELETE FROM blocks WHERE number <= ?", (last.number - keep,))
            for key, value in (notes or {}).items():
                self._db.write(_SET_META, (f"note:{key}", value))

    def rollback(self, number: int, block_hash: bytes) -> list[Log]:
        """Take out all above the block `number`, which becomes the cursor; returns those logs."""
        with self._db.transaction():
            removed = log_tables.delete(self._db, "number > ?", (number,))
            self._db.write("DELETE FROM blocks WHERE number > ?", (number,))
            self._db.write(_SET_CURSOR, (number, block_hash))
            is_stale = self._drop_stale(number + 1)
        if is_stale:
            self._checkpoint = None
        return removed

    def repair(
        self, numbers: Iterable[int], logs: Sequence[Log], *, notes: Mapping[str, str]
    ) -> None:
        """Replace the logs of the blocks `numbers` by `logs`, and set `notes`, at once."""
        changed = list(numbers)
        with self._db.transaction():
            for number in changed:
                log_tables.delete(self._db, "number = ?", (number,))
            log_tables.insert(self._db, logs)
            for key, value in notes.items():
                self._db.write(_SET_META, (f"note:{key}", value))
            is_stale = bool(changed) and self._drop_stale(min(changed))
        if is_stale:
            self._checkpoint = None

    def forget(self) -> None:
        """Take out everything that was read, and all notes: the chain is read anew."""
        with self._db.transaction():
            for table in ("logs", "about", "blocks", "cursor", "kept"):
                self._db.write(f"DELETE FROM {table}")  # noqa: S608
            self._db.write("DELETE FROM meta WHERE key LIKE 'note:%'")
        self._checkpoint = None
