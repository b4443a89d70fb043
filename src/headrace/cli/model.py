"""`model`: publish models to the store, register them on chain, list them."""

from pathlib import Path

import click

from headrace.cli.answer import Answer
from headrace.cli.app import command
from headrace.cli.ledger import read_ledger
from headrace.cli.session import Session
from headrace.cli.show import fields, hexed, table
from headrace.errors import Rejected, UsageError
from headrace.graph.model import Model
from headrace.graph.model_file import MAX_MODEL_BYTES, load_model
from headrace.store.errors import BlobError
from headrace.terms.words import ZERO_HASH

_DIGITS = "digits"


@click.group("model")
def model() -> None:
    """Models that jobs can name."""


@command("add")
@click.argument("file")
@click.option("--name", help="What to call it in job and node files here.")
def add(session: Session, file: str, name: str | None) -> Answer:
    """Put the model package FILE into the store and register it on chain.

    FILE may be the word `digits`: then a small network for scanned digits is trained first (this
    needs scikit-learn).
    """
    with session.step("loading the model"):
        found = _built() if file == _DIGITS else _read(Path(file))
    called = name or (_DIGITS if file == _DIGITS else None)
    session.store.put_model(found)
    txs = register(session, found)
    if called is not None:
        session.names.put("models", called, found.program)
    is_new = bool(txs)
    return Answer(
        {
            "program": found.program,
            "name": called,
            "is_new": is_new,
            "input_width": found.input_width,
            "output_width": found.output_width,
            "operators": found.op_count,
            "max_units": found.publishable_units,
            "txs": txs,
        },
        fields(
            [
                ("program", hexed(found.program)),
                ("name", called or "none: give one with --name"),
                ("on chain", "registered now" if is_new else "was registered before"),
                (
                    "input",
                    f"rows of {found.input_width} numbers, at most {found.publishable_units}",
                ),
                ("result", f"rows of {found.output_width}"),
            ]
        ),
    )


@command("list")
def list_(session: Session) -> Answer:
    """List the models that are registered, and those that have a name here."""
    ledger = read_ledger(session)
    names = {program: name for name, program in session.names.all("models").items()}
    rows, listed = [], []
    for program in [*ledger.models, *(known for known in names if known not in ledger.models)]:
        is_registered = program in ledger.models
        stored = _stored(session, program)
        listed.append(
            {
                "program": program,
                "name": names.get(program),
                "is_registered": is_registered,
                "is_stored": stored is not None,
                "input_width": None if stored is None else stored.input_width,
                "max_units": None if stored is None else stored.publishable_units,
            }
        )
        shape = "not in the store" if stored is None else f"rows of {stored.input_width}"
        rows.append(
            (hexed(program), names.get(program, ""), "yes" if is_registered else "no", shape)
        )
    head = ("program", "name", "on chain", "input")
    return Answer({"models": listed}, table(head, rows) if rows else ["no model yet"])


model.add_command(add)
model.add_command(list_)


def register(session: Session, found: Model) -> list[str]:
    """Register a model unless it is; the hashes of what was sent."""
    try:
        if session.fault_proof.model_of(found.program) is not None:
            return []
    except Rejected as error:
        if error.reason != "model: not registered":
            raise
    call = session.fault_proof.register_model(
        found.descriptors, found.input_width, found.max_units, ZERO_HASH
    )
    return [hexed(session.send(call, f"model:{found.program.hex()}").tx_hash)]


def _read(path: Path) -> Model:
    try:
        with path.open("rb") as opened:
            data = opened.read(MAX_MODEL_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
    found = load_model(data)
    if found.publishable_units == 0:
        raise UsageError(f"{path}: the trace of one row is too large for policy exact")
    return found


def _built() -> Model:
    from headrace.graph.digits import build_digits

    return build_digits().model


def _stored(session: Session, program: bytes) -> Model | None:
    try:
        return session.store.get_model(program)
    except BlobError:
        return None
