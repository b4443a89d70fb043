"""Tables of the chain as earlier versions made them."""

from headrace.chain.db import ChainDb

# As of versions 1 and 2; the second one also had `kept`.
_LOGS = """
CREATE TABLE logs (
    number {word} NOT NULL, position {word} NOT NULL, block_hash {bytes} NOT NULL,
    tx_hash {bytes} NOT NULL, address TEXT NOT NULL, topics {bytes} NOT NULL, data {bytes} NOT NULL,
    time {word} NOT NULL, subject {bytes} NOT NULL, PRIMARY KEY (number, position)
) {end};
CREATE INDEX logs_by_subject ON logs (subject, number, position)
"""


def make_earlier(db: ChainDb, version: int) -> None:
    """Put the tables of `db` back to `version` (1 or 2), with all that they hold, and close it."""
    tables = db._db
    with tables.transaction():
        found = tables.read(
            "SELECT number, position, block_hash, tx_hash, address, topics, data, time FROM logs"
        )
        for table in ("logs", "about", "kept"):
            tables.write(f"DROP TABLE {table}")
        tables.create(_LOGS)
        tables.write_many(
            "INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(*row, bytes(row[5][32:64])) for row in found],
        )
        if version == 2:
            tables.create("CREATE TABLE kept (subject {bytes} PRIMARY KEY) {end}")
            tables.write("INSERT INTO kept VALUES (?)", (b"\1" * 32,))
        tables.write("UPDATE meta SET value = ? WHERE key = 'schema'", (str(version),))
    db.close()
