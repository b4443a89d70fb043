"""A node's file, checked against the chain's names and the store's models."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from headrace import formats
from headrace.errors import UsageError
from headrace.formats import AnyModel
from headrace.store.blobs import BlobStore
from headrace.store.errors import BlobError
from headrace.terms.filetext import read_section
from headrace.terms.jobfile import Catalogue, JobFileError, NodeFile, Offer, read_node

_PROGRAM = re.compile(r"0x[0-9a-fA-F]{64}")
# The most programs whose proof `match` takes (8 siblings).
MAX_MODELS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """
    What a node daemon works by. `models` are the whole models that it serves, each validated, by
    program id; `capacity` is how many jobs it runs at once.
    """

    provider: str
    index: int
    capacity: int
    offer: Offer
    models: Mapping[bytes, AnyModel]


def read_file(path: Path, catalogue: Catalogue) -> NodeFile:
    """The node in a file; UsageError, naming line and field, if it can't be used."""
    return read_node(_text(path), str(path), catalogue)


def who_and_which(path: Path) -> tuple[str | None, int]:
    """
    The keyfile that a node's file names (None: the settings' own), and the node's index: what is
    needed before there is a connection that could make sense of the rest.
    """
    top = read_section(_text(path), str(path))
    operator = top.text("operator") if "operator" in top else None
    return operator, top.whole("index", 0, most=7)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"{path} can't be read: {reason}") from None


def make_config(
    file: NodeFile,
    source: str,
    store: BlobStore,
    *,
    account: str,
    own: BlobStore,
    names: Mapping[str, bytes] | None = None,
) -> NodeConfig:
    """
    The configuration of a node's file, run by `account`. `names` are what models may be called
    beside their program ids. Models are copied into the node's `own` store, and come from there
    when `store` has lost them. UsageError, naming the line, if a model is in neither, isn't what
    its id says, or breaks a bound.
    """
    offer = file.offer
    if len(offer.models) > MAX_MODELS:
        raise _wrong(file, source, 0, f"an offer has at most {MAX_MODELS} models")
    models: dict[bytes, AnyModel] = {}
    for place, written in enumerate(offer.models):
        program = _program(file, source, place, written, names or {})
        model = _load(file, source, place, program, store, own)
        models[model.program] = model
    return NodeConfig(
        provider=file.provider or account,
        index=file.index,
        capacity=file.node.capacity,
        offer=offer,
        models=models,
    )


def load_model(program: bytes, store: BlobStore, own: BlobStore) -> AnyModel:
    """A model of the store, copied into `own`, or of `own`. BlobError if neither has it."""
    try:
        model = store.get_model(program)
    except BlobError:
        try:
            return own.get_model(program)
        except BlobError:
            pass
        raise
    own.put_model(model)
    return model


def _program(
    file: NodeFile, source: str, place: int, written: str, names: Mapping[str, bytes]
) -> bytes:
    if written in names:
        return names[written]
    if not _PROGRAM.fullmatch(written):
        known = f"; known: {', '.join(sorted(names))}" if names else ""
        problem = f"expected a program id (0x and 64 digits), got {written!r}{known}"
        raise _wrong(file, source, place, problem)
    return bytes.fromhex(written[2:])


def _load(
    file: NodeFile, source: str, place: int, program: bytes, store: BlobStore, own: BlobStore
) -> AnyModel:
    try:
        model = load_model(program, store, own)
    except BlobError as error:
        problem = f"0x{program.hex()} can't be loaded: {error}"
        raise _wrong(file, source, place, problem) from None
    if formats.most_units(model) == 0:
        problem = f"0x{program.hex()} has a trace too large for policy exact"
        raise _wrong(file, source, place, problem)
    return model


def _wrong(file: NodeFile, source: str, place: int, problem: str) -> JobFileError:
    line = file.model_lines[place] if place < len(file.model_lines) else 1
    return JobFileError(source, line, "offer.models", problem)
