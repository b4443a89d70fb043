"""A model as one file, the same bytes for the same model everywhere; read from hostile bytes.

Layout: docs/int8-graph.md, "Containers".
"""

import json
from typing import Any

import numpy as np

from headrace.graph.errors import ModelError
from headrace.graph.model import (
    MAX_OPERATORS,
    MAX_WIDTH,
    Model,
    Opcode,
    Operator,
)

MAGIC = b"HRMODEL1"
_LENGTH = 4
MAX_HEADER = 8_192
MAX_MODEL_BYTES = (
    len(MAGIC) + _LENGTH + MAX_HEADER + MAX_OPERATORS * MAX_WIDTH * (MAX_WIDTH + 4 + 4 + 1)
)
"""Most bytes that a model's file can have."""

_TOP_KEYS = {"input_width", "max_units", "operators"}
_MATMUL_KEYS = {"hi", "lo", "opcode", "source", "width_in", "width_out"}
_ARGMAX_KEYS = {"opcode", "source", "width_in"}


def dump_model(model: Model) -> bytes:
    """Return the model's file."""
    header = json.dumps(
        {
            "input_width": model.input_width,
            "max_units": model.max_units,
            "operators": [_describe(operator) for operator in model.operators],
        },
        sort_keys=True,
        separators=(",", ":"),
    ).encode()
    parts = [MAGIC, len(header).to_bytes(_LENGTH, "big"), header]
    for operator in model.operators:
        if operator.opcode == Opcode.MATMUL:
            parts.append(operator.weights.tobytes())
            parts.append(operator.bias.astype("<i4").tobytes())
            parts.append(operator.mult.astype("<u4").tobytes())
            parts.append(operator.shift.astype("u1").tobytes())
    return b"".join(parts)


def load_model(data: bytes, program: bytes | None = None) -> Model:
    """Return the model of a file; with `program`, only the one that has this program id.

    Raises ModelError for anything that isn't exactly the file of a valid model.
    """
    header, start = _read_header(data)
    _keys(header, _TOP_KEYS, "the header")
    described = header["operators"]
    if not isinstance(described, list) or not 1 <= len(described) <= MAX_OPERATORS:
        raise ModelError(f"a model has a list of 1 to {MAX_OPERATORS} operators")
    body = _Body(data, start)
    operators = [_operator(entry, index, body) for index, entry in enumerate(described)]
    body.end()
    model = Model.of(operators, header["input_width"], header["max_units"])
    if dump_model(model) != data:
        raise ModelError("the file isn't in canonical form")
    if program is not None and model.program != program:
        raise ModelError(f"the file holds program {model.program.hex()}, not {program.hex()}")
    return model


def _describe(operator: Operator) -> dict[str, int]:
    entry = {
        "opcode": int(operator.opcode),
        "source": operator.source,
        "width_in": operator.width_in,
    }
    if operator.opcode == Opcode.MATMUL:
        entry |= {"width_out": operator.width_out, "lo": operator.lo, "hi": operator.hi}
    return entry


def _read_header(data: bytes) -> tuple[dict[str, Any], int]:
    if not data:
        raise ModelError("the model file is empty")
    if len(data) > MAX_MODEL_BYTES:
        raise ModelError(f"the model file has {len(data)} bytes, more than {MAX_MODEL_BYTES}")
    if data[: len(MAGIC)] != MAGIC:
        raise ModelError("the model file doesn't start as one")
    start = len(MAGIC) + _LENGTH
    size = int.from_bytes(data[len(MAGIC) : start], "big")
    if size > MAX_HEADER or len(data) < start + size:
        raise ModelError("the model file is cut short or its header is too long")
    try:
        header = json.loads(data[start : start + size].decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise ModelError("the model file's header is no JSON") from error
    if not isinstance(header, dict):
        raise ModelError("the model file's header is no JSON object")
    return header, start + size


def _keys(entry: object, keys: set[str], what: str) -> dict[str, Any]:
    if not isinstance(entry, dict) or set(entry) != keys:
        raise ModelError(f"{what} must have exactly the keys {', '.join(sorted(keys))}")
    return entry


def _width(entry: dict[str, Any], key: str, index: int) -> int:
    width = entry[key]
    if type(width) is not int or not 1 <= width <= MAX_WIDTH:
        raise ModelError(f"{key} of operator {index} must be from 1 to {MAX_WIDTH}")
    return width


def _operator(described: object, index: int, body: "_Body") -> Operator:
    opcode = described.get("opcode") if isinstance(described, dict) else None
    if opcode == Opcode.ARGMAX:
        entry = _keys(described, _ARGMAX_KEYS, f"operator {index}")
        return Operator.argmax(entry["source"], _width(entry, "width_in", index))
    if opcode != Opcode.MATMUL:
        raise ModelError(f"operator {index} has the unknown opcode {opcode!r}")
    entry = _keys(described, _MATMUL_KEYS, f"operator {index}")
    shape = (_width(entry, "width_out", index), _width(entry, "width_in", index))
    return Operator.matmul(
        entry["source"],
        np.frombuffer(body.take(shape[0] * shape[1]), np.int8).reshape(shape),
        np.frombuffer(body.take(4 * shape[0]), "<i4"),
        np.frombuffer(body.take(4 * shape[0]), "<u4"),
        np.frombuffer(body.take(shape[0]), "u1"),
        lo=entry["lo"],
        hi=entry["hi"],
    )


class _Body:
    """The raw bytes after the header, handed out in order."""

    def __init__(self, data: bytes, start: int) -> None:
        self._data = data
        self._at = start

    def take(self, count: int) -> bytes:
        chunk = self._data[self._at : self._at + count]
        if len(chunk) != count:
            raise ModelError("the model file is cut short")
        self._at += count
        return chunk

    def end(self) -> None:
        if self._at != len(self._data):
            raise ModelError(f"the model file has {len(self._data) - self._at} bytes too many")
