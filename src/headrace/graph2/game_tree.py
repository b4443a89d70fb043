"""A claim as the game for withheld data sees it: nodes with 16 children, down to a leaf's bytes.

docs/int8-graph-2.md, "The game for withheld data". A node answers from its own trace
(`contents`); a watcher keeps what was answered in a `Learned` and asks it where to go on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from headrace.graph.errors import TraceError
from headrace.graph.merkle import keccak
from headrace.graph2.batches import PREFIX
from headrace.graph2.claimed import Claim, LeafPlace, Place, leaf_count
from headrace.graph2.model import Model
from headrace.graph2.quads import CHILDREN, FANOUT, fold
from headrace.graph2.trace import Trace
from headrace.graph2.views import height


class GameNode(NamedTuple):
    """A node of one of the trees: whose (`op_count`: the trace's own), how far from its leaves.

    `remaining` counts levels of sixteen down to the tree's leaves, `place` the nodes of its level.
    A tensor's root is a node of that tensor's tree.
    """

    operator: int
    remaining: int
    place: int


class NodeRef(NamedTuple):
    """A node with all that the contract keeps of it (`IGraphProof.Node`)."""

    level: int
    operator: int
    place: int
    remaining: int
    leaves: int
    leaf_bytes: int
    node_hash: bytes


@dataclass(frozen=True, slots=True)
class Shape:
    """How a claim about `units` units of a model is laid out in the game."""

    model: Model
    units: int

    @property
    def commitment(self) -> GameNode:
        """The node that a claim commits to, level 0."""
        count = self.model.op_count
        return self._tensor(0) if count == 1 else GameNode(count, self.model.op_height, 0)

    def _tensor(self, operator: int) -> GameNode:
        return GameNode(operator, height(self._leaves(operator)), 0)

    def _leaves(self, operator: int) -> int:
        return leaf_count(self.model, self.units, operator)

    def level(self, node: GameNode) -> int:
        """Moves from the commitment to the node."""
        above = self.model.op_height
        if node.operator == self.model.op_count:
            return above - node.remaining
        return above + height(self._leaves(node.operator)) - node.remaining

    def child(self, node: GameNode, index: int) -> GameNode:
        """One of a node's 16 children; TraceError when it is a leaf or over none."""
        if node.remaining == 0:
            raise TraceError("the node has no children")
        place = FANOUT * node.place + index
        if (node.operator, node.remaining) == (self.model.op_count, 1) and place < node.operator:
            return self._tensor(place)
        return GameNode(node.operator, node.remaining - 1, place)

    def is_leaf(self, node: GameNode) -> bool:
        """Whether what is below it is a leaf's bytes and not 16 children."""
        return node.operator < self.model.op_count and node.remaining == 0

    def is_used(self, node: GameNode) -> bool:
        """Whether it stands over at least one operator or leaf; if not, it is padding."""
        return node.place << 4 * node.remaining < self._leaves(node.operator)

    def quad(self, node: GameNode) -> Place:
        """The same node by levels of four."""
        return node.operator, 2 * node.remaining, node.place

    def describe(self, node: GameNode, node_hash: bytes) -> NodeRef:
        """The node as the contract takes it."""
        operators = self.model.operators
        own = node.operator == self.model.op_count
        return NodeRef(
            level=self.level(node),
            operator=node.operator,
            place=node.place,
            remaining=node.remaining,
            leaves=self._leaves(node.operator),
            leaf_bytes=0 if own else operators[node.operator].out.leaf_bytes,
            node_hash=node_hash,
        )


def shape_of(claim: Claim) -> Shape:
    """Return the layout of a claim."""
    return Shape(claim.model, claim.units)


def hash_of(claim: Claim, node: GameNode) -> bytes:
    """Return a node's hash."""
    return claim.node(*shape_of(claim).quad(node))


def children_of(claim: Claim, node: GameNode) -> tuple[bytes, ...]:
    """Return the hashes of a node's 16 children: what answers a demand of it."""
    shape = shape_of(claim)
    return tuple(hash_of(claim, shape.child(node, index)) for index in range(FANOUT))


def leaf_of(claim: Claim, node: GameNode) -> bytes:
    """Return a leaf's bytes without the prefix: what answers a demand of a leaf.

    TraceError when it is no leaf, or one whose preimage couldn't be an answer.
    """
    if not shape_of(claim).is_leaf(node):
        raise TraceError("the node isn't a leaf")
    preimage = claim.preimage(node.operator, node.place)
    length = claim.model.operators[node.operator].out.leaf_bytes
    if preimage[:1] != PREFIX or len(preimage) != 1 + length:
        raise TraceError("the leaf hasn't the form of an answer")
    return preimage[1:]


def child_proof(children: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the 6 siblings that lead from child `index` of 16 to their parent."""
    own = index // CHILDREN
    groups = [children[at : at + CHILDREN] for at in range(0, FANOUT, CHILDREN)]
    beside = [one for at, one in enumerate(groups[own]) if at != index % CHILDREN]
    above = [keccak(b"".join(group)) for at, group in enumerate(groups) if at != own]
    return (*beside, *above)


@dataclass(frozen=True, slots=True)
class WrongLeaf:
    """The first leaf that isn't the right one; its bytes are known."""

    operator: int
    number: int


@dataclass(frozen=True, slots=True)
class WrongPad:
    """A node over no operator or leaf that isn't the zero subtree."""

    place: Place


@dataclass(frozen=True, slots=True)
class Unknown:
    """The first node that isn't the right one, and of which nobody has said what is below it."""

    node: GameNode


@dataclass(eq=False)
class Learned:
    """What the answers of a game have told about a commitment, beside the right trace.

    A node that equals the right trace's stands for the same things, so of a claim with a known
    first wrong leaf everything before that leaf is known, and so are all siblings of its way.
    """

    right: Trace
    root: bytes
    _children: dict[GameNode, tuple[bytes, ...]] = field(default_factory=dict)
    _leaves: dict[LeafPlace, bytes] = field(default_factory=dict)

    @property
    def model(self) -> Model:
        """The model that the claim says was run."""
        return self.right.model

    @property
    def units(self) -> int:
        """How many units it says were run."""
        return self.right.units

    @property
    def shape(self) -> Shape:
        """The layout of the claim."""
        return Shape(self.model, self.units)

    def learn_children(self, node: GameNode, children: Sequence[bytes]) -> None:
        """Take the answer to a demand of a node; ValueError unless they fold to its known hash."""
        known = self._known(*self.shape.quad(node))
        if len(children) != FANOUT or known is None or fold(children) != known:
            raise ValueError("these aren't the children of that node")
        if node.remaining == 0:
            raise ValueError("the node has no children")
        self._children[node] = tuple(children)

    def learn_leaf(self, node: GameNode, data: bytes) -> None:
        """Take the answer to a demand of a leaf; ValueError unless it hashes to the known node."""
        known = self._known(*self.shape.quad(node))
        if not self.shape.is_leaf(node) or keccak(PREFIX + data) != known:
            raise ValueError("these aren't the bytes of that leaf")
        self._leaves[node.operator, node.place] = data

    def node(self, operator: int, level: int, index: int) -> bytes:
        """Return a node; TraceError when nothing tells what it is."""
        known = self._known(operator, level, index)
        if known is None:
            raise TraceError(f"node ({operator}, {level}, {index}) isn't known")
        return known

    def _known(self, operator: int, level: int, index: int) -> bytes | None:
        own = operator == self.model.op_count
        if level == self.right.tree_of(operator).depth:
            return self.root if own else self._known(self.model.op_count, 0, operator)
        if level % 2:  # between two levels of the game
            below = [self._known(operator, level - 1, CHILDREN * index + at) for at in range(4)]
            return keccak(b"".join(one for one in below if one)) if all(below) else None
        above = (operator, level + 2, index // FANOUT)
        told = self._children.get(GameNode(operator, level // 2 + 1, index // FANOUT))
        if told is not None:
            return told[index % FANOUT]
        if self._known(*above) == self.right.node(*above):
            return self.right.node(operator, level, index)
        return None

    def preimage(self, operator: int, number: int) -> bytes:
        """Return what a leaf is the hash of; TraceError when nothing tells."""
        told = self._leaves.get((operator, number))
        if told is not None:
            return PREFIX + told
        if self.node(operator, 0, number) != self.right.node(operator, 0, number):
            raise TraceError(f"leaf ({operator}, {number}) isn't known")
        return self.right.preimage(operator, number)

    def first(self) -> Unknown | WrongLeaf | WrongPad | None:
        """Follow the leftmost difference down from the commitment; None if there is none."""
        if self.root == self.right.root:
            return None
        shape = self.shape
        node = shape.commitment
        while True:
            if (node.operator, node.place) in self._leaves and shape.is_leaf(node):
                return WrongLeaf(node.operator, node.place)
            if node not in self._children:
                return Unknown(node)
            node = self._first_wrong(node)
            if not shape.is_used(node):
                return WrongPad(shape.quad(node))

    def _first_wrong(self, parent: GameNode) -> GameNode:
        shape = self.shape
        for index, told in enumerate(self._children[parent]):
            child = shape.child(parent, index)
            if told != self.right.node(*shape.quad(child)):
                return child
        raise TraceError("the children are the right ones, their parent isn't")
