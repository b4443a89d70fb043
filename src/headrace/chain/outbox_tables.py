"""The tables of an outbox, and how a book of an earlier version becomes one of this version.

A migration is one transaction: after a crash in the middle of it the book is as it was. A file is
copied beside itself first.
"""

from collections.abc import Mapping

from headrace.chain.database import Database
from headrace.errors import UsageError

SCHEMA = 3
_FIRST = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE tx (
    id {serial}, action TEXT NOT NULL, what TEXT NOT NULL, nonce BIGINT NOT NULL,
    target TEXT NOT NULL, data {bytes} NOT NULL, value TEXT NOT NULL, gas BIGINT NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', mined_in BIGINT, mined_hash {bytes},
    mined_tx {bytes}, made_at_block BIGINT NOT NULL
);
CREATE UNIQUE INDEX one_open ON tx (action) WHERE state IN ('open', 'mined');
CREATE UNIQUE INDEX one_per_nonce ON tx (nonce) WHERE state IN ('open', 'mined');
CREATE TABLE attempt (
    hash {bytes} PRIMARY KEY, tx BIGINT NOT NULL REFERENCES tx (id), raw {bytes} NOT NULL,
    max_fee TEXT NOT NULL, priority_fee TEXT NOT NULL, is_empty INTEGER NOT NULL,
    made_at_block BIGINT NOT NULL
);
CREATE INDEX attempts_of ON attempt (tx)
"""
# From version 1: states may be taken back until they are final; fees are kept for the budget. What
# an earlier version called ended was believed then, and is now.
_SECOND = """
ALTER TABLE tx ADD COLUMN is_final INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tx ADD COLUMN deadline BIGINT;
ALTER TABLE tx ADD COLUMN is_safety INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tx ADD COLUMN fee TEXT NOT NULL DEFAULT '0';
ALTER TABLE tx ADD COLUMN fee_day BIGINT;
UPDATE tx SET is_final = 1 WHERE state NOT IN ('open', 'mined');
DROP INDEX one_per_nonce;
CREATE UNIQUE INDEX one_per_nonce ON tx (nonce) WHERE is_final = 0;
CREATE INDEX unfinished ON tx (nonce) WHERE is_final = 0;
CREATE INDEX tx_by_action ON tx (action, id);
CREATE INDEX fees_by_day ON tx (fee_day)
"""
# From version 2: what is final for long is let go of. What was final before ages from now on.
_THIRD = """
ALTER TABLE tx ADD COLUMN final_day BIGINT;
CREATE INDEX final_by_day ON tx (final_day) WHERE is_final = 1
"""
_SCRIPTS = (_FIRST, _SECOND, _THIRD)


def migrate(db: Database) -> None:
    """Make the tables, or bring them to this version. UsageError if they are of a later one."""
    with db.transaction():
        found = _version(db)
        if found == SCHEMA:
            return
        if found > SCHEMA:
            raise UsageError(
                f"{db.label} is of a later version of this program (schema {found}, not {SCHEMA}): "
                "use that version, or choose another home directory"
            )
    if found:
        db.backup(f"v{found}")
    with db.transaction():
        # Another process may have been faster.
        found = _version(db)
        for script in _SCRIPTS[found:]:
            db.create(script)
        if found < SCHEMA:
            db.write(
                "INSERT INTO meta (key, value) VALUES ('schema', ?) "
                "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (str(SCHEMA),),
            )


def _version(db: Database) -> int:
    if not db.has_table("meta"):
        return 0
    row = db.read("SELECT value FROM meta WHERE key = 'schema'")
    return int(row[0][0]) if row else 1


def bind(db: Database, identity: Mapping[str, str]) -> tuple[str, str]:
    """Whose book it is: (chain id, address); that of `identity` if it was nobody's yet."""
    with db.transaction():
        db.write_many(
            "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT DO NOTHING",
            list(identity.items()),
        )
        known = dict(db.read("SELECT key, value FROM meta"))
    return known["chain_id"], known["address"]
