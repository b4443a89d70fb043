"""Containers of a job's input and result: bytes that anybody may have written, checked in full."""

import numpy as np

from headrace.errors import HeadraceError
from headrace.graph.encoding import (
    Int8,
    decode_rows,
    encode_rows,
    encode_tensor,
    has_zero_padding,
    leaf,
    padded,
    split_rows,
)
from headrace.graph.errors import InputError, TraceError
from headrace.graph.merkle import HASH_BYTES, Tree, climb, depth
from headrace.graph.model import MAX_UNITS, MAX_WIDTH, Model
from headrace.graph.trace import Trace

INPUT_MAGIC = b"HRTENSR1"
RESULT_MAGIC = b"HRRESLT1"
_NUMBER = 4
_INPUT_HEADER = len(INPUT_MAGIC) + 2 * _NUMBER
_RESULT_HEADER = len(RESULT_MAGIC) + 3 * _NUMBER
MAX_INPUT_BYTES = _INPUT_HEADER + MAX_UNITS * MAX_WIDTH
"""Most bytes an input package can have."""


def tensor_root(tensor: Int8) -> bytes:
    """Return the root over the rows of a (T, width) int8 tensor: the id of an input, 32 bytes."""
    return Tree([leaf(row) for row in encode_rows(tensor)]).root


def input_bytes(units: int, width: int) -> int:
    """Return the exact length of an input package."""
    return _INPUT_HEADER + units * padded(width)


def dump_input(tensor: Int8) -> bytes:
    """Return the package of a (T, width) int8 tensor; InputError when it isn't one."""
    if tensor.dtype != np.int8 or tensor.ndim != 2:
        raise InputError(f"an input is int8 of (T, width), not {tensor.dtype} of {tensor.shape}")
    units, width = tensor.shape
    if not 1 <= units <= MAX_UNITS or not 1 <= width <= MAX_WIDTH:
        raise InputError(f"an input of {units} x {width} is outside the format's bounds")
    return INPUT_MAGIC + _numbers(units, width) + encode_tensor(tensor)


def input_shape(data: bytes) -> tuple[int, int]:
    """Return (units, width) as the header of a package says; InputError when it has none."""
    if data[: len(INPUT_MAGIC)] != INPUT_MAGIC or len(data) < _INPUT_HEADER:
        raise InputError("the input package doesn't start as one")
    return _number(data, len(INPUT_MAGIC)), _number(data, len(INPUT_MAGIC) + _NUMBER)


def load_input(data: bytes, input_id: bytes, units: int, width: int) -> Int8:
    """Return the (units, width) int8 tensor of a package.

    Raises InputError unless the package is whole and has that shape, zero padding and the root
    `input_id`.
    """
    size = padded(width)
    if not data:
        raise InputError("the input package is empty")
    if data[: len(INPUT_MAGIC)] != INPUT_MAGIC:
        raise InputError("the input package doesn't start as one")
    if len(data) < _INPUT_HEADER:
        raise InputError("the input package is cut short")
    shape = (_number(data, len(INPUT_MAGIC)), _number(data, len(INPUT_MAGIC) + _NUMBER))
    if shape != (units, width):
        raise InputError(f"the input has shape {shape}, not {(units, width)}")
    if len(data) != input_bytes(units, width):
        raise InputError(f"the input has {len(data)} bytes, not {input_bytes(units, width)}")
    rows = split_rows(data[_INPUT_HEADER:], size)
    _check_padding(rows, width, InputError("the input's padding isn't zero"))
    if Tree([leaf(row) for row in rows]).root != input_id:
        raise InputError("the input isn't the one its id names")
    return decode_rows(rows, width)


def dump_result(trace: Trace) -> bytes:
    """Return the package of a trace's result: its rows, and the proof that the trace holds them."""
    last = trace.model.op_count - 1
    proof = trace.tree.proof(last)
    head = RESULT_MAGIC + _numbers(trace.units, trace.model.output_width, len(proof))
    return head + b"".join(proof) + b"".join(trace.rows[last])


def load_result(data: bytes, model: Model, units: int, commitment: bytes) -> Int8:
    """Return the (units, output_width) int8 result of a claim.

    Raises TraceError unless the package is whole and the trace root `commitment` holds these rows
    as the output of the model's last operator.
    """
    if data[: len(RESULT_MAGIC)] != RESULT_MAGIC or len(data) < _RESULT_HEADER:
        raise TraceError("the result package doesn't start as one")
    found = tuple(_number(data, len(RESULT_MAGIC) + i * _NUMBER) for i in range(3))
    expected = (units, model.output_width, depth(model.op_count))
    if found != expected:
        raise TraceError(f"the result has shape and proof {found}, not {expected}")
    if len(data) != result_bytes(model, units):
        raise TraceError(f"the result has {len(data)} bytes, not {result_bytes(model, units)}")
    rows_at = _RESULT_HEADER + expected[2] * HASH_BYTES
    proof = split_rows(data[_RESULT_HEADER:rows_at], HASH_BYTES)
    rows = split_rows(data[rows_at:], padded(model.output_width))
    _check_padding(rows, model.output_width, TraceError("the result's padding isn't zero"))
    root = Tree([leaf(row) for row in rows]).root
    if climb(root, model.op_count - 1, proof) != commitment:
        raise TraceError("the result isn't the one that the claim commits to")
    return decode_rows(rows, model.output_width)


def result_bytes(model: Model, units: int) -> int:
    """Return the exact length of a result package."""
    return _RESULT_HEADER + depth(model.op_count) * HASH_BYTES + units * padded(model.output_width)


def _check_padding(rows: tuple[bytes, ...], width: int, error: HeadraceError) -> None:
    if not all(has_zero_padding(row, width) for row in rows):
        raise error


def _numbers(*values: int) -> bytes:
    return b"".join(value.to_bytes(_NUMBER, "big") for value in values)


def _number(data: bytes, start: int) -> int:
    return int.from_bytes(data[start : start + _NUMBER], "big")
