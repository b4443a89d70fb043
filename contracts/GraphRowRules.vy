# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Graph row rules
@license AGPL-3.0-only
@notice The rules of operators that read whole rows of activations: SCORES, CONTEXT, ROWSUM, ROWDOT
        (docs/int8-graph-2.md). GraphRules sends them here.
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


# A row or an element that a rule reads; view 0: it reads no more.
struct Operand:
    view: uint256
    row: uint256
    column: uint256
    role: uint256


# Where in the openings the first byte of a row that counts is, and how the row lies there.
struct Row:
    start: uint256
    split: uint256
    block: uint256
    size: uint256


# What an operand is for.
_OUTPUT: constant(uint256) = 0
_STAT: constant(uint256) = 1
_A: constant(uint256) = 2
_B: constant(uint256) = 3

_M72: constant(uint256) = 2**72 - 1
_MAX_SPLIT: constant(uint256) = 16
_WORD: constant(uint256) = 32


@external
@view
def prove(claim: IGraphRules.ClaimRef, proof: IGraphRules.Proof) -> IGraphRules.Judgement:
    """
    @notice Recompute an element that is made of rows of activations.
    @param claim The claim; only its commitment and its terms' program, input and units are read.
    @param proof What is claimed and what it was computed from.
    @return Whether it is a fault, the kind, and what was claimed and would have been right.
    """
    facts: graph_cases.Facts = graph_cases._facts(
        proof.model, claim.terms.program, claim.terms.input_id, claim.terms.w7, claim.commitment
    )
    graph_cases._check_operator(facts, proof.index, proof.operator, proof.operator_proof)
    opcode: uint256 = proof.operator.opcode

    # The output's element, then what it is made of.
    given: uint256 = len(proof.openings)
    # By role: the element that is claimed, the stat, and the two rows.
    claimed: int256 = 0
    stat: int256 = 0
    rows: Row[2] = empty(Row[2])
    end: uint256 = 0
    for turn: uint256 in range(4):
        read: Operand = self._operand(
            proof.index, proof.operator, proof.row, proof.column, turn, stat
        )
        if read.view == 0:
            break
        place: views.Place = empty(views.Place)
        if read.role < _A:
            place = views._place(facts.shape, read.view, read.row, read.column, end, given)
        else:
            place = views._row_place(facts.shape, read.view, read.row, end, given)
            rows[unsafe_sub(read.role, _A)] = Row(
                start=unsafe_add(unsafe_add(end, place.offset), read.column),
                split=place.split,
                block=place.block,
                size=place.size,
            )
        # A row's leaves one after the other, or just a leaf.
        nodes: bytes32[_MAX_SPLIT] = empty(bytes32[_MAX_SPLIT])
        part: uint256 = unsafe_div(place.length, place.split)
        leaf: Bytes[quads.MAX_LEAF] = b""
        for i: uint256 in range(place.split, bound=_MAX_SPLIT):
            leaf = convert(
                slice(proof.openings, unsafe_add(end, unsafe_mul(i, part)), part),
                Bytes[quads.MAX_LEAF],
            )
            nodes[i] = quads._leaf(leaf)
        node: bytes32 = quads._over(nodes, place.split)
        views._check_node(
            place,
            node,
            convert(slice(proof.openings, place.middle, place.siblings), Bytes[quads.MAX_SIBLINGS]),
        )
        if read.role < _A:
            element: int256 = planes._element(leaf, place.offset, place.block, place.size)
            if read.role == _OUTPUT:
                claimed = element
            else:
                stat = element
        end = place.end
    # The parameters.
    word: uint256 = proof.operator.post & _M72
    if graph_cases._is_per_column(proof.operator.post):
        middle: uint256 = unsafe_add(end, _WORD)
        tail: uint256 = graph_cases._constant_end(middle, views._width(proof.operator.out), given)
        word = extract32(proof.openings, end, output_type=uint256)
        graph_cases._check_constant(
            keccak256(concat(0x02, convert(word, bytes32))),
            proof.column,
            convert(
                slice(proof.openings, middle, unsafe_sub(tail, middle)), Bytes[quads.MAX_BINARY]
            ),
            proof.operator.constants,
        )
    else:
        assert end == given, "graph: rows too long"

    if opcode == graph_cases.SCORES and proof.operator.s != 0 and stat == 0:
        # A masked place.
        return self._judgement(claimed, planes._low(proof.operator.post))
    # Sums over the columns that count, of unsigned numbers, plane by plane. SAFETY: numbers of 16
    # bits, 4,096 columns.
    count: uint256 = self._count(proof.operator)
    if opcode == graph_cases.ROWSUM or opcode == graph_cases.ROWDOT:
        rows[1] = rows[0]
    products: uint256 = 0
    left_sum: uint256 = 0
    right_sum: uint256 = 0
    # Columns of int8 lie one after the other even in a row of several leaves; int16 is cut by leaf.
    parts: uint256 = rows[0].split if rows[0].size != 1 else 1
    for i: uint256 in range(parts, bound=_MAX_SPLIT):
        columns: uint256 = count
        if parts != 1:
            passed: uint256 = unsafe_mul(i, rows[0].block)
            if passed >= count:
                break
            columns = min(rows[0].block, unsafe_sub(count, passed))
        length: uint256 = views._padded(columns)
        for p: uint256 in range(rows[0].size, bound=2):
            left: Bytes[planes.MAX_PLANE] = convert(
                slice(proof.openings, self._plane(rows[0], i, p), length), Bytes[planes.MAX_PLANE]
            )
            left_factor: uint256 = self._factor(rows[0].size, p)
            for q: uint256 in range(rows[1].size, bound=2):
                right: Bytes[planes.MAX_PLANE] = convert(
                    slice(proof.openings, self._plane(rows[1], i, q), length),
                    Bytes[planes.MAX_PLANE],
                )
                right_factor: uint256 = self._factor(rows[1].size, q)
                sums: planes.Sums = planes._sums(left, right, columns)
                products = unsafe_add(
                    products, unsafe_mul(sums.products, unsafe_mul(left_factor, right_factor))
                )
                if q == 0:
                    left_sum = unsafe_add(left_sum, unsafe_mul(sums.left, left_factor))
                if p == 0:
                    right_sum = unsafe_add(right_sum, unsafe_mul(sums.right, right_factor))
                if opcode == graph_cases.ROWSUM:
                    break
    acc: int256 = 0
    if opcode == graph_cases.ROWSUM:
        acc = planes._signed_sum(left_sum, rows[0].size, count)
    else:
        acc = planes._signed_products(
            products, left_sum, right_sum, rows[0].size, rows[1].size, count
        )
    if opcode == graph_cases.CONTEXT and proof.operator.s != 0:
        # SAFETY: under 2^43 by 2^31.
        acc = unsafe_mul(acc, stat) >> graph_cases._field(proof.operator.extra, 3)
    elif opcode == graph_cases.ROWDOT:
        acc = acc >> graph_cases._field(proof.operator.extra, 0)
    return self._judgement(claimed, planes._requantise(acc, word, proof.operator.post))


