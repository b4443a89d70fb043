"""Clears a follower's halt: `python -m headrace.chain.resume FILE [--read-again]`.

A follower that saw the chain rewritten below what was final halts until a person has looked. If the
node was at fault, give the daemon another one and clear the halt: what was read stays. If the chain
really was rewritten, `--read-again` also takes out what was read of it; it comes back from the
chain at the next start. The daemon must not be running. Instead of a file, the URL of a PostgreSQL
database and `--schema`.
"""

import sqlite3
import sys
from pathlib import Path

import click

from headrace.chain.database import Database
from headrace.chain.db import ChainDb
from headrace.chain.postgres import PostgresTables
from headrace.chain.sqlite import SqliteFile
from headrace.errors import HeadraceError, UsageError


def resume(place: str, *, schema: str | None = None, read_again: bool = False) -> str | None:
    """
    Clear the halt of the tables at `place`, a path or a PostgreSQL URL; returns why it had halted,
    None if it had not. UsageError if there are no tables of ours, or a process uses them.
    """
    if "://" in place:
        if schema is None:
            raise UsageError("a database needs --schema: which daemon's tables?")
        database: Database = PostgresTables(place, schema)
    elif not Path(place).is_file():
        raise UsageError(f"{place} does not exist")
    else:
        database = SqliteFile(Path(place))
    try:
        if not database.has_tables():
            raise UsageError(f"{database.label} holds nothing of ours")
        identity = dict(database.read("SELECT key, value FROM meta"))
        db = ChainDb(
            database,
            chain_id=int(identity["chain_id"]),
            genesis=bytes.fromhex(identity["genesis"]),
            escrow=identity["escrow"],
        )
    except (sqlite3.Error, KeyError, ValueError):
        database.close()
        raise UsageError(f"{place} is no file of ours") from None
    except BaseException:
        database.close()
        raise
    try:
        why = db.note("halted")
        if read_again:
            db.forget()
        db.set_note("halted", None)
    finally:
        db.close()
    return why


@click.command()
@click.argument("place")
@click.option("--schema", help="The schema, if PLACE is a database's URL.")
@click.option("--read-again", is_flag=True, help="Also forget what was read of the chain.")
def main(place: str, schema: str | None, read_again: bool) -> None:
    """Clear the halt of a daemon's chain.db at PLACE."""
    try:
        why = resume(place, schema=schema, read_again=read_again)
    except HeadraceError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    click.echo("it was not halted" if why is None else f"cleared: {why}")
    if read_again:
        click.echo("what was read is forgotten; the next start reads it again")


if __name__ == "__main__":
    main()
