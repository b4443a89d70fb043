# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Graph form rules
@license AGPL-3.0-only
@notice What leaves and trees of a trace must look like, whatever was computed: padding, the form of
        leaves, unused nodes (docs/int8-graph-2.md, Faults). GraphRules sends them here.
@dev Writes nothing and holds nothing; as GraphRules, it believes only what hashes to the
     commitment or the model's root, and checks all of it itself: anybody may call.
@custom:security Trusts that a job's model was registered, as GraphProof's `quote` wants it.
@custom:kill Has no switch.
"""

from interfaces import IGraphRules

from contracts.modules import graph_cases
from contracts.modules import planes
from contracts.modules import quads
from contracts.modules import views

_MAX_PREIMAGE: constant(uint256) = 2_049
_NODE: constant(uint256) = 32


@external
@view
def prove(claim: IGraphRules.ClaimRef, proof: IGraphRules.Proof) -> IGraphRules.Judgement:
    """
    @notice Compare a padding byte, a leaf's preimage or an unused node with what it must be.
    @param claim The claim; only its commitment and its terms' program, input and units are read.
    @param proof What is claimed. `row` is the number of the leaf, or of the node in its level;
           `column` the place of the byte in the leaf, or the node's level.
    @return Whether it is a fault, the kind, and what was claimed and would have been right.
    """
    facts: graph_cases.Facts = graph_cases._facts(
        proof.model, claim.terms.program, claim.terms.input_id, claim.terms.w7, claim.commitment
    )
    kind: uint256 = proof.kind
    view: uint256 = 0
    # The trace's own tree belongs to no operator.
    if kind != graph_cases.PAD_NODE or proof.index != facts.op_count:
        graph_cases._check_operator(facts, proof.index, proof.operator, proof.operator_proof)
        view = graph_cases._output(proof.index, proof.operator.out)
    place: views.Place = empty(views.Place)
    if kind == graph_cases.PAD_NODE:
        place = views._unused_node(facts.shape, view, facts.op_count, proof.column, proof.row)
        place.length = _NODE
    else:
        place = views._leaf_place(facts.shape, view, proof.row)
    # One opening, of which the last bytes are the siblings.
    given: uint256 = len(proof.openings)
    assert place.siblings <= given, "graph: siblings missing"
    size: uint256 = unsafe_sub(given, place.siblings)
    assert size <= _MAX_PREIMAGE, "graph: preimage too long"
    data: Bytes[_MAX_PREIMAGE] = convert(slice(proof.openings, 0, size), Bytes[_MAX_PREIMAGE])
    node: bytes32 = empty(bytes32)
    judgement: IGraphRules.Judgement = empty(IGraphRules.Judgement)
    judgement.kind = kind
    if kind == graph_cases.LEAF_FORM:
        right: uint256 = unsafe_add(place.length, 1)
        judgement.claimed = convert(size, int256)
        judgement.right = convert(right, int256)
        judgement.is_fault = size != right
        if not judgement.is_fault:
            judgement.is_fault = slice(data, 0, 1) != x"00"
        node = keccak256(data)
    else:
        assert size == place.length, "graph: data of another length"
        if kind == graph_cases.PADDING:
            node = quads._leaf(convert(data, Bytes[quads.MAX_LEAF]))
            assert proof.column < size, "graph: no such byte"
            right: uint256 = views._padding_at(facts.shape, view, proof.row, proof.column)
            assert right != views.NO_PADDING, "graph: not in the padding"
            claimed: uint256 = planes._byte(convert(data, Bytes[quads.MAX_LEAF]), proof.column)
            judgement.is_fault = claimed != right
            judgement.claimed = convert(claimed, int256)
            judgement.right = convert(right, int256)
        else:
            assert kind == graph_cases.PAD_NODE, "graph: unknown kind"
            node = extract32(data, 0)
            judgement.is_fault = node != quads._zero(proof.column)
    views._check_node(
        place,
        node,
        convert(slice(proof.openings, size, place.siblings), Bytes[quads.MAX_SIBLINGS]),
    )
    return judgement
