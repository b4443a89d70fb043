"""What GraphRules makes of a proof, from the proof alone, in plain Python.

`check` judges exactly as the contract does and refuses with the same reasons, in the same order. It
shares no code with the executors: everything is read from the proof's own bytes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import NamedTuple

from headrace.errors import HeadraceError
from headrace.graph.encoding import abi_words, mirror
from headrace.graph.merkle import climb as climb_binary
from headrace.graph.merkle import depth as binary_depth
from headrace.graph.merkle import keccak
from headrace.graph2.faults import FaultKind, ModelFacts, Proof
from headrace.graph2.model import Model
from headrace.graph2.opcodes import Opcode
from headrace.graph2.operators import Descriptor

MAX_PREIMAGE = 2_049
_VERSION = 2
_M8, _M16, _M32, _M72 = (1 << 8) - 1, (1 << 16) - 1, (1 << 32) - 1, (1 << 72) - 1
_OFFSET = 1 << 31
_SATURATED = 1 << 30
_SIBLING = 32
_TABLE_16 = 514
_TABLE = 2
_ROWS = (Opcode.SCORES, Opcode.CONTEXT, Opcode.ROWSUM, Opcode.ROWDOT)


class NotProven(HeadraceError):
    """The proof is ill-formed; the message is the contract's reason."""


class Judgement(NamedTuple):
    """What a proof has shown (`IGraphRules.Judgement`)."""

    is_fault: bool
    kind: FaultKind
    claimed: int
    right: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What the contract knows of a claim before it sees a proof."""

    program: bytes
    units: int
    input_id: bytes
    commitment: bytes

    @classmethod
    def of(cls, model: Model, units: int, input_id: bytes, commitment: bytes) -> "Facts":
        """Name the model by its program."""
        return cls(model.program, units, input_id, commitment)


def check(facts: Facts, proof: Proof) -> Judgement:
    """Return what the proof shows; NotProven when it isn't well-formed."""
    case = _Case(facts, proof)
    if proof.kind == FaultKind.ELEMENT:
        if case.op.opcode == Opcode.MATMUL:
            return _matmul(case)
        return _rows(case) if case.op.opcode in _ROWS else _elements(case)
    return _elements(case) if proof.kind == FaultKind.WITNESS else _form(case)


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise NotProven(reason)


def _quad_depth(leaves: int) -> int:
    depth = 0
    while 1 << 2 * depth < leaves:
        depth += 2
    return depth


def _padded(count: int) -> int:
    return (count + 31) // 32 * 32


def _clamp(number: int, low: int, high: int) -> int:
    return max(low, min(high, number))


def _signed(unsigned: int, size: int) -> int:
    return unsigned - (1 << (8 * size - 1))


