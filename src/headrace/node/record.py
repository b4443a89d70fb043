"""A node's own record of every attempt it was matched with.

What it will claim is on disk before the claim is sent, and never changes: a node that is killed and
started again claims that, or nothing. The traces of its claims are kept here too, until nobody can
demand them any more, so that losing the store costs no stake.

An attempt is `seen`, then `computed` (its root is fixed, its trace kept), then `claimed`; or
`declined`; or `failed`. Only these ways lead on, and writing the same thing twice does nothing.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from headrace.chain.sqlite import clear_errors, connect, transaction
from headrace.errors import HeadraceError, UsageError

SCHEMA = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS attempt (
    job BLOB NOT NULL, number INTEGER NOT NULL, stage TEXT NOT NULL, root BLOB,
    is_published INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '',
    keep_until INTEGER NOT NULL, PRIMARY KEY (job, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trace (
    root BLOB PRIMARY KEY, data BLOB NOT NULL, keep_until INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ask (
    hash BLOB PRIMARY KEY, posting TEXT NOT NULL, expiry INTEGER NOT NULL, made INTEGER NOT NULL
) WITHOUT ROWID
"""
_DRAINING = "draining"
# Seconds for which an attempt stays on record after its last possible move, for people who ask.
_KEEP_ATTEMPTS = 30 * 86_400

AttemptKey = tuple[bytes, int]
"""A job's id and the number of the attempt."""


class Stage(StrEnum):
    """How far an attempt has come."""

    SEEN = "seen"
    COMPUTED = "computed"
    CLAIMED = "claimed"
    DECLINED = "declined"
    FAILED = "failed"


