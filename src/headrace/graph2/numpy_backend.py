"""The same operators with numpy, whole tensors at a time. Exact: the bound is beside each step.

Products go through float BLAS only where every partial sum is a whole number that the float type
holds: up to 2^24 in float32, 2^53 in float64. Everything else is int64, which docs/int8-graph-2.md
keeps from overflowing.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.graph.errors import InputError
from headrace.graph2.model import Model
from headrace.graph2.opcodes import CONSTANT, SAME, Opcode
from headrace.graph2.operators import SATURATED, Operator
from headrace.graph2.views import View

Array = npt.NDArray[Any]
Int64 = npt.NDArray[np.int64]

_FLOAT32_WHOLE = 1 << 24
_GREATEST = {1: 128, 2: 1 << 15, 4: 1 << 31}


class Plan:
    """A model made ready to run: weights in the float type that multiplies them exactly.

    With `exact` no float is used at all: several times slower, and a second opinion.
    """

    def __init__(self, model: Model, *, exact: bool = False) -> None:
        """Convert every MATMUL's weights once."""
        self.model = model
        self.exact = exact
        self._weights: dict[int, Array] = {
            id(op): self._converted(op) for op in model.operators if op.opcode == Opcode.MATMUL
        }
        self._scaled: dict[int, tuple[Int64, Int64, Int64, Int64]] = {
            id(op): _scaling(op) for op in model.operators if op.params is not None
        }

    def run(self, tensor: Array) -> tuple[Array, ...]:
        """Return every operator's output for an input of (input.rows * units, input.width).

        InputError when the model doesn't take it.
        """
        units = check_input(self.model, tensor)
        tensors: list[Array] = [tensor]
        for operator in self.model.operators:
            tensors.append(self.apply(operator, tensors, units))
        return tuple(tensors[1:])

    def apply(self, op: Operator, tensors: Sequence[Array], units: int) -> Array:
        """Return one operator's output, of its view's type."""
        made = _KERNELS[Opcode(op.opcode)](self, op, tensors, units)
        result = np.ascontiguousarray(made, dtype=op.out.dtype)
        return result

    def weights(self, op: Operator) -> Array:
        """The (a.width, out.width) weights of a MATMUL as floats."""
        if id(op) not in self._weights:
            self._weights[id(op)] = self._converted(op)
        return self._weights[id(op)]

    def _converted(self, op: Operator) -> Array:
        if op.weights is None:
            raise ValueError("the operator has no weights")
        if self.exact:
            return np.ascontiguousarray(op.weights.T, dtype=np.int64)
        return _float_weights(op.weights)

    def product_type(self, left: View, right: View, terms: int) -> type[np.generic]:
        """The type in which sums of so many products are exact."""
        if self.exact:
            return np.int64
        greatest = _GREATEST[left.size] * _GREATEST[right.size] * terms
        return np.float32 if greatest <= _FLOAT32_WHOLE else np.float64

    def requantise(self, op: Operator, acc: Int64) -> Int64:
        """Q of a whole tensor, in place where it can be."""
        if id(op) not in self._scaled:
            self._scaled[id(op)] = _scaling(op)
        bias, mult, half, shift = self._scaled[id(op)]
        if op.opcode != Opcode.MATMUL:  # a MATMUL's sums can't reach the bound
            acc = np.clip(acc, -SATURATED, SATURATED)
        acc += bias
        acc *= mult
        acc += half
        acc >>= shift
        return np.clip(acc, op.lo, op.hi, out=acc)


def run(model: Model, tensor: Array) -> tuple[Array, ...]:
    """Return every operator's output; for more than one run keep a `Plan`."""
    return Plan(model).run(tensor)


def check_input(model: Model, tensor: Array) -> int:
    """Return the units of an input; InputError unless the model takes it."""
    view = model.input
    if tensor.dtype != view.dtype:
        raise InputError(f"the input holds {tensor.dtype}, not {view.dtype}")
    if tensor.ndim != 2 or tensor.shape[1] != view.width:
        raise InputError(
            f"the input has shape {tensor.shape}, the model takes rows of {view.width}"
        )
    units, rest = divmod(tensor.shape[0], view.rows)
    if rest or not 1 <= units <= model.max_units:
        raise InputError(
            f"the input has {tensor.shape[0]} rows, the model takes 1 to {model.max_units} units "
            f"of {view.rows}"
        )
    return units


def _float_weights(weights: Array) -> Array:
    # Every partial sum is at most 128 times the sum of the column's magnitudes.
    greatest = int(np.abs(weights.astype(np.int64)).sum(axis=1).max()) * 128
    kind = np.float32 if greatest <= _FLOAT32_WHOLE else np.float64
    return np.ascontiguousarray(weights.T, dtype=kind)


def _scaling(op: Operator) -> tuple[Int64, Int64, Int64, Int64]:
    if op.params is None:
        raise ValueError("the operator has no parameters")
    half = np.int64(1) << (op.params.shift - 1)
    return op.params.bias, op.params.mult, half, op.params.shift


