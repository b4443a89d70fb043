"""What GraphRules makes of a proof, from the proof alone, in plain Python.

`check` judges exactly as the contract does and refuses with the same reasons, in the same order. It
shares no code with the executors: everything is read from the proof's own bytes.
"""

from collections.abc import Callable
from math import isqrt

from headrace.graph.encoding import mirror
from headrace.graph.merkle import keccak
from headrace.graph2.faults import FaultKind, Proof
from headrace.graph2.opcodes import Opcode
from headrace.graph2.proof_reading import (
    M8,
    M16,
    M32,
    OFFSET,
    SIBLING,
    Case,
    Facts,
    Judgement,
    Layout,
    NotProven,
    clamp,
    climb,
    padded,
    quad_depth,
    require,
    signed,
)

__all__ = ["Facts", "Judgement", "NotProven", "check"]

MAX_PREIMAGE = 2_049
_TABLE_16 = 514
_TABLE = 2
_ROWS = (Opcode.SCORES, Opcode.CONTEXT, Opcode.ROWSUM, Opcode.ROWDOT)


def check(facts: Facts, proof: Proof) -> Judgement:
    """Return what the proof shows; NotProven when it isn't well-formed."""
    case = Case(facts, proof)
    if proof.kind == FaultKind.ELEMENT:
        if case.op.opcode == Opcode.MATMUL:
            return _matmul(case)
        return _rows(case) if case.op.opcode in _ROWS else _elements(case)
    return _elements(case) if proof.kind == FaultKind.WITNESS else _form(case)


def _element(claimed: int, right: int) -> Judgement:
    return Judgement(claimed != right, FaultKind.ELEMENT, claimed, right)


# ---- MATMUL, as GraphRules has it


def _matmul(case: Case) -> Judgement:
    claimed = case.element(case.output, case.proof.row, case.proof.column)
    row = case.row(case.op.a, case.proof.row)
    width = len(row)
    count, length = case.out_width, 32 + padded(width)
    data = case.constant(count, length)
    weights = mirror(data[32:])
    require(set(weights[width:]) <= {128}, "graph: ill-formed weights")
    case.check_constant(data, case.proof.column, count)
    acc = sum(x * (w - 128) for x, w in zip(row, weights[:width], strict=True))
    return _element(claimed, case.requantise(acc, int.from_bytes(data[:32], "big")))


# ---- as GraphRowRules


def _rows(case: Case) -> Judgement:
    claimed = case.element(case.output, case.proof.row, case.proof.column)
    rules: dict[int, Callable[[Case], tuple[int | None, int]]] = {
        Opcode.SCORES: _scores,
        Opcode.CONTEXT: _context,
        Opcode.ROWSUM: _row_sum,
        Opcode.ROWDOT: _row_dot,
    }
    acc, word = rules[case.op.opcode](case)
    right = case.low if acc is None else case.requantise(acc, word)
    return _element(claimed, right)


def _scores(case: Case) -> tuple[int | None, int]:
    heads, sequence, channels = case.x(0), case.x(1), case.x(2)
    group, inside = divmod(case.proof.row, heads * sequence)
    head, query = divmod(inside, sequence)
    if case.op.s and case.element(case.op.s, group, case.proof.column) == 0:
        return None, case.word()
    left = case.row(case.op.a, group * sequence + query)
    right = case.row(case.op.b, group * sequence + case.proof.column)
    columns = range(head * channels, (head + 1) * channels)
    return sum(left[k] * right[k] for k in columns), case.word()