class Contradiction(HeadraceError):
    """A second root for one attempt: the worker is not deterministic, or the file was changed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """
    What is on record of an attempt. `root` is what is claimed, None until it is computed; `reason`
    why it was declined or failed.
    """

    stage: Stage = Stage.SEEN
    root: bytes | None = None
    is_published: bool = False
    reason: str = ""


class NodeRecord:
    """The open file of one node of one provider on one deployment."""

    def __init__(self, path: Path, identity: Mapping[str, str]) -> None:
        """
        Open `path`, or make it. `identity` says whose it is; UsageError if the file is of another
        node, provider or deployment, or damaged.
        """
        self.path = path
        wanted = {"schema": str(SCHEMA), **identity}
        self._db = connect(path, is_durable=True)
        with clear_errors(path), transaction(self._db):
            for statement in _TABLES.split(";"):
                self._db.execute(statement)
            self._db.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", wanted.items())
            known = dict(self._db.execute("SELECT key, value FROM meta"))
        for name, value in wanted.items():
            if known[name] != value:
                self._db.close()
                raise UsageError(
                    f"{path} has {name} {known[name]}, not {value}: choose another home directory "
                    "or move the file away"
                )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # ---- attempts

    def entry(self, key: AttemptKey) -> Entry | None:
        """What is on record of an attempt; None if it was never seen."""
        return self.entries([key]).get(key)

    def entries(self, keys: Iterable[AttemptKey]) -> dict[AttemptKey, Entry]:
        """What is on record of each of the attempts that were seen."""
        query = "SELECT stage, root, is_published, reason FROM attempt WHERE job = ? AND number = ?"
        found = {}
        with clear_errors(self.path):
            for key in keys:
                row = self._db.execute(query, key).fetchone()
                if row is not None:
                    stage, root, is_published, reason = row
                    found[key] = Entry(Stage(stage), root, bool(is_published), reason)
        return found

    def see(self, key: AttemptKey, *, keep_until: int) -> None:
        """Note an attempt; `keep_until` is when nobody can demand its trace any more."""
        with clear_errors(self.path):
            self._db.execute(
                "INSERT OR IGNORE INTO attempt (job, number, stage, keep_until) "
                "VALUES (?, ?, 'seen', ?)",
                (*key, keep_until),
            )

    def compute(self, key: AttemptKey, root: bytes, trace: bytes) -> None:
        """
        Fix what an attempt that was seen claims, and keep its trace. Contradiction if something
        else is fixed.
        """
        with clear_errors(self.path), transaction(self._db):
            known = self._root(key)
            if known is not None and known != root:
                raise Contradiction(
                    f"job 0x{key[0].hex()} attempt {key[1]}: computed 0x{root.hex()}, but "
                    f"0x{known.hex()} is on record"
                )
            self._db.execute(
                "UPDATE attempt SET root = ?, reason = '', "
                "stage = CASE WHEN stage = 'claimed' THEN stage ELSE 'computed' END "
                "WHERE job = ? AND number = ?",
                (root, *key),
            )
            self._db.execute(
                "REPLACE INTO trace SELECT ?, ?, max(keep_until) FROM (SELECT keep_until FROM "
                "attempt WHERE job = ? AND number = ? UNION SELECT keep_until FROM trace "
                "WHERE root = ?)",
                (root, trace, *key, root),
            )

    def _root(self, key: AttemptKey) -> bytes | None:
        row = self._db.execute(
            "SELECT root FROM attempt WHERE job = ? AND number = ?", key
        ).fetchone()
        if row is None:
            raise UsageError(f"{self.path}: job 0x{key[0].hex()} was never seen")
        return None if row[0] is None else bytes(row[0])

    def published(self, key: AttemptKey) -> None:
        """Note that trace and result are where others can get them."""
        self._set(key, "is_published = 1")

    def claim(self, key: AttemptKey, root: bytes) -> None:
        """Note that an attempt is claimed. Contradiction if another root is fixed."""
        with clear_errors(self.path), transaction(self._db):
            known = self._root(key)
            if known is not None and known != root:
                raise Contradiction(
                    f"job 0x{key[0].hex()} attempt {key[1]}: claimed 0x{root.hex()}, but "
                    f"0x{known.hex()} is on record"
                )
            self._db.execute(
                "UPDATE attempt SET stage = 'claimed', root = ?, reason = '' "
                "WHERE job = ? AND number = ?",
                (root, *key),
            )

    def decline(self, key: AttemptKey, reason: str) -> None:
        """Note that, and why, an attempt is declined."""
        self._set(key, "stage = 'declined', reason = ?", reason)

    def fail(self, key: AttemptKey, reason: str) -> None:
        """Note that, and why, an attempt came to nothing."""
        self._set(key, "stage = 'failed', reason = ?", reason)

    def _set(self, key: AttemptKey, what: str, *values: object) -> None:
        with clear_errors(self.path):
            self._db.execute(
                f"UPDATE attempt SET {what} WHERE job = ? AND number = ?",  # noqa: S608
                (*values, *key),
            )

    def trace(self, root: bytes) -> bytes | None:
        """The kept trace of a claim; None if it isn't here."""
        with clear_errors(self.path):
            row = self._db.execute("SELECT data FROM trace WHERE root = ?", (root,)).fetchone()
        return None if row is None else bytes(row[0])

    def prune(self, now: int) -> int:
        """
        Let go of the traces that nobody can demand at `now` any more, and of attempts that have
        been over for a month; returns how many traces went.
        """
        with clear_errors(self.path), transaction(self._db):
            oldest = now - _KEEP_ATTEMPTS
            self._db.execute("DELETE FROM attempt WHERE keep_until < ?", (oldest,))
            return self._db.execute("DELETE FROM trace WHERE keep_until < ?", (now,)).rowcount

    # ---- asks

    def add_ask(self, ask_hash: bytes, posting: Mapping[str, Any], expiry: int) -> None:
        """Keep an ask before it is posted: it becomes the current one."""
        with clear_errors(self.path), transaction(self._db):
            newest = self._db.execute("SELECT coalesce(max(made), 0) FROM ask").fetchone()[0]
            self._db.execute(
                "REPLACE INTO ask VALUES (?, ?, ?, ?)",
                (ask_hash, json.dumps(posting), expiry, newest + 1),
            )

    def asks(self) -> list[tuple[bytes, dict[str, Any]]]:
        """Every ask on record with its posting, the current one first."""
        with clear_errors(self.path):
            rows = self._db.execute("SELECT hash, posting FROM ask ORDER BY made DESC").fetchall()
        return [(bytes(ask_hash), json.loads(posting)) for ask_hash, posting in rows]

    def drop_ask(self, ask_hash: bytes) -> None:
        """Forget an ask that is off the board."""
        with clear_errors(self.path):
            self._db.execute("DELETE FROM ask WHERE hash = ?", (ask_hash,))

    # ---- draining

    @property
    def is_draining(self) -> bool:
        """Whether somebody, perhaps another process, has asked the node to finish."""
        with clear_errors(self.path):
            row = self._db.execute("SELECT 1 FROM meta WHERE key = ?", (_DRAINING,)).fetchone()
        return row is not None

    def set_draining(self, is_draining: bool) -> None:
        """Ask the node to finish, or take that back."""
        with clear_errors(self.path):
            if is_draining:
                self._db.execute("INSERT OR IGNORE INTO meta VALUES (?, '1')", (_DRAINING,))
            else:
                self._db.execute("DELETE FROM meta WHERE key = ?", (_DRAINING,))
