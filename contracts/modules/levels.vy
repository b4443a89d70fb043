# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Levels
@license AGPL-3.0-only
@notice The tree of a claim as nodes with sixteen children, level by level from the commitment down
        to the bytes of a leaf (docs/int8-graph-2.md, The game for withheld data).
@dev Stateless. Where a node is, and what may answer for it, follows from its parent and the model.
"""

from contracts.modules import merkle
from contracts.modules import quads
from contracts.modules import views
from interfaces import IGraphProof
from interfaces import IGraphRules


@internal
@pure
def _root(
    case: IGraphProof.CaseRef,
    operator: IGraphRules.Operator,
    operator_proof: DynArray[bytes32, 8],
) -> IGraphProof.Node:
    """
    @dev The commitment as a node. With one operator it is that one's tensor at once.
    """
    node: IGraphProof.Node = IGraphProof.Node(
        level=0,
        operator=case.op_count,
        place=0,
        remaining=quads._depth_of(case.op_count) >> 1,
        leaves=case.op_count,
        leaf_bytes=0,
        node_hash=case.commitment,
    )
    if node.remaining == 0:
        return self._tensor(case, node, operator, operator_proof)
    return node


@internal
@pure
def _child(
    case: IGraphProof.CaseRef,
    parent: IGraphProof.Node,
    index: uint256,
    child: bytes32,
    siblings: bytes32[6],
    operator: IGraphRules.Operator,
    operator_proof: DynArray[bytes32, 8],
) -> IGraphProof.Node:
    """
    @dev Child `index` of a node. Reverts unless it is one and covers places in use. The operator is
         only read where the child is the root of its tensor.
    """
    assert parent.remaining != 0, "game: a leaf has no children"
    assert index < 16, "game: no such child"
    assert self._climb(child, index, siblings) == parent.node_hash, "game: not a child"
    # SAFETY: levels are at most 8, places under 2^32.
    node: IGraphProof.Node = parent
    node.level = unsafe_add(parent.level, 1)
    node.place = (parent.place << 4) | index
    node.remaining = unsafe_sub(parent.remaining, 1)
    node.node_hash = child
    assert (
        node.place << unsafe_mul(4, node.remaining) < parent.leaves
    ), "game: place without a use"
    if node.remaining == 0 and node.leaf_bytes == 0:
        return self._tensor(case, node, operator, operator_proof)
    return node


@internal
@pure
def _tensor(
    case: IGraphProof.CaseRef,
    leaf: IGraphProof.Node,
    operator: IGraphRules.Operator,
    operator_proof: DynArray[bytes32, 8],
) -> IGraphProof.Node:
    """
    @dev A leaf of the trace's own tree as the root of the operator's tensor that it is. The shape is
         that of the model's operator at that place.
    """
    assert (
        merkle._climb(
            keccak256(concat(0x01, abi_encode(operator))),
            leaf.place,
            merkle._depth_of(case.op_count),
            operator_proof,
        )
        == case.graph_root
    ), "game: not the model's operator"
    layout: views.Layout = views._layout(operator.out, case.units)
    return IGraphProof.Node(
        level=leaf.level,
        operator=leaf.place,
        place=0,
        remaining=quads._depth_of(layout.leaves) >> 1,
        leaves=layout.leaves,
        leaf_bytes=unsafe_mul(layout.pack, layout.part),  # SAFETY: at most 1,024.
        node_hash=leaf.node_hash,
    )


@internal
@pure
def _climb(child: bytes32, index: uint256, siblings: bytes32[6]) -> bytes32:
    """
    @dev The node two levels of four above `child`.
    """
    node: bytes32 = self._four(child, index & 3, siblings[0], siblings[1], siblings[2])
    return self._four(node, index >> 2, siblings[3], siblings[4], siblings[5])


@internal
@pure
def _four(
    node: bytes32, place: uint256, first: bytes32, second: bytes32, third: bytes32
) -> bytes32:
    if place == 0:
        return keccak256(concat(node, first, second, third))
    if place == 1:
        return keccak256(concat(first, node, second, third))
    if place == 2:
        return keccak256(concat(first, second, node, third))
    return keccak256(concat(first, second, third, node))


@internal
@pure
def _fold(kids: bytes32[16]) -> bytes32:
    """
    @dev The node over sixteen children.
    """
    return keccak256(
        concat(
            keccak256(concat(kids[0], kids[1], kids[2], kids[3])),
            keccak256(concat(kids[4], kids[5], kids[6], kids[7])),
            keccak256(concat(kids[8], kids[9], kids[10], kids[11])),
            keccak256(concat(kids[12], kids[13], kids[14], kids[15])),
        )
    )
