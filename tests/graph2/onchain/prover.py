"""A claimed trace as bytes, and proofs about it, read from docs/int8-graph-2.md a second time.

It shares no code with the package's own proofs: trees, positions and openings are its own. What it
claims may be anything, leaf by leaf and node by node.
"""

from dataclasses import dataclass, field
from functools import cache
from math import ceil, log2
from typing import Any, NamedTuple

import numpy as np

from headrace.graph.merkle import keccak
from headrace.graph2.encoding import encode
from headrace.graph2.model import Model
from headrace.graph2.opcodes import Opcode
from headrace.graph2.operators import Descriptor, Operator
from headrace.graph2.views import View

ELEMENT, WITNESS, PADDING, LEAF_FORM, PAD_NODE = 1, 2, 3, 4, 5


class Proof(NamedTuple):
    """A proof as the contract takes it."""

    kind: int
    index: int
    model: tuple[bytes, int, int, int]
    operator: Descriptor
    operator_proof: tuple[bytes, ...]
    row: int
    column: int
    openings: bytes


class Tree:
    """A tree whose nodes have `children`, `depth` levels deep; places without a leaf hold zero.

    `put` sets any node, whatever is below it.
    """

    def __init__(self, leaves: list[bytes], children: int, depth: int) -> None:
        self.children, self.depth = children, depth
        self.zeros = [bytes(32)]
        for _ in range(depth):
            self.zeros.append(keccak(self.zeros[-1] * children))
        self.levels: list[dict[int, bytes]] = [dict(enumerate(leaves))]
        for level in range(depth):
            parents = {at // children for at in self.levels[level]}
            self.levels.append({at: self._over(level, at) for at in parents})

    def _over(self, level: int, parent: int) -> bytes:
        first = parent * self.children
        return keccak(b"".join(self.node(level, first + i) for i in range(self.children)))

    def node(self, level: int, at: int) -> bytes:
        """The node, the zero subtree where there is nothing."""
        return self.levels[level].get(at, self.zeros[level])

    @property
    def root(self) -> bytes:
        """The root."""
        return self.node(self.depth, 0)

    def put(self, level: int, at: int, value: bytes) -> None:
        """Replace a node and all that stands over it."""
        self.levels[level][at] = value
        for above in range(level, self.depth):
            at //= self.children
            self.levels[above + 1][at] = self._over(above, at)

    def siblings(self, at: int, level: int = 0) -> bytes:
        """The other children of each parent, from the node up, in order."""
        found = b""
        for above in range(level, self.depth):
            first = at - at % self.children
            others = [i for i in range(first, first + self.children) if i != at]
            found += b"".join(self.node(above, i) for i in others)
            at //= self.children
        return found


def quad_depth(leaves: int) -> int:
    """Levels of four over so many leaves: twice ceil(log16(leaves))."""
    depth = 0
    while 4**depth < leaves:
        depth += 2
    return depth


def shape_of(view: View) -> tuple[int, int, int]:
    """Leaves in a row, columns in a leaf, rows in a leaf."""
    total = view.size * (ceil(view.width / 32) * 32)
    split = 1 if total <= 1024 else 4 if total <= 4096 else 16
    block = ceil(ceil(view.width / split) / 32) * 32
    pack = 1
    while split == 1 and 2 * pack * view.size * block <= 512:
        pack *= 2
    return split, block, pack


@dataclass
class Claimed:
    """What somebody claims: leaves of every tensor (0 is the input), as bytes, and their trees."""

    model: Model
    units: int
    leaves: list[list[bytes]]
    trees: list[Tree] = field(init=False)
    top: Tree = field(init=False)

    @classmethod
    def of(cls, model: Model, given: Any, outputs: Any) -> "Claimed":
        """The claim of these tensors."""
        tensors = [given, *outputs]
        units = len(given) // model.input.rows
        views = [model.view(t) for t in range(model.op_count + 1)]
        pairs = zip(views, tensors, strict=True)
        leaves = [[leaf.tobytes() for leaf in encode(v, np.asarray(t))] for v, t in pairs]
        return cls(model, units, leaves)

    def __post_init__(self) -> None:
        hashed = [[keccak(b"\x00" + leaf) for leaf in tensor] for tensor in self.leaves]
        self.trees = [Tree(tensor, 4, quad_depth(len(tensor))) for tensor in hashed]
        roots = [tree.root for tree in self.trees[1:]]
        self.top = Tree(roots, 4, quad_depth(len(roots)))

    @property
    def commitment(self) -> bytes:
        """The trace's root."""
        return self.top.root

    @property
    def input_id(self) -> bytes:
        """The input's root."""
        return self.trees[0].root

    def put_leaf(self, tensor: int, at: int, data: bytes, prefix: bytes = b"\x00") -> None:
        """Replace the bytes of a leaf."""
        self.leaves[tensor][at] = data
        self.put_node(tensor, 0, at, keccak(prefix + data))

    def put_node(self, tensor: int, level: int, at: int, value: bytes) -> None:
        """Replace a node of a tensor's tree."""
        self.trees[tensor].put(level, at, value)
        if tensor:
            self.top.put(0, tensor - 1, self.trees[tensor].root)

    def siblings(self, tensor: int, at: int, level: int = 0) -> bytes:
        """The way from a node of a tensor's tree to the commitment or the input's root."""
        way = self.trees[tensor].siblings(at, level)
        return way + self.top.siblings(tensor - 1) if tensor else way

    def place(self, view: View, row: int, column: int) -> tuple[int, int]:
        """The leaf of an element, and where in it its first byte is."""
        split, block, pack = shape_of(view)
        leaf = row // pack * split + column // block
        return leaf, (row % pack) * view.size * block + column % block

    def value(self, view: View, row: int, column: int) -> int:
        """The element that is claimed."""
        leaf, at = self.place(view, row, column)
        block = shape_of(view)[1]
        data = self.leaves[view.tensor][leaf]
        unsigned = 0
        for plane in range(view.size):
            unsigned = unsigned * 256 + data[at + plane * block]
        return unsigned - (1 << (8 * view.size - 1))

    def put_value(self, view: View, row: int, column: int, value: int) -> None:
        """Replace an element."""
        leaf, at = self.place(view, row, column)
        block = shape_of(view)[1]
        data = bytearray(self.leaves[view.tensor][leaf])
        for plane, byte in enumerate((value + (1 << (8 * view.size - 1))).to_bytes(view.size)):
            data[at + plane * block] = byte
        self.put_leaf(view.tensor, leaf, bytes(data))

    # -- openings --

    def leaf(self, view: View, row: int, column: int) -> bytes:
        """The opening of the leaf of an element."""
        at = self.place(view, row, column)[0]
        return self.leaves[view.tensor][at] + self.siblings(view.tensor, at)

    def row(self, view: View, row: int) -> bytes:
        """The opening of a whole row."""
        split = shape_of(view)[0]
        if split == 1:
            return self.leaf(view, row, 0)
        data = b"".join(self.leaves[view.tensor][row * split : (row + 1) * split])
        return data + self.siblings(view.tensor, row, 1 if split == 4 else 2)

    # -- proofs --

    def proof(self, kind: int, index: int, row: int, column: int, openings: bytes) -> Proof:
        """A proof about an operator, or the trace's own tree."""
        at = min(index, self.model.op_count - 1)
        descriptor = self.model.descriptors[at]
        way = self.model.graph_tree.proof(at)
        model = self.model
        facts = model.graph_root, model.op_count, model.input.word, model.max_units
        return Proof(kind, index, facts, descriptor, way, row, column, openings)

    def element(self, index: int, row: int, column: int) -> Proof:
        """A proof about an element (not of an ARGMAX)."""
        op = self.model.operators[index]
        openings = [self.leaf(op.out.at(index + 1), row, column)]
        openings += operands(self, op, row, column)
        return self.proof(ELEMENT, index, row, column, b"".join(openings))

    def witness(self, index: int, row: int, better: int) -> Proof:
        """A proof about an ARGMAX: row `row` of what it reads, and a better index."""
        op = self.model.operators[index]
        out = op.out.at(index + 1)
        place = row // out.width, row % out.width
        claimed = self.value(out, *place)
        openings = [self.leaf(out, *place)]
        if 0 <= claimed < op.a.width:
            openings.append(self.leaf(op.a, row, claimed))
        openings.append(self.leaf(op.a, row, better))
        return self.proof(WITNESS, index, row, better, b"".join(openings))

    def padding(self, index: int, leaf: int, at: int) -> Proof:
        """A proof about a padding byte."""
        opening = self.leaves[index + 1][leaf] + self.siblings(index + 1, leaf)
        return self.proof(PADDING, index, leaf, at, opening)

    def leaf_form(self, index: int, leaf: int, preimage: bytes) -> Proof:
        """A proof about what a leaf is the hash of."""
        opening = preimage + self.siblings(index + 1, leaf)
        return self.proof(LEAF_FORM, index, leaf, 0, opening)

    def pad_node(self, index: int, level: int, at: int) -> Proof:
        """A proof about an unused node; `index` op_count: of the trace's own tree."""
        if index == self.model.op_count:
            opening = self.top.node(level, at) + self.top.siblings(at, level)
        else:
            opening = self.trees[index + 1].node(level, at)
            opening += self.siblings(index + 1, at, level)
        return self.proof(PAD_NODE, index, at, level, opening)


@cache
def constants(op: Operator) -> Tree:
    """The tree over an operator's constant leaves."""
    depth = ceil(log2(op.constant_count)) if op.constant_count > 1 else 0
    return Tree([keccak(b"\x02" + data) for data in op.constant_leaves], 2, depth)


def constant(op: Operator, at: int) -> bytes:
    """The opening of a constant leaf."""
    return op.constant_leaf(at) + constants(op).siblings(at)


def operands(claim: Claimed, op: Operator, r: int, c: int) -> list[bytes]:
    """What the rule of an element reads, in the page's order."""
    x = op.extra
    a, b, s = op.a, op.b, op.s
    own = [constant(op, c)] if op.per_column else []
    match Opcode(op.opcode):
        case Opcode.MATMUL:
            return [claim.row(a, r), *own]
        case Opcode.SCORES:
            group, inside = r // (x[0] * x[1]), r % (x[0] * x[1])
            mask = []
            if s is not None:
                mask = [claim.leaf(s, group, c)]
                if claim.value(s, group, c) == 0:
                    return mask
            first, second = group * x[1] + inside % x[1], group * x[1] + c
            return [*mask, claim.row(a, first), claim.row(b, second)]
        case Opcode.CONTEXT:
            heads, seq, channels = x[:3]
            at = (r // seq * heads + c // channels) * seq + r % seq
            scale = [] if s is None else [claim.leaf(s, at // s.width, at % s.width)]
            other = claim.row(b, r // seq * heads * channels + c)
            return [claim.row(a, at), other, *scale, *own]
        case Opcode.TRANSPOSE:
            return [claim.leaf(a, r // a.width * x[1] + c, r % a.width)]
        case Opcode.AFFINE:
            return [claim.leaf(a, r, c + x[0]), *own]
        case Opcode.MUL | Opcode.ADD:
            if op.opcode == Opcode.ADD and x[1] == 2:
                return [claim.leaf(a, r, c), constant(op, r % x[2])]
            where = (r, c) if x[1] == 0 else (r // b.width, r % b.width)
            return [claim.leaf(a, r, c), claim.leaf(b, *where), *own]
        case Opcode.LUT8:
            return [claim.leaf(a, r, c), constant(op, 0)]
        case Opcode.LUT16:
            stat = [] if s is None else [claim.leaf(s, r // s.width, r % s.width)]
            return [claim.leaf(a, r, c), *stat, constant(op, 0)]
        case Opcode.ROWSUM | Opcode.ROWDOT:
            return [claim.row(a, r * op.out.width + c)]
        case Opcode.ISQRT | Opcode.RECIP:
            return [claim.leaf(a, r, c)]
        case Opcode.PICK:
            index = max(0, min(claim.value(b, r, c), a.width - 1))
            return [claim.leaf(b, r, c), claim.leaf(a, r * op.out.width + c, index)]
        case Opcode.GATHER:
            where = r // a.width, r % a.width
            index = max(0, min(claim.value(a, *where), x[0]))
            return [claim.leaf(a, *where), constant(op, index)]
        case Opcode.RESHAPE:
            flat = r * op.out.width + c
            return [claim.leaf(a, flat // a.width, flat % a.width)]
        case Opcode.CONCAT:
            half = claim.leaf(a, r, c) if c < a.width else claim.leaf(b, r, c - a.width)
            return [half]
        case Opcode.IM2COL:
            rows, columns, channels, kernel, stride, border = x[:6]
            across = (columns + 2 * border - kernel) // stride + 1
            down = (rows + 2 * border - kernel) // stride + 1
            image, place = r // (down * across), r % (down * across)
            u = place // across * stride + c // channels // kernel - border
            v = place % across * stride + c // channels % kernel - border
            if not (0 <= u < rows and 0 <= v < columns):
                return []
            return [claim.leaf(a, image, (u * columns + v) * channels + c % channels)]
    raise AssertionError(op.opcode)