# ---- internal


@internal
@pure
def _judgement(claimed: int256, right: int256) -> IGraphRules.Judgement:
    return IGraphRules.Judgement(
        is_fault=claimed != right, kind=graph_cases.ELEMENT, claimed=claimed, right=right
    )


@internal
@pure
def _operand(
    index: uint256,
    operator: IGraphRules.Operator,
    row: uint256,
    column: uint256,
    turn: uint256,
    stat: int256,
) -> Operand:
    """
    @dev What is opened at this turn; `stat` is the stat operand's element as soon as it was read.
    """
    if turn == 0:
        view: uint256 = graph_cases._output(index, operator.out)
        return Operand(view=view, row=row, column=column, role=_OUTPUT)
    # SAFETY: rows, columns and numbers of 32 bits; a divisor is a number that is not zero in a
    # registered operator, and a division by zero would revert or give zero.
    heads: uint256 = graph_cases._field(operator.extra, 0)
    sequence: uint256 = graph_cases._field(operator.extra, 1)
    channels: uint256 = graph_cases._field(operator.extra, 2)
    if operator.opcode == graph_cases.SCORES:
        group: uint256 = unsafe_div(row, unsafe_mul(heads, sequence))
        start: uint256 = unsafe_mul(unsafe_div(row, sequence) % heads, channels)
        step: uint256 = turn
        if operator.s == 0:
            step = unsafe_add(turn, 1)
        if step == 1:
            return Operand(view=operator.s, row=group, column=column, role=_STAT)
        if operator.s != 0 and stat == 0:
            return empty(Operand)
        first: uint256 = unsafe_mul(group, sequence)
        if step == 2:
            return Operand(
                view=operator.a, row=unsafe_add(first, row % sequence), column=start, role=_A
            )
        if step == 3:
            return Operand(view=operator.b, row=unsafe_add(first, column), column=start, role=_B)
        return empty(Operand)

    if operator.opcode == graph_cases.CONTEXT:
        group: uint256 = unsafe_mul(unsafe_div(row, sequence), heads)
        place: uint256 = unsafe_add(
            unsafe_mul(unsafe_add(group, unsafe_div(column, channels)), sequence), row % sequence
        )
        if turn == 1:
            return Operand(view=operator.a, row=place, column=0, role=_A)
        if turn == 2:
            other: uint256 = unsafe_add(unsafe_mul(group, channels), column)
            return Operand(view=operator.b, row=other, column=0, role=_B)
        if operator.s == 0:
            return empty(Operand)
        width: uint256 = views._width(operator.s)
        return Operand(
            view=operator.s, row=unsafe_div(place, width), column=place % width, role=_STAT
        )

    assert (
        operator.opcode == graph_cases.ROWSUM or operator.opcode == graph_cases.ROWDOT
    ), "graph: no rule of rows"
    if turn == 1:
        folded: uint256 = unsafe_add(unsafe_mul(row, views._width(operator.out)), column)
        return Operand(view=operator.a, row=folded, column=0, role=_A)
    return empty(Operand)


@internal
@pure
def _count(operator: IGraphRules.Operator) -> uint256:
    """
    @dev The columns that a sum goes over.
    """
    if operator.opcode == graph_cases.SCORES:
        return graph_cases._field(operator.extra, 2)
    return views._width(operator.a)


@internal
@pure
def _plane(row: Row, part: uint256, plane: uint256) -> uint256:
    """
    @dev Where in the openings a plane of a part of a row begins.
    """
    # SAFETY: at most 8,192 bytes further.
    planes_before: uint256 = unsafe_add(unsafe_mul(part, row.size), plane)
    return unsafe_add(row.start, unsafe_mul(planes_before, row.block))


@internal
@pure
def _factor(size: uint256, plane: uint256) -> uint256:
    """
    @dev What a byte of the plane counts.
    """
    return 256 if unsafe_add(plane, 1) < size else 1
