"""Keccak trees of exact depth, padded with the zero leaf.

A tree over n leaves has depth `depth(n)`; its places from n on hold 32 zero bytes, so only the
nodes that stand over a leaf are ever computed.
"""

from collections.abc import Mapping, Sequence

import sha3  # type: ignore[import-untyped]

HASH_BYTES = 32
MAX_DEPTH = 16


def keccak(data: bytes) -> bytes:
    """Return the 32-byte Keccak-256 of `data`."""
    digest: bytes = sha3.keccak_256(data).digest()
    return digest


def depth(count: int) -> int:
    """Return `ceil(log2(count))`, the depth of a tree over `count` >= 1 leaves."""
    if count < 1:
        raise ValueError("a tree has at least one leaf")
    return (count - 1).bit_length()


def _zero_subtrees() -> tuple[bytes, ...]:
    zeros = [bytes(HASH_BYTES)]
    for _ in range(MAX_DEPTH):
        zeros.append(keccak(zeros[-1] + zeros[-1]))
    return tuple(zeros)


ZEROS = _zero_subtrees()
"""`ZEROS[l]` is the root of a subtree of level l that holds no leaf (l = 0 to 16)."""


class Tree:
    """A tree over at least one 32-byte leaf.

    `overrides` puts other values in place of computed nodes, by (level, index): so a tree that its
    maker built wrongly can be represented.
    """

    def __init__(
        self, leaves: Sequence[bytes], overrides: Mapping[tuple[int, int], bytes] | None = None
    ) -> None:
        """Compute every level from the leaves up."""
        self.depth = depth(len(leaves))
        self._overrides = dict(overrides or {})
        for (level, index), value in self._overrides.items():
            if not 0 <= level <= self.depth or not 0 <= index < 1 << (self.depth - level):
                raise ValueError(f"the tree has no node {index} on level {level}")
            if len(value) != HASH_BYTES:
                raise ValueError("a node has 32 bytes")
        self._levels = [self._with_overrides(0, list(leaves))]
        for level in range(self.depth):
            below = self._levels[level]
            if len(below) % 2:
                below.append(ZEROS[level])
            pairs = range(0, len(below), 2)
            nodes = [keccak(below[i] + below[i + 1]) for i in pairs]
            self._levels.append(self._with_overrides(level + 1, nodes))

    def _with_overrides(self, level: int, nodes: list[bytes]) -> list[bytes]:
        for (at, index), value in sorted(self._overrides.items()):
            if at == level:
                nodes.extend([ZEROS[level]] * (index + 1 - len(nodes)))
                nodes[index] = value
        return nodes

    @property
    def root(self) -> bytes:
        """The root, 32 bytes."""
        return self._levels[self.depth][0]

    def node(self, level: int, index: int) -> bytes:
        """Return the node at place `index` of `level` (0 is the leaves)."""
        if not 0 <= level <= self.depth or not 0 <= index < 1 << (self.depth - level):
            raise IndexError(f"the tree has no node {index} on level {level}")
        nodes = self._levels[level]
        return nodes[index] if index < len(nodes) else ZEROS[level]

    def proof(self, index: int, level: int = 0) -> tuple[bytes, ...]:
        """Return the `depth - level` siblings of node `index` of `level`, from there up."""
        self.node(level, index)
        return tuple(
            self.node(above, (index >> (above - level)) ^ 1) for above in range(level, self.depth)
        )


def climb(node: bytes, index: int, proof: Sequence[bytes]) -> bytes:
    """Return the root that `proof` leads to from `node`; bit i of `index` set: node on the right.

    Raises ValueError when the index has more bits than the proof has siblings.
    """
    if index < 0 or index >> len(proof):
        raise ValueError("the index doesn't fit the length of the proof")
    for sibling in proof:
        node = keccak(sibling + node) if index & 1 else keccak(node + sibling)
        index >>= 1
    return node
