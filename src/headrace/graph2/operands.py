"""What the rule of an output element reads, in the order in which a proof opens it.

docs/int8-graph-2.md, "Faults": an operand is opened as a leaf where the rule reads one element, as
a row where it reads a row; what the rule doesn't come to isn't opened.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from headrace.graph2.opcodes import CONSTANT, SAME, Opcode
from headrace.graph2.operators import Operator
from headrace.graph2.views import View

Values = Callable[[View, int, int], int]
"""The claimed element (row, column) of a tensor."""


@dataclass(frozen=True, slots=True)
class ReadElement:
    """One element of a tensor: its leaf is opened."""

    view: View
    row: int
    column: int


@dataclass(frozen=True, slots=True)
class ReadRow:
    """A whole row of a tensor."""

    view: View
    row: int


@dataclass(frozen=True, slots=True)
class ReadConstant:
    """A constant leaf of the operator."""

    number: int


Read = ReadElement | ReadRow | ReadConstant


def operands(op: Operator, row: int, column: int, values: Values) -> Iterator[Read]:
    """Yield what element (row, column) is computed from; `values` tells claimed elements.

    ValueError for ARGMAX, whose faults are shown by a witness.
    """
    yield from _RULES[Opcode(op.opcode)](op, row, column, values)
    if op.per_column:
        yield ReadConstant(column)


def _needed(view: View | None) -> View:
    if view is None:
        raise ValueError("the operator has no such tensor")
    return view


def _stat(view: View, row: int) -> ReadElement:
    """The element of a stat tensor that belongs to a row."""
    return ReadElement(view, row // view.width, row % view.width)


def _matmul(op: Operator, row: int, column: int, values: Values) -> Iterator[Read]:
    yield ReadRow(op.a, row)


def _scores(op: Operator, row: int, column: int, values: Values) -> Iterator[Read]:
    heads, seq, _ = op.extra[:3]
    group, query = row // (heads * seq), row % seq
    if op.s is not None:
        yield ReadElement(op.s, group, column)
        if values(op.s, group, column) == 0:
            return
    yield ReadRow(op.a, group * seq + query)
    yield ReadRow(_needed(op.b), group * seq + column)


def _context(op: Operator, row: int, column: int, values: Values) -> Iterator[Read]:
    heads, seq, channels = op.extra[:3]
    group, query = divmod(row, seq)
    at = (group * heads + column // channels) * seq + query
    yield ReadRow(op.a, at)
    yield ReadRow(_needed(op.b), group * heads * channels + column)
    if op.s is not None:
        yield _stat(op.s, at)


def _transpose(op: Operator, row: int, column: int, values: Values) -> Iterator[Read]:
    block, channel = divmod(row, op.a.width)
    yield ReadElement(op.a, block * op.x(1) + column, channel)


def _affine(op: Operator, row: int, column: int, values: Values) -> Iterator[Read]:
    yield ReadElement(op.a, row, column + op.x(0))


def _two(op: Operator, row: int, column: int, values: Values) -> Iterator[Read]:
    yield ReadElement(op.a, row, column)
    if op.x(1) == CONSTANT:
        yield ReadConstant(row % op.x(2))
    elif op.x(1) == SAME:
        yield ReadElement(_needed(op.b), row, column)
    else:
        yield _stat(_needed(op.b), row)


def _lut(op: Operator, row: int, column: int, values: Values) -> Iterator[Read]:
    yield ReadElement(op.a, row, column)
    if op.s is not None:
        yield _stat(op.s, row)
    yield ReadConstant(0)


def _fold(op: Operator, row: int, column: int, values: Values) -> Iterator[Read]:
    yield ReadRow(op.a, row * op.out.width + column)


def _one(op: Operator, row: int, column: int, values: Values) -> Iterator[Read]:
    yield ReadElement(op.a, row, column)


def _argmax(op: Operator, row: int, column: int, values: Values) -> Iterator[Read]:
    raise ValueError("an ARGMAX is judged by a witness")


def _pick(op: Operator, row: int, column: int, values: Values) -> Iterator[Read]:
    index = _needed(op.b)
    yield ReadElement(index, row, column)
    place = max(0, min(values(index, row, column), op.a.width - 1))
    yield ReadElement(op.a, row * op.out.width + column, place)


def _gather(op: Operator, row: int, column: int, values: Values) -> Iterator[Read]:
    at = divmod(row, op.a.width)
    yield ReadElement(op.a, *at)
    yield ReadConstant(max(0, min(values(op.a, *at), op.x(0))))


def _reshape(op: Operator, row: int, column: int, values: Values) -> Iterator[Read]:
    yield ReadElement(op.a, *divmod(row * op.out.width + column, op.a.width))


def _concat(op: Operator, row: int, column: int, values: Values) -> Iterator[Read]:
    if column < op.a.width:
        yield ReadElement(op.a, row, column)
    else:
        yield ReadElement(_needed(op.b), row, column - op.a.width)


def _im2col(op: Operator, row: int, column: int, values: Values) -> Iterator[Read]:
    rows, columns, channels, kernel, stride, padding = op.extra[:6]
    down = (rows + 2 * padding - kernel) // stride + 1
    across = (columns + 2 * padding - kernel) // stride + 1
    image, place = divmod(row, down * across)
    patch, channel = divmod(column, channels)
    u = place // across * stride + patch // kernel - padding
    v = place % across * stride + patch % kernel - padding
    if 0 <= u < rows and 0 <= v < columns:
        yield ReadElement(op.a, image, (u * columns + v) * channels + channel)


_RULES: dict[Opcode, Callable[[Operator, int, int, Values], Iterator[Read]]] = {
    Opcode.MATMUL: _matmul,
    Opcode.SCORES: _scores,
    Opcode.CONTEXT: _context,
    Opcode.TRANSPOSE: _transpose,
    Opcode.AFFINE: _affine,
    Opcode.MUL: _two,
    Opcode.ADD: _two,
    Opcode.LUT8: _lut,
    Opcode.LUT16: _lut,
    Opcode.ROWSUM: _fold,
    Opcode.ROWDOT: _fold,
    Opcode.ISQRT: _one,
    Opcode.RECIP: _one,
    Opcode.ARGMAX: _argmax,
    Opcode.PICK: _pick,
    Opcode.GATHER: _gather,
    Opcode.RESHAPE: _reshape,
    Opcode.CONCAT: _concat,
    Opcode.IM2COL: _im2col,
}
