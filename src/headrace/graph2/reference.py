"""What every operator means, in plain Python integers: slow, obvious, the rest must equal it."""

from collections.abc import Callable, Sequence
from math import isqrt
from typing import Any, TypeAlias

import numpy.typing as npt

from headrace.graph2.model import Model
from headrace.graph2.opcodes import CONSTANT, SAME, Opcode
from headrace.graph2.operators import SATURATED, Operator

Rows: TypeAlias = Sequence[Sequence[int]] | npt.NDArray[Any]
Tensors: TypeAlias = Sequence[Rows]


def clamp(value: int, lo: int, hi: int) -> int:
    """Return the nearest of lo..hi."""
    return max(lo, min(hi, value))


def requantise(op: Operator, acc: int, column: int) -> int:
    """Return Q(acc, column): saturate, then `((acc + bias) * mult + half) >> shift`, clamped."""
    if op.params is None:
        raise ValueError("the operator has no parameters")
    bias, mult, shift = op.params.at(column)
    summed = clamp(acc, -SATURATED, SATURATED) + bias
    return clamp((summed * mult + (1 << (shift - 1))) >> shift, op.lo, op.hi)


def element(op: Operator, tensors: Tensors, row: int, column: int) -> int:
    """Return element (row, column) of the operator's output; `tensors[0]` is the input."""
    return _RULES[Opcode(op.opcode)](op, tensors, row, column)


def apply(op: Operator, tensors: Tensors, units: int) -> list[list[int]]:
    """Return the operator's whole output, (rows * units, width)."""
    rule = _RULES[Opcode(op.opcode)]
    return [
        [rule(op, tensors, row, column) for column in range(op.out.width)]
        for row in range(op.out.rows * units)
    ]


def run(model: Model, rows: Rows) -> list[list[list[int]]]:
    """Return every operator's output for an input of (input.rows * units, input.width)."""
    units = len(rows) // model.input.rows
    tensors: list[Rows] = [rows]
    outputs = []
    for operator in model.operators:
        outputs.append(apply(operator, tensors, units))
        tensors.append(outputs[-1])
    return outputs


def _a(op: Operator, tensors: Tensors) -> Rows:
    return tensors[op.a.tensor]


def _b(op: Operator, tensors: Tensors) -> Rows:
    if op.b is None:
        raise ValueError("the operator has no second tensor")
    return tensors[op.b.tensor]


