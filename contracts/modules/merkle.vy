# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Merkle
@license AGPL-3.0-only
@notice Trees whose depth follows from the number of their leaves (docs/int8-graph.md).
@dev Stateless. A tree over n leaves has 2^depth places; those from n on hold the zero leaf. A proof
     has as many siblings as the tree is deep and an index is within the places, so nothing can be
     proven at two places and no inner node passes for a leaf.
"""


@internal
@pure
def _depth_of(leaves: uint256) -> uint256:
    """
    @dev ceil(log2(leaves)) for 1 to 65,536 leaves.
    """
    # The bit length of leaves - 1, by halving. SAFETY: leaves is not zero.
    rest: uint256 = unsafe_sub(leaves, 1)
    depth: uint256 = 0
    if rest > 255:
        rest = rest >> 8
        depth = 8
    if rest > 15:
        rest = rest >> 4
        depth = depth | 4
    if rest > 3:
        rest = rest >> 2
        depth = depth | 2
    if rest > 1:
        return unsafe_add(depth, 2)
    return unsafe_add(depth, rest)


@internal
@pure
def _row_leaf(row: Bytes[1024]) -> bytes32:
    return keccak256(concat(0x00, row))


@internal
@pure
def _param_leaf(word: uint256) -> bytes32:
    return keccak256(concat(0x02, convert(word, bytes32)))


@internal
@pure
def _zero(level: uint256) -> bytes32:
    """
    @dev The root of a subtree of 2^level padding places; level is at most 16.
    """
    node: bytes32 = empty(bytes32)
    for _: uint256 in range(level, bound=16):
        node = keccak256(concat(node, node))
    return node


@internal
@pure
def _climb(node: bytes32, index: uint256, depth: uint256, proof: DynArray[bytes32, 16]) -> bytes32:
    """
    @dev The root that `proof` leads to from `node` at the place `index` of 2^depth.
    """
    # INVARIANT: one place, one path: the length is the depth and the index has no bits beyond it.
    assert len(proof) == depth, "merkle: wrong depth"
    assert index >> depth == 0, "merkle: index out of range"
    root: bytes32 = node
    path: uint256 = index
    for sibling: bytes32 in proof:
        if path & 1 == 0:
            root = keccak256(concat(root, sibling))
        else:
            root = keccak256(concat(sibling, root))
        path = path >> 1
    return root


@internal
@pure
def _root(leaves: DynArray[bytes32, 256]) -> bytes32:
    """
    @dev The root over 1 to 256 leaves.
    """
    # pending[l] is the finished left subtree of level l that waits for its right one.
    pending: bytes32[9] = empty(bytes32[9])
    count: uint256 = 0
    for leaf: bytes32 in leaves:
        node: bytes32 = leaf
        level: uint256 = 0
        for _: uint256 in range(8):
            if (count >> level) & 1 == 0:
                break
            node = keccak256(concat(pending[level], node))
            level = unsafe_add(level, 1)
        pending[level] = node
        count = unsafe_add(count, 1)

    depth: uint256 = self._depth_of(count)
    if count == 1 << depth:
        return pending[depth]
    # The right edge: what waits, or what has been built, is joined with padding.
    edge: bytes32 = empty(bytes32)  # all padding as long as no subtree has been met
    zero: bytes32 = empty(bytes32)
    for level: uint256 in range(depth, bound=8):
        if (count >> level) & 1 == 1:
            edge = keccak256(concat(pending[level], edge))
        else:
            edge = keccak256(concat(edge, zero))
        zero = keccak256(concat(zero, zero))
    return edge
