# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Quads
@license AGPL-3.0-only
@notice Trees of nodes with four children, whose depth follows from the number of their leaves, and
        binary ones whose siblings come as bytes (docs/int8-graph-2.md, Trees).
@dev Stateless. Wants siblings of exactly the tree's depth and an index within its places: then
     nothing can be proven at two places and no inner node passes for a leaf.
"""

MAX_LEAF: constant(uint256) = 1_024
# Siblings of the deepest place there is: a tensor of 16^5 leaves in a trace of 256 operators.
MAX_DEPTH: constant(uint256) = 14
MAX_SIBLINGS: constant(uint256) = 96 * MAX_DEPTH
MAX_BINARY: constant(uint256) = 32 * 16


@internal
@pure
def _depth_of(leaves: uint256) -> uint256:
    """
    @dev Levels of four over 1 to 16^7 leaves, always an even number.
    """
    # SAFETY: leaves is not zero.
    rest: uint256 = unsafe_sub(leaves, 1)
    depth: uint256 = 0
    for _: uint256 in range(7):
        if rest == 0:
            break
        rest = rest >> 4
        depth = unsafe_add(depth, 2)
    return depth


@internal
@pure
def _leaf(data: Bytes[MAX_LEAF]) -> bytes32:
    return keccak256(concat(0x00, data))


@internal
@pure
def _zero(level: uint256) -> bytes32:
    """
    @dev The root of a subtree of 4^level unused places; level is at most 14.
    """
    node: bytes32 = empty(bytes32)
    for _: uint256 in range(level, bound=MAX_DEPTH):
        node = keccak256(concat(node, node, node, node))
    return node


@internal
@pure
def _over(nodes: bytes32[16], count: uint256) -> bytes32:
    """
    @dev The node over the first 1, 4 or 16 nodes.
    """
    if count == 1:
        return nodes[0]
    firsts: bytes32[4] = empty(bytes32[4])
    for i: uint256 in range(4):
        at: uint256 = unsafe_mul(4, i)
        firsts[i] = keccak256(
            concat(
                nodes[at],
                nodes[unsafe_add(at, 1)],
                nodes[unsafe_add(at, 2)],
                nodes[unsafe_add(at, 3)],
            )
        )
        if count == 4:
            return firsts[0]
    return keccak256(concat(firsts[0], firsts[1], firsts[2], firsts[3]))


@internal
@pure
def _climb(node: bytes32, index: uint256, siblings: Bytes[MAX_SIBLINGS]) -> bytes32:
    """
    @dev The root that `siblings`, three a level, lead to from `node` at the place `index`. Wants
         whole levels, and an index within their places.
    """
    root: bytes32 = node
    path: uint256 = index
    at: uint256 = 0
    # SAFETY: at stays within the siblings.
    for _: uint256 in range(unsafe_div(len(siblings), 96), bound=MAX_DEPTH):
        place: uint256 = path & 3
        if place == 0:
            root = keccak256(concat(root, slice(siblings, at, 96)))
        elif place == 1:
            root = keccak256(
                concat(slice(siblings, at, 32), root, slice(siblings, unsafe_add(at, 32), 64))
            )
        elif place == 2:
            root = keccak256(
                concat(slice(siblings, at, 64), root, slice(siblings, unsafe_add(at, 64), 32))
            )
        else:
            root = keccak256(concat(slice(siblings, at, 96), root))
        path = path >> 2
        at = unsafe_add(at, 96)
    return root


@internal
@pure
def _climb_binary(node: bytes32, index: uint256, siblings: Bytes[MAX_BINARY]) -> bytes32:
    """
    @dev The root that `siblings`, one a level, lead to. Wants an index within their places.
    """
    root: bytes32 = node
    path: uint256 = index
    for level: uint256 in range(len(siblings) >> 5, bound=16):
        sibling: bytes32 = extract32(siblings, level << 5)
        if path & 1 == 0:
            root = keccak256(concat(root, sibling))
        else:
            root = keccak256(concat(sibling, root))
        path = path >> 1
    return root
