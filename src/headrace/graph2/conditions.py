"""The conditions of each opcode (docs/int8-graph-2.md, "Descriptors"), as GraphModels has them."""

from typing import TYPE_CHECKING

import numpy as np

from headrace.graph.errors import ModelError
from headrace.graph2.opcodes import CLAMPED, CONSTANT, PER_COLUMN, SAME, SCALED, STAT, Opcode
from headrace.graph2.views import View, pad

if TYPE_CHECKING:
    from headrace.graph2.operators import Operator

_FIELD = 1 << 32
_MAX_POWER = 62
_MAX_FACTOR = 1 << 30
_MAX_TABLE = 65_535
_MAX_MIXED = 256
_MAX_STRIDE = 16
_MAX_PADDING = 15
_MAX_SHORT_INDEX = 128

# The fields of `extra` that each opcode uses.
_FIELDS: dict[Opcode, int] = {
    Opcode.SCORES: 3,
    Opcode.CONTEXT: 4,
    Opcode.TRANSPOSE: 2,
    Opcode.AFFINE: 1,
    Opcode.MUL: 2,
    Opcode.ADD: 5,
    Opcode.ROWDOT: 1,
    Opcode.RECIP: 1,
    Opcode.GATHER: 1,
    Opcode.IM2COL: 6,
}


def require(condition: bool, what: str) -> None:
    """Raise ModelError unless the condition holds."""
    if not condition:
        raise ModelError(what)


def check_operator(op: "Operator") -> None:
    """Raise ModelError unless the operator keeps every bound that is its own."""
    require(op.opcode in Opcode.__members__.values(), f"unknown opcode {op.opcode!r}")
    name = Opcode(op.opcode).name
    _check_fields(op, name)
    _check_clamp(op, name)
    _check_params(op, name)
    _check_constants(op, name)
    _CHECKS[Opcode(op.opcode)](op)


def _check_fields(op: "Operator", name: str) -> None:
    require(len(op.extra) == 8, f"{name} has 8 small numbers")
    whole = all(type(value) is int and 0 <= value < _FIELD for value in op.extra)
    require(whole, f"{name}: a small number is out of range")
    used = _FIELDS.get(Opcode(op.opcode), 0)
    require(not any(op.extra[used:]), f"{name} uses only {used} small numbers")
    require(op.out.tensor == 0, f"{name}: the output's view has no tensor number")
    takes_b = op.opcode in (Opcode.SCORES, Opcode.CONTEXT, Opcode.MUL, Opcode.PICK, Opcode.CONCAT)
    if op.opcode == Opcode.ADD:
        takes_b = op.x(1) != CONSTANT
    require((op.b is not None) == takes_b, f"{name}: a second tensor missing or not wanted")
    may_s = op.opcode in (Opcode.SCORES, Opcode.CONTEXT, Opcode.LUT16)
    require(op.s is None or may_s, f"{name} takes no third tensor")


def _check_clamp(op: "Operator", name: str) -> None:
    if op.opcode not in CLAMPED:
        require(op.lo == 0 and op.hi == 0, f"{name} has no clamp")
        return
    ordered = type(op.lo) is int and type(op.hi) is int and op.out.low <= op.lo <= op.hi
    require(ordered and op.hi <= op.out.high, f"{name}: the clamp is empty or too wide")


def _check_params(op: "Operator", name: str) -> None:
    has = op.opcode in SCALED or op.opcode == Opcode.ADD
    require((op.params is not None) == has, f"{name}: parameters missing or not wanted")
    require(not op.per_column or op.opcode in PER_COLUMN, f"{name} has one set of parameters")
    if op.params is None:
        require(not op.per_column, f"{name} has no parameters")
        return
    wanted = op.out.width if op.per_column else 1
    require(len(op.params) == wanted, f"{name} has {len(op.params)} parameters, not {wanted}")
    if op.opcode == Opcode.ADD:
        small = abs(int(op.params.mult[0])) <= _MAX_FACTOR
        require(small and int(op.params.bias[0]) == 0, "ADD: factor too large or a bias")


def _check_constants(op: "Operator", name: str) -> None:
    require(
        (op.weights is not None) == (op.opcode == Opcode.MATMUL), f"{name}: weights not as it has"
    )
    has_table = op.opcode in (Opcode.LUT8, Opcode.LUT16, Opcode.GATHER)
    if op.opcode == Opcode.ADD:
        has_table = op.x(1) == CONSTANT
    require((op.table is not None) == has_table, f"{name}: table missing or not wanted")
    if op.weights is not None:
        shape = (op.out.width, op.a.width)
        fits = op.weights.shape == shape and op.weights.dtype == np.int8
        require(fits, f"{name}: weights must be int8 of {shape}")