@dataclass(frozen=True, slots=True)
class _Layout:
    """A view's numbers, and how the tensor lies in leaves at so many units."""

    tensor: int
    rows: int
    width: int
    size: int
    split: int
    block: int
    pack: int

    @classmethod
    def of(cls, view: int, units: int) -> "_Layout":
        width, size = view >> 8 & _M16, view & _M8
        total = size * _padded(width)
        split = 1
        if total > 1_024:
            split = 4 if total <= 4_096 else 16
        block = _padded(-(-width // split))
        pack = 1
        while split == 1 and 2 * pack * size * block <= 512:
            pack *= 2
        return cls(view >> 56, (view >> 24 & _M32) * units, width, size, split, block, pack)

    @property
    def part(self) -> int:
        return self.size * self.block

    @property
    def leaf_bytes(self) -> int:
        return self.pack * self.part

    @property
    def leaves(self) -> int:
        return -(-self.rows // self.pack) * self.split

    def require(self, row: int, column: int) -> None:
        _require(row < self.rows, "graph: no such row")
        _require(column < self.width, "graph: no such column")


class _Case:
    """A proof, read from the front; `at` is how far."""

    def __init__(self, facts: Facts, proof: Proof) -> None:
        self.facts, self.proof = facts, proof
        model = ModelFacts(*proof.model)
        _require(keccak(abi_words(_VERSION, *model)) == facts.program, "graph: not the job's model")
        _require(0 < facts.units <= model.max_units, "graph: bad units")
        self.model = model
        self.op = Descriptor(*proof.operator)
        self.openings = proof.openings
        self.at = 0
        own_tree = proof.kind == FaultKind.PAD_NODE and proof.index == model.op_count
        if not own_tree:
            self._check_operator()

    def _check_operator(self) -> None:
        proof, model = self.proof, self.model
        _require(proof.index < model.op_count, "graph: no such operator")
        depth = binary_depth(model.op_count)
        _require(len(proof.operator_proof) == depth, "merkle: wrong depth")
        root = climb_binary(self.op.leaf, proof.index, proof.operator_proof)
        _require(root == model.graph_root, "graph: not the model's operator")

    @property
    def op_depth(self) -> int:
        """Levels of four over the operators."""
        return _quad_depth(self.model.op_count)

    def x(self, number: int) -> int:
        """Field `number` of the operator's small numbers."""
        return self.op.extra >> 32 * number & _M32

    @property
    def output(self) -> int:
        """The view of the output as the tensor that it is."""
        return self.op.out | (self.proof.index + 1) << 56

    @property
    def out_width(self) -> int:
        """Elements in a row of the output."""
        return self.op.out >> 8 & _M16

    @property
    def per_column(self) -> bool:
        """Whether each column has its own word."""
        return bool(self.op.post >> 184 & 1)

    @property
    def low(self) -> int:
        """The least output."""
        return (self.op.post >> 224) - _OFFSET

    def clamp(self, number: int) -> int:
        """Cut a number to the output's bounds."""
        return _clamp(number, self.low, (self.op.post >> 192 & _M32) - _OFFSET)

    def take(self, length: int) -> bytes:
        """The next bytes of the openings."""
        data = self.openings[self.at : self.at + length]
        self.at += length
        return data

    def way(self, depth: int) -> list[bytes]:
        """The siblings of so many levels of four."""
        return [self.take(_SIBLING) for _ in range(3 * depth)]

    def check_node(self, tensor: int, node: bytes, index: int, depth: int) -> None:
        """Take a node's siblings, which lead on to the commitment unless it is the input's."""
        root = self.facts.input_id
        if tensor:
            index |= (tensor - 1) << 2 * depth
            depth += self.op_depth
            root = self.facts.commitment
        _require(_climb(node, index, self.way(depth)) == root, "graph: not in the tree")

    def open(self, layout: _Layout, length: int, depth: int) -> bytes:
        """Take an opening's data, if it and its siblings are there."""
        levels = depth + (self.op_depth if layout.tensor else 0)
        end = self.at + length + 3 * _SIBLING * levels
        _require(end <= len(self.openings), "graph: openings too short")
        return self.take(length)

    def element(self, view: int, row: int, column: int) -> int:
        """Open the leaf of an element and read it."""
        layout = _Layout.of(view, self.facts.units)
        layout.require(row, column)
        depth = _quad_depth(layout.leaves)
        data = self.open(layout, layout.leaf_bytes, depth)
        leaf = row // layout.pack * layout.split + column // layout.block
        first = row % layout.pack * layout.part + column % layout.block
        self.check_node(layout.tensor, keccak(b"\x00" + data), leaf, depth)
        planes = data[first : first + layout.part : layout.block][: layout.size]
        return _signed(int.from_bytes(planes, "big"), layout.size)

    def row(self, view: int, row: int) -> list[int]:
        """Open a whole row and read it."""
        layout = _Layout.of(view, self.facts.units)
        layout.require(row, 0)
        level = {1: 0, 4: 1, 16: 2}[layout.split]
        depth = _quad_depth(layout.leaves) - level
        data = self.open(layout, layout.split * layout.leaf_bytes, depth)
        size = layout.leaf_bytes
        nodes = [keccak(b"\x00" + data[i : i + size]) for i in range(0, len(data), size)]
        while len(nodes) > 1:
            nodes = [keccak(b"".join(nodes[i : i + 4])) for i in range(0, len(nodes), 4)]
        self.check_node(layout.tensor, nodes[0], row // layout.pack, depth)
        start = row % layout.pack * layout.part
        found = []
        for column in range(layout.width):
            leaf, place = divmod(column, layout.block)
            first = start + leaf * layout.part + place
            planes = [data[first + plane * layout.block] for plane in range(layout.size)]
            found.append(_signed(int.from_bytes(planes, "big"), layout.size))
        return found

    def constant(self, index: int, count: int, length: int) -> bytes:
        """Open a constant leaf, the last thing there is; its proof isn't checked yet."""
        whole = self.at + length + _SIBLING * binary_depth(count)
        _require(whole == len(self.openings), "graph: openings of wrong length")
        return self.take(length)

    def check_constant(self, data: bytes, index: int, count: int) -> None:
        """Take the siblings of a constant leaf."""
        way = [self.take(_SIBLING) for _ in range(binary_depth(count))]
        root = climb_binary(keccak(b"\x02" + data), index, way)
        _require(root == self.op.constants, "graph: not the model's constant")

    def word(self) -> int:
        """The word of the operator or, out of the openings, of the column."""
        if not self.per_column:
            _require(self.at == len(self.openings), "graph: rows too long")
            return self.op.post & _M72
        data = self.constant(self.proof.column, self.out_width, 32)
        self.check_constant(data, self.proof.column, self.out_width)
        return int.from_bytes(data, "big")

    def requantise(self, acc: int, word: int) -> int:
        """Q of the format; NotProven when the word is out of bounds."""
        _require(word >> 72 == 0, "graph: spare bits in a word")
        bias, mult = (word >> 40) - _OFFSET, (word >> 8 & _M32) - _OFFSET
        shift = word & _M8
        _require(abs(bias) <= 1 << 30, "graph: bias out of bounds")
        _require(abs(mult) < 1 << 31, "graph: mult out of bounds")
        _require(1 <= shift <= 62, "graph: shift out of bounds")
        scaled = (_clamp(acc, -_SATURATED, _SATURATED) + bias) * mult
        return self.clamp((scaled + (1 << (shift - 1))) >> shift)


def _climb(node: bytes, index: int, way: Sequence[bytes]) -> bytes:
    for level in range(0, len(way), 3):
        children = list(way[level : level + 3])
        children.insert(index & 3, node)
        node = keccak(b"".join(children))
        index >>= 2
    return node


def _element(claimed: int, right: int) -> Judgement:
    return Judgement(claimed != right, FaultKind.ELEMENT, claimed, right)


# ---- MATMUL, as GraphRules has it


def _matmul(case: _Case) -> Judgement:
    claimed = case.element(case.output, case.proof.row, case.proof.column)
    row = case.row(case.op.a, case.proof.row)
    width = len(row)
    count, length = case.out_width, 32 + _padded(width)
    data = case.constant(case.proof.column, count, length)
    weights = mirror(data[32:])
    _require(set(weights[width:]) <= {128}, "graph: ill-formed weights")
    case.check_constant(data, case.proof.column, count)
    acc = sum(x * (w - 128) for x, w in zip(row, weights[:width], strict=True))
    return _element(claimed, case.requantise(acc, int.from_bytes(data[:32], "big")))


# ---- as GraphRowRules


def _rows(case: _Case) -> Judgement:
    claimed = case.element(case.output, case.proof.row, case.proof.column)
    rules: dict[int, Callable[[_Case], tuple[int | None, int]]] = {
        Opcode.SCORES: _scores,
        Opcode.CONTEXT: _context,
        Opcode.ROWSUM: _row_sum,
        Opcode.ROWDOT: _row_dot,
    }
    acc, word = rules[case.op.opcode](case)
    right = case.low if acc is None else case.requantise(acc, word)
    return _element(claimed, right)


def _scores(case: _Case) -> tuple[int | None, int]:
    heads, sequence, channels = case.x(0), case.x(1), case.x(2)
    group, inside = divmod(case.proof.row, heads * sequence)
    head, query = divmod(inside, sequence)
    if case.op.s and case.element(case.op.s, group, case.proof.column) == 0:
        return None, case.word()
    left = case.row(case.op.a, group * sequence + query)
    right = case.row(case.op.b, group * sequence + case.proof.column)
    columns = range(head * channels, (head + 1) * channels)
    return sum(left[k] * right[k] for k in columns), case.word()


def _context(case: _Case) -> tuple[int | None, int]:
    heads, sequence, channels, shift = (case.x(number) for number in range(4))
    group, query = divmod(case.proof.row, sequence)
    place = (group * heads + case.proof.column // channels) * sequence + query
    left = case.row(case.op.a, place)
    right = case.row(case.op.b, group * heads * channels + case.proof.column)
    acc = sum(x * y for x, y in zip(left, right, strict=True))
    if case.op.s:
        acc = (acc * _stat(case, case.op.s, place)) >> shift
    return acc, case.word()


def _row_sum(case: _Case) -> tuple[int | None, int]:
    row = case.row(case.op.a, case.proof.row * case.out_width + case.proof.column)
    return sum(row), case.word()


def _row_dot(case: _Case) -> tuple[int | None, int]:
    row = case.row(case.op.a, case.proof.row * case.out_width + case.proof.column)
    return sum(x * x for x in row) >> case.x(0), case.word()


def _stat(case: _Case, view: int, row: int) -> int:
    width = view >> 8 & _M16
    return case.element(view, row // width, row % width)


# ---- as GraphElementRules


def _elements(case: _Case) -> Judgement:
    op, proof = case.op, case.proof
    if op.opcode == Opcode.ARGMAX:
        _require(proof.kind == FaultKind.WITNESS, "graph: argmax wants a witness")
        return _witness(case)
    _require(proof.kind == FaultKind.ELEMENT, "graph: not an argmax")
    claimed = case.element(case.output, proof.row, proof.column)
    rules: dict[int, Callable[[_Case], int]] = {
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


def _end(case: _Case) -> None:
    _require(case.at == len(case.openings), "graph: openings too long")


def _witness(case: _Case) -> Judgement:
    row, witness = case.proof.row, case.proof.column
    claimed = case.element(case.output, row // case.out_width, row % case.out_width)
    is_index = 0 <= claimed < case.op.a >> 8 & _M16
    chosen = case.element(case.op.a, row, claimed) if is_index else 0
    best = case.element(case.op.a, row, witness)
    _end(case)
    is_fault = not is_index or best > chosen or (best == chosen and witness < claimed)
    return Judgement(is_fault, FaultKind.WITNESS, claimed, witness)


def _same(case: _Case, view: int) -> int:
    return case.element(view, case.proof.row, case.proof.column)


def _moved(case: _Case, row: int, column: int) -> int:
    found = case.element(case.op.a, row, column)
    _end(case)
    return found


def _column_word(case: _Case) -> int:
    if not case.per_column:
        _end(case)
    return case.word()


def _transpose(case: _Case) -> int:
    block, channel = divmod(case.proof.row, case.op.a >> 8 & _M16)
    return _moved(case, block * case.x(1) + case.proof.column, channel)


def _affine(case: _Case) -> int:
    value = case.element(case.op.a, case.proof.row, case.proof.column + case.x(0))
    return case.requantise(value, _column_word(case))


def _second(case: _Case) -> int:
    if case.x(1) == 0:
        return _same(case, case.op.b)
    return _stat(case, case.op.b, case.proof.row)


def _mul(case: _Case) -> int:
    product = _same(case, case.op.a) * _second(case)
    return case.requantise(product >> case.x(0), _column_word(case))


def _add(case: _Case) -> int:
    first = _same(case, case.op.a)
    if case.x(1) == _TABLE:
        second = _table_element(case, case.proof.row % case.x(2), case.x(2), case.x(3))
    else:
        second = _second(case)
        _end(case)
    mult, shift = (case.op.post >> 8 & _M32) - _OFFSET, case.op.post & _M8
    total = first * mult + second * (case.x(4) - _OFFSET)
    return case.clamp((total + (1 << (shift - 1))) >> shift)


def _table_element(case: _Case, index: int, count: int, size: int) -> int:
    stride = _padded(case.out_width)
    data = case.constant(index, count, size * stride)
    case.check_constant(data, index, count)
    return _signed(int.from_bytes(data[case.proof.column :: stride], "big"), size)


def _lut8(case: _Case) -> int:
    entry = _same(case, case.op.a) + 128
    size = case.op.out & _M8
    data = case.constant(0, 1, 256 * size)
    case.check_constant(data, 0, 1)
    return _signed(int.from_bytes(data[size * entry : size * (entry + 1)], "big"), size)


def _lut16(case: _Case) -> int:
    value = _same(case, case.op.a)
    if case.op.s:
        value -= _stat(case, case.op.s, case.proof.row)
    entry, part = divmod(_clamp(value, -(1 << 15), (1 << 15) - 1) + (1 << 15), 256)
    data = case.constant(0, 1, _TABLE_16)
    case.check_constant(data, 0, 1)
    low, high = (_signed(int.from_bytes(data[i : i + 2], "big"), 2) for i in _pair(2 * entry))
    return case.clamp((low * (256 - part) + high * part + 128) >> 8)


def _pair(at: int) -> tuple[int, int]:
    return at, at + 2


def _isqrt(case: _Case) -> int:
    value = _same(case, case.op.a)
    _end(case)
    return case.clamp(isqrt(max(value, 0)))


def _recip(case: _Case) -> int:
    value = _same(case, case.op.a)
    _end(case)
    return case.clamp((1 << case.x(0)) // max(value, 1))


def _pick(case: _Case) -> int:
    width = case.op.a >> 8 & _M16
    index = _clamp(_same(case, case.op.b), 0, width - 1)
    return _moved(case, case.proof.row * case.out_width + case.proof.column, index)


def _gather(case: _Case) -> int:
    index = _clamp(_stat(case, case.op.a, case.proof.row), 0, case.x(0))
    return _table_element(case, index, case.x(0) + 1, case.op.out & _M8)


def _reshape(case: _Case) -> int:
    place = case.proof.row * case.out_width + case.proof.column
    return _moved(case, *divmod(place, case.op.a >> 8 & _M16))


def _concat(case: _Case) -> int:
    width = case.op.a >> 8 & _M16
    column = case.proof.column
    view, column = (case.op.a, column) if column < width else (case.op.b, column - width)
    found = case.element(view, case.proof.row, column)
    _end(case)
    return found


def _im2col(case: _Case) -> int:
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


def _form(case: _Case) -> Judgement:
    if case.proof.kind == FaultKind.PAD_NODE:
        return _pad_node(case)
    layout = _Layout.of(case.output, case.facts.units)
    leaf, place = case.proof.row, case.proof.column
    _require(leaf < layout.leaves, "graph: no such leaf")
    depth = _quad_depth(layout.leaves)
    data = _only(case, depth + case.op_depth)
    if case.proof.kind == FaultKind.LEAF_FORM:
        size, right = len(data), 1 + layout.leaf_bytes
        case.check_node(layout.tensor, keccak(data), leaf, depth)
        is_fault = size != right or data[0] != 0
        return Judgement(is_fault, FaultKind.LEAF_FORM, size, right)
    _require(len(data) == layout.leaf_bytes, "graph: data of another length")
    _require(case.proof.kind == FaultKind.PADDING, "graph: unknown kind")
    _require(place < layout.leaf_bytes, "graph: no such byte")
    group, part = divmod(leaf, layout.split)
    inside, rest = divmod(place, layout.part)
    plane, offset = divmod(rest, layout.block)
    row, column = group * layout.pack + inside, part * layout.block + offset
    is_used = row < layout.rows and column < layout.width
    _require(not is_used, "graph: not in the padding")
    case.check_node(layout.tensor, keccak(b"\x00" + data), leaf, depth)
    right = 0 if plane else 128
    return Judgement(data[place] != right, FaultKind.PADDING, data[place], right)


def _only(case: _Case, levels: int) -> bytes:
    """The data of a proof's only opening: what its siblings leave."""
    siblings = 3 * _SIBLING * levels
    _require(siblings <= len(case.openings), "graph: siblings missing")
    size = len(case.openings) - siblings
    _require(size <= MAX_PREIMAGE, "graph: preimage too long")
    return case.take(size)


def _pad_node(case: _Case) -> Judgement:
    facts, proof = case.facts, case.proof
    level, index = proof.column, proof.row
    is_top = proof.index == case.model.op_count
    layout = None if is_top else _Layout.of(case.output, facts.units)
    used = case.model.op_count if layout is None else layout.leaves
    depth = _quad_depth(used) - level
    _require(depth >= 0, "graph: no such level")
    _require(index >> 2 * depth == 0, "graph: no such node")
    _require(index << 2 * level >= used, "graph: node has places in use")
    node = _only(case, depth + (0 if is_top else case.op_depth))
    _require(len(node) == _SIBLING, "graph: data of another length")
    if layout is None:
        way = case.way(depth)
        _require(_climb(node, index, way) == facts.commitment, "graph: not in the tree")
    else:
        case.check_node(layout.tensor, node, index, depth)
    zero = bytes(_SIBLING)
    for _ in range(level):
        zero = keccak(4 * zero)
    return Judgement(node != zero, FaultKind.PAD_NODE, 0, 0)
