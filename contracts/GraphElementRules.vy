# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Graph element rules
@license AGPL-3.0-only
@notice The rules of operators whose elements are made of single elements, and of the witnessed
        ARGMAX (docs/int8-graph-2.md). GraphRules sends them here.
@dev Writes nothing and holds nothing; as GraphRules, it believes only what hashes to the
     commitment, the input or the model's root, and checks all of it itself: anybody may call.
@custom:security Trusts that a job's model was registered, as GraphProof's `quote` wants it.
@custom:kill Has no switch.
"""

from interfaces import IGraphRules

from contracts.modules import graph_cases
from contracts.modules import planes
from contracts.modules import quads
from contracts.modules import views


# One element that a rule reads; view 0: it reads no more.
struct Operand:
    view: uint256
    row: uint256
    column: uint256


# A constant leaf that a rule reads; count 0: it reads none.
struct Leaf:
    index: uint256
    count: uint256
    length: uint256


_M8: constant(uint256) = 2**8 - 1
_M16: constant(uint256) = 2**16 - 1
_M32: constant(uint256) = 2**32 - 1
_M72: constant(uint256) = 2**72 - 1
_OFFSET: constant(int256) = 2**31
_HALF_16: constant(int256) = 2**15
_WORD: constant(uint256) = 32
_TABLE_16: constant(uint256) = 514
_MAX_SMALL: constant(uint256) = 514
_MAX_TABLE_ROW: constant(uint256) = 16_384


@external
@view
def prove(claim: IGraphRules.ClaimRef, proof: IGraphRules.Proof) -> IGraphRules.Judgement:
    """
    @notice Recompute an element, or compare the index that an ARGMAX claims with a witness.
    @param claim The claim; only its commitment and its terms' program, input and units are read.
    @param proof What is claimed and what it was computed from.
    @return Whether it is a fault, the kind, and what was claimed and would have been right.
    """
    facts: graph_cases.Facts = graph_cases._facts(
        proof.model, claim.terms.program, claim.terms.input_id, claim.terms.w7, claim.commitment
    )
    graph_cases._check_operator(facts, proof.index, proof.operator, proof.operator_proof)
    opcode: uint256 = proof.operator.opcode
    if opcode == graph_cases.ARGMAX:
        assert proof.kind == graph_cases.WITNESS, "graph: argmax wants a witness"
    else:
        assert proof.kind == graph_cases.ELEMENT, "graph: not an argmax"
    # The output's element, then what it is made of.
    given: uint256 = len(proof.openings)
    values: int256[3] = empty(int256[3])
    end: uint256 = 0
    for turn: uint256 in range(3):
        read: Operand = self._operand(
            proof.index, proof.operator, proof.row, proof.column, turn, values[0], values[1]
        )
        if read.view == 0:
            break
        place: views.Place = views._place(facts.shape, read.view, read.row, read.column, end, given)
        leaf: Bytes[quads.MAX_LEAF] = convert(
            slice(proof.openings, end, place.length), Bytes[quads.MAX_LEAF]
        )
        node: bytes32 = quads._leaf(leaf)
        values[turn] = planes._element(leaf, place.offset, place.block, place.size)
        views._check_node(
            place,
            node,
            convert(slice(proof.openings, place.middle, place.siblings), Bytes[quads.MAX_SIBLINGS]),
        )
        end = place.end

    start: uint256 = end
    constant_leaf: Leaf = self._constant_leaf(proof.operator, proof.row, proof.column, values[1])
    if constant_leaf.count == 0:
        assert end == given, "graph: openings too long"
    else:
        middle: uint256 = unsafe_add(start, constant_leaf.length)
        end = graph_cases._constant_end(middle, constant_leaf.count, given)
        node: bytes32 = empty(bytes32)
        if constant_leaf.length <= _MAX_SMALL:
            small: Bytes[_MAX_SMALL] = convert(
                slice(proof.openings, start, constant_leaf.length), Bytes[_MAX_SMALL]
            )
            node = keccak256(concat(0x02, small))
        else:
            large: Bytes[_MAX_TABLE_ROW] = convert(
                slice(proof.openings, start, constant_leaf.length), Bytes[_MAX_TABLE_ROW]
            )
            node = keccak256(concat(0x02, large))
        graph_cases._check_constant(
            node,
            constant_leaf.index,
            convert(
                slice(proof.openings, middle, unsafe_sub(end, middle)), Bytes[quads.MAX_BINARY]
            ),
            proof.operator.constants,
        )
    if opcode == graph_cases.ARGMAX:
        return self._judge_witness(proof.operator.a, proof.column, values)
    # What of the constant leaf counts. SAFETY: the output's leaf, 32 bytes at least, lies before it.
    number: uint256 = 0
    if opcode == graph_cases.GATHER or opcode == graph_cases.ADD:
        if constant_leaf.count != 0:
            size: uint256 = self._table_size(proof.operator)
            at: uint256 = start
            for _: uint256 in range(size, bound=4):
                # The byte of each plane of the row, which isn't split.
                offset: uint256 = unsafe_add(at, proof.column)
                number = (number << 8) | (
                    extract32(proof.openings, unsafe_sub(offset, 31), output_type=uint256) & 255
                )
                at = unsafe_add(at, views._padded(views._width(proof.operator.out)))
            values[2] = planes._signed(number, size)
    elif opcode == graph_cases.LUT8:
        # Entry a + 128, of one byte or two.
        size: uint256 = views._size(proof.operator.out)
        next: uint256 = size * convert(values[1] + 129, uint256)
        number = extract32(proof.openings, start + next - 32, output_type=uint256)
    elif opcode == graph_cases.LUT16:
        # Entries i and i + 1, of two bytes each.
        next: uint256 = 2 * (self._index_16(values[1], values[2]) >> 8) + 4
        number = extract32(proof.openings, start + next - 32, output_type=uint256)
    elif constant_leaf.count != 0:
        number = extract32(proof.openings, start, output_type=uint256)

    right: int256 = self._right(proof.operator, values, number)
    return IGraphRules.Judgement(
        is_fault=values[0] != right, kind=proof.kind, claimed=values[0], right=right
    )


# ---- internal: what a rule reads


@internal
@pure
def _operand(
    index: uint256,
    operator: IGraphRules.Operator,
    row: uint256,
    column: uint256,
    turn: uint256,
    claimed: int256,
    first: int256,
) -> Operand:
    """
    @dev The element that is opened at this turn: the output's, then the operands'. `claimed` is the
         output's element and `first` the first operand, as soon as they were read.
    """
    opcode: uint256 = operator.opcode
    width: uint256 = views._width(operator.out)
    if turn == 0:
        view: uint256 = graph_cases._output(index, operator.out)
        if opcode == graph_cases.ARGMAX:
            # The row is a's, and its index is one element of the output.
            return Operand(view=view, row=unsafe_div(row, width), column=row % width)
        return Operand(view=view, row=row, column=column)
    # SAFETY: rows, columns and numbers of 32 bits; a divisor is a width or a number that is not
    # zero in a registered operator, and a division by zero would give zero.
    a: uint256 = operator.a
    width_a: uint256 = views._width(a)
    x0: uint256 = graph_cases._field(operator.extra, 0)
    x1: uint256 = graph_cases._field(operator.extra, 1)
    if turn == 2:
        if opcode == graph_cases.MUL or opcode == graph_cases.ADD:
            if x1 == graph_cases.SAME:
                return Operand(view=operator.b, row=row, column=column)
            if x1 == graph_cases.STAT:
                return self._stat(operator.b, row)
        elif opcode == graph_cases.LUT16:
            return self._stat(operator.s, row)
        elif opcode == graph_cases.PICK:
            picked: int256 = max(0, min(first, convert(width_a, int256) - 1))
            return Operand(
                view=a,
                row=unsafe_add(unsafe_mul(row, width), column),
                column=convert(picked, uint256),
            )
        elif opcode == graph_cases.ARGMAX and self._is_index(claimed, width_a):
            return Operand(view=a, row=row, column=column)
        return empty(Operand)

    if opcode == graph_cases.AFFINE:
        return Operand(view=a, row=row, column=unsafe_add(column, x0))
    if opcode == graph_cases.PICK:
        return Operand(view=operator.b, row=row, column=column)
    if opcode == graph_cases.ARGMAX:
        if self._is_index(claimed, width_a):
            return Operand(view=a, row=row, column=convert(claimed, uint256))
        return Operand(view=a, row=row, column=column)
    if opcode == graph_cases.TRANSPOSE:
        return Operand(
            view=a,
            row=unsafe_add(unsafe_mul(unsafe_div(row, width_a), x1), column),
            column=row % width_a,
        )
    if opcode == graph_cases.GATHER:
        return Operand(view=a, row=unsafe_div(row, width_a), column=row % width_a)
    if opcode == graph_cases.RESHAPE:
        place: uint256 = unsafe_add(unsafe_mul(row, width), column)
        return Operand(view=a, row=unsafe_div(place, width_a), column=place % width_a)
    if opcode == graph_cases.CONCAT and column >= width_a:
        return Operand(view=operator.b, row=row, column=unsafe_sub(column, width_a))
    if opcode == graph_cases.IM2COL:
        return self._pixel(a, operator.extra, row, column)
    return Operand(view=a, row=row, column=column)


@internal
@pure
def _stat(view: uint256, row: uint256) -> Operand:
    """
    @dev The element of a stat operand that belongs to a row; none if there is no operand.
    """
    if view == 0:
        return empty(Operand)
    width: uint256 = views._width(view)
    return Operand(view=view, row=unsafe_div(row, width), column=row % width)


@internal
@pure
def _pixel(view: uint256, extra: uint256, row: uint256, column: uint256) -> Operand:
    """
    @dev What IM2COL has at (row, column): an element of an image, or none outside of it.
    """
    height: uint256 = graph_cases._field(extra, 0)
    width: uint256 = graph_cases._field(extra, 1)
    channels: uint256 = graph_cases._field(extra, 2)
    kernel: uint256 = graph_cases._field(extra, 3)
    stride: uint256 = graph_cases._field(extra, 4)
    border: uint256 = graph_cases._field(extra, 5)
    # Here a number that is zero, or a kernel larger than its image, would revert.
    across: uint256 = (width + 2 * border - kernel) // stride + 1
    down: uint256 = (height + 2 * border - kernel) // stride + 1
    spot: uint256 = row % (across * down)
    tap: uint256 = column // channels
    # Counted from the corner of the border.
    u: uint256 = spot // across * stride + tap // kernel
    v: uint256 = spot % across * stride + tap % kernel
    if u < border or v < border or u - border >= height or v - border >= width:
        return empty(Operand)
    return Operand(
        view=view,
        row=row // (across * down),
        column=((u - border) * width + v - border) * channels + column % channels,
    )


@internal
@pure
def _constant_leaf(
    operator: IGraphRules.Operator, row: uint256, column: uint256, first: int256
) -> Leaf:
    """
    @dev The constant leaf that the rule reads, `first` being its first operand.
    """
    opcode: uint256 = operator.opcode
    width: uint256 = views._width(operator.out)
    x0: uint256 = graph_cases._field(operator.extra, 0)
    rows: uint256 = graph_cases._field(operator.extra, 2)
    if opcode == graph_cases.LUT8:
        return Leaf(index=0, count=1, length=unsafe_mul(256, views._size(operator.out)))
    if opcode == graph_cases.LUT16:
        return Leaf(index=0, count=1, length=_TABLE_16)
    if opcode == graph_cases.GATHER:
        picked: int256 = max(0, min(first, convert(x0, int256)))
        return Leaf(
            index=convert(picked, uint256),
            count=unsafe_add(x0, 1),
            length=unsafe_mul(self._table_size(operator), views._padded(width)),
        )
    if opcode == graph_cases.ADD:
        if graph_cases._field(operator.extra, 1) != graph_cases.TABLE:
            return empty(Leaf)
        return Leaf(
            index=row % rows,
            count=rows,
            length=unsafe_mul(self._table_size(operator), views._padded(width)),
        )
    if graph_cases._is_per_column(operator.post):
        return Leaf(index=column, count=width, length=_WORD)
    return empty(Leaf)


@internal
@pure
def _table_size(operator: IGraphRules.Operator) -> uint256:
    """
    @dev Bytes in an element of the constant rows of GATHER or ADD.
    """
    if operator.opcode == graph_cases.ADD:
        return graph_cases._field(operator.extra, 3)
    return views._size(operator.out)


# ---- internal: the rules


@internal
@pure
def _judge_witness(a: uint256, witness: uint256, values: int256[3]) -> IGraphRules.Judgement:
    """
    @dev `values`: the index that is claimed, its element, the witness's.
    """
    claimed: int256 = values[0]
    better: int256 = convert(witness, int256)
    is_fault: bool = not self._is_index(claimed, views._width(a))
    if not is_fault:
        is_fault = values[2] > values[1] or (values[2] == values[1] and better < claimed)
    return IGraphRules.Judgement(
        is_fault=is_fault, kind=graph_cases.WITNESS, claimed=claimed, right=better
    )


@internal
@pure
def _is_index(claimed: int256, width: uint256) -> bool:
    return 0 <= claimed and claimed < convert(width, int256)


@internal
@pure
def _index_16(first: int256, stat: int256) -> uint256:
    """
    @dev Where in the table of LUT16 an element lies, times 256.
    """
    # SAFETY: elements of at most 32 bits.
    difference: int256 = unsafe_sub(first, stat)
    clamped: int256 = max(-_HALF_16, min(_HALF_16 - 1, difference))
    return convert(unsafe_add(clamped, _HALF_16), uint256)


@internal
@pure
def _right(operator: IGraphRules.Operator, values: int256[3], number: uint256) -> int256:
    """
    @dev The element by its rule. `values`: the claimed element, and the operands; `number`: what
         was read of a constant leaf.
    """
    opcode: uint256 = operator.opcode
    post: uint256 = operator.post
    first: int256 = values[1]
    second: int256 = values[2]
    x0: uint256 = graph_cases._field(operator.extra, 0)
    # SAFETY: elements have at most 32 bits, factors and parameters 31, a shift is at most 62.
    if opcode == graph_cases.AFFINE or opcode == graph_cases.MUL:
        word: uint256 = number if graph_cases._is_per_column(post) else post & _M72
        acc: int256 = first
        if opcode == graph_cases.MUL:
            acc = unsafe_mul(first, second) >> x0
        return planes._requantise(acc, word, post)
    if opcode == graph_cases.ADD:
        mult: int256 = unsafe_sub(convert((post >> 8) & _M32, int256), _OFFSET)
        other: int256 = unsafe_sub(convert(graph_cases._field(operator.extra, 4), int256), _OFFSET)
        half: int256 = convert(1, int256) << unsafe_sub(post & _M8, 1)
        sum: int256 = unsafe_add(unsafe_mul(first, mult), unsafe_mul(second, other))
        # ROUNDING: half up, by the floor of an arithmetic shift.
        return planes._clamp(unsafe_add(sum, half) >> (post & _M8), post)
    if opcode == graph_cases.LUT8:
        size: uint256 = views._size(operator.out)
        return planes._signed(number & (_M16 >> unsafe_sub(16, unsafe_mul(8, size))), size)
    if opcode == graph_cases.LUT16:
        part: int256 = convert(self._index_16(first, second) & _M8, int256)
        low: int256 = planes._signed((number >> 16) & _M16, 2)
        high: int256 = planes._signed(number & _M16, 2)
        mixed: int256 = unsafe_add(unsafe_mul(low, unsafe_sub(256, part)), unsafe_mul(high, part))
        return planes._clamp(unsafe_add(mixed, 128) >> 8, post)
    if opcode == graph_cases.ISQRT:
        return planes._clamp(convert(isqrt(convert(max(first, 0), uint256)), int256), post)
    if opcode == graph_cases.RECIP:
        power: uint256 = convert(1, uint256) << x0
        quotient: uint256 = unsafe_div(power, convert(max(first, 1), uint256))
        return planes._clamp(convert(quotient, int256), post)
    if opcode == graph_cases.PICK or opcode == graph_cases.GATHER:
        return second
    assert (
        opcode == graph_cases.TRANSPOSE
        or opcode == graph_cases.RESHAPE
        or opcode == graph_cases.CONCAT
        or opcode == graph_cases.IM2COL
    ), "graph: no rule of an element"
    return first
