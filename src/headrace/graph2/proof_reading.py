"""A proof's own bytes, read as GraphRules reads them: in its order, refused with its reasons."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from headrace.errors import HeadraceError
from headrace.graph.encoding import abi_words
from headrace.graph.merkle import climb as climb_binary
from headrace.graph.merkle import depth as binary_depth
from headrace.graph.merkle import keccak
from headrace.graph2.faults import FaultKind, ModelFacts, Proof
from headrace.graph2.model import Model
from headrace.graph2.operators import Descriptor

SIBLING = 32
OFFSET = 1 << 31
M8, M16, M32 = (1 << 8) - 1, (1 << 16) - 1, (1 << 32) - 1
_M72 = (1 << 72) - 1
_SATURATED = 1 << 30
_VERSION = 2


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


def require(condition: bool, reason: str) -> None:
    """Raise NotProven with the reason unless the condition holds."""
    if not condition:
        raise NotProven(reason)


def quad_depth(leaves: int) -> int:
    """Return the levels of four over so many leaves, an even number."""
    depth = 0
    while 1 << 2 * depth < leaves:
        depth += 2
    return depth


def padded(count: int) -> int:
    """Return the next multiple of 32."""
    return (count + 31) // 32 * 32


def clamp(number: int, low: int, high: int) -> int:
    """Return the nearest of low..high."""
    return max(low, min(high, number))


def signed(unsigned: int, size: int) -> int:
    """Return the element that the unsigned number of `size` bytes stands for."""
    return unsigned - (1 << (8 * size - 1))


@dataclass(frozen=True, slots=True)
class Layout:
    """A view's numbers, and how the tensor lies in leaves at so many units."""

    tensor: int
    rows: int
    width: int
    size: int
    split: int
    block: int
    pack: int

    @classmethod
    def of(cls, view: int, units: int) -> "Layout":
        """Read a view's word."""
        width, size = view >> 8 & M16, view & M8
        total = size * padded(width)
        split = 1
        if total > 1_024:
            split = 4 if total <= 4_096 else 16
        block = padded(-(-width // split))
        pack = 1
        while split == 1 and 2 * pack * size * block <= 512:
            pack *= 2
        return cls(view >> 56, (view >> 24 & M32) * units, width, size, split, block, pack)

    @property
    def part(self) -> int:
        """Bytes that one row has in one leaf."""
        return self.size * self.block

    @property
    def leaf_bytes(self) -> int:
        """Bytes in a leaf."""
        return self.pack * self.part

    @property
    def leaves(self) -> int:
        """How many leaves there are."""
        return -(-self.rows // self.pack) * self.split

    def require(self, row: int, column: int) -> None:
        """Refuse a position that the tensor doesn't have."""
        require(row < self.rows, "graph: no such row")
        require(column < self.width, "graph: no such column")


class Case:
    """A proof, read from the front; `at` is how far."""

    def __init__(self, facts: Facts, proof: Proof) -> None:
        """Check the model and, but for the trace's own tree, the operator."""
        self.facts, self.proof = facts, proof
        model = ModelFacts(*proof.model)
        require(keccak(abi_words(_VERSION, *model)) == facts.program, "graph: not the job's model")
        require(0 < facts.units <= model.max_units, "graph: bad units")
        self.model = model
        self.op = Descriptor(*proof.operator)
        self.openings = proof.openings
        self.at = 0
        own_tree = proof.kind == FaultKind.PAD_NODE and proof.index == model.op_count
        if not own_tree:
            self._check_operator()

    def _check_operator(self) -> None:
        proof, model = self.proof, self.model
        require(proof.index < model.op_count, "graph: no such operator")
        depth = binary_depth(model.op_count)
        require(len(proof.operator_proof) == depth, "merkle: wrong depth")
        root = climb_binary(self.op.leaf, proof.index, proof.operator_proof)
        require(root == model.graph_root, "graph: not the model's operator")

    @property
    def op_depth(self) -> int:
        """Levels of four over the operators."""
        return quad_depth(self.model.op_count)

    def x(self, number: int) -> int:
        """Field `number` of the operator's small numbers."""
        return self.op.extra >> 32 * number & M32

    @property
    def output(self) -> int:
        """The view of the output as the tensor that it is."""
        return self.op.out | (self.proof.index + 1) << 56

    @property
    def out_width(self) -> int:
        """Elements in a row of the output."""
        return self.op.out >> 8 & M16

    @property
    def per_column(self) -> bool:
        """Whether each column has its own word."""
        return bool(self.op.post >> 184 & 1)

    @property
    def low(self) -> int:
        """The least output."""
        return (self.op.post >> 224) - OFFSET

    def clamp(self, number: int) -> int:
        """Cut a number to the output's bounds."""
        return clamp(number, self.low, (self.op.post >> 192 & M32) - OFFSET)

    def take(self, length: int) -> bytes:
        """The next bytes of the openings."""
        data = self.openings[self.at : self.at + length]
        self.at += length
        return data

    def way(self, depth: int) -> list[bytes]:
        """The siblings of so many levels of four."""
        return [self.take(SIBLING) for _ in range(3 * depth)]

    def check_node(self, tensor: int, node: bytes, index: int, depth: int) -> None:
        """Take a node's siblings, which lead on to the commitment unless it is the input's."""
        root = self.facts.input_id
        if tensor:
            index |= (tensor - 1) << 2 * depth
            depth += self.op_depth
            root = self.facts.commitment
        require(climb(node, index, self.way(depth)) == root, "graph: not in the tree")

    def open(self, layout: Layout, length: int, depth: int) -> bytes:
        """Take an opening's data, if it and its siblings are there."""
        levels = depth + (self.op_depth if layout.tensor else 0)
        end = self.at + length + 3 * SIBLING * levels
        require(end <= len(self.openings), "graph: openings too short")
        return self.take(length)

    def element(self, view: int, row: int, column: int) -> int:
        """Open the leaf of an element and read it."""
        layout = Layout.of(view, self.facts.units)
        layout.require(row, column)
        depth = quad_depth(layout.leaves)
        data = self.open(layout, layout.leaf_bytes, depth)
        leaf = row // layout.pack * layout.split + column // layout.block
        first = row % layout.pack * layout.part + column % layout.block
        self.check_node(layout.tensor, keccak(b"\x00" + data), leaf, depth)
        planes = data[first : first + layout.part : layout.block][: layout.size]
        return signed(int.from_bytes(planes, "big"), layout.size)

    def row(self, view: int, row: int) -> list[int]:
        """Open a whole row and read it."""
        layout = Layout.of(view, self.facts.units)
        layout.require(row, 0)
        level = {1: 0, 4: 1, 16: 2}[layout.split]
        depth = quad_depth(layout.leaves) - level
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
            found.append(signed(int.from_bytes(planes, "big"), layout.size))
        return found

    def constant(self, count: int, length: int) -> bytes:
        """Open a constant leaf, the last thing there is; its proof isn't checked yet."""
        whole = self.at + length + SIBLING * binary_depth(count)
        require(whole == len(self.openings), "graph: openings of wrong length")
        return self.take(length)

    def check_constant(self, data: bytes, index: int, count: int) -> None:
        """Take the siblings of a constant leaf."""
        way = [self.take(SIBLING) for _ in range(binary_depth(count))]
        root = climb_binary(keccak(b"\x02" + data), index, way)
        require(root == self.op.constants, "graph: not the model's constant")

    def word(self) -> int:
        """The word of the operator or, out of the openings, of the column."""
        if not self.per_column:
            require(self.at == len(self.openings), "graph: rows too long")
            return self.op.post & _M72
        data = self.constant(self.out_width, 32)
        self.check_constant(data, self.proof.column, self.out_width)
        return int.from_bytes(data, "big")

    def requantise(self, acc: int, word: int) -> int:
        """Q of the format; NotProven when the word is out of bounds."""
        require(word >> 72 == 0, "graph: spare bits in a word")
        bias, mult = (word >> 40) - OFFSET, (word >> 8 & M32) - OFFSET
        shift = word & M8
        require(abs(bias) <= 1 << 30, "graph: bias out of bounds")
        require(abs(mult) < 1 << 31, "graph: mult out of bounds")
        require(1 <= shift <= 62, "graph: shift out of bounds")
        scaled = (clamp(acc, -_SATURATED, _SATURATED) + bias) * mult
        return self.clamp((scaled + (1 << (shift - 1))) >> shift)


def climb(node: bytes, index: int, way: Sequence[bytes]) -> bytes:
    """Return the root that siblings, three a level of four, lead to."""
    for level in range(0, len(way), 3):
        children = list(way[level : level + 3])
        children.insert(index & 3, node)
        node = keccak(b"".join(children))
        index >>= 2
    return node
