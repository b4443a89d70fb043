"""The same operators with numpy. Exact: see the bounds beside each step."""

import numpy as np

from headrace.graph.encoding import Int8
from headrace.graph.errors import InputError
from headrace.graph.model import MAX_WIDTH, Model, Opcode, Operator

# Every partial sum of a product over at most 1,024 int8 elements is a whole number of at most
# 1,024 * 128 * 128 = 2^24, and float32 holds all of those: order and fused adds can't matter.
FLOAT32_EXACT = MAX_WIDTH * 128 * 128 <= 1 << 24


def apply(operator: Operator, source: Int8) -> Int8:
    """Return the operator's output, (T, width_out) int8, for a source of (T, width_in) int8."""
    if operator.opcode == Opcode.ARGMAX:
        best: Int8 = source.argmax(axis=1).astype(np.int8).reshape(-1, 1)
        return best
    kind = np.float32 if FLOAT32_EXACT else np.float64
    product = source.astype(kind) @ operator.weights.T.astype(kind)
    # |acc| < 2^31 and mult < 2^31, so the product and its rounding term stay inside int64
    acc = product.astype(np.int64) + operator.bias
    half = np.int64(1) << (operator.shift - 1)
    scaled = (acc * operator.mult + half) >> operator.shift
    clamped: Int8 = np.clip(scaled, operator.lo, operator.hi).astype(np.int8)
    return clamped


def run(model: Model, tensor: Int8) -> tuple[Int8, ...]:
    """Return every operator's output for an input of (T, input_width) int8.

    Raises InputError when the input isn't int8, or not of a shape that the model takes.
    """
    check_input(model, tensor)
    tensors = [tensor]
    for operator in model.operators:
        tensors.append(apply(operator, tensors[operator.source]))
    return tuple(tensors[1:])


def check_input(model: Model, tensor: Int8) -> None:
    """Raise InputError unless `tensor` is int8 of (1 to max_units, input_width)."""
    if tensor.dtype != np.int8:
        raise InputError(f"the input holds {tensor.dtype}, not int8")
    if tensor.ndim != 2 or tensor.shape[1] != model.input_width:
        raise InputError(
            f"the input has shape {tensor.shape}, the model takes rows of {model.input_width}"
        )
    if not 1 <= tensor.shape[0] <= model.max_units:
        raise InputError(
            f"the input has {tensor.shape[0]} rows, the model takes 1 to {model.max_units}"
        )
