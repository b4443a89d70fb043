# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Graph bounds
@license AGPL-3.0-only
@notice What an operator of version 2 must be for every implementation to agree on it, whatever the
        tensors hold (docs/int8-graph-2.md, Descriptors).
@dev Stateless. Wants views that the caller has checked: rows 1 to 65,535, width 1 to 4,096, size 1,
     2 or 4. What the constants hold is checked where one is opened.
"""

from contracts.modules import views
from interfaces import IGraphRules

MATMUL: constant(uint256) = 1
SCORES: constant(uint256) = 2
CONTEXT: constant(uint256) = 3
TRANSPOSE: constant(uint256) = 4
AFFINE: constant(uint256) = 5
MUL: constant(uint256) = 6
ADD: constant(uint256) = 7
LUT8: constant(uint256) = 8
LUT16: constant(uint256) = 9
ROWSUM: constant(uint256) = 10
ROWDOT: constant(uint256) = 11
ISQRT: constant(uint256) = 12
RECIP: constant(uint256) = 13
ARGMAX: constant(uint256) = 14
PICK: constant(uint256) = 15
GATHER: constant(uint256) = 16
RESHAPE: constant(uint256) = 17
CONCAT: constant(uint256) = 18
IM2COL: constant(uint256) = 19

# Where MUL and ADD take their second operand from.
_SAME: constant(uint256) = 0
_STAT: constant(uint256) = 1
_TABLE: constant(uint256) = 2

# Sets of opcodes, a bit each. Those that end in Q:
_SCALED: constant(uint256) = (1 << 1 | 1 << 2 | 1 << 3 | 1 << 5 | 1 << 6 | 1 << 10 | 1 << 11)
# Those with a clamp and no word: LUT16, ISQRT, RECIP.
_WORDLESS: constant(uint256) = 1 << 9 | 1 << 12 | 1 << 13
# Those that may have a word for each column: MATMUL (must), CONTEXT, AFFINE, MUL.
_PER_COLUMN: constant(uint256) = 1 << 1 | 1 << 3 | 1 << 5 | 1 << 6
# Those that always have constants: MATMUL, LUT8, LUT16, GATHER.
_CONSTANT: constant(uint256) = 1 << 1 | 1 << 8 | 1 << 9 | 1 << 16
# Those that read a second tensor: SCORES, CONTEXT, MUL, PICK, CONCAT (and ADD, mostly).
_READS_B: constant(uint256) = 1 << 2 | 1 << 3 | 1 << 6 | 1 << 15 | 1 << 18
# Those that may read a third: SCORES, CONTEXT, LUT16.
_MAY_READ_S: constant(uint256) = 1 << 2 | 1 << 3 | 1 << 9
# Those whose output has the shape of a: MUL to LUT16, ISQRT, RECIP.
_SAME_SHAPE: constant(uint256) = 1 << 6 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 12 | 1 << 13
# Those that make one element of a row: ROWSUM, ROWDOT, ARGMAX, PICK.
_FOLDS: constant(uint256) = 1 << 10 | 1 << 11 | 1 << 14 | 1 << 15
# Those that keep the size of an element: TRANSPOSE, PICK, RESHAPE, CONCAT, IM2COL.
_SAME_SIZE: constant(uint256) = 1 << 4 | 1 << 15 | 1 << 17 | 1 << 18 | 1 << 19
# How many fields of `extra` each opcode uses, 4 bits each.
_FIELDS: constant(uint256) = (
    3 << 8 | 4 << 12 | 2 << 16 | 1 << 20 | 2 << 24 | 5 << 28 | 1 << 44 | 1 << 52 | 1 << 64 | 6 << 76
)

_OFFSET: constant(uint256) = 2**31
_MAX_BIAS: constant(uint256) = 2**30
_MAX_FACTOR: constant(uint256) = 2**30
_MAX_SHIFT: constant(uint256) = 62
_MAX_POWER: constant(uint256) = 62
_MAX_TABLE: constant(uint256) = 65_535
_MAX_MIXED: constant(uint256) = 256
_MAX_SHORT_INDEX: constant(uint256) = 128
_MAX_STRIDE: constant(uint256) = 16
_MAX_PADDING: constant(uint256) = 15
_M32: constant(uint256) = 2**32 - 1


@internal
@pure
def _field(extra: uint256, number: uint256) -> uint256:
    return (extra >> unsafe_mul(32, number)) & _M32


@internal
@pure
def _elements(view: uint256) -> uint256:
    return unsafe_mul(views._rows(view), views._width(view))


@internal
@pure
def _has_shape(view: uint256, other: uint256) -> bool:
    """
    @dev Whether two tensors have the same rows and width.
    """
    return (view ^ other) & ((2**48 - 1) << 8) == 0


@internal
@pure
def _is_shape(view: uint256, rows: uint256, width: uint256) -> bool:
    return views._rows(view) == rows and views._width(view) == width


@internal
@pure
def _check(op: IGraphRules.Operator):
    """
    @dev Reverts unless the operator keeps every bound that is its own.
    """
    assert unsafe_sub(op.opcode, 1) < IM2COL, "models: unknown opcode"
    kind: uint256 = 1 << op.opcode
    fields: uint256 = (_FIELDS >> unsafe_mul(4, op.opcode)) & 15
    assert op.extra >> unsafe_mul(32, fields) == 0, "models: spare bits in extra"
    is_table: bool = op.opcode == ADD and self._field(op.extra, 1) == _TABLE
    reads_b: bool = kind & _READS_B != 0 or (op.opcode == ADD and not is_table)
    assert (op.b != 0) == reads_b, "models: b missing or not wanted"
    assert op.s == 0 or kind & _MAY_READ_S != 0, "models: s is not wanted"
    per_column: bool = self._check_post(op, kind)
    has_constants: bool = kind & _CONSTANT != 0 or per_column or is_table
    assert (op.constants != empty(bytes32)) == has_constants, "models: constants not as it has"
    self._check_shapes(op, kind)
    if op.opcode <= CONTEXT:
        self._check_products(op)
    elif op.opcode <= LUT16:
        self._check_elementwise(op, is_table)
    else:
        self._check_others(op)


@internal
@pure
def _check_post(op: IGraphRules.Operator, kind: uint256) -> bool:
    """
    @dev The clamp and the word. Returns whether each column has a word of its own.
    """
    if kind & (_SCALED | _WORDLESS) == 0 and op.opcode != ADD:
        assert op.post == 0, "models: post is not wanted"
        return False
    low: uint256 = op.post >> 224
    high: uint256 = (op.post >> 192) & _M32
    # SAFETY: an element has 1, 2 or 4 bytes, so half its range is 2^7, 2^15 or 2^31.
    half: uint256 = 1 << unsafe_sub(unsafe_mul(8, views._size(op.out)), 1)
    assert (
        unsafe_sub(_OFFSET, half) <= low and low <= high and high < unsafe_add(_OFFSET, half)
    ), "models: bad clamp"
    mode: uint256 = (op.post >> 184) & 255
    word: uint256 = op.post & (2**184 - 1)
    if mode != 0:
        assert mode == 1 and kind & _PER_COLUMN != 0, "models: bad per_column"
        assert word == 0, "models: word is not wanted"
        return True
    assert op.opcode != MATMUL, "models: matmul needs words"
    if kind & _WORDLESS != 0:
        assert word == 0, "models: word of a wordless"
        return False
    bias: uint256 = word >> 40
    mult: uint256 = (word >> 8) & _M32
    # SAFETY: small numbers; a shift of 0 wraps to above the bound, as what is below the range does.
    assert unsafe_sub(word & 255, 1) < _MAX_SHIFT, "models: shift out of bounds"
    if op.opcode == ADD:
        assert bias == _OFFSET, "models: add has no bias"
        assert self._is_factor(mult), "models: mult out of bounds"
    else:
        assert (
            unsafe_sub(bias, unsafe_sub(_OFFSET, _MAX_BIAS)) <= 2 * _MAX_BIAS
        ), "models: bias out of bounds"
        assert mult != 0, "models: mult is too negative"
    return False


@internal
@pure
def _is_factor(field: uint256) -> bool:
    """
    @dev Whether a field with offset 2^31 holds a factor of ADD, -2^30 to 2^30.
    """
    return unsafe_sub(field, unsafe_sub(_OFFSET, _MAX_FACTOR)) <= 2 * _MAX_FACTOR


@internal
@pure
def _check_shapes(op: IGraphRules.Operator, kind: uint256):
    """
    @dev What groups of opcodes have in common.
    """
    if kind & _SAME_SHAPE != 0:
        assert self._has_shape(op.out, op.a), "models: out has another shape"
    if kind & _FOLDS != 0:
        assert self._elements(op.out) == views._rows(op.a), "models: out is no fold of a"
    if kind & _SAME_SIZE != 0:
        assert views._size(op.out) == views._size(op.a), "models: out has another size"


@internal
@pure
def _check_products(op: IGraphRules.Operator):
    """
    @dev MATMUL, SCORES, CONTEXT.
    """
    rows: uint256 = views._rows(op.a)
    width: uint256 = views._width(op.a)
    size: uint256 = views._size(op.a)
    if op.opcode == MATMUL:
        assert size == 1, "models: matmul reads int8"
        assert views._rows(op.out) == rows, "models: matmul keeps the rows"
        return
    heads: uint256 = self._field(op.extra, 0)
    seq: uint256 = self._field(op.extra, 1)
    channels: uint256 = self._field(op.extra, 2)
    power: uint256 = self._field(op.extra, 3)
    assert heads != 0 and seq != 0 and channels != 0, "models: heads, seq or channels 0"
    # SAFETY: fields of 32 bits, rows of 16: nothing below passes 2^112.
    if op.opcode == SCORES:
        assert size == 1 and views._size(op.b) == 1, "models: scores reads int8"
        assert self._has_shape(op.a, op.b), "models: scores of unlike tensors"
        assert width == unsafe_mul(heads, channels), "models: scores width not heads"
        assert channels & 31 == 0 or heads == 1, "models: heads of broken words"
        assert rows % seq == 0, "models: scores of part of a seq"
        assert self._is_shape(op.out, unsafe_mul(rows, heads), seq), "models: scores out"
        if op.s != 0:
            assert self._is_shape(op.s, unsafe_div(rows, seq), seq), "models: scores mask"
        return
    sizes: uint256 = unsafe_add(size, views._size(op.b))
    assert sizes <= 3, "models: context operands too big"
    assert width == views._width(op.b), "models: context of unlike widths"
    assert sizes == 2 or width <= _MAX_MIXED, "models: context too wide"
    group: uint256 = unsafe_mul(heads, seq)
    assert rows % group == 0, "models: context of part groups"
    groups: uint256 = unsafe_div(rows, group)
    columns: uint256 = unsafe_mul(heads, channels)
    assert views._rows(op.b) == unsafe_mul(groups, columns), "models: context rows of b"
    assert self._is_shape(op.out, unsafe_mul(groups, seq), columns), "models: context out"
    if op.s == 0:
        assert power == 0, "models: context shift but no s"
    else:
        assert power <= _MAX_POWER, "models: context shift too big"
        assert self._elements(op.s) == rows, "models: context s"


@internal
@pure
def _check_elementwise(op: IGraphRules.Operator, is_table: bool):
    """
    @dev TRANSPOSE, AFFINE, MUL, ADD, LUT8, LUT16.
    """
    rows: uint256 = views._rows(op.a)
    first: uint256 = self._field(op.extra, 0)
    second: uint256 = self._field(op.extra, 1)
    if op.opcode == TRANSPOSE:
        assert first == 0 and second != 0, "models: transpose block"
        assert rows % second == 0, "models: transpose of part blocks"
        # SAFETY: numbers of 16 bits, as below.
        made: uint256 = unsafe_mul(unsafe_div(rows, second), views._width(op.a))
        assert self._is_shape(op.out, made, second), "models: transpose out"
    elif op.opcode == AFFINE:
        assert views._rows(op.out) == rows, "models: affine keeps the rows"
        assert (
            unsafe_add(first, views._width(op.out)) <= views._width(op.a)
        ), "models: affine past the end"
    elif op.opcode == LUT8:
        assert views._size(op.a) == 1, "models: lut8 reads int8"
        assert views._size(op.out) <= 2, "models: lut8 makes int32"
    elif op.opcode == LUT16:
        assert views._size(op.a) == 2, "models: lut16 reads int16"
        assert views._size(op.out) <= 2, "models: lut16 makes int32"
        if op.s != 0:
            assert self._elements(op.s) == rows, "models: lut16 stat"
    else:
        if op.opcode == ADD:
            assert first == 0, "models: add has a spare field"
            assert self._is_factor(self._field(op.extra, 4)), "models: factor out of bounds"
        else:
            assert first <= _MAX_POWER, "models: mul shift too big"
        count: uint256 = self._field(op.extra, 2)
        size: uint256 = self._field(op.extra, 3)
        if is_table:
            assert unsafe_sub(count, 1) < _MAX_TABLE, "models: add table rows"
            assert size == 1 or size == 2 or size == 4, "models: add table size"
            return
        # MUL has no such fields.
        assert op.opcode == MUL or (count == 0 and size == 0), "models: add without a table"
        if second == _SAME:
            assert self._has_shape(op.a, op.b), "models: b has another shape"
        else:
            assert second == _STAT, "models: unknown second operand"
            assert self._elements(op.b) == rows, "models: b is no stat of a"


@internal
@pure
def _check_others(op: IGraphRules.Operator):
    """
    @dev ROWSUM to IM2COL.
    """
    rows: uint256 = views._rows(op.a)
    width: uint256 = views._width(op.a)
    size: uint256 = views._size(op.a)
    first: uint256 = self._field(op.extra, 0)
    if op.opcode == ROWSUM or op.opcode == ROWDOT:
        assert size <= 2, "models: sum of int32"
        assert first <= _MAX_POWER, "models: rowdot shift too big"
    elif op.opcode == RECIP:
        assert first <= _MAX_POWER, "models: recip power too big"
    elif op.opcode == ARGMAX:
        out: uint256 = views._size(op.out)
        assert (
            out == 2 or (out == 1 and width <= _MAX_SHORT_INDEX)
        ), "models: argmax index too long"
    elif op.opcode == PICK:
        assert self._has_shape(op.b, op.out), "models: pick index"
    elif op.opcode == GATHER:
        assert first < _MAX_TABLE, "models: gather table too long"
        assert views._rows(op.out) == self._elements(op.a), "models: gather out"
    elif op.opcode == RESHAPE:
        assert self._elements(op.out) == self._elements(op.a), "models: reshape out"
    elif op.opcode == CONCAT:
        is_even: bool = views._rows(op.b) == rows and views._size(op.b) == size
        assert is_even, "models: concat of unlike tensors"
        # SAFETY: widths of 16 bits.
        assert self._is_shape(
            op.out, rows, unsafe_add(width, views._width(op.b))
        ), "models: concat out"
    elif op.opcode == IM2COL:
        self._check_image(op)


@internal
@pure
def _check_image(op: IGraphRules.Operator):
    """
    @dev IM2COL. Fields have 32 bits, so no product passes 2^128.
    """
    down: uint256 = self._field(op.extra, 0)
    across: uint256 = self._field(op.extra, 1)
    channels: uint256 = self._field(op.extra, 2)
    kernel: uint256 = self._field(op.extra, 3)
    stride: uint256 = self._field(op.extra, 4)
    margin: uint256 = unsafe_mul(2, self._field(op.extra, 5))
    assert channels != 0 and kernel != 0, "models: im2col has a zero"
    # SAFETY: below the range wraps to above it.
    assert unsafe_sub(stride, 1) < _MAX_STRIDE, "models: im2col stride"
    assert margin <= 2 * _MAX_PADDING, "models: im2col padding"
    assert (
        views._width(op.a) == unsafe_mul(unsafe_mul(down, across), channels)
    ), "models: im2col image"
    height: uint256 = unsafe_add(down, margin)
    width: uint256 = unsafe_add(across, margin)
    assert kernel <= height and kernel <= width, "models: im2col kernel"
    steps: uint256 = unsafe_mul(
        unsafe_add(unsafe_div(unsafe_sub(height, kernel), stride), 1),
        unsafe_add(unsafe_div(unsafe_sub(width, kernel), stride), 1),
    )
    assert self._is_shape(
        op.out,
        unsafe_mul(views._rows(op.a), steps),
        unsafe_mul(unsafe_mul(kernel, kernel), channels),
    ), "models: im2col out"