def _context(case: Case) -> tuple[int | None, int]:
    heads, sequence, channels, shift = (case.x(number) for number in range(4))
    group, query = divmod(case.proof.row, sequence)
    place = (group * heads + case.proof.column // channels) * sequence + query
    left = case.row(case.op.a, place)
    right = case.row(case.op.b, group * heads * channels + case.proof.column)
    acc = sum(x * y for x, y in zip(left, right, strict=True))
    if case.op.s:
        acc = (acc * _stat(case, case.op.s, place)) >> shift
    return acc, case.word()


def _row_sum(case: Case) -> tuple[int | None, int]:
    row = case.row(case.op.a, case.proof.row * case.out_width + case.proof.column)
    return sum(row), case.word()


def _row_dot(case: Case) -> tuple[int | None, int]:
    row = case.row(case.op.a, case.proof.row * case.out_width + case.proof.column)
    return sum(x * x for x in row) >> case.x(0), case.word()


def _stat(case: Case, view: int, row: int) -> int:
    width = view >> 8 & M16
    return case.element(view, row // width, row % width)


# ---- as GraphElementRules


def _elements(case: Case) -> Judgement:
    op, proof = case.op, case.proof
    if op.opcode == Opcode.ARGMAX:
        require(proof.kind == FaultKind.WITNESS, "graph: argmax wants a witness")
        return _witness(case)
    require(proof.kind == FaultKind.ELEMENT, "graph: not an argmax")
    claimed = case.element(case.output, proof.row, proof.column)
    rules: dict[int, Callable[[Case], int]] = {
        Opcode.TRANSPOSE: _transpose,
        Opcode.AFFINE: _affine,
        Opcode.MUL: _mul,
        Opcode.ADD: _add,
        Opcode.LUT8: _lut8,
        Opcode.LUT16: _lut16,
        Opcode.ISQRT: _isqrt,
        Opcode.RECIP: _recip,
        Opcode.PICK: _pick,
        Opcode.GATHER: _gather,
        Opcode.RESHAPE: _reshape,
        Opcode.CONCAT: _concat,
        Opcode.IM2COL: _im2col,
    }
    return _element(claimed, rules[op.opcode](case))


def _end(case: Case) -> None:
    require(case.at == len(case.openings), "graph: openings too long")


def _witness(case: Case) -> Judgement:
    row, witness = case.proof.row, case.proof.column
    claimed = case.element(case.output, row // case.out_width, row % case.out_width)
    is_index = 0 <= claimed < case.op.a >> 8 & M16
    chosen = case.element(case.op.a, row, claimed) if is_index else 0
    best = case.element(case.op.a, row, witness)
    _end(case)
    is_fault = not is_index or best > chosen or (best == chosen and witness < claimed)
    return Judgement(is_fault, FaultKind.WITNESS, claimed, witness)


def _same(case: Case, view: int) -> int:
    return case.element(view, case.proof.row, case.proof.column)


def _moved(case: Case, row: int, column: int) -> int:
    found = case.element(case.op.a, row, column)
    _end(case)
    return found


def _column_word(case: Case) -> int:
    if not case.per_column:
        _end(case)
    return case.word()


def _transpose(case: Case) -> int:
    block, channel = divmod(case.proof.row, case.op.a >> 8 & M16)
    return _moved(case, block * case.x(1) + case.proof.column, channel)


def _affine(case: Case) -> int:
    value = case.element(case.op.a, case.proof.row, case.proof.column + case.x(0))
    return case.requantise(value, _column_word(case))


def _second(case: Case) -> int:
    if case.x(1) == 0:
        return _same(case, case.op.b)
    return _stat(case, case.op.b, case.proof.row)


def _mul(case: Case) -> int:
    product = _same(case, case.op.a) * _second(case)
    return case.requantise(product >> case.x(0), _column_word(case))


def _add(case: Case) -> int:
    first = _same(case, case.op.a)
    if case.x(1) == _TABLE:
        second = _table_element(case, case.proof.row % case.x(2), case.x(2), case.x(3))
    else:
        second = _second(case)
        _end(case)
    mult, shift = (case.op.post >> 8 & M32) - OFFSET, case.op.post & M8
    total = first * mult + second * (case.x(4) - OFFSET)
    return case.clamp((total + (1 << (shift - 1))) >> shift)


def _table_element(case: Case, index: int, count: int, size: int) -> int:
    stride = padded(case.out_width)
    data = case.constant(count, size * stride)
    case.check_constant(data, index, count)
    return signed(int.from_bytes(data[case.proof.column :: stride], "big"), size)


def _lut8(case: Case) -> int:
    entry = _same(case, case.op.a) + 128
    size = case.op.out & M8
    data = case.constant(1, 256 * size)
    case.check_constant(data, 0, 1)
    return signed(int.from_bytes(data[size * entry : size * (entry + 1)], "big"), size)


def _lut16(case: Case) -> int:
    value = _same(case, case.op.a)
    if case.op.s:
        value -= _stat(case, case.op.s, case.proof.row)
    entry, part = divmod(clamp(value, -(1 << 15), (1 << 15) - 1) + (1 << 15), 256)
    data = case.constant(1, _TABLE_16)
    case.check_constant(data, 0, 1)
    low, high = (
        signed(int.from_bytes(data[at : at + 2], "big"), 2) for at in (2 * entry, 2 * entry + 2)
    )
    return case.clamp((low * (256 - part) + high * part + 128) >> 8)


def _isqrt(case: Case) -> int:
    value = _same(case, case.op.a)
    _end(case)
    return case.clamp(isqrt(max(value, 0)))


def _recip(case: Case) -> int:
    value = _same(case, case.op.a)
    _end(case)
    return case.clamp((1 << case.x(0)) // max(value, 1))


def _pick(case: Case) -> int:
    width = case.op.a >> 8 & M16
    index = clamp(_same(case, case.op.b), 0, width - 1)
    return _moved(case, case.proof.row * case.out_width + case.proof.column, index)


def _gather(case: Case) -> int:
    index = clamp(_stat(case, case.op.a, case.proof.row), 0, case.x(0))
    return _table_element(case, index, case.x(0) + 1, case.op.out & M8)


def _reshape(case: Case) -> int:
    place = case.proof.row * case.out_width + case.proof.column
    return _moved(case, *divmod(place, case.op.a >> 8 & M16))


def _concat(case: Case) -> int:
    width = case.op.a >> 8 & M16
    column = case.proof.column
    view, column = (case.op.a, column) if column < width else (case.op.b, column - width)
    found = case.element(view, case.proof.row, column)
    _end(case)
    return found


def _im2col(case: Case) -> int:
    height, width, channels, kernel, stride, border = (case.x(number) for number in range(6))
    across = (width + 2 * border - kernel) // stride + 1
    down = (height + 2 * border - kernel) // stride + 1
    image, spot = divmod(case.proof.row, across * down)
    tap, channel = divmod(case.proof.column, channels)
    u = spot // across * stride + tap // kernel - border
    v = spot % across * stride + tap % kernel - border
    if not (0 <= u < height and 0 <= v < width):
        _end(case)
        return 0
    return _moved(case, image, (u * width + v) * channels + channel)


# ---- as GraphFormRules


def _form(case: Case) -> Judgement:
    if case.proof.kind == FaultKind.PAD_NODE:
        return _pad_node(case)
    layout = Layout.of(case.output, case.facts.units)
    leaf, place = case.proof.row, case.proof.column
    require(leaf < layout.leaves, "graph: no such leaf")
    depth = quad_depth(layout.leaves)
    data = _only(case, depth + case.op_depth)
    if case.proof.kind == FaultKind.LEAF_FORM:
        size, right = len(data), 1 + layout.leaf_bytes
        case.check_node(layout.tensor, keccak(data), leaf, depth)
        is_fault = size != right or data[0] != 0
        return Judgement(is_fault, FaultKind.LEAF_FORM, size, right)
    require(len(data) == layout.leaf_bytes, "graph: data of another length")
    require(case.proof.kind == FaultKind.PADDING, "graph: unknown kind")
    require(place < layout.leaf_bytes, "graph: no such byte")
    group, part = divmod(leaf, layout.split)
    inside, rest = divmod(place, layout.part)
    plane, offset = divmod(rest, layout.block)
    row, column = group * layout.pack + inside, part * layout.block + offset
    is_used = row < layout.rows and column < layout.width
    require(not is_used, "graph: not in the padding")
    case.check_node(layout.tensor, keccak(b"\x00" + data), leaf, depth)
    right = 0 if plane else 128
    return Judgement(data[place] != right, FaultKind.PADDING, data[place], right)


def _only(case: Case, levels: int) -> bytes:
    """The data of a proof's only opening: what its siblings leave."""
    siblings = 3 * SIBLING * levels
    require(siblings <= len(case.openings), "graph: siblings missing")
    size = len(case.openings) - siblings
    require(size <= MAX_PREIMAGE, "graph: preimage too long")
    return case.take(size)


def _pad_node(case: Case) -> Judgement:
    facts, proof = case.facts, case.proof
    level, index = proof.column, proof.row
    is_top = proof.index == case.model.op_count
    layout = None if is_top else Layout.of(case.output, facts.units)
    used = case.model.op_count if layout is None else layout.leaves
    depth = quad_depth(used) - level
    require(depth >= 0, "graph: no such level")
    require(index >> 2 * depth == 0, "graph: no such node")
    require(index << 2 * level >= used, "graph: node has places in use")
    node = _only(case, depth + (0 if is_top else case.op_depth))
    require(len(node) == SIBLING, "graph: data of another length")
    if layout is None:
        way = case.way(depth)
        require(climb(node, index, way) == facts.commitment, "graph: not in the tree")
    else:
        case.check_node(layout.tensor, node, index, depth)
    zero = bytes(SIBLING)
    for _ in range(level):
        zero = keccak(4 * zero)
    return Judgement(node != zero, FaultKind.PAD_NODE, 0, 0)
