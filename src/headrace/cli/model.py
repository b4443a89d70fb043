"""`model`: publish models to the store, register them on chain, list them and who keeps copies."""

from pathlib import Path

import click
from eth_utils.crypto import keccak

from headrace import formats
from headrace.cli.answer import Answer
from headrace.cli.app import command
from headrace.cli.ledger import read_ledger
from headrace.cli.names import as_id
from headrace.cli.session import Session
from headrace.cli.show import fields, hexed, table
from headrace.errors import Rejected, UsageError
from headrace.formats import MAX_MODEL_BYTES, AnyModel, Card
from headrace.graph2.model import Model as GraphModel
from headrace.graph2.model_file import card_id
from headrace.store.errors import BlobError
from headrace.terms.words import ZERO_HASH

# Models that are built here, by name: a small one, and those of importer/standard.py.
_SMALL = "digits"
_STANDARD = ("minilm", "digits-mlp", "digits-cnn", "digits-forest")
_BUILT = (_SMALL, *_STANDARD)


@click.group("model")
def model() -> None:
    """Models that jobs can name."""


@command("add")
@click.argument("file")
@click.option("--name", help="What to call it in job and node files here.")
@click.option("--mirror", metavar="URL", help="Say on chain that this URL has the package, too.")
def add(session: Session, file: str, name: str | None, mirror: str | None) -> Answer:
    """Put the model package FILE into the store and register it on chain.

    FILE may be one of the words digits, digits-mlp, digits-cnn, digits-forest and minilm: then that
    model is built first, from what installed packages carry.
    """
    with session.step("loading the model"):
        found, card = _build(file) if file in _BUILT else _read(Path(file))
    called = name or (file if file in _BUILT else None)
    session.store.put_model(found, card)
    txs = register(session, found, card)
    is_new = bool(txs)
    if mirror is not None:
        txs += _list(session, found.program, mirror)
    if called is not None:
        session.names.put("models", called, found.program)
    form, width = formats.input_form(found), formats.output_width(found)
    return Answer(
        {
            "program": found.program,
            "name": called,
            "is_new": is_new,
            "verifier": formats.verifier_of(found),
            "input_width": form.width,
            "output_width": width,
            "operators": found.op_count,
            "max_units": formats.most_units(found),
            "txs": txs,
        },
        fields(
            [
                ("program", hexed(found.program)),
                ("name", called or "none: give one with --name"),
                ("on chain", "registered now" if is_new else "was registered before"),
                (
                    "input",
                    f"rows of {form.width} numbers ({form.dtype}), at most "
                    f"{formats.most_units(found)}",
                ),
                ("result", f"rows of {width}"),
                ("judged by", formats.verifier_of(found)),
            ]
        ),
    )


@command("mirror")
@click.argument("model")
@click.argument("url")
def mirror_(session: Session, model: str, url: str) -> Answer:
    """Say on chain that URL has the package of MODEL, for whoever wants to run or check it."""
    program = _program(session, model)
    txs = _list(session, program, url)
    mirrors = _mirrors(session, program)
    return Answer(
        {"program": program, "url": url, "mirrors": mirrors, "txs": txs},
        fields([("program", hexed(program)), ("mirrors", str(mirrors))]),
    )


@command("unmirror")
@click.argument("model")
def unmirror(session: Session, model: str) -> Answer:
    """Take back that this account keeps the package of MODEL for others."""
    program = _program(session, model)
    call = session.graph_models.unlist_mirror(program)
    txs = [hexed(session.send(call, f"unmirror:{program.hex()}").tx_hash)]
    mirrors = _mirrors(session, program)
    return Answer(
        {"program": program, "mirrors": mirrors, "txs": txs},
        fields([("program", hexed(program)), ("mirrors", str(mirrors))]),
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
        width = None if stored is None else formats.input_form(stored).width
        large = session.graph_models.model_of(program) if session.has_graphs else None
        mirrors = None if large is None else large.mirrors
        listed.append(
            {
                "program": program,
                "name": names.get(program),
                "is_registered": is_registered,
                "is_stored": stored is not None,
                "verifier": None if stored is None else formats.verifier_of(stored),
                "input_width": width,
                "max_units": None if stored is None else formats.most_units(stored),
                "mirrors": mirrors,
            }
        )
        shape = "not in the store" if stored is None else f"rows of {width}"
        rows.append(
            (
                hexed(program),
                names.get(program, ""),
                "yes" if is_registered else "no",
                shape,
                "" if mirrors is None else str(mirrors),
            )
        )
    head = ("program", "name", "on chain", "input", "mirrors")
    return Answer({"models": listed}, table(head, rows) if rows else ["no model yet"])


model.add_command(add)
model.add_command(mirror_)
model.add_command(unmirror)
model.add_command(list_)


def register(session: Session, found: AnyModel, card: Card | None = None) -> list[str]:
    """Register a model unless it is; the hashes of what was sent."""
    if isinstance(found, GraphModel):
        if session.graph_models.model_of(found.program) is not None:
            return []
        said = keccak(card_id(card)) if card else ZERO_HASH
        call = session.graph_models.register_model(
            found.descriptors, found.input.word, found.max_units, said
        )
    else:
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


def _program(session: Session, written: str) -> bytes:
    program = as_id(written) or session.names.all("models").get(written)
    if program is None:
        raise UsageError(f"{written!r} is no program id and no name here")
    return program


def _list(session: Session, program: bytes, url: str) -> list[str]:
    call = session.graph_models.list_mirror(program, url)
    return [hexed(session.send(call, f"mirror:{program.hex()}:{url}").tx_hash)]


def _mirrors(session: Session, program: bytes) -> int:
    found = session.graph_models.model_of(program)
    return 0 if found is None else found.mirrors


def _read(path: Path) -> tuple[AnyModel, Card]:
    try:
        with path.open("rb") as opened:
            data = opened.read(MAX_MODEL_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
    found = formats.load_model(data)
    if formats.most_units(found) == 0:
        raise UsageError(f"{path}: the trace of one row is too large for policy exact")
    return found, formats.load_card(data)


def _build(name: str) -> tuple[AnyModel, Card]:
    if name == _SMALL:
        from headrace.graph.digits import build_digits

        return build_digits().model, {}
    from headrace.graph2.importer.standard import STANDARD

    made, card = STANDARD[name]()
    return made, card.as_json()


def _stored(session: Session, program: bytes) -> AnyModel | None:
    try:
        return session.store.get_model(program)
    except BlobError:
        return None
