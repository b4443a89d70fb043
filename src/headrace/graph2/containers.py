"""Containers of inputs, traces and results: bytes that anybody may have written, checked in full.

Layout: docs/int8-graph-2.md, "Containers". Elements stand in them plainly (big-endian, row by row):
leaves and roots follow from them, so that there is one form of each and no padding to check.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.graph.errors import InputError, ModelError, TraceError
from headrace.graph.merkle import HASH_BYTES
from headrace.graph2 import quads
from headrace.graph2.model import MAX_UNITS, Model
from headrace.graph2.trace import Trace
from headrace.graph2.views import View, height

INPUT_MAGIC = b"HRTENSR2"
TRACE_MAGIC = b"HRTRACE2"
RESULT_MAGIC = b"HRRESLT2"
_NUMBER = 4
_INPUT_HEADER = len(INPUT_MAGIC) + 4 * _NUMBER
_TRACE_HEADER = len(TRACE_MAGIC) + _NUMBER
_RESULT_HEADER = len(RESULT_MAGIC) + 2 * _NUMBER
MAX_INPUT_BYTES = 1 << 28
"""Most bytes of an input package (256 MiB)."""

Array = npt.NDArray[Any]


def input_bytes(view: View, units: int) -> int:
    """Return the exact length of an input package: what a job's `input_bytes` has to allow."""
    return _INPUT_HEADER + view.rows * units * view.width * view.size


def dump_input(view: View, tensor: Array) -> bytes:
    """Return the package of a tensor of `view`; InputError if it isn't one."""
    units = units_of(view, tensor)
    head = INPUT_MAGIC + _numbers(units, view.rows, view.width, view.size)
    return head + _plain(tensor)


def input_shape(data: bytes) -> tuple[int, View]:
    """Return (units, view) as the header of a package says; InputError when it has none."""
    if data[: len(INPUT_MAGIC)] != INPUT_MAGIC or len(data) < _INPUT_HEADER:
        raise InputError("the input package doesn't start as one")
    units, rows, width, size = (
        _number(data, len(INPUT_MAGIC) + place * _NUMBER) for place in range(4)
    )
    try:
        return units, View(0, rows, width, size)
    except ModelError as error:
        raise InputError(f"the input package is of no tensor: {error}") from error


def load_input(data: bytes, input_id: bytes, view: View, units: int) -> Array:
    """Return the (view.rows * units, view.width) tensor of a package.

    Raises InputError unless the package is whole, has that shape and the root `input_id`.
    """
    if not data:
        raise InputError("the input package is empty")
    found_units, found = input_shape(data)
    if (found_units, found) != (units, view.at(0)):
        raise InputError(
            f"the input is {found_units} x {_shape(found)}, not {units} x {_shape(view)}"
        )
    if len(data) != input_bytes(view, units):
        raise InputError(f"the input has {len(data)} bytes, not {input_bytes(view, units)}")
    tensor = _read(data, _INPUT_HEADER, view, units)
    if quads.tensor_root(view, tensor) != input_id:
        raise InputError("the input isn't the one its id names")
    return tensor


def units_of(view: View, tensor: Array) -> int:
    """Return how many units a tensor has; InputError when it isn't one of this view."""
    if tensor.dtype != view.dtype or tensor.ndim != 2 or tensor.shape[1] != view.width:
        raise InputError(
            f"an input is {view.dtype} in rows of {view.width}, not {tensor.dtype} of "
            f"{tensor.shape}"
        )
    units, rest = divmod(tensor.shape[0], view.rows)
    if rest or not 1 <= units <= MAX_UNITS:
        raise InputError(f"{tensor.shape[0]} rows aren't 1 to {MAX_UNITS} units of {view.rows}")
    return units


def trace_bytes(model: Model, units: int) -> int:
    """Return the exact length of a trace package."""
    elements = (op.out.rows * units * op.out.width * op.out.size for op in model.operators)
    return _TRACE_HEADER + sum(elements)


