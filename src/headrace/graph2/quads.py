"""Keccak trees with four children to a node, as deep as their leaves want in steps of two levels.

docs/int8-graph-2.md, "Trees". Places past the last leaf hold zero subtrees, never computed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.graph.merkle import HASH_BYTES, keccak
from headrace.graph2 import batches
from headrace.graph2.encoding import Bytes, encode
from headrace.graph2.views import View, height

CHILDREN = 4
FANOUT = 16
"""Children of a node in the game: two levels of four."""
MAX_DEPTH = 16


def _zero_subtrees() -> tuple[bytes, ...]:
    zeros = [bytes(HASH_BYTES)]
    for _ in range(MAX_DEPTH):
        zeros.append(keccak(CHILDREN * zeros[-1]))
    return tuple(zeros)


ZEROS = _zero_subtrees()
"""`ZEROS[l]` is the root of a subtree of level l that holds no leaf (l = 0 to 16)."""
_ZERO_ROWS = np.frombuffer(b"".join(ZEROS), dtype=np.uint8).reshape(-1, HASH_BYTES)


class Quads:
    """A tree over at least one 32-byte leaf; level 0 is the leaves.

    `overrides` puts other values in place of computed nodes, by (level, index): so a tree that its
    maker built wrongly can be represented.
    """

    def __init__(
        self,
        leaves: Sequence[bytes] | Bytes,
        overrides: Mapping[tuple[int, int], bytes] | None = None,
    ) -> None:
        """Compute every level from the leaves up; `leaves` may be a (n, 32) array."""
        self.depth = 2 * height(len(leaves))
        self._overrides = dict(overrides or {})
        for (level, index), value in self._overrides.items():
            self._check(level, index)
            if len(value) != HASH_BYTES:
                raise ValueError("a node has 32 bytes")
        if not self._overrides:
            self._levels = batches.tree_levels(_rows(leaves), self.depth, _ZERO_ROWS)
            return
        self._levels = [self._overridden(0, _rows(leaves))]
        for level in range(self.depth):
            below = _extended(self._levels[level], -(-len(self._levels[level]) // 4) * 4, level)
            above = batches.hash_nodes(below.reshape(-1, CHILDREN * HASH_BYTES))
            self._levels.append(self._overridden(level + 1, above))

    @classmethod
    def of_leaves(cls, leaves: Bytes) -> "Quads":
        """Return the tree over leaves of (n, leaf_bytes), hashed with their prefix."""
        made = cls.__new__(cls)
        made.depth = 2 * height(len(leaves))
        made._overrides = {}
        made._levels = batches.leaf_levels(leaves, made.depth, _ZERO_ROWS)
        return made

    def _overridden(self, level: int, nodes: Bytes) -> Bytes:
        mine = {index: value for (at, index), value in self._overrides.items() if at == level}
        if not mine:
            return nodes
        changed = _extended(nodes, max(len(nodes), max(mine) + 1), level).copy()
        for index, value in mine.items():
            changed[index] = np.frombuffer(value, dtype=np.uint8)
        return changed

    def _check(self, level: int, index: int) -> None:
        if not 0 <= level <= self.depth or not 0 <= index < CHILDREN ** (self.depth - level):
            raise IndexError(f"the tree has no node {index} on level {level}")

    @property
    def root(self) -> bytes:
        """The root, 32 bytes."""
        return self.node(self.depth, 0)

    def node(self, level: int, index: int) -> bytes:
        """Return the node at place `index` of `level`."""
        self._check(level, index)
        nodes = self._levels[level]
        if index >= len(nodes):
            return ZEROS[level]
        node: bytes = nodes[index].tobytes()
        return node

    def level(self, level: int) -> Bytes:
        """Return the nodes of a level, (n, 32), but for zero subtrees at its end."""
        return self._levels[level]

    def proof(self, index: int, level: int = 0) -> tuple[bytes, ...]:
        """Return the `3 * (depth - level)` siblings of a node, from there up."""
        self._check(level, index)
        siblings = []
        for above in range(level, self.depth):
            first = index - index % CHILDREN
            siblings += [self.node(above, at) for at in range(first, first + 4) if at != index]
            index //= CHILDREN
        return tuple(siblings)

    def sixteen(self, level: int, index: int) -> tuple[bytes, ...]:
        """Return the 16 nodes two levels below a node of an even `level` of at least 2."""
        self._check(level, index)
        if level < 2:
            raise IndexError("below a leaf there is nothing")
        return tuple(self.node(level - 2, FANOUT * index + at) for at in range(FANOUT))


def _rows(leaves: Sequence[bytes] | Bytes) -> Bytes:
    if isinstance(leaves, np.ndarray):
        return leaves
    return np.frombuffer(b"".join(leaves), dtype=np.uint8).reshape(len(leaves), HASH_BYTES)


def _extended(nodes: Bytes, count: int, level: int) -> Bytes:
    """The nodes, and zero subtrees up to `count` of them."""
    short = count - len(nodes)
    if not short:
        return nodes
    return np.concatenate([nodes, np.repeat(_ZERO_ROWS[level : level + 1], short, axis=0)])


def fold(sixteen: Sequence[bytes]) -> bytes:
    """Return the node over 16 nodes two levels below it."""
    fours = [keccak(b"".join(sixteen[at : at + 4])) for at in range(0, FANOUT, CHILDREN)]
    return keccak(b"".join(fours))


def climb(node: bytes, index: int, proof: Sequence[bytes]) -> bytes:
    """Return the root that `proof` leads to from the node at `index`.

    Raises ValueError when the proof has no whole levels, or the index more than it has.
    """
    levels, rest = divmod(len(proof), CHILDREN - 1)
    if rest or not 0 <= index < CHILDREN**levels:
        raise ValueError("the index doesn't fit the length of the proof")
    for level in range(levels):
        children = list(proof[3 * level : 3 * level + 3])
        children.insert(index % CHILDREN, node)
        node = keccak(b"".join(children))
        index //= CHILDREN
    return node


def tensor_tree(view: View, tensor: npt.NDArray[Any]) -> Quads:
    """Return the tree over the leaves of a (R, view.width) tensor."""
    return Quads.of_leaves(encode(view, tensor))


def tensor_root(view: View, tensor: npt.NDArray[Any]) -> bytes:
    """Return the root over the leaves of a tensor: an input's id, 32 bytes."""
    return tensor_tree(view, tensor).root
