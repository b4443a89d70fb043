"""A trace as somebody claims it, malformed or not, and the ways from what it holds to its root."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from headrace.graph.errors import TraceError
from headrace.graph.merkle import HASH_BYTES, keccak
from headrace.graph2.model import Model
from headrace.graph2.quads import Quads
from headrace.graph2.trace import Trace
from headrace.graph2.views import height

Place = tuple[int, int, int]
"""(operator, level, index) of a node; operator = op_count means the trace's own tree.

Levels are of four children and begin at the leaves.
"""
LeafPlace = tuple[int, int]
"""(operator, number) of a leaf."""


class Claim(Protocol):
    """Whatever a commitment is known to stand for: all of it, or what a game has brought to light.

    `node` and `preimage` raise TraceError for what isn't known.
    """

    @property
    def model(self) -> Model:
        """The model that the claim says was run."""

    @property
    def units(self) -> int:
        """How many units it says were run."""

    @property
    def root(self) -> bytes:
        """The commitment, 32 bytes."""

    def node(self, operator: int, level: int, index: int) -> bytes:
        """Return a node; see `Place`."""

    def preimage(self, operator: int, number: int) -> bytes:
        """Return what a leaf is the hash of, prefix included."""


def leaf_count(model: Model, units: int, operator: int) -> int:
    """Return how many used places a tree has: leaves of a tensor, or operators (`op_count`)."""
    if operator == model.op_count:
        return model.op_count
    return model.operators[operator].out.leaves(units)


def tree_depth(model: Model, units: int, operator: int) -> int:
    """Return the levels of four of a tree."""
    return 2 * height(leaf_count(model, units, operator))


def node_proof(claim: Claim, operator: int, level: int, index: int) -> tuple[bytes, ...]:
    """Return the siblings from a node up to the commitment, three a level."""
    depth = tree_depth(claim.model, claim.units, operator)
    if not 0 <= level <= depth or not 0 <= index < 4 ** (depth - level):
        raise TraceError(f"no node ({operator}, {level}, {index})")
    siblings = []
    for above in range(level, depth):
        first = index - index % 4
        others = (at for at in range(first, first + 4) if at != index)
        siblings += [claim.node(operator, above, at) for at in others]
        index //= 4
    if operator == claim.model.op_count:
        return tuple(siblings)
    return (*siblings, *node_proof(claim, claim.model.op_count, 0, operator))


@dataclass(frozen=True, eq=False)
class ClaimedTrace:
    """A whole trace, and where it isn't one: some leaves of other bytes, some wrong padding nodes.

    `leaves` holds the preimages, prefix included, of leaves that aren't what `base` has there: any
    bytes. `pads` holds nodes that stand over no leaf (no operator). TraceError if a place is none.
    """

    base: Trace
    leaves: Mapping[LeafPlace, bytes] = field(default_factory=dict)
    pads: Mapping[Place, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check every place."""
        for operator, number in self.leaves:
            if not 0 <= operator < self.model.op_count or not (
                0 <= number < leaf_count(self.model, self.units, operator)
            ):
                raise TraceError(f"no leaf ({operator}, {number})")
        for place in self.pads:
            self._check_pad(*place)

    def _check_pad(self, operator: int, level: int, index: int) -> None:
        name = f"({operator}, {level}, {index})"
        if not 0 <= operator <= self.model.op_count:
            raise TraceError(f"no node {name}")
        depth = tree_depth(self.model, self.units, operator)
        inside = 0 <= level <= depth and 0 <= index < 4 ** (depth - level)
        if not inside or len(self.pads[operator, level, index]) != HASH_BYTES:
            raise TraceError(f"no node {name}")
        if index * 4**level < leaf_count(self.model, self.units, operator):
            raise TraceError(f"node {name} isn't padding")
        for above in range(level + 1, depth):
            if (operator, above, index // 4 ** (above - level)) in self.pads:
                raise TraceError(f"node {name} is under another")

    @property
    def model(self) -> Model:
        """The model that the claim says was run."""
        return self.base.model

    @property
    def units(self) -> int:
        """How many units it says were run."""
        return self.base.units

    def tree_of(self, operator: int) -> Quads:
        """The tree over an operator's leaves, wrong ones included; `op_count`: the trace's own."""
        return self._trees[operator]

    @cached_property
    def _trees(self) -> tuple[Quads, ...]:
        trees = [self._tensor_tree(operator) for operator in range(self.model.op_count)]
        top = Quads([tree.root for tree in trees], self._pads_of(self.model.op_count))
        return (*trees, top)

    def _tensor_tree(self, operator: int) -> Quads:
        changed = {number: data for (at, number), data in self.leaves.items() if at == operator}
        pads = self._pads_of(operator)
        tree = self.base.tensor_trees[operator]
        if not changed and not pads:
            return tree
        hashes = tree.level(0).copy()
        for number, preimage in changed.items():
            hashes[number] = np.frombuffer(keccak(preimage), dtype=np.uint8)
        return Quads(hashes, pads)

    def _pads_of(self, operator: int) -> dict[tuple[int, int], bytes]:
        return {
            (level, index): node for (at, level, index), node in self.pads.items() if at == operator
        }

    @property
    def root(self) -> bytes:
        """What the claim with these leaves commits to, 32 bytes."""
        return self.tree_of(self.model.op_count).root

    def node(self, operator: int, level: int, index: int) -> bytes:
        """Return a node; see `Place`."""
        return self.tree_of(operator).node(level, index)

    def preimage(self, operator: int, number: int) -> bytes:
        """Return what a leaf is the hash of, prefix included."""
        changed = self.leaves.get((operator, number))
        return self.base.preimage(operator, number) if changed is None else changed
