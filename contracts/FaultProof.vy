# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Fault proof
@license AGPL-3.0-only
@notice The verifier of policy `exact`: convicts one wrong byte of a committed trace by recomputing
        it, or a trace that is withheld by silence. Models, tensors and traces are as in
        docs/int8-graph.md.
@dev Nothing is written for a claim that nobody disputes. Every argument is somebody's word until it
     is hashed: a claim is what JobEscrow recognises, an operator what leads to the model's root, a
     row what leads to the commitment or the input, each at one place and by one path. A right trace
     is unique, so no proof against it exists; what a registrant or requester got wrong makes a
     proof revert.
@custom:security Trusts JobEscrow for what a claim is, and that it asked `quote` at the match.
@custom:kill Has no switch; JobEscrow's owner can stop new matches on it.
"""

from interfaces import IFaultProof
from interfaces import IJobEscrow
from interfaces import IVault
from interfaces import IVerifier

implements: IFaultProof
implements: IVerifier

from contracts.modules import cases
from contracts.modules import disputes
from contracts.modules import int8_lanes
from contracts.modules import job_slots
from contracts.modules import merkle
from contracts.modules import models
from contracts.modules import traces

initializes: disputes
initializes: models

_ELEMENT: constant(uint256) = 1
_WITNESS: constant(uint256) = 2
_PADDING: constant(uint256) = 3
_LEAF_FORM: constant(uint256) = 4
_PAD_NODE: constant(uint256) = 5
_SILENCE: constant(uint256) = 6

_LOCK_FACTOR: constant(uint256) = 3
_M24: constant(uint256) = 2**24 - 1
_M32: constant(uint256) = 2**32 - 1
_M80: constant(uint256) = 2**80 - 1
_M96: constant(uint256) = 2**96 - 1

ESCROW: public(immutable(IJobEscrow))
VAULT: public(immutable(IVault))
# What a demand for a trace costs, in token units; the publisher's if the claim stands.
DEMAND_FEE: public(immutable(uint256))
# Bounds of a job's settings, in seconds. Those of the reply are also those of the follow-up.
MIN_WINDOW: public(immutable(uint256))
MAX_WINDOW: public(immutable(uint256))
MIN_REPLY: public(immutable(uint256))
MAX_REPLY: public(immutable(uint256))


@deploy
def __init__(
    escrow: IJobEscrow,
    vault: IVault,
    demand_fee: uint256,
    min_window: uint256,
    max_window: uint256,
    min_reply: uint256,
    max_reply: uint256,
):
    """
    @notice Fix what the verifier works with for its life.
    @param escrow The contract whose claims it judges.
    @param vault Where the fees of demands are reserved; this contract must be one of its books.
    @param demand_fee Token units for a demand, 1 to 2^80 - 1; should cover the gas of a
            publication.
    @param min_window Shortest window of a job in seconds, at least 1.
    @param max_window Longest window, less than 2^32.
    @param min_reply Shortest time to reply, and to prove what was published, at least 1.
    @param max_reply Longest such time, less than 2^24.
    """
    assert escrow.address != empty(address), "proof: escrow is zero"
    assert vault.address != empty(address), "proof: vault is zero"
    assert 0 < demand_fee and demand_fee <= _M80, "proof: bad demand_fee"
    assert (
        0 < min_window and min_window <= max_window and max_window <= _M32
    ), "proof: bad window bounds"
    assert (
        0 < min_reply and min_reply <= max_reply and max_reply <= _M24
    ), "proof: bad reply bounds"
    ESCROW = escrow
    VAULT = vault
    DEMAND_FEE = demand_fee
    MIN_WINDOW = min_window
    MAX_WINDOW = max_window
    MIN_REPLY = min_reply
    MAX_REPLY = max_reply


# ---- anyone: models


@external
def register_model(
    operators: DynArray[IFaultProof.Operator, 32],
    input_width: uint256,
    max_units: uint256,
    card_id: bytes32,
) -> bytes32:
    """
    @notice Make a model known, so that jobs can name it. A model is its content: who registers it,
            and how often, changes nothing, and each registrant's card is logged under its own name.
    @param operators The operators, 1 to 32, in order.
    @param input_width Elements in a row of the input, 1 to 1,024.
    @param max_units Most rows of a job, 1 to 256.
    @param card_id Where the registrant's card (weights, name, licence) is to be found; only logged.
    @return The program id.
    """
    program: bytes32 = empty(bytes32)
    graph_root: bytes32 = empty(bytes32)
    program, graph_root = models._register(operators, input_width, max_units)
    log IFaultProof.ModelRegistered(
        program=program, registrant=msg.sender, graph_root=graph_root, card_id=card_id
    )
    return program


# ---- anyone: proofs. The first good one convicts and pays its sender.


@external
def prove_matmul(
    claim: IFaultProof.ClaimRef,
    op: IFaultProof.OperatorRef,
    row: uint256,
    column: uint256,
    source: IFaultProof.RowProof,
    weights: IFaultProof.RowProof,
    params: uint256,
    params_proof: DynArray[bytes32, 16],
    output: IFaultProof.RowProof,
):
    """
    @notice Convict a claim one of whose MATMUL elements is not what the rule gives.
    @param claim The claim.
    @param op The operator, and its way to the graph's root.
    @param row The row, less than the job's units.
    @param column The column, less than width_out.
    @param source That row of the tensor that the operator reads.
    @param weights The weights of the column, with their way to the weight root.
    @param params The column's parameter word.
    @param params_proof Its way to the parameter root.
    @param output That row of the operator's output, as it was claimed.
    """
    case: cases.Case = self._open_case(claim)
    operator: IFaultProof.Operator = op.operator
    cases._check_operator(case, op, models.MATMUL)
    assert column < operator.width_out, "proof: column out of range"
    cases._check_row(case, op.index + 1, row, operator.width_out, output)
    cases._check_row(case, operator.source, row, operator.width_in, source)

    depth: uint256 = merkle._depth_of(operator.width_out)
    assert (
        len(weights.data) == int8_lanes._padded(operator.width_in)
        and int8_lanes._has_zero_padding(weights.data, operator.width_in)
    ), "proof: ill-formed weights"
    assert (
        merkle._climb(merkle._row_leaf(weights.data), column, depth, weights.proof)
        == operator.weight_root
    ), "proof: not the model's weights"
    assert (
        merkle._climb(merkle._param_leaf(params), column, depth, params_proof)
        == operator.param_root
    ), "proof: not the model's params"

    dot: int256 = int8_lanes._dot(source.data, weights.data)
    right: int256 = int8_lanes._requantise(dot, params, operator.clamp)
    claimed: int256 = int8_lanes._element(output.data, column)
    self._convict(claim, case, claimed != right, _ELEMENT, op.index, row, column, claimed, right)


@external
def prove_argmax(
    claim: IFaultProof.ClaimRef,
    op: IFaultProof.OperatorRef,
    row: uint256,
    witness: uint256,
    source: IFaultProof.RowProof,
    output: IFaultProof.RowProof,
):
    """
    @notice Convict a claim one of whose ARGMAX elements is no index of its row, or is beaten by a
            witness.
    @param claim The claim.
    @param op The operator, and its way to the graph's root.
    @param row The row, less than the job's units.
    @param witness A better index, less than width_in; any if the claimed one is no index of the
            row.
    @param source That row of the tensor that the operator reads.
    @param output That row of the operator's output, as it was claimed.
    """
    case: cases.Case = self._open_case(claim)
    operator: IFaultProof.Operator = op.operator
    cases._check_operator(case, op, models.ARGMAX)
    assert witness < operator.width_in, "proof: witness out of range"
    cases._check_row(case, op.index + 1, row, 1, output)
    cases._check_row(case, operator.source, row, operator.width_in, source)

    better: int256 = convert(witness, int256)
    claimed: int256 = int8_lanes._element(output.data, 0)
    is_fault: bool = claimed < 0 or claimed >= convert(operator.width_in, int256)
    if not is_fault:
        best: int256 = int8_lanes._element(source.data, witness)
        chosen: int256 = int8_lanes._element(source.data, convert(claimed, uint256))
        is_fault = best > chosen or (best == chosen and better < claimed)
    self._convict(claim, case, is_fault, _WITNESS, op.index, row, 0, claimed, better)


@external
def prove_padding(
    claim: IFaultProof.ClaimRef,
    op: IFaultProof.OperatorRef,
    row: uint256,
    column: uint256,
    output: IFaultProof.RowProof,
):
    """
    @notice Convict a claim one of whose padding bytes is not 128.
    @param claim The claim.
    @param op The operator, and its way to the graph's root.
    @param row The row, less than the job's units.
    @param column The place of the byte, from width_out to the end of the padded row.
    @param output That row of the operator's output, as it was claimed.
    """
    case: cases.Case = self._open_case(claim)
    width: uint256 = op.operator.width_out
    cases._check_operator(case, op, op.operator.opcode)
    assert width <= column and column < int8_lanes._padded(width), "proof: not in the padding"
    cases._check_row(case, op.index + 1, row, width, output)
    claimed: int256 = int8_lanes._element(output.data, column)
    self._convict(claim, case, claimed != 0, _PADDING, op.index, row, column, claimed, 0)


@external
def prove_leaf_form(
    claim: IFaultProof.ClaimRef,
    op: IFaultProof.OperatorRef,
    row: uint256,
    preimage: Bytes[2049],
    proof: DynArray[bytes32, 16],
):
    """
    @notice Convict a claim one of whose leaves is the hash of something other than a row of the
            right length.
    @param claim The claim.
    @param op The operator whose output has the row, and its way to the graph's root.
    @param row The row, less than the job's units.
    @param preimage What the leaf is the hash of, at most 2,049 bytes.
    @param proof The leaf's way to the commitment.
    """
    case: cases.Case = self._open_case(claim)
    cases._check_operator(case, op, op.operator.opcode)
    cases._check_leaf(case, op.index + 1, row, keccak256(preimage), proof)
    size: uint256 = len(preimage)
    right: uint256 = int8_lanes._padded(op.operator.width_out) + 1
    is_fault: bool = size != right
    if not is_fault:
        is_fault = slice(preimage, 0, 1) != x"00"
    self._convict(
        claim,
        case,
        is_fault,
        _LEAF_FORM,
        op.index,
        row,
        0,
        convert(size, int256),
        convert(right, int256),
    )


@external
def prove_pad_node(
    claim: IFaultProof.ClaimRef,
    op_index: uint256,
    level: uint256,
    index: uint256,
    node: bytes32,
    proof: DynArray[bytes32, 16],
):
    """
    @notice Convict a claim that hides something in places of its trees that no row or operator has.
    @param claim The claim.
    @param op_index The operator in whose output's tree the node is; the number of operators for the
            trace's.
    @param level The node's level above the leaves of that tree.
    @param index The node's index in its level.
    @param node The node.
    @param proof Its way to the commitment.
    """
    case: cases.Case = self._open_case(claim)
    cases._check_pad_node(case, op_index, level, index, node, proof)
    self._convict(claim, case, node != merkle._zero(level), _PAD_NODE, op_index, 0, 0, 0, 0)


# ---- anyone: withheld traces


@external
def demand_trace(claim: IFaultProof.ClaimRef):
    """
    @notice Demand that the whole trace of a claim is published, once per claim, within its window.
            The fee is reserved from the caller's free balance in the Vault, which must have
            authorised this book.
    @param claim The claim.
    """
    self._require_ours(claim)
    job_id: bytes32 = empty(bytes32)
    claim_id: bytes32 = empty(bytes32)
    claimed_at: uint256 = 0
    # From here on JobEscrow asks before the claim is final.
    job_id, claim_id, claimed_at = extcall ESCROW.contest(
        claim.terms, claim.record, claim.commitment
    )
    settings: uint256 = claim.terms.w1 & _M96
    now: uint256 = block.timestamp
    assert now <= self._edge(0, claimed_at, settings), "proof: window is over"
    due: uint256 = now + ((settings >> 32) & _M24)
    disputes._demand(claim_id, msg.sender, due)
    log IFaultProof.TraceDemanded(claim_id=claim_id, demander=msg.sender, due=due)
    extcall VAULT.reserve(msg.sender, DEMAND_FEE)


@external
def publish_trace(claim: IFaultProof.ClaimRef, trace: Bytes[24576]):
    """
    @notice Answer a demand: the whole padded trace, in calldata. Anyone may; the bytes speak for
            themselves.
    @param claim The claim.
    @param trace The operators' outputs in order, each its padded rows in order.
    """
    case: cases.Case = self._recognise(claim)
    disputes._require_demanded(case.word)
    assert block.timestamp <= disputes._due(case.word), "proof: reply is over"
    model: models.Entry = models._entries[claim.terms.program]
    assert (len(trace) == case.units * models._row_bytes(model.head)), "proof: wrong trace length"
    assert (
        traces._root(trace, case.units, case.op_count, model.row_words) == claim.commitment
    ), "proof: not the claimed trace"
    disputes._publish(case.claim_id, case.word, msg.sender)
    log IFaultProof.TracePublished(claim_id=case.claim_id, publisher=msg.sender)


@external
def silence(claim: IFaultProof.ClaimRef):
    """
    @notice Convict a claim whose trace was demanded and not published in time. Anyone may; the
            refuter is who had demanded it.
    @param claim The claim.
    """
    case: cases.Case = self._recognise(claim)
    disputes._require_demanded(case.word)
    assert block.timestamp > disputes._due(case.word), "proof: reply is running"
    self._convict(claim, case, True, _SILENCE, 0, 0, 0, 0, 0)


@external
def settle_demand(job_id: bytes32, record: IJobEscrow.Record, attempt: uint256):
    """
    @notice Send the fee of a demand where it belongs, once its claim has ended: to the publisher,
            or back to who demanded if the claim was refuted or nobody answered.
    @param job_id The job.
    @param record What was agreed for the attempt.
    @param attempt The attempt.
    """
    job: IJobEscrow.Job = staticcall ESCROW.job(job_id)
    # An attempt has one claim at most, and none comes back to life.
    is_open: bool = job.state == job_slots.CLAIMED or job.state == job_slots.CONTESTED
    assert not is_open or job.attempt != attempt, "proof: claim is open"
    claim_id: bytes32 = job_slots._claim_id(job_id, attempt, convert(record.w1 >> 96, address))
    demander: address = empty(address)
    payee: address = empty(address)
    demander, payee = disputes._settle(claim_id)
    log IFaultProof.DemandSettled(claim_id=claim_id, payee=payee, fee=DEMAND_FEE)
    if payee == demander:
        extcall VAULT.release(demander, DEMAND_FEE)
    else:
        extcall VAULT.pay(demander, payee, DEMAND_FEE)


# ---- JobEscrow


@external
def on_match(
    claim_id: bytes32, program: bytes32, input_id: bytes32, units: uint256, settings: uint256
):
    """
    @notice Not used: `quote` refuses settings that ask for hooks.
    @param claim_id Ignored.
    @param program Ignored.
    @param input_id Ignored.
    @param units Ignored.
    @param settings Ignored.
    """
    self._no_hooks()


@external
def on_claim(claim_id: bytes32, commitment: bytes32):
    """
    @notice Not used: `quote` refuses settings that ask for hooks.
    @param claim_id Ignored.
    @param commitment Ignored.
    """
    self._no_hooks()


@external
@view
@reentrant
def quote(
    program: bytes32, units: uint256, settings: uint256, price: uint256
) -> (uint256, uint256, uint256, uint256):
    """
    @notice What checking a job costs and holds up. Reverts on a job that this verifier can't judge.
    @param program The model.
    @param units Rows of the input.
    @param settings The job's settings: hooks 8 (zero), window 32, reply 24, follow 24, 0 (8).
    @param price The price of the job, in token units.
    @return The levy, zero; the least lock, three times the price; the window and the longest delay,
            in seconds.
    """
    max_units: uint256 = 0
    row_bytes: uint256 = 0
    max_units, row_bytes = models._limits(program)
    # SAFETY: below the range wraps to above it; then 16 bits each. A price has 113 bits.
    assert unsafe_sub(units, 1) < max_units, "proof: units out of range"
    assert unsafe_mul(units, row_bytes) <= traces.MAX_BYTES, "proof: trace too large"
    window: uint256 = (settings >> 56) & _M32
    reply: uint256 = (settings >> 32) & _M24
    follow: uint256 = (settings >> 8) & _M24
    assert settings >> 88 == 0, "proof: hooks are not offered"
    assert settings & 255 == 0, "proof: spare bits in settings"
    assert MIN_WINDOW <= window and window <= MAX_WINDOW, "proof: window out of bounds"
    assert MIN_REPLY <= reply and reply <= MAX_REPLY, "proof: reply out of bounds"
    assert MIN_REPLY <= follow and follow <= MAX_REPLY, "proof: follow out of bounds"
    delay: uint256 = unsafe_add(window, unsafe_add(reply, follow))
    return 0, unsafe_mul(_LOCK_FACTOR, price), window, delay


@external
@view
@reentrant
def outcome(claim_id: bytes32, claimed_at: uint256, settings: uint256) -> IVerifier.Outcome:
    """
    @notice How a claim stands. An undisputed one stands after its window; one whose trace was
            published after the longest delay; one whose trace was not published when due falls.
    @dev Not locked, because JobEscrow asks in the midst of a proof. Safe: it reads one word, and a
         proof calls nobody but views before that word is final.
    @param claim_id The claim.
    @param claimed_at When it was made, unix seconds.
    @param settings The job's settings.
    @return The verdict, when it holds from, and the refuter. No payouts.
    """
    word: uint256 = disputes._words[claim_id]
    status: uint256 = disputes._status(word)
    outcome: IVerifier.Outcome = empty(IVerifier.Outcome)
    # Silence convicts by itself: else a claim that nobody pays to end could wait to be voided.
    is_silent: bool = status == disputes.DEMANDED and block.timestamp > disputes._due(word)
    if is_silent or status == disputes.REFUTED:
        outcome.verdict = IVerifier.Verdict.FALLS
        outcome.refuter = disputes._party(word)
    elif status == disputes.DEMANDED:
        outcome.verdict = IVerifier.Verdict.PENDING
    else:
        outcome.verdict = IVerifier.Verdict.STANDS
        outcome.not_before = self._edge(word, claimed_at, settings)
    return outcome


# ---- views


@external
@view
def model_of(program: bytes32) -> IFaultProof.Model:
    """
    @notice A registered model. Reverts if there is none.
    @param program The program id.
    @return Its root and dimensions.
    """
    head: uint256 = models._head(program)
    return IFaultProof.Model(
        graph_root=models._entries[program].graph_root,
        op_count=models._op_count(head),
        input_width=models._input_width(head),
        row_bytes=models._row_bytes(head),
        max_units=models._max_units(head),
    )


@external
@view
def dispute_of(claim_id: bytes32) -> IFaultProof.Dispute:
    """
    @notice What is on record of a claim; all zero if nobody has disputed it.
    @param claim_id The claim.
    @return Its status, when the trace is due (zero if it was never demanded), who demanded it or,
            once refuted, the refuter, and who published it.
    """
    return disputes._read(claim_id)


# ---- internal


@internal
@pure
def _no_hooks():
    raise "proof: has no hooks"


@internal
@pure
def _edge(word: uint256, claimed_at: uint256, settings: uint256) -> uint256:
    """
    @dev The last second in which a claim can be proven wrong: of its window, or of D once it was
         disputed.
    """
    # SAFETY: JobEscrow gives a time of 40 bits, and the parts of the settings are of 32 and 24.
    edge: uint256 = unsafe_add(claimed_at, (settings >> 56) & _M32)
    if word != 0:
        edge = unsafe_add(edge, unsafe_add((settings >> 32) & _M24, (settings >> 8) & _M24))
    return edge


@internal
@view
def _require_ours(claim: IFaultProof.ClaimRef):
    assert (
        claim.terms.w1 == claim.record.w3 and claim.terms.w1 >> 96 == convert(self, uint256)
    ), "proof: not this verifier"


@internal
@view
def _recognise(claim: IFaultProof.ClaimRef) -> cases.Case:
    """
    @dev Reverts unless JobEscrow has just this claim on record, still open, for this verifier.
    """
    self._require_ours(claim)
    case: cases.Case = empty(cases.Case)
    claimed_at: uint256 = 0
    case.job_id, case.claim_id, claimed_at = staticcall ESCROW.claim_context(
        claim.terms, claim.record, claim.commitment
    )
    case.word = disputes._words[case.claim_id]
    case.edge = self._edge(case.word, claimed_at, claim.terms.w1 & _M96)
    case.input_id = claim.terms.input_id
    case.commitment = claim.commitment
    case.units = (claim.terms.w7 >> 160) & _M32
    case.op_count = models._op_count(models._head(claim.terms.program))
    case.row_depth = merkle._depth_of(case.units)
    case.op_depth = merkle._depth_of(case.op_count)
    return case


@internal
@view
def _open_case(claim: IFaultProof.ClaimRef) -> cases.Case:
    """
    @dev Reverts unless the claim can still be proven wrong.
    """
    case: cases.Case = self._recognise(claim)
    assert disputes._status(case.word) != disputes.REFUTED, "proof: already refuted"
    assert block.timestamp <= case.edge, "proof: too late"
    case.graph_root = models._entries[claim.terms.program].graph_root
    return case


@internal
def _convict(
    claim: IFaultProof.ClaimRef,
    case: cases.Case,
    is_fault: bool,
    kind: uint256,
    op_index: uint256,
    row: uint256,
    column: uint256,
    claimed: int256,
    right: int256,
):
    # INVARIANT: what obeys its rule convicts nobody.
    assert is_fault, "proof: no fault"
    # The reward is the sender's or, for silence, of who paid to find out.
    refuter: address = msg.sender
    if kind == _SILENCE:
        refuter = disputes._party(case.word)
    # The verdict is on record before JobEscrow is called: it asks `outcome` and carries it out.
    disputes._refute(case.claim_id, case.word, refuter)
    log IFaultProof.FaultProven(
        claim_id=case.claim_id,
        refuter=refuter,
        kind=kind,
        op_index=op_index,
        row=row,
        column=column,
        claimed=claimed,
        right=right,
    )
    extcall ESCROW.refute(case.job_id, claim.record, claim.commitment)
