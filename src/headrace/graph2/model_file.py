"""A model package: graph, weights and card as one file, the same bytes everywhere.

Layout: docs/int8-graph-2.md, "Containers". Read from hostile bytes: nothing is made that the file
hasn't the bytes for, and what isn't canonical is refused.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.graph.errors import ModelError
from headrace.graph2.model import MAX_OPERATORS, Model
from headrace.graph2.opcodes import CONSTANT, SCALED, Opcode
from headrace.graph2.operators import FIELDS, Operator, Params
from headrace.graph2.views import View

MAGIC = b"HRMODEL2"
MAX_HEADER = 1 << 18
MAX_MODEL_BYTES = 1 << 28
"""Most bytes of a package (256 MiB); the longest header has 256 KiB."""

_LENGTH = 4
_TOP_KEYS = {"card", "input", "max_units", "operators"}
_KEYS = {"a", "b", "extra", "hi", "lo", "opcode", "out", "per_column", "s"}
_MAX_CARD_DEPTH = 4

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Package:
    """A model with its card: what is said of it (name, licence, source, hashes, accuracy)."""

    model: Model
    card: Mapping[str, Any]


def dump_package(model: Model, card: Mapping[str, Any] | None = None) -> bytes:
    """Return the package. ModelError when the card isn't plain JSON or the file gets too long."""
    header = _header(model, {} if card is None else dict(card))
    parts = [MAGIC, len(header).to_bytes(_LENGTH, "big"), header]
    for operator in model.operators:
        parts += _arrays(operator)
    data = b"".join(parts)
    if len(data) > MAX_MODEL_BYTES:
        raise ModelError(f"the package has {len(data)} bytes, more than {MAX_MODEL_BYTES}")
    return data


def load_package(data: bytes, program: bytes | None = None) -> Package:
    """Return the package in `data`; with `program`, only the one that has this program id.

    Raises ModelError for anything that isn't exactly the package of a valid model.
    """
    header, start = _read_header(data)
    top = _keys(header, _TOP_KEYS, "the header")
    described = top["operators"]
    if not isinstance(described, list) or not 1 <= len(described) <= MAX_OPERATORS:
        raise ModelError(f"a model has a list of 1 to {MAX_OPERATORS} operators")
    body = _Body(data, start)
    operators = [_operator(entry, index, body) for index, entry in enumerate(described)]
    body.end()
    model = Model.of(operators, _view(top["input"], "the input", at=0), top["max_units"])
    card = top["card"]
    if not isinstance(card, dict):
        raise ModelError("the card is no JSON object")
    if data[len(MAGIC) + _LENGTH : start] != _header(model, card):
        raise ModelError("the package isn't in canonical form")
    if program is not None and model.program != program:
        raise ModelError(f"the package holds program {model.program.hex()}, not {program.hex()}")
    return Package(model, MappingProxyType(card))


def card_id(card: Mapping[str, Any]) -> bytes:
    """Return the bytes whose Keccak-256 is logged as a model's `card_id`: its canonical JSON."""
    return _json(dict(card))


def _json(value: object) -> bytes:
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"the card is no plain JSON: {error}") from error
    return text.encode("ascii")


def _header(model: Model, card: dict[str, Any]) -> bytes:
    _check_card(card, 0)
    header = _json(
        {
            "card": card,
            "input": _shape(model.input),
            "max_units": model.max_units,
            "operators": [_describe(operator) for operator in model.operators],
        }
    )
    if len(header) > MAX_HEADER:
        raise ModelError(f"the header has {len(header)} bytes, more than {MAX_HEADER}")
    return header


def _check_card(value: object, depth: int) -> None:
    if depth > _MAX_CARD_DEPTH:
        raise ModelError("the card is nested too deeply")
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise ModelError("the card's keys are texts")
        for part in value.values():
            _check_card(part, depth + 1)
    elif isinstance(value, list):
        for part in value:
            _check_card(part, depth + 1)
    elif value is not None and not isinstance(value, str | int | float):
        raise ModelError(f"the card holds a {type(value).__name__}")


def _shape(view: View) -> list[int]:
    return [view.rows, view.width, view.size]


def _source(view: View | None) -> list[int] | None:
    return None if view is None else [view.tensor, *_shape(view)]


def _describe(operator: Operator) -> dict[str, Any]:
    return {
        "opcode": int(operator.opcode),
        "a": _source(operator.a),
        "b": _source(operator.b),
        "s": _source(operator.s),
        "out": _shape(operator.out),
        "extra": list(operator.extra),
        "lo": operator.lo,
        "hi": operator.hi,
        "per_column": operator.per_column,
    }


def _arrays(operator: Operator) -> list[bytes]:
    parts = []
    if operator.weights is not None:
        parts.append(operator.weights.tobytes())
    if operator.params is not None:
        parts.append(operator.params.bias.astype("<i4").tobytes())
        parts.append(operator.params.mult.astype("<i4").tobytes())
        parts.append(operator.params.shift.astype("u1").tobytes())
    if operator.table is not None:
        kind = operator.table.dtype.newbyteorder("<")
        parts.append(np.ascontiguousarray(operator.table, dtype=kind).tobytes())
    return parts