def _same_shape(op: "Operator") -> None:
    same = (op.out.rows, op.out.width) == (op.a.rows, op.a.width)
    require(same, f"{Opcode(op.opcode).name}: the output has another shape")


def _elements(view: View) -> int:
    return view.rows * view.width


def _second(op: "Operator") -> View:
    if op.b is None:
        raise ModelError("a second tensor is missing")
    return op.b


def _check_second(op: "Operator") -> None:
    """b is of a's shape, or holds one element for each of its rows."""
    name = Opcode(op.opcode).name
    b = _second(op)
    if op.x(1) == SAME:
        require((b.rows, b.width) == (op.a.rows, op.a.width), f"{name}: b has another shape")
    else:
        require(op.x(1) == STAT, f"{name}: unknown kind of second operand {op.x(1)}")
        require(_elements(b) == op.a.rows, f"{name}: b isn't one element a row")


def _matmul(op: "Operator") -> None:
    require(op.per_column, "MATMUL has parameters for each column")
    require(op.a.size == 1, "MATMUL reads int8")
    require(op.out.rows == op.a.rows, "MATMUL keeps the rows")


def _scores(op: "Operator") -> None:
    b = _second(op)
    heads, seq, channels = op.extra[:3]
    require(min(heads, seq, channels) >= 1, "SCORES: heads, sequence and channels are at least 1")
    require(op.a.size == b.size == 1, "SCORES reads int8")
    require((b.rows, b.width) == (op.a.rows, op.a.width), "SCORES: a and b differ in shape")
    require(op.a.width == heads * channels, "SCORES: width isn't heads times channels")
    require(channels % 32 == 0 or heads == 1, "SCORES: channels of a head aren't whole words")
    require(op.a.rows % seq == 0, "SCORES: rows aren't whole sequences")
    shape = (op.a.rows * heads, seq)
    require((op.out.rows, op.out.width) == shape, f"SCORES: the output isn't {shape}")
    if op.s is not None:
        mask = (op.a.rows // seq, seq)
        require((op.s.rows, op.s.width) == mask, f"SCORES: the mask isn't {mask}")


def _context(op: "Operator") -> None:
    b = _second(op)
    heads, seq, channels, shift = op.extra[:4]
    require(min(heads, seq, channels) >= 1, "CONTEXT: heads, sequence and channels are at least 1")
    require(op.a.size + b.size <= 3, "CONTEXT: operands too large")
    require(op.a.width == b.width, "CONTEXT: a and b differ in width")
    require(
        op.a.size + b.size == 2 or op.a.width <= _MAX_MIXED, "CONTEXT: too wide for 16-bit operands"
    )
    require(op.a.rows % (heads * seq) == 0, "CONTEXT: rows of a aren't whole groups")
    groups = op.a.rows // (heads * seq)
    require(b.rows == groups * heads * channels, "CONTEXT: rows of b don't go with a's")
    shape = (groups * seq, heads * channels)
    require((op.out.rows, op.out.width) == shape, f"CONTEXT: the output isn't {shape}")
    if op.s is None:
        require(shift == 0, "CONTEXT has a shift without a scale")
    else:
        require(shift <= _MAX_POWER, "CONTEXT: shift too large")
        require(_elements(op.s) == op.a.rows, "CONTEXT: the scale isn't one element a row of a")


def _transpose(op: "Operator") -> None:
    seq = op.x(1)
    require(op.x(0) == 0 and seq >= 1, "TRANSPOSE: bad block")
    require(op.a.rows % seq == 0, "TRANSPOSE: rows aren't whole blocks")
    shape = (op.a.rows // seq * op.a.width, seq, op.a.size)
    require((op.out.rows, op.out.width, op.out.size) == shape, f"TRANSPOSE: output isn't {shape}")


def _affine(op: "Operator") -> None:
    require(op.out.rows == op.a.rows, "AFFINE keeps the rows")
    require(op.x(0) + op.out.width <= op.a.width, "AFFINE: columns past the end")


def _mul(op: "Operator") -> None:
    require(op.x(0) <= _MAX_POWER, "MUL: shift too large")
    _same_shape(op)
    _check_second(op)


def _add(op: "Operator") -> None:
    require(op.x(0) == 0, "ADD: spare field")
    _same_shape(op)
    require(abs(op.x(4) - (1 << 31)) <= _MAX_FACTOR, "ADD: second factor too large")
    if op.x(1) != CONSTANT:
        require(op.x(2) == op.x(3) == 0, "ADD: spare fields")
        _check_second(op)
        return
    require(1 <= op.x(2) <= _MAX_TABLE, "ADD: bad number of constant rows")
    require(op.x(3) in (1, 2, 4), "ADD: bad size of constants")
    _check_table(op, (op.x(2), op.out.width), op.x(3))


def _lut8(op: "Operator") -> None:
    require(op.a.size == 1 and op.out.size in (1, 2), "LUT8 reads int8 and makes int8 or int16")
    _same_shape(op)
    _check_table(op, (256,), op.out.size)


def _lut16(op: "Operator") -> None:
    require(op.a.size == 2 and op.out.size in (1, 2), "LUT16 reads int16, makes int8 or int16")
    _same_shape(op)
    _check_table(op, (257,), 2)
    if op.s is not None:
        require(_elements(op.s) == op.a.rows, "LUT16: the stat isn't one element a row")


def _fold(op: "Operator") -> None:
    require(
        _elements(op.out) == op.a.rows, f"{Opcode(op.opcode).name}: output isn't one element a row"
    )


def _rowsum(op: "Operator") -> None:
    require(op.a.size <= 2, f"{Opcode(op.opcode).name} reads int8 or int16")
    require(op.x(0) <= _MAX_POWER, f"{Opcode(op.opcode).name}: shift too large")
    _fold(op)


def _recip(op: "Operator") -> None:
    require(op.x(0) <= _MAX_POWER, "RECIP: power too large")
    _same_shape(op)


def _argmax(op: "Operator") -> None:
    _fold(op)
    fits = op.out.size == 2 or (op.out.size == 1 and op.a.width <= _MAX_SHORT_INDEX)
    require(fits, "ARGMAX: the index doesn't fit its output")


def _pick(op: "Operator") -> None:
    b = _second(op)
    _fold(op)
    require((b.rows, b.width) == (op.out.rows, op.out.width), "PICK: the index has another shape")
    require(op.out.size == op.a.size, "PICK keeps the size")


def _gather(op: "Operator") -> None:
    require(op.x(0) < _MAX_TABLE, "GATHER: table too long")
    require(op.out.rows == _elements(op.a), "GATHER makes one row of each element")
    _check_table(op, (op.x(0) + 1, op.out.width), op.out.size)


def _reshape(op: "Operator") -> None:
    require(_elements(op.a) == _elements(op.out), "RESHAPE keeps the number of elements")
    require(op.a.size == op.out.size, "RESHAPE keeps the size")


def _concat(op: "Operator") -> None:
    b = _second(op)
    same = op.a.rows == b.rows == op.out.rows and op.a.size == b.size == op.out.size
    require(same, "CONCAT: rows or sizes differ")
    require(op.out.width == op.a.width + b.width, "CONCAT: widths don't add up")


def _im2col(op: "Operator") -> None:
    rows, columns, channels, kernel, stride, padding = op.extra[:6]
    require(min(rows, columns, channels, kernel, stride) >= 1, "IM2COL: a number is zero")
    require(
        stride <= _MAX_STRIDE and padding <= _MAX_PADDING, "IM2COL: stride or padding too large"
    )
    require(op.a.width == rows * columns * channels, "IM2COL: the image has another size")
    fits = kernel <= rows + 2 * padding and kernel <= columns + 2 * padding
    require(fits, "IM2COL: the kernel is larger than the image")
    down = (rows + 2 * padding - kernel) // stride + 1
    across = (columns + 2 * padding - kernel) // stride + 1
    shape = (op.a.rows * down * across, kernel * kernel * channels, op.a.size)
    require((op.out.rows, op.out.width, op.out.size) == shape, f"IM2COL: output isn't {shape}")


def _check_table(op: "Operator", shape: tuple[int, ...], size: int) -> None:
    table = op.table
    name = Opcode(op.opcode).name
    fits = table is not None and table.shape == shape and table.dtype == np.dtype(f"i{size}")
    require(fits, f"{name}: the table isn't {shape} of {size} bytes")


def constant_bytes(op: "Operator") -> int:
    """Bytes of each constant leaf; 0 when there are none."""
    if op.opcode == Opcode.MATMUL:
        return 32 + pad(op.a.width)
    if op.opcode == Opcode.LUT8:
        return 256 * op.out.size
    if op.opcode == Opcode.LUT16:
        return 514
    if op.opcode == Opcode.GATHER:
        return op.out.size * pad(op.out.width)
    if op.opcode == Opcode.ADD and op.x(1) == CONSTANT:
        return op.x(3) * pad(op.out.width)
    return 32 if op.per_column else 0


_CHECKS = {
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
    Opcode.ROWDOT: _rowsum,
    Opcode.ISQRT: _same_shape,
    Opcode.RECIP: _recip,
    Opcode.ARGMAX: _argmax,
    Opcode.PICK: _pick,
    Opcode.GATHER: _gather,
    Opcode.RESHAPE: _reshape,
    Opcode.CONCAT: _concat,
    Opcode.IM2COL: _im2col,
}