def _a(op: Operator, tensors: Sequence[Array]) -> Array:
    return tensors[op.a.tensor]


def _b(op: Operator, tensors: Sequence[Array]) -> Array:
    if op.b is None:
        raise ValueError("the operator has no second tensor")
    return tensors[op.b.tensor]


def _matmul(plan: Plan, op: Operator, tensors: Sequence[Array], units: int) -> Array:
    weights = plan.weights(op)
    product = _a(op, tensors).astype(weights.dtype) @ weights
    return plan.requantise(op, product.astype(np.int64))


def _scores(plan: Plan, op: Operator, tensors: Sequence[Array], units: int) -> Array:
    heads, seq, channels = op.extra[:3]
    groups = op.a.rows * units // seq
    kind = plan.product_type(op.a, op.a, channels)
    split = (groups, seq, heads, channels)
    own = _a(op, tensors).reshape(split).transpose(0, 2, 1, 3).astype(kind)
    other = _b(op, tensors).reshape(split).transpose(0, 2, 3, 1).astype(kind)
    acc = np.matmul(own, other).astype(np.int64)
    made = plan.requantise(op, acc)
    if op.s is not None:
        mask = tensors[op.s.tensor].reshape(groups, 1, 1, seq)
        made = np.where(mask == 0, np.int64(op.lo), made)
    return made.reshape(groups * heads * seq, seq)


def _context(plan: Plan, op: Operator, tensors: Sequence[Array], units: int) -> Array:
    heads, seq, channels, shift = op.extra[:4]
    if op.b is None:
        raise ValueError("the operator has no second tensor")
    groups = op.a.rows * units // (heads * seq)
    width = op.a.width
    kind = plan.product_type(op.a, op.b, width)
    left = _a(op, tensors).reshape(groups, heads, seq, width).astype(kind)
    right = _b(op, tensors).reshape(groups, heads, channels, width)
    acc = np.matmul(left, right.transpose(0, 1, 3, 2).astype(kind)).astype(np.int64)
    if op.s is not None:
        # at most 2^30 times 2^31
        acc *= tensors[op.s.tensor].reshape(groups, heads, seq, 1).astype(np.int64)
        acc >>= shift
    rows = acc.transpose(0, 2, 1, 3).reshape(groups * seq, heads * channels)
    return plan.requantise(op, rows)


def _transpose(plan: Plan, op: Operator, tensors: Sequence[Array], units: int) -> Array:
    seq = op.x(1)
    source = _a(op, tensors)
    blocks = source.reshape(-1, seq, op.a.width)
    return blocks.transpose(0, 2, 1).reshape(-1, seq)


def _affine(plan: Plan, op: Operator, tensors: Sequence[Array], units: int) -> Array:
    start = op.x(0)
    part = _a(op, tensors)[:, start : start + op.out.width]
    return plan.requantise(op, part.astype(np.int64))


def _second(op: Operator, tensors: Sequence[Array]) -> Array:
    """The second operand of MUL and ADD, in a shape that goes with the first's."""
    if op.x(1) == CONSTANT:
        if op.table is None:
            raise ValueError("the operator has no table")
        rows = _a(op, tensors).shape[0]
        made: Array = op.table[np.arange(rows) % op.x(2)]
        return made
    return _b(op, tensors) if op.x(1) == SAME else _b(op, tensors).reshape(-1, 1)


def _mul(plan: Plan, op: Operator, tensors: Sequence[Array], units: int) -> Array:
    acc = _a(op, tensors).astype(np.int64)
    acc *= _second(op, tensors)  # at most 2^62
    acc >>= op.x(0)
    return plan.requantise(op, acc)


def _add(plan: Plan, op: Operator, tensors: Sequence[Array], units: int) -> Array:
    if op.params is None:
        raise ValueError("the operator has no parameters")
    _, mult, shift = op.params.at(0)
    # at most 2^31 * 2^30 each, and half of 2^62
    acc = _a(op, tensors).astype(np.int64)
    acc *= mult
    acc += _second(op, tensors).astype(np.int64) * (op.x(4) - (1 << 31))
    acc += 1 << (shift - 1)
    acc >>= shift
    return np.clip(acc, op.lo, op.hi, out=acc)


def _lut8(plan: Plan, op: Operator, tensors: Sequence[Array], units: int) -> Array:
    if op.table is None:
        raise ValueError("the operator has no table")
    made: Array = op.table[_a(op, tensors).view(np.uint8) ^ 128]
    return made


