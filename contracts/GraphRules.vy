# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Graph rules
@license AGPL-3.0-only
@notice What one byte of a claimed trace of version 2 has to be, recomputed from a proof
        (docs/int8-graph-2.md). This contract has MATMUL; whatever else there is goes, with the same
        calldata, to one of three more.
@dev Writes nothing and holds nothing; who believes a judgement (GraphProof) sees to it that the
     claim is one. Every argument is somebody's word until it is hashed: a model is what the job's
     program names, an operator leads to its root, an opening to the commitment or the input, each
     at one place and by one path.
     What a registrant or requester got wrong makes a proof revert. The views of operators were
     checked when the model was registered.
@custom:security Trusts that a job's model was registered, as GraphProof's `quote` wants it.
@custom:kill Has no switch.
"""

from interfaces import IGraphRules

implements: IGraphRules

from contracts.modules import graph_cases
from contracts.modules import planes
from contracts.modules import quads
from contracts.modules import views

# The rules of operators that read rows, those of operators that read elements, and those of form.
ROW_RULES: public(immutable(address))
ELEMENT_RULES: public(immutable(address))
FORM_RULES: public(immutable(address))


@deploy
def __init__(row_rules: address, element_rules: address, form_rules: address):
    """
    @notice Fix the parts for the contract's life.
    @param row_rules GraphRowRules.
    @param element_rules GraphElementRules.
    @param form_rules GraphFormRules.
    """
    assert row_rules != empty(address), "graph: row_rules is zero"
    assert element_rules != empty(address), "graph: element_rules is zero"
    assert form_rules != empty(address), "graph: form_rules is zero"
    ROW_RULES = row_rules
    ELEMENT_RULES = element_rules
    FORM_RULES = form_rules


@external
@view
def prove(claim: IGraphRules.ClaimRef, proof: IGraphRules.Proof) -> IGraphRules.Judgement:
    """
    @notice Recompute what a proof is about. Reverts on a proof that isn't well-formed.
    @param claim The claim; only its commitment and its terms' program, input and units are read.
    @param proof What is claimed and what it was computed from.
    @return Whether it is a fault, the kind, and what was claimed and would have been right.
    """
    if proof.kind != graph_cases.ELEMENT or proof.operator.opcode != graph_cases.MATMUL:
        return abi_decode(
            raw_call(
                self._room(proof.kind, proof.operator.opcode),
                msg.data,
                max_outsize=128,
                is_static_call=True,
            ),
            IGraphRules.Judgement,
        )
    facts: graph_cases.Facts = graph_cases._facts(
        proof.model, claim.terms.program, claim.terms.input_id, claim.terms.w7, claim.commitment
    )
    graph_cases._check_operator(facts, proof.index, proof.operator, proof.operator_proof)
    given: uint256 = len(proof.openings)
    place: views.Place = views._place(
        facts.shape,
        graph_cases._output(proof.index, proof.operator.out),
        proof.row,
        proof.column,
        0,
        given,
    )
    claimed: int256 = 0
    data: Bytes[4128] = b""
    node: bytes32 = empty(bytes32)
    # SAFETY: offsets into the openings are under 2^15; extract32 and slice check them again.
    for turn: uint256 in range(2):
        if turn == 1:
            place = views._row_place(facts.shape, proof.operator.a, proof.row, place.end, given)
        # The leaf or, of a split row, the node over its leaves: int8 has four at most.
        if place.split == 1:
            data = convert(slice(proof.openings, place.start, place.length), Bytes[4128])
            node = keccak256(concat(0x00, data))
        else:
            part: uint256 = place.length >> 2
            leaves: bytes32[4] = empty(bytes32[4])
            for i: uint256 in range(4):
                data = convert(
                    slice(proof.openings, unsafe_add(place.start, unsafe_mul(i, part)), part),
                    Bytes[4128],
                )
                leaves[i] = keccak256(concat(0x00, data))
            node = keccak256(concat(leaves[0], leaves[1], leaves[2], leaves[3]))
        # As quads._climb, without a copy of the siblings.
        at: uint256 = place.middle
        path: uint256 = place.index
        for _: uint256 in range(unsafe_div(place.siblings, 96), bound=quads.MAX_DEPTH):
            turned: uint256 = path & 3
            if turned == 0:
                node = keccak256(concat(node, slice(proof.openings, at, 96)))
            elif turned == 1:
                node = keccak256(
                    concat(
                        slice(proof.openings, at, 32),
                        node,
                        slice(proof.openings, unsafe_add(at, 32), 64),
                    )
                )
            elif turned == 2:
                node = keccak256(
                    concat(
                        slice(proof.openings, at, 64),
                        node,
                        slice(proof.openings, unsafe_add(at, 64), 32),
                    )
                )
            else:
                node = keccak256(concat(slice(proof.openings, at, 96), node))
            path = path >> 2
            at = unsafe_add(at, 96)
        views._check_root(place, node)

        if turn == 0:
            # The byte of each plane of the element.
            at = place.offset & ~convert(31, uint256)
            lift: uint256 = unsafe_mul(8, unsafe_sub(31, place.offset & 31))
            unsigned: uint256 = 0
            for _: uint256 in range(place.size, bound=4):
                word: uint256 = extract32(proof.openings, at, output_type=uint256)
                unsigned = (unsigned << 8) | ((word >> lift) & 255)
                at = unsafe_add(at, place.block)
            claimed = planes._signed(unsigned, place.size)

    # The column's word and weights.
    width: uint256 = views._width(proof.operator.a)
    middle: uint256 = unsafe_add(place.end, unsafe_add(32, views._padded(width)))
    end: uint256 = graph_cases._constant_end(middle, views._width(proof.operator.out), given)
    planes._check_padding(
        extract32(proof.openings, unsafe_sub(middle, 32), output_type=uint256), width
    )
    data = convert(slice(proof.openings, place.end, unsafe_sub(middle, place.end)), Bytes[4128])
    node = keccak256(concat(0x02, data))
    graph_cases._check_constant(
        node,
        proof.column,
        convert(slice(proof.openings, middle, unsafe_sub(end, middle)), Bytes[quads.MAX_BINARY]),
        proof.operator.constants,
    )

    # The dot product, by lanes (see planes).
    # SAFETY: the top lane gets at most 4,096 products of 255 * 255 (266,342,400 < 2^32), each lane
    # below it fewer, so nothing is carried into it; what is above it is cut mod 2^256.
    dot: uint256 = 0
    x_sums: uint256 = 0
    y_sums: uint256 = 0
    u: uint256 = unsafe_add(place.start, place.offset)
    v: uint256 = unsafe_add(place.end, 32)
    for _: uint256 in range(views._padded(width) >> 5, bound=128):
        x: uint256 = extract32(proof.openings, u, output_type=uint256)
        y: uint256 = extract32(proof.openings, v, output_type=uint256)
        u = unsafe_add(u, 32)
        v = unsafe_add(v, 32)
        dot = unsafe_add(
            dot,
            unsafe_add(
                unsafe_add(
                    unsafe_mul(x & planes.LOW, y & planes.LOW),
                    unsafe_mul((x >> 8) & planes.LOW, (y >> 8) & planes.LOW),
                ),
                unsafe_add(
                    unsafe_mul((x >> 16) & planes.LOW, (y >> 16) & planes.LOW),
                    unsafe_mul((x >> 24) & planes.LOW, (y >> 24) & planes.LOW),
                ),
            ),
        )
        # A lane of 16 bits gets two bytes of each of 128 words, at most 65,280.
        x_sums = unsafe_add(x_sums, unsafe_add(x & planes.LOW_16, (x >> 8) & planes.LOW_16))
        y_sums = unsafe_add(y_sums, unsafe_add(y & planes.LOW_16, (y >> 8) & planes.LOW_16))
    acc: int256 = planes._signed_products(
        dot >> 224,
        planes._lanes_16(x_sums),
        planes._lanes_16(y_sums),
        1,
        1,
        views._padded(width),
    )
    right: int256 = planes._requantise(
        acc, extract32(proof.openings, place.end, output_type=uint256), proof.operator.post
    )
    return IGraphRules.Judgement(
        is_fault=claimed != right, kind=proof.kind, claimed=claimed, right=right
    )


@external
@view
def audit(claim: IGraphRules.ClaimRef, proof: IGraphRules.Proof) -> IGraphRules.Judgement:
    """
    @notice The same as `prove`, for who shows an element to be right.
    @param claim The claim.
    @param proof What is claimed and what it was computed from.
    @return As `prove`.
    """
    return staticcall IGraphRules(self).prove(claim, proof)


@internal
@view
def _room(kind: uint256, opcode: uint256) -> address:
    """
    @dev Which of the other contracts has the rule. Nothing is proven yet: that one checks all.
    """
    if kind == graph_cases.WITNESS:
        return ELEMENT_RULES
    if kind != graph_cases.ELEMENT:
        return FORM_RULES
    if (
        opcode == graph_cases.SCORES
        or opcode == graph_cases.CONTEXT
        or opcode == graph_cases.ROWSUM
        or opcode == graph_cases.ROWDOT
    ):
        return ROW_RULES
    return ELEMENT_RULES
