"""A node's file, checked against the chain's names and the store's models."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import UsageError
from headrace.graph.model import Model
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
    models: Mapping[bytes, Model]


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
    names: Mapping[str, bytes] | None = None,
) -> NodeConfig:
    """
    The configuration of a node's file, run by `account`. `names` are what models may be called
    beside their program ids. UsageError, naming the line, if a model isn't in the store, isn't what
    its id says, or breaks a bound; or if the offer is for more rows than its model takes.
    """
    offer = file.offer
    if len(offer.models) > MAX_MODELS:
        raise _wrong(file, source, 0, f"an offer has at most {MAX_MODELS} models")
    models: dict[bytes, Model] = {}
    for place, written in enumerate(offer.models):
        model = _load(file, source, place, written, store, names or {})
        models[model.program] = model
    return NodeConfig(
        provider=file.provider or account,
        index=file.index,
        capacity=file.node.capacity,
        offer=offer,
        models=models,
    )


def _load(
    file: NodeFile,
    source: str,
    place: int,
    written: str,
    store: BlobStore,
    names: Mapping[str, bytes],
) -> Model:
    program = names.get(written)
    if program is None:
        if not _PROGRAM.fullmatch(written):
            known = f"; known: {', '.join(sorted(names))}" if names else ""
            problem = f"expected a program id (0x and 64 digits), got {written!r}{known}"
            raise _wrong(file, source, place, problem)
        program = bytes.fromhex(written[2:])
    try:
        model = store.get_model(program)
    except BlobError as error:
        raise _wrong(file, source, place, f"{written} can't be loaded: {error}") from None
    if model.publishable_units == 0:
        raise _wrong(file, source, place, f"{written} has a trace too large for policy exact")
    return model


def _wrong(file: NodeFile, source: str, place: int, problem: str) -> JobFileError:
    line = file.model_lines[place] if place < len(file.model_lines) else 1
    return JobFileError(source, line, "offer.models", problem)