def _stat(tensor: Rows, row: int) -> int:
    """The element of a stat tensor that belongs to a row."""
    width = len(tensor[0])
    return int(tensor[row // width][row % width])


def _unfold(op: Operator, row: int, column: int) -> int:
    """The row of `a` that an element of a folded output stands for."""
    return row * op.out.width + column


def _table(op: Operator, number: int, column: int) -> int:
    if op.table is None:
        raise ValueError("the operator has no table")
    return int(op.table[number, column])


def _entry(op: Operator, index: int) -> int:
    if op.table is None:
        raise ValueError("the operator has no table")
    return int(op.table[index])


def _matmul(op: Operator, tensors: Tensors, row: int, column: int) -> int:
    if op.weights is None:
        raise ValueError("the operator has no weights")
    pairs = zip(_a(op, tensors)[row], op.weights[column], strict=True)
    return requantise(op, sum(int(x) * int(w) for x, w in pairs), column)


def _scores(op: Operator, tensors: Tensors, row: int, column: int) -> int:
    heads, seq, channels = op.extra[:3]
    group, rest = divmod(row, heads * seq)
    head, query = divmod(rest, seq)
    if op.s is not None and tensors[op.s.tensor][group][column] == 0:
        return op.lo
    own = _a(op, tensors)[group * seq + query]
    other = _b(op, tensors)[group * seq + column]
    start = head * channels
    acc = sum(int(own[k]) * int(other[k]) for k in range(start, start + channels))
    return requantise(op, acc, column)


def _context(op: Operator, tensors: Tensors, row: int, column: int) -> int:
    heads, seq, channels, shift = op.extra[:4]
    group, query = divmod(row, seq)
    at = (group * heads + column // channels) * seq + query
    pairs = zip(
        _a(op, tensors)[at], _b(op, tensors)[group * heads * channels + column], strict=True
    )
    acc = sum(int(x) * int(y) for x, y in pairs)
    if op.s is not None:
        acc = (acc * _stat(tensors[op.s.tensor], at)) >> shift
    return requantise(op, acc, column)


def _transpose(op: Operator, tensors: Tensors, row: int, column: int) -> int:
    block, channel = divmod(row, op.a.width)
    return int(_a(op, tensors)[block * op.x(1) + column][channel])


def _affine(op: Operator, tensors: Tensors, row: int, column: int) -> int:
    return requantise(op, int(_a(op, tensors)[row][column + op.x(0)]), column)


def _second(op: Operator, tensors: Tensors, row: int, column: int) -> int:
    if op.x(1) == CONSTANT:
        return _table(op, row % op.x(2), column)
    if op.x(1) == SAME:
        return int(_b(op, tensors)[row][column])
    return _stat(_b(op, tensors), row)


def _mul(op: Operator, tensors: Tensors, row: int, column: int) -> int:
    first = int(_a(op, tensors)[row][column])
    return requantise(op, (first * _second(op, tensors, row, column)) >> op.x(0), column)


def _add(op: Operator, tensors: Tensors, row: int, column: int) -> int:
    if op.params is None:
        raise ValueError("the operator has no parameters")
    _, mult, shift = op.params.at(0)
    first = int(_a(op, tensors)[row][column]) * mult
    second = _second(op, tensors, row, column) * (op.x(4) - (1 << 31))
    return clamp((first + second + (1 << (shift - 1))) >> shift, op.lo, op.hi)


def _lut8(op: Operator, tensors: Tensors, row: int, column: int) -> int:
    return _entry(op, int(_a(op, tensors)[row][column]) + 128)


def _lut16(op: Operator, tensors: Tensors, row: int, column: int) -> int:
    value = int(_a(op, tensors)[row][column])
    if op.s is not None:
        value -= _stat(tensors[op.s.tensor], row)
    index, part = divmod(clamp(value, -(1 << 15), (1 << 15) - 1) + (1 << 15), 256)
    mixed = _entry(op, index) * (256 - part) + _entry(op, index + 1) * part
    return clamp((mixed + 128) >> 8, op.lo, op.hi)


def _rowsum(op: Operator, tensors: Tensors, row: int, column: int) -> int:
    return requantise(op, sum(map(int, _a(op, tensors)[_unfold(op, row, column)])), column)


def _rowdot(op: Operator, tensors: Tensors, row: int, column: int) -> int:
    squares = sum(int(x) * int(x) for x in _a(op, tensors)[_unfold(op, row, column)])
    return requantise(op, squares >> op.x(0), column)


def _isqrt(op: Operator, tensors: Tensors, row: int, column: int) -> int:
    return clamp(isqrt(max(int(_a(op, tensors)[row][column]), 0)), op.lo, op.hi)


def _recip(op: Operator, tensors: Tensors, row: int, column: int) -> int:
    divisor = max(int(_a(op, tensors)[row][column]), 1)
    return clamp((1 << op.x(0)) // divisor, op.lo, op.hi)


def _argmax(op: Operator, tensors: Tensors, row: int, column: int) -> int:
    values = [int(x) for x in _a(op, tensors)[_unfold(op, row, column)]]
    return values.index(max(values))


def _pick(op: Operator, tensors: Tensors, row: int, column: int) -> int:
    index = clamp(int(_b(op, tensors)[row][column]), 0, op.a.width - 1)
    return int(_a(op, tensors)[_unfold(op, row, column)][index])


def _gather(op: Operator, tensors: Tensors, row: int, column: int) -> int:
    number = int(_a(op, tensors)[row // op.a.width][row % op.a.width])
    return _table(op, clamp(number, 0, op.x(0)), column)


def _reshape(op: Operator, tensors: Tensors, row: int, column: int) -> int:
    index = row * op.out.width + column
    return int(_a(op, tensors)[index // op.a.width][index % op.a.width])


def _concat(op: Operator, tensors: Tensors, row: int, column: int) -> int:
    if column < op.a.width:
        return int(_a(op, tensors)[row][column])
    return int(_b(op, tensors)[row][column - op.a.width])


def _im2col(op: Operator, tensors: Tensors, row: int, column: int) -> int:
    rows, columns, channels, kernel, stride, padding = op.extra[:6]
    down = (rows + 2 * padding - kernel) // stride + 1
    across = (columns + 2 * padding - kernel) // stride + 1
    image, place = divmod(row, down * across)
    y, x = divmod(place, across)
    patch, channel = divmod(column, channels)
    i, j = divmod(patch, kernel)
    u, v = y * stride + i - padding, x * stride + j - padding
    if not (0 <= u < rows and 0 <= v < columns):
        return 0
    return int(_a(op, tensors)[image][(u * columns + v) * channels + channel])


_RULES: dict[Opcode, Callable[[Operator, Tensors, int, int], int]] = {
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
