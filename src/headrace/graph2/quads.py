"""Keccak trees with four children to a node, as deep as their leaves want in steps of two levels.

docs/int8-graph-2.md, "Trees". Places past the last leaf hold zero subtrees, never computed.
"""

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from headrace.graph.merkle import keccak
from headrace.graph2.encoding import LEAF_PREFIX, Bytes, encode
from headrace.graph2.views import View, height

HASH_BYTES = 32
CHILDREN = 4
MAX_DEPTH = 16


def _zero_subtrees() -> tuple[bytes, ...]:
    zeros = [bytes(HASH_BYTES)]
    for _ in range(MAX_DEPTH):
        zeros.append(keccak(CHILDREN * zeros[-1]))
    return tuple(zeros)


ZEROS = _zero_subtrees()
"""`ZEROS[l]` is the root of a subtree of level l that holds no leaf (l = 0 to 16)."""


class Quads:
    """A tree over at least one 32-byte leaf; level 0 is the leaves."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        """Compute every level from the leaves up."""
        self.depth = 2 * height(len(leaves))
        self._levels = [list(leaves)]
        for level in range(self.depth):
            below = self._levels[level]
            short = -len(below) % CHILDREN
            nodes = below + [ZEROS[level]] * short
            groups = range(0, len(nodes), CHILDREN)
            self._levels.append([keccak(b"".join(nodes[at : at + CHILDREN])) for at in groups])

    @property
    def root(self) -> bytes:
        """The root, 32 bytes."""
        return self._levels[self.depth][0]

    def node(self, level: int, index: int) -> bytes:
        """Return the node at place `index` of `level`."""
        if not 0 <= level <= self.depth or not 0 <= index < CHILDREN ** (self.depth - level):
            raise IndexError(f"the tree has no node {index} on level {level}")
        nodes = self._levels[level]
        return nodes[index] if index < len(nodes) else ZEROS[level]

    def proof(self, index: int, level: int = 0) -> tuple[bytes, ...]:
        """Return the `3 * (depth - level)` siblings of a node, from there up."""
        self.node(level, index)
        siblings = []
        for above in range(level, self.depth):
            first = index - index % CHILDREN
            siblings += [self.node(above, at) for at in range(first, first + 4) if at != index]
            index //= CHILDREN
        return tuple(siblings)


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


def leaf_hashes(leaves: Bytes) -> list[bytes]:
    """Return the hash of every leaf of an encoded tensor."""
    return [keccak(LEAF_PREFIX + leaf.tobytes()) for leaf in leaves]


def tensor_tree(view: View, tensor: npt.NDArray[Any]) -> Quads:
    """Return the tree over the leaves of a (R, view.width) tensor."""
    return Quads(leaf_hashes(encode(view, tensor)))


def tensor_root(view: View, tensor: npt.NDArray[Any]) -> bytes:
    """Return the root over the leaves of a tensor: an input's id, 32 bytes."""
    return tensor_tree(view, tensor).root