def dump_trace(trace: Trace) -> bytes:
    """Return the package of a trace: every operator's output, plainly, in order."""
    head = TRACE_MAGIC + _numbers(trace.units)
    return head + b"".join(_plain(tensor) for tensor in trace.tensors)


def load_trace(data: bytes, model: Model, units: int, commitment: bytes | None = None) -> Trace:
    """Return the trace of `units` units; with `commitment`, only the one of this root.

    Raises TraceError unless the package is whole.
    """
    if data[: len(TRACE_MAGIC)] != TRACE_MAGIC or len(data) < _TRACE_HEADER:
        raise TraceError("the trace package doesn't start as one")
    if not 1 <= units <= model.max_units:
        raise TraceError(f"a trace of {units} units; the model takes 1 to {model.max_units}")
    if _number(data, len(TRACE_MAGIC)) != units:
        raise TraceError(f"the trace has {_number(data, len(TRACE_MAGIC))} units, not {units}")
    if len(data) != trace_bytes(model, units):
        raise TraceError(f"the trace has {len(data)} bytes, not {trace_bytes(model, units)}")
    tensors = []
    start = _TRACE_HEADER
    for operator in model.operators:
        tensors.append(_read(data, start, operator.out, units))
        start += operator.out.rows * units * operator.out.width * operator.out.size
    trace = Trace(model, units, tuple(tensors))
    if commitment is not None and trace.root != commitment:
        raise TraceError("the trace has another root")
    return trace


def result_bytes(model: Model, units: int) -> int:
    """Return the exact length of a result package."""
    out = model.output
    return _RESULT_HEADER + _path_bytes(model) + out.rows * units * out.width * out.size


def dump_result(trace: Trace) -> bytes:
    """Return the package of a trace's result: its elements, and the way to the trace's root."""
    proof = trace.tensor_proof(trace.model.op_count - 1)
    head = RESULT_MAGIC + _numbers(trace.units, len(proof))
    return head + b"".join(proof) + _plain(trace.tensors[-1])


def load_result(data: bytes, model: Model, units: int, commitment: bytes) -> Array:
    """Return the result of a claim, (rows * units, width) of the model's output.

    Raises TraceError unless the package is whole and the trace root `commitment` holds these
    elements as the output of the model's last operator.
    """
    if data[: len(RESULT_MAGIC)] != RESULT_MAGIC or len(data) < _RESULT_HEADER:
        raise TraceError("the result package doesn't start as one")
    found = tuple(_number(data, len(RESULT_MAGIC) + place * _NUMBER) for place in range(2))
    expected = (units, _path_bytes(model) // HASH_BYTES)
    if found != expected:
        raise TraceError(f"the result has units and proof {found}, not {expected}")
    if len(data) != result_bytes(model, units):
        raise TraceError(f"the result has {len(data)} bytes, not {result_bytes(model, units)}")
    start = _RESULT_HEADER + _path_bytes(model)
    path = data[_RESULT_HEADER:start]
    proof = [path[at : at + HASH_BYTES] for at in range(0, len(path), HASH_BYTES)]
    tensor = _read(data, start, model.output, units)
    root = quads.tensor_root(model.output, tensor)
    if quads.climb(root, model.op_count - 1, proof) != commitment:
        raise TraceError("the result isn't the one that the claim commits to")
    return tensor


def _path_bytes(model: Model) -> int:
    return 6 * height(model.op_count) * HASH_BYTES


def _plain(tensor: Array) -> bytes:
    return np.ascontiguousarray(tensor, dtype=tensor.dtype.newbyteorder(">")).tobytes()


def _read(data: bytes, start: int, view: View, units: int) -> Array:
    rows = view.rows * units
    plain = np.frombuffer(data, view.dtype.newbyteorder(">"), rows * view.width, start)
    return plain.reshape(rows, view.width).astype(view.dtype)


def _shape(view: View) -> str:
    return f"{view.rows} rows of {view.width} {view.dtype}"


def _numbers(*values: int) -> bytes:
    return b"".join(value.to_bytes(_NUMBER, "big") for value in values)


def _number(data: bytes, start: int) -> int:
    return int.from_bytes(data[start : start + _NUMBER], "big")
