# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Cases
@license AGPL-3.0-only
@notice Where in the trees of a claim something has to be (docs/int8-graph.md, Faults).
@dev Stateless. Places follow from the claim's shape, never from the length of what a prover sends.
"""

from contracts.modules import int8_lanes
from contracts.modules import merkle
from contracts.modules import models
from interfaces import IFaultProof


# A claim that JobEscrow has recognised, and the shape of its trees.
struct Case:
    job_id: bytes32
    claim_id: bytes32
    edge: uint256  # the last second in which it can be proven wrong
    word: uint256  # its dispute, packed
    graph_root: bytes32
    input_id: bytes32
    commitment: bytes32
    units: uint256
    op_count: uint256
    row_depth: uint256
    op_depth: uint256


@internal
@pure
def _check_operator(case: Case, op: IFaultProof.OperatorRef, opcode: uint256):
    """
    @dev Whether the operator is the model's at that place, with that opcode.
    """
    assert op.index < case.op_count, "proof: no such operator"
    assert op.operator.opcode == opcode, "proof: wrong opcode"
    assert (
        merkle._climb(models._operator_leaf(op.operator), op.index, case.op_depth, op.proof)
        == case.graph_root
    ), "proof: not the model's operator"


@internal
@pure
def _check_leaf(
    case: Case, tensor: uint256, row: uint256, leaf: bytes32, proof: DynArray[bytes32, 16]
):
    """
    @dev Whether `leaf` is that of the row in the job's input (tensor 0) or in the claimed trace.
         Wants a tensor that exists.
    """
    assert row < case.units, "proof: no such row"
    root: bytes32 = case.input_id
    place: uint256 = row
    depth: uint256 = case.row_depth
    if tensor != 0:
        root = case.commitment
        place = place | ((tensor - 1) << depth)
        depth += case.op_depth
    assert merkle._climb(leaf, place, depth, proof) == root, "proof: row is not in the tree"


@internal
@pure
def _check_row(
    case: Case, tensor: uint256, row: uint256, width: uint256, proven: IFaultProof.RowProof
):
    """
    @dev Whether the row of a tensor of that width has just these bytes.
    """
    assert len(proven.data) == int8_lanes._padded(width), "proof: wrong row length"
    self._check_leaf(case, tensor, row, merkle._row_leaf(proven.data), proven.proof)


@internal
@pure
def _check_pad_node(
    case: Case,
    op_index: uint256,
    level: uint256,
    index: uint256,
    node: bytes32,
    proof: DynArray[bytes32, 16],
):
    """
    @dev Whether `node` stands over places that no row of an operator's output has or, with op_index
         = op_count, over places of the trace's own tree that no operator has.
    """
    assert op_index <= case.op_count, "proof: no such tree"
    is_tensor: bool = op_index < case.op_count
    leaves: uint256 = case.units if is_tensor else case.op_count
    depth: uint256 = case.row_depth if is_tensor else case.op_depth
    assert level <= depth and index >> (depth - level) == 0, "proof: no such node"
    depth -= level
    assert index << level >= leaves, "proof: node has places in use"
    place: uint256 = index
    if is_tensor:
        place = (op_index << depth) | index
        depth += case.op_depth
    assert (
        merkle._climb(node, place, depth, proof) == case.commitment
    ), "proof: node is not in the trace"
