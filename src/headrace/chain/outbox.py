"""What a key has signed: written down, and on disk, before it is sent.

One SQLite file per key and chain. Every transaction of the key takes its nonce from here, in one
database transaction with the signed bytes, so several processes on one machine may share the key.
An action (`finalise:<job>:<attempt>`) has at most one transaction that is not at its end.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from headrace.chain.db import clear_errors, connect, transaction
from headrace.errors import UsageError

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tx (
    id INTEGER PRIMARY KEY, action TEXT NOT NULL, what TEXT NOT NULL, nonce INTEGER NOT NULL,
    target TEXT NOT NULL, data BLOB NOT NULL, value TEXT NOT NULL, gas INTEGER NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', mined_in INTEGER, mined_hash BLOB,
    mined_tx BLOB, made_at_block INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS one_open ON tx (action) WHERE state IN ('open', 'mined');
CREATE UNIQUE INDEX IF NOT EXISTS one_per_nonce ON tx (nonce) WHERE state IN ('open', 'mined');
CREATE TABLE IF NOT EXISTS attempt (
    hash BLOB PRIMARY KEY, tx INTEGER NOT NULL REFERENCES tx (id), raw BLOB NOT NULL,
    max_fee TEXT NOT NULL, priority_fee TEXT NOT NULL, is_empty INTEGER NOT NULL,
    made_at_block INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS attempts_of ON attempt (tx)
"""
_COLUMNS = (
    "id, action, what, nonce, target, data, value, gas, state, reason, mined_in, mined_hash, "
    "mined_tx, made_at_block"
)


@dataclass(frozen=True, slots=True)
class Tx:
    """
    One nonce of the key and what it is for. `state`: open (signed, not in a block), mined (in a
    block that may still go), done, reverted, empty (a transaction without effect took its nonce,
    because the call had become invalid), lost (the nonce went to a transaction that is not from
    here).
    """

    id: int
    action: str
    what: str
    nonce: int
    target: str
    data: bytes
    value: int
    gas: int
    state: str
    reason: str
    mined_in: int | None
    mined_hash: bytes | None
    mined_tx: bytes | None
    made_at_block: int

    @property
    def is_pending(self) -> bool:
        """Whether it may still get into a block."""
        return self.state == "open"

    @property
    def is_success(self) -> bool:
        """Whether it is in a block and did what it is for."""
        return self.state in ("mined", "done")


@dataclass(frozen=True, slots=True)
class Attempt:
    """Signed bytes for a nonce. `is_empty` ones have no effect but to use it up."""

    hash: bytes
    raw: bytes
    max_fee: int
    priority_fee: int
    is_empty: bool
    made_at_block: int


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be signed, all but its nonce."""

    action: str
    what: str
    target: str
    data: bytes
    value: int
    gas: int


class Outbox:
    """The open file of one key on one chain."""

    def __init__(self, path: Path, *, chain_id: int, address: str) -> None:
        """UsageError if the file is of another chain or key, locked or damaged."""
        self.path = path
        # The signed bytes must survive a power cut before they leave: every commit waits for the
        # disk.
        self._db = connect(path, is_durable=True)
        identity = {"chain_id": str(chain_id), "address": address}
        with clear_errors(path), transaction(self._db):
            for statement in _TABLES.split(";"):
                self._db.execute(statement)
            self._db.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", identity.items())
            known = dict(self._db.execute("SELECT key, value FROM meta"))
        if known != identity:
            self._db.close()
            raise UsageError(
                f"{path} is of key {known['address']} on chain {known['chain_id']}, not of "
                f"{address} on chain {chain_id}: choose another home directory or move it away"
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # ---- reads

    def of_action(self, action: str) -> Tx | None:
        """The last transaction of an action."""
        found = self._select("action = ? ORDER BY id DESC LIMIT 1", action)
        return found[0] if found else None

    def get(self, tx_id: int) -> Tx:
        """The transaction with an id of `add`."""
        return self._select("id = ?", tx_id)[0]

    def unsettled(self) -> list[Tx]:
        """What is open or in a block that may still go, by nonce."""
        return self._select("state IN ('open', 'mined') ORDER BY nonce")

    def attempts(self, tx_id: int) -> list[Attempt]:
        """All that was signed for a transaction, oldest first."""
        with clear_errors(self.path):
            rows = self._db.execute(
                "SELECT hash, raw, max_fee, priority_fee, is_empty, made_at_block FROM attempt "
                "WHERE tx = ? ORDER BY length(max_fee), max_fee",
                (tx_id,),
            ).fetchall()
        return [
            Attempt(hash_, raw, int(fee), int(tip), bool(is_empty), block)
            for hash_, raw, fee, tip, is_empty, block in rows
        ]

    def _select(self, where: str, *args: object) -> list[Tx]:
        with clear_errors(self.path):
            rows = self._db.execute(f"SELECT {_COLUMNS} FROM tx WHERE {where}", args)  # noqa: S608
            return [_tx(row) for row in rows]

    # ---- writes

    def add(
        self, draft: Draft, *, chain_nonce: int, block: int, sign: Callable[[int], Attempt]
    ) -> tuple[Tx, bool]:
        """
        Give `draft` the next nonce and keep what `sign` makes of it; `chain_nonce` is how many of
        the key's transactions are in blocks. The second value is False if another process was
        faster with the same action: then its transaction is returned.
        """
        with clear_errors(self.path), transaction(self._db):
            rival = self._select("action = ? AND state IN ('open', 'mined')", draft.action)
            if rival:
                return rival[0], False
            used = self._db.execute(
                "SELECT max(nonce) FROM tx WHERE state IN ('open', 'mined')"
            ).fetchone()[0]
            nonce = chain_nonce if used is None else max(chain_nonce, used + 1)
            attempt = sign(nonce)
            row = self._db.execute(
                "INSERT INTO tx (action, what, nonce, target, data, value, gas, state, "
                "made_at_block) VALUES (?, ?, ?, ?, ?, ?, ?, 'open', ?)",
                (
                    *(draft.action, draft.what, nonce, draft.target, draft.data),
                    *(str(draft.value), draft.gas, block),
                ),
            )
            tx_id = row.lastrowid or 0
            self._insert(tx_id, attempt)
        return self.get(tx_id), True

    def add_attempt(self, tx_id: int, attempt: Attempt) -> None:
        """Keep other bytes for the same nonce."""
        with clear_errors(self.path), transaction(self._db):
            self._insert(tx_id, attempt)

    def _insert(self, tx_id: int, attempt: Attempt) -> None:
        self._db.execute(
            "INSERT OR IGNORE INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                *(attempt.hash, tx_id, attempt.raw, str(attempt.max_fee)),
                *(str(attempt.priority_fee), int(attempt.is_empty), attempt.made_at_block),
            ),
        )

    def settle(
        self,
        tx_id: int,
        state: str,
        *,
        reason: str = "",
        mined: tuple[int, bytes, bytes] | None = None,
    ) -> Tx:
        """Write down where a transaction is; `mined` is (block number, block hash, tx hash)."""
        number, block_hash, tx_hash = mined or (None, None, None)
        with clear_errors(self.path):
            self._db.execute(
                "UPDATE tx SET state = ?, reason = ?, mined_in = ?, mined_hash = ?, mined_tx = ? "
                "WHERE id = ?",
                (state, reason, number, block_hash, tx_hash, tx_id),
            )
        return self.get(tx_id)


def _tx(row: tuple[Any, ...]) -> Tx:
    values = dict(zip((field.name for field in fields(Tx)), row, strict=True))
    # Wei do not fit SQLite's integers.
    return Tx(**values | {"value": int(values["value"])})
