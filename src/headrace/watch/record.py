"""
A watcher's own record: what a job's result must be, what it said of each claim, and its secret.
"""

import hmac
import secrets
from collections.abc import Mapping
from pathlib import Path

from headrace.chain.sqlite import clear_errors, connect, transaction
from headrace.errors import UsageError
from headrace.watch.decide import Verdict

SCHEMA = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answer (
    program BLOB NOT NULL, input BLOB NOT NULL, units INTEGER NOT NULL, root BLOB NOT NULL,
    PRIMARY KEY (program, input, units)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS claim (
    id BLOB PRIMARY KEY, job BLOB NOT NULL, attempt INTEGER NOT NULL, verdict TEXT NOT NULL
) WITHOUT ROWID
"""


# The name of the secret in the table `meta`.
_SECRET = "secret"  # noqa: S105


class WatchRecord:
    """
    The open file of one watcher on one deployment. All of it can be found out again but the secret:
    without it the watcher's commitments to faults that aren't proven yet can't be opened.
    """

    def __init__(self, path: Path, identity: Mapping[str, str]) -> None:
        """
        Open `path`, or make it. UsageError if it is of another deployment, or damaged.
        """
        self.path = path
        wanted = {"schema": str(SCHEMA), **identity}
        # The secret must be on disk before the first commitment leaves.
        self._db = connect(path, is_durable=True)
        with clear_errors(path), transaction(self._db):
            for statement in _TABLES.split(";"):
                self._db.execute(statement)
            begun = {**wanted, _SECRET: secrets.token_hex(32)}
            self._db.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", begun.items())
            known = dict(self._db.execute("SELECT key, value FROM meta"))
        for name, value in wanted.items():
            if known[name] != value:
                self._db.close()
                raise UsageError(
                    f"{path} has {name} {known[name]}, not {value}: choose another home directory "
                    "or move the file away"
                )
        self._secret = bytes.fromhex(known[_SECRET])

    def salt(self, claim_id: bytes, index: int, row: int, column: int) -> bytes:
        """
        The salt of a commitment to the fault at that place of a claim, 32 bytes: the same after any
        restart, and known to nobody else.
        """
        place = b"".join(number.to_bytes(32) for number in (index, row, column))
        return hmac.digest(self._secret, claim_id + place, "sha256")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def answer(self, program: bytes, input_id: bytes, units: int) -> bytes | None:
        """The root that every right claim of this work has, if it was ever computed."""
        with clear_errors(self.path):
            row = self._db.execute(
                "SELECT root FROM answer WHERE program = ? AND input = ? AND units = ?",
                (program, input_id, units),
            ).fetchone()
        return None if row is None else bytes(row[0])

    def keep_answer(self, program: bytes, input_id: bytes, units: int, root: bytes) -> None:
        """Keep a computed root."""
        with clear_errors(self.path):
            self._db.execute(
                "INSERT OR IGNORE INTO answer VALUES (?, ?, ?, ?)", (program, input_id, units, root)
            )

    def judge(self, claim_id: bytes, job: bytes, attempt: int, verdict: Verdict) -> bool:
        """Note what a claim is; returns whether that is news."""
        known = self.verdict(claim_id)
        with clear_errors(self.path):
            self._db.execute(
                "REPLACE INTO claim VALUES (?, ?, ?, ?)", (claim_id, job, attempt, verdict.value)
            )
        return known != verdict

    def verdict(self, claim_id: bytes) -> Verdict:
        """What was noted of a claim."""
        with clear_errors(self.path):
            row = self._db.execute("SELECT verdict FROM claim WHERE id = ?", (claim_id,)).fetchone()
        return Verdict.UNKNOWN if row is None else Verdict(row[0])

    def place(self, claim_id: bytes) -> tuple[bytes, int] | None:
        """The job and the attempt of a claim that was judged."""
        with clear_errors(self.path):
            row = self._db.execute(
                "SELECT job, attempt FROM claim WHERE id = ?", (claim_id,)
            ).fetchone()
        return None if row is None else (bytes(row[0]), int(row[1]))