def _read_header(data: bytes) -> tuple[dict[str, Any], int]:
    if not data:
        raise ModelError("the model package is empty")
    if len(data) > MAX_MODEL_BYTES:
        raise ModelError(f"the model package has {len(data)} bytes, more than {MAX_MODEL_BYTES}")
    if data[: len(MAGIC)] != MAGIC:
        raise ModelError("the model package doesn't start as one")
    start = len(MAGIC) + _LENGTH
    size = int.from_bytes(data[len(MAGIC) : start], "big")
    if size > MAX_HEADER or len(data) < start + size:
        raise ModelError("the model package is cut short or its header is too long")
    try:
        header = json.loads(data[start : start + size].decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise ModelError("the model package's header is no JSON") from error
    if not isinstance(header, dict):
        raise ModelError("the model package's header is no JSON object")
    return header, start + size


def _keys(entry: object, keys: set[str], what: str) -> dict[str, Any]:
    if not isinstance(entry, dict) or set(entry) != keys:
        raise ModelError(f"{what} must have exactly the keys {', '.join(sorted(keys))}")
    return entry


def _whole(values: object, count: int, what: str) -> list[int]:
    if not isinstance(values, list) or len(values) != count:
        raise ModelError(f"{what} is a list of {count} whole numbers")
    if any(type(value) is not int for value in values):
        raise ModelError(f"{what} holds something else than whole numbers")
    return values


def _view(value: object, what: str, *, at: int | None = None) -> View:
    """A view; with `at` one that says no tensor itself."""
    if at is None:
        return View(*_whole(value, 4, what))
    return View(at, *_whole(value, 3, what))


def _optional(value: object, what: str) -> View | None:
    return None if value is None else _view(value, what)


def _operator(described: object, index: int, body: "_Body") -> Operator:
    what = f"operator {index}"
    entry = _keys(described, _KEYS, what)
    opcode = entry["opcode"]
    if type(opcode) is not int or opcode not in Opcode.__members__.values():
        raise ModelError(f"{what} has the unknown opcode {opcode!r}")
    if type(entry["per_column"]) is not bool:
        raise ModelError(f"{what}: per_column is true or false")
    a = _view(entry["a"], f"a of {what}")
    out = _view(entry["out"], f"out of {what}", at=0)
    extra = tuple(_whole(entry["extra"], FIELDS, f"extra of {what}"))
    lo, hi = _whole([entry["lo"], entry["hi"]], 2, f"the clamp of {what}")
    try:
        return Operator(
            opcode=Opcode(opcode),
            a=a,
            b=_optional(entry["b"], f"b of {what}"),
            s=_optional(entry["s"], f"s of {what}"),
            out=out,
            extra=extra,
            lo=lo,
            hi=hi,
            per_column=entry["per_column"],
            weights=_weights(opcode, a, out, body),
            params=_params(opcode, out, entry["per_column"], body),
            table=_table(opcode, out, extra, body),
        )
    except ModelError as error:
        raise ModelError(f"{what}: {error}") from None


def _weights(opcode: int, a: View, out: View, body: "_Body") -> Array | None:
    if opcode != Opcode.MATMUL:
        return None
    return body.array("i1", (out.width, a.width))


def _params(opcode: int, out: View, per_column: bool, body: "_Body") -> Params | None:
    if opcode not in SCALED and opcode != Opcode.ADD:
        return None
    count = out.width if per_column else 1
    bias, mult, shift = (body.array(kind, (count,)) for kind in ("<i4", "<i4", "u1"))
    return Params.of(mult=mult, shift=shift, bias=bias)


def _table(opcode: int, out: View, extra: tuple[int, ...], body: "_Body") -> Array | None:
    if opcode == Opcode.LUT8:
        return body.array(f"<i{out.size}", (256,))
    if opcode == Opcode.LUT16:
        return body.array("<i2", (257,))
    if opcode == Opcode.GATHER:
        return body.array(f"<i{out.size}", (extra[0] + 1, out.width))
    if opcode == Opcode.ADD and extra[1] == CONSTANT:
        if extra[3] not in (1, 2, 4):
            raise ModelError("ADD: bad size of constants")
        return body.array(f"<i{extra[3]}", (extra[2], out.width))
    return None


class _Body:
    """The raw bytes after the header, handed out in order."""

    def __init__(self, data: bytes, start: int) -> None:
        self._data = data
        self._at = start

    def array(self, kind: str, shape: tuple[int, ...]) -> Array:
        """The next array; a view of the file's bytes in this machine's order."""
        dtype = np.dtype(kind)
        count = dtype.itemsize
        for length in shape:
            count *= length
        if self._at + count > len(self._data):
            raise ModelError("the model package is cut short")
        found = np.frombuffer(self._data, dtype, count // dtype.itemsize, self._at).reshape(shape)
        self._at += count
        return found.astype(dtype.newbyteorder("="), copy=False)

    def end(self) -> None:
        """ModelError when bytes are left."""
        if self._at != len(self._data):
            raise ModelError(f"the model package has {len(self._data) - self._at} bytes too many")
