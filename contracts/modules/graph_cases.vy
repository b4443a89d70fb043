# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Graph cases
@license AGPL-3.0-only
@notice What a proof is about: the claim's shape and the model's operator (docs/int8-graph-2.md,
        Faults).
@dev Stateless. Everything is a prover's word until it hashes to the job's program, the claim's
     commitment, the job's input or the model's root.
"""

from contracts.modules import merkle
from contracts.modules import quads
from contracts.modules import views
from interfaces import IGraphRules

ELEMENT: constant(uint256) = 1
WITNESS: constant(uint256) = 2
PADDING: constant(uint256) = 3
LEAF_FORM: constant(uint256) = 4
PAD_NODE: constant(uint256) = 5

MATMUL: constant(uint256) = 1
SCORES: constant(uint256) = 2
CONTEXT: constant(uint256) = 3
TRANSPOSE: constant(uint256) = 4
AFFINE: constant(uint256) = 5
MUL: constant(uint256) = 6
ADD: constant(uint256) = 7
LUT8: constant(uint256) = 8
LUT16: constant(uint256) = 9
ROWSUM: constant(uint256) = 10
ROWDOT: constant(uint256) = 11
ISQRT: constant(uint256) = 12
RECIP: constant(uint256) = 13
ARGMAX: constant(uint256) = 14
PICK: constant(uint256) = 15
GATHER: constant(uint256) = 16
RESHAPE: constant(uint256) = 17
CONCAT: constant(uint256) = 18
IM2COL: constant(uint256) = 19
# What MUL and ADD take their second operand from: a like tensor, a stat, constant rows.
SAME: constant(uint256) = 0
STAT: constant(uint256) = 1
TABLE: constant(uint256) = 2

_VERSION: constant(uint256) = 2
_M32: constant(uint256) = 2**32 - 1


struct Facts:
    shape: views.Shape
    op_count: uint256
    graph_root: bytes32


@internal
@pure
def _facts(
    model: IGraphRules.ModelFacts,
    program: bytes32,
    input_id: bytes32,
    w7: uint256,
    commitment: bytes32,
) -> Facts:
    """
    @dev The shape of a claim's trees, by the model that its terms name and their units.
    """
    assert (
        keccak256(
            abi_encode(_VERSION, model.graph_root, model.op_count, model.input, model.max_units)
        )
        == program
    ), "graph: not the job's model"
    units: uint256 = (w7 >> 160) & _M32
    # Then no tree is deeper than the registry saw to.
    assert 0 < units and units <= model.max_units, "graph: bad units"
    return Facts(
        shape=views.Shape(
            units=units,
            op_depth=quads._depth_of(model.op_count),
            input_id=input_id,
            commitment=commitment,
        ),
        op_count=model.op_count,
        graph_root=model.graph_root,
    )


@internal
@pure
def _check_operator(
    facts: Facts,
    index: uint256,
    operator: IGraphRules.Operator,
    proof: DynArray[bytes32, 8],
):
    """
    @dev Whether the operator is the model's at that place.
    """
    assert index < facts.op_count, "graph: no such operator"
    leaf: bytes32 = keccak256(concat(0x01, abi_encode(operator)))
    depth: uint256 = merkle._depth_of(facts.op_count)
    assert (
        merkle._climb(leaf, index, depth, proof) == facts.graph_root
    ), "graph: not the model's operator"


@internal
@pure
def _output(index: uint256, out: uint256) -> uint256:
    """
    @dev The view of an operator's output as the tensor that it is.
    """
    return out | (unsafe_add(index, 1) << 56)


@internal
@pure
def _field(extra: uint256, number: uint256) -> uint256:
    """
    @dev Field `number` of an operator's small numbers.
    """
    return (extra >> unsafe_mul(32, number)) & _M32


@internal
@pure
def _is_per_column(post: uint256) -> bool:
    return (post >> 184) & 1 == 1


@internal
@pure
def _constant_end(middle: uint256, count: uint256, given: uint256) -> uint256:
    """
    @dev Where the siblings of a constant leaf of `count` end that begin at `middle`: with them, the
         openings.
    """
    # SAFETY: at most 2^20 and 16 siblings.
    end: uint256 = unsafe_add(middle, unsafe_mul(32, merkle._depth_of(count)))
    assert end == given, "graph: openings of wrong length"
    return end


@internal
@pure
def _check_constant(
    node: bytes32, index: uint256, siblings: Bytes[quads.MAX_BINARY], root: bytes32
):
    """
    @dev Whether the constant leaf is the operator's at that place.
    """
    assert (quads._climb_binary(node, index, siblings) == root), "graph: not the model's constant"