def _lut16(plan: Plan, op: Operator, tensors: Sequence[Array], units: int) -> Array:
    if op.table is None:
        raise ValueError("the operator has no table")
    value = _a(op, tensors).astype(np.int32)
    if op.s is not None:
        stat = tensors[op.s.tensor].reshape(-1, 1)
        # an int32 stat may take the difference out of int32
        value = (value - stat.astype(np.int64)) if op.s.size == 4 else value - stat.astype(np.int32)
        value = np.clip(value, -(1 << 15), (1 << 15) - 1).astype(np.int32)
    value += 1 << 15
    index = value >> 8
    part = value & 255
    table = op.table.astype(np.int32)
    steps = np.diff(table)
    # T[i]*256 + (T[i+1] - T[i]) * f is the same sum; at most 2^15 * 2^8 twice
    mixed = (np.take(table, index) << 8) + np.take(steps, index) * part
    mixed += 128
    mixed >>= 8
    made: Array = np.clip(mixed, op.lo, op.hi, out=mixed)
    return made


def _rowsum(plan: Plan, op: Operator, tensors: Sequence[Array], units: int) -> Array:
    acc = _a(op, tensors).sum(axis=1, dtype=np.int64)
    return plan.requantise(op, acc.reshape(-1, op.out.width))


def _rowdot(plan: Plan, op: Operator, tensors: Sequence[Array], units: int) -> Array:
    # at most 4,096 * 2^30 = 2^42: whole in float64, whatever the order of the sum
    source: Array = _a(op, tensors).astype(np.int64 if plan.exact else np.float64)
    acc: Int64 = np.einsum("ij,ij->i", source, source).astype(np.int64)
    acc >>= op.x(0)
    return plan.requantise(op, acc.reshape(-1, op.out.width))


def _isqrt(plan: Plan, op: Operator, tensors: Sequence[Array], units: int) -> Array:
    # below 2^52 the rounded root is at most one too high, never too low
    value = np.maximum(_a(op, tensors).astype(np.int64), 0)
    root = np.sqrt(value.astype(np.float64)).astype(np.int64)
    root -= root * root > value
    return np.clip(root, op.lo, op.hi)


def _recip(plan: Plan, op: Operator, tensors: Sequence[Array], units: int) -> Array:
    divisor = np.maximum(_a(op, tensors).astype(np.int64), 1)
    return np.clip((np.int64(1) << op.x(0)) // divisor, op.lo, op.hi)


def _argmax(plan: Plan, op: Operator, tensors: Sequence[Array], units: int) -> Array:
    made: Array = _a(op, tensors).argmax(axis=1).reshape(-1, op.out.width)
    return made


def _pick(plan: Plan, op: Operator, tensors: Sequence[Array], units: int) -> Array:
    index = np.clip(_b(op, tensors).astype(np.int64), 0, op.a.width - 1).reshape(-1, 1)
    return np.take_along_axis(_a(op, tensors), index, axis=1).reshape(-1, op.out.width)


def _gather(plan: Plan, op: Operator, tensors: Sequence[Array], units: int) -> Array:
    if op.table is None:
        raise ValueError("the operator has no table")
    made: Array = op.table[np.clip(_a(op, tensors).astype(np.int64), 0, op.x(0)).ravel()]
    return made


def _reshape(plan: Plan, op: Operator, tensors: Sequence[Array], units: int) -> Array:
    return _a(op, tensors).reshape(-1, op.out.width)


def _concat(plan: Plan, op: Operator, tensors: Sequence[Array], units: int) -> Array:
    return np.concatenate([_a(op, tensors), _b(op, tensors)], axis=1)


def _im2col(plan: Plan, op: Operator, tensors: Sequence[Array], units: int) -> Array:
    rows, columns, channels, kernel, stride, padding = op.extra[:6]
    images = _a(op, tensors).reshape(-1, rows, columns, channels)
    edge = (padding, padding)
    padded = np.pad(images, ((0, 0), edge, edge, (0, 0)))
    windows: Array = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), (1, 2))  # type: ignore[call-overload]
    # (image, y, x, channel, i, j) -> (image, y, x, i, j, channel)
    strided = windows[:, ::stride, ::stride].transpose(0, 1, 2, 4, 5, 3)
    return strided.reshape(-1, kernel * kernel * channels)


_Kernel = Callable[[Plan, Operator, Sequence[Array], int], Array]

_KERNELS: dict[Opcode, _Kernel] = {
    Opcode.MATMUL: _matmul,
    Opcode.SCORES: _scores,
    Opcode.CONTEXT: _context,
    Opcode.TRANSPOSE: _transpose,
    Opcode.AFFINE: _affine,
    Opcode.MUL: _mul,
    Opcode.ADD: _add,
    Opcode.LUT8: _lut8,
    Opcode.LUT16: _lut16,
    Opcode.ROWSUM: _rowsum,
    Opcode.ROWDOT: _rowdot,
    Opcode.ISQRT: _isqrt,
    Opcode.RECIP: _recip,
    Opcode.ARGMAX: _argmax,
    Opcode.PICK: _pick,
    Opcode.GATHER: _gather,
    Opcode.RESHAPE: _reshape,
    Opcode.CONCAT: _concat,
    Opcode.IM2COL: _im2col,
}
