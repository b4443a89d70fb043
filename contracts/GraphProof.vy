# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Graph proof
@license AGPL-3.0-only
@notice The verifier of policy `graph`: convicts one wrong byte of a committed trace of version 2 by
        having GraphRules recompute it, or a trace that is withheld, by silence, in a game of
        levels. Models, tensors and traces are as in docs/int8-graph-2.md.
@dev Nothing is written for a claim that nobody disputes. Every argument is somebody's word until it
     is hashed: a claim is what JobEscrow recognises, a case and a node what was written when they
     were demanded, a child what leads to its parent. A right trace is unique, so no proof against
     it exists, and whoever has it can answer every demand.
@custom:security Trusts JobEscrow for what a claim is, and that it asked `quote` at the match;
                 GraphModels and GraphRules for the model and the recomputation.
@custom:kill Has no switch; JobEscrow's owner can stop new matches on it.
"""

from interfaces import IGraphModels
from interfaces import IGraphProof
from interfaces import IGraphRules
from interfaces import IJobEscrow
from interfaces import IVault
from interfaces import IVerifier

implements: IGraphProof
implements: IVerifier

from contracts.modules import demands
from contracts.modules import job_slots
from contracts.modules import levels
from contracts.modules import promises

initializes: demands
initializes: promises

_ELEMENT: constant(uint256) = 1
_SILENCE: constant(uint256) = 6

_LOCK_FACTOR: constant(uint256) = 3
_M24: constant(uint256) = 2**24 - 1
_M32: constant(uint256) = 2**32 - 1
_M80: constant(uint256) = 2**80 - 1
_M96: constant(uint256) = 2**96 - 1

ESCROW: public(immutable(IJobEscrow))
VAULT: public(immutable(IVault))
MODELS: public(immutable(IGraphModels))
RULES: public(immutable(IGraphRules))
# What a demand of one node costs, in token units; the answerer's if the claim stands.
DEMAND_FEE: public(immutable(uint256))
# Bounds of a job's settings, in seconds. Those of the reply are also those of the follow-up.
MIN_WINDOW: public(immutable(uint256))
MAX_WINDOW: public(immutable(uint256))
MIN_REPLY: public(immutable(uint256))
MAX_REPLY: public(immutable(uint256))


# A claim that JobEscrow has recognised.
struct Live:
    job_id: bytes32
    claim_id: bytes32
    claimed_at: uint256
    settings: uint256
    word: uint256  # its case
    promised: uint256  # its commitments


@deploy
def __init__(
    escrow: IJobEscrow,
    vault: IVault,
    models: IGraphModels,
    rules: IGraphRules,
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
    @param models Knows the models.
    @param rules Recomputes what a proof is about, by the same models.
    @param demand_fee Token units for the demand of one node, 1 to 2^80 - 1; should cover the gas of
            an answer.
    @param min_window Shortest window of a job in seconds, at least 1.
    @param max_window Longest window, less than 2^32.
    @param min_reply Shortest time to reply to a demand, and to follow up, at least 1.
    @param max_reply Longest such time, less than 2^24.
    """
    assert escrow.address != empty(address), "graph: escrow is zero"
    assert vault.address != empty(address), "graph: vault is zero"
    assert models.address != empty(address), "graph: model registry is zero"
    assert rules.address != empty(address), "graph: rules is zero"
    assert 0 < demand_fee and demand_fee <= _M80, "graph: bad demand_fee"
    assert (
        0 < min_window and min_window <= max_window and max_window <= _M32
    ), "graph: bad window bounds"
    assert (
        0 < min_reply and min_reply <= max_reply and max_reply <= _M24
    ), "graph: bad reply bounds"
    ESCROW = escrow
    VAULT = vault
    MODELS = models
    RULES = rules
    DEMAND_FEE = demand_fee
    MIN_WINDOW = min_window
    MAX_WINDOW = max_window
    MIN_REPLY = min_reply
    MAX_REPLY = max_reply


# ---- anyone: proofs


@external
def prove(claim: IGraphRules.ClaimRef, proof: IGraphRules.Proof):
    """
    @notice Convict a claim one of whose bytes is not what the rule gives. Pays its sender at once
            or, where somebody has committed to a fault of the claim, whoever was first, after at
            most 20 blocks.
    @param claim The claim.
    @param proof Which byte, and what it follows from (GraphRules).
    """
    live: Live = self._recognise(claim)
    assert demands._status(live.word) == demands.LIVE, "graph: already refuted"
    assert self._is_provable(live), "graph: too late"
    # The same function with the same arguments: what came is handed on as it is.
    judgement: IGraphRules.Judgement = abi_decode(
        raw_call(RULES.address, msg.data, max_outsize=128, is_static_call=True),
        IGraphRules.Judgement,
    )
    # INVARIANT: what obeys its rule convicts nobody.
    assert judgement.is_fault, "graph: no fault"
    self._log_fault(live.claim_id, proof.index, proof.row, proof.column, judgement)
    if demands._has_commitments(live.word):
        self._fall(live, promises.NO_NUMBER)
    else:
        self._convict(live, claim.record, claim.commitment)


@external
def claim_reward(claim: IGraphRules.ClaimRef, proof: IGraphRules.Proof, salt: bytes32):
    """
    @notice Convict a claim, or show within 20 blocks after somebody else did that the caller had
            committed to a fault of it earlier. Who has the first commitment is paid at once.
    @param claim The claim.
    @param proof The fault that the caller committed to.
    @param salt The salt of the commitment.
    """
    live: Live = self._recognise(claim)
    status: uint256 = demands._status(live.word)
    assert status != demands.REFUTED, "graph: reward is paid"
    before: uint256 = block.number
    if status == demands.LIVE:
        assert self._is_provable(live), "graph: too late for a reward"
    else:
        assert self._is_reward_open(
            live.promised, live.claimed_at, live.settings
        ), "graph: reward is settled"
        before = promises._proven(live.promised)
    digest: bytes32 = promises._digest(
        live.claim_id, proof.index, proof.row, proof.column, msg.sender, salt
    )
    number: uint256 = promises._number(live.claim_id, digest, before)
    assert number < promises._best(live.promised), "graph: somebody was earlier"
    judgement: IGraphRules.Judgement = staticcall RULES.prove(claim, proof)
    assert judgement.is_fault, "graph: no fault to pay for"
    self._log_fault(live.claim_id, proof.index, proof.row, proof.column, judgement)
    if number == 1:
        self._convict(live, claim.record, claim.commitment)
    else:
        self._fall(live, number)


@external
def commit_fault(claim: IGraphRules.ClaimRef, digest: bytes32):
    """
    @notice Say that the caller has found a fault of a claim, without saying which, so that nobody
            can take the reward by copying the proof. Lets the claim wait for at most 20 blocks.
    @param claim The claim.
    @param digest keccak256 of the ABI encoding of (claim id, the proof's index, row, column,
            prover, a salt).
    """
    self._require_ours(claim)
    live: Live = self._contest(claim)
    assert demands._status(live.word) == demands.LIVE, "graph: too late to commit"
    depth: uint256 = demands._depth(live.word)
    assert (
        block.timestamp <= self._edge(depth, live.claimed_at, live.settings)
    ), "graph: window for it is over"
    depths: uint256 = 0
    max_units: uint256 = 0
    enough: bool = False
    max_units, depths, enough = staticcall MODELS.limits(claim.terms.program)
    if not demands._has_commitments(live.word):
        demands._mark_commitments(live.claim_id, live.word)
    number: uint256 = promises._commit(live.claim_id, digest, depths)
    log IGraphProof.FaultCommitted(claim_id=live.claim_id, digest=digest, number=number)


@external
def audit(claim: IGraphRules.ClaimRef, proof: IGraphRules.Proof):
    """
    @notice Show that an element of a claim is right: succeeds exactly where `prove` finds no fault.
    @param claim The claim.
    @param proof A proof of kind 1.
    """
    live: Live = self._recognise(claim)
    judgement: IGraphRules.Judgement = abi_decode(
        raw_call(RULES.address, msg.data, max_outsize=128, is_static_call=True),
        IGraphRules.Judgement,
    )
    assert judgement.kind == _ELEMENT, "graph: audit wants an element"
    assert not judgement.is_fault, "graph: element is wrong"
    log IGraphProof.ElementAudited(
        claim_id=live.claim_id,
        auditor=msg.sender,
        index=proof.index,
        row=proof.row,
        column=proof.column,
        element=judgement.claimed,
    )


# ---- anyone: the game for withheld data


@external
def open(
    claim: IGraphRules.ClaimRef,
    operator: IGraphRules.Operator,
    operator_proof: DynArray[bytes32, 8],
):
    """
    @notice Demand the children of a claim's commitment, within its window. The fee is reserved from
            the caller's free balance in the Vault, which must have authorised this book.
    @param claim The claim.
    @param operator The operator of a model that has only one; else it isn't read.
    @param operator_proof Empty.
    """
    self._require_ours(claim)
    # From here on JobEscrow asks before the claim is final.
    live: Live = self._contest(claim)
    assert demands._status(live.word) == demands.LIVE, "graph: too late to open"
    assert (
        block.timestamp <= self._edge(0, live.claimed_at, live.settings)
    ), "graph: window is over"
    graph_root: bytes32 = empty(bytes32)
    head: uint256 = 0
    graph_root, head = staticcall MODELS.facts(claim.terms.program)
    case: IGraphProof.CaseRef = IGraphProof.CaseRef(
        job_id=live.job_id,
        claim_id=live.claim_id,
        commitment=claim.commitment,
        graph_root=graph_root,
        op_count=head >> 48,
        units=(claim.terms.w7 >> 160) & _M32,
        claimed_at=live.claimed_at,
        settings=live.settings,
    )
    demands._refs[live.claim_id] = keccak256(abi_encode(case))
    log IGraphProof.CaseOpened(claim_id=live.claim_id, case=case)
    self._demand(case, live.word, levels._root(case, operator, operator_proof))


@external
def demand(
    case: IGraphProof.CaseRef,
    parent: IGraphProof.Node,
    index: uint256,
    child: bytes32,
    siblings: bytes32[6],
    operator: IGraphRules.Operator,
    operator_proof: DynArray[bytes32, 8],
):
    """
    @notice Demand what is under a node that an answer has shown: its children or, of a leaf, its
            bytes. Each node once.
    @param case The case, as `CaseOpened` has it.
    @param parent The node that was answered.
    @param index Which of its children, 0 to 15.
    @param child That child.
    @param siblings The way from the child to the parent: the three others of its four, then those
            of the four above, each in order.
    @param operator The operator whose tensor the child is the root of; else it isn't read.
    @param operator_proof Leads from the operator to the graph's root; else it isn't read.
    """
    word: uint256 = demands._require_case(case)
    assert demands._is_answered(case.claim_id, parent), "game: parent is not answered"
    node: IGraphProof.Node = levels._child(
        case, parent, index, child, siblings, operator, operator_proof
    )
    assert (
        block.timestamp <= self._edge(node.level, case.claimed_at, case.settings)
    ), "game: level is closed"
    self._demand(case, word, node)


@external
def answer(claim_id: bytes32, node: IGraphProof.Node, kids: bytes32[16]):
    """
    @notice Answer a demand with the sixteen children of a node. Anyone may, once for everybody.
    @param claim_id The claim.
    @param node The node, as `NodeDemanded` has it.
    @param kids Its children.
    """
    assert node.remaining != 0, "game: answer with the bytes"
    assert levels._fold(kids) == node.node_hash, "game: not the children"
    demander: address = demands._answer(claim_id, node, msg.sender)
    log IGraphProof.NodeAnswered(
        claim_id=claim_id, answerer=msg.sender, demander=demander, node=node, kids=kids
    )


@external
def answer_leaf(claim_id: bytes32, node: IGraphProof.Node, data: Bytes[1024]):
    """
    @notice Answer a demand with the bytes of a leaf. Anyone may, once for everybody.
    @param claim_id The claim.
    @param node The leaf, as `NodeDemanded` has it.
    @param data Its bytes, without the prefix.
    """
    assert node.remaining == 0, "game: answer with children"
    assert len(data) == node.leaf_bytes, "game: wrong leaf length"
    assert keccak256(concat(0x00, data)) == node.node_hash, "game: not the leaf"
    demander: address = demands._answer(claim_id, node, msg.sender)
    log IGraphProof.LeafAnswered(
        claim_id=claim_id, answerer=msg.sender, demander=demander, node=node, data=data
    )


@external
def silence(case: IGraphProof.CaseRef, node: IGraphProof.Node, record: IJobEscrow.Record):
    """
    @notice Convict a claim one of whose demands was not answered in time. Anyone may; the refuter
            is who had demanded the node.
    @param case The case, as `CaseOpened` has it.
    @param node The node, as `NodeDemanded` has it.
    @param record What was agreed for the claim.
    """
    word: uint256 = demands._require_case(case)
    demander: address = demands._overdue(case.claim_id, node)
    # The verdict is on record before JobEscrow is called: it asks `outcome` and carries it out.
    demands._fell(case.claim_id, word, demands.REFUTED, demander)
    log IGraphProof.FaultProven(
        claim_id=case.claim_id,
        refuter=demander,
        kind=_SILENCE,
        index=node.operator,
        row=node.level,
        column=node.place,
        claimed=0,
        right=0,
    )
    extcall ESCROW.refute(case.job_id, record, case.commitment)


@external
def settle_demand(
    job_id: bytes32,
    attempt: uint256,
    provider: address,
    node: IGraphProof.Node,
    demander: address,
    answerer: address,
):
    """
    @notice Send the fee of a demand where it belongs, once its claim has ended: to who answered if
            the claim stood, else back to who demanded.
    @param job_id The job.
    @param attempt The attempt.
    @param provider The provider of the attempt.
    @param node The node.
    @param demander Who demanded it; of a node without an answer it isn't read.
    @param answerer Who answered; of a node without an answer it isn't read.
    """
    job: IJobEscrow.Job = staticcall ESCROW.job(job_id)
    # An attempt has one claim at most, and none comes back to life.
    is_open: bool = job.state == job_slots.CLAIMED or job.state == job_slots.CONTESTED
    assert not is_open or job.attempt != attempt, "game: claim is open"
    claim_id: bytes32 = job_slots._claim_id(job_id, attempt, provider)
    payer: address = empty(address)
    payee: address = empty(address)
    payer, payee = demands._settle(claim_id, node, demander, answerer)
    log IGraphProof.DemandSettled(claim_id=claim_id, payee=payee, fee=DEMAND_FEE)
    if payee == payer:
        extcall VAULT.release(payer, DEMAND_FEE)
    else:
        extcall VAULT.pay(payer, payee, DEMAND_FEE)


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
    @notice What checking a job costs and holds up. Reverts on a job that this verifier can't judge,
            or whose model too few keep a copy of.
    @param program The model.
    @param units Units of the input.
    @param settings The job's settings: hooks 8 (zero), window 32, reply 24, follow 24, 0 (8).
    @param price The price of the job, in token units.
    @return The levy, zero; the least lock, three times the price; the window and the longest delay,
            in seconds.
    """
    max_units: uint256 = 0
    depths: uint256 = 0
    is_eligible: bool = False
    max_units, depths, is_eligible = staticcall MODELS.limits(program)
    assert is_eligible, "graph: too few mirrors"
    # SAFETY: below the range wraps to above it. A price has 113 bits.
    assert unsafe_sub(units, 1) < max_units, "graph: units out of range"
    window: uint256 = (settings >> 56) & _M32
    reply: uint256 = (settings >> 32) & _M24
    follow: uint256 = (settings >> 8) & _M24
    assert settings >> 88 == 0, "graph: hooks are not offered"
    assert settings & 255 == 0, "graph: spare bits in settings"
    assert MIN_WINDOW <= window and window <= MAX_WINDOW, "graph: window out of bounds"
    assert MIN_REPLY <= reply and reply <= MAX_REPLY, "graph: reply out of bounds"
    assert MIN_REPLY <= follow and follow <= MAX_REPLY, "graph: follow out of bounds"
    return 0, unsafe_mul(_LOCK_FACTOR, price), window, self._edge(depths, 0, settings)


@external
@view
@reentrant
def outcome(claim_id: bytes32, claimed_at: uint256, settings: uint256) -> IVerifier.Outcome:
    """
    @notice How a claim stands. An undisputed one stands after its window, one whose demands were
            all answered after the level below the last one has closed; one with an overdue demand
            falls, and one that is proven once it is certain who is paid for it.
    @dev Not locked, because JobEscrow asks in the midst of a proof. Safe: it reads words that are
         final by then.
    @param claim_id The claim.
    @param claimed_at When it was made, unix seconds.
    @param settings The job's settings.
    @return The verdict, when it holds from, and the refuter. No payouts.
    """
    word: uint256 = demands._words[claim_id]
    status: uint256 = demands._status(word)
    promised: uint256 = 0
    if demands._has_commitments(word):
        promised = promises._words[claim_id]
    outcome: IVerifier.Outcome = empty(IVerifier.Outcome)
    edge: uint256 = self._edge(demands._depth(word), claimed_at, settings)
    is_pending: bool = False
    is_fallen: bool = status == demands.REFUTED
    if status == demands.FALLING:
        is_pending = self._is_reward_open(promised, claimed_at, settings)
        is_fallen = not is_pending
    elif status == demands.LIVE:
        # Silence convicts by itself: else a claim that nobody pays to end could wait to be voided.
        is_fallen = demands._is_silent(word, block.timestamp)
        is_pending = (
            demands._open(word) != 0
            or (block.timestamp > edge and self._is_waiting(promised, claimed_at, settings))
        )
    if is_fallen:
        outcome.verdict = IVerifier.Verdict.FALLS
        outcome.refuter = demands._party(word)
    elif is_pending:
        outcome.verdict = IVerifier.Verdict.PENDING
    else:
        outcome.verdict = IVerifier.Verdict.STANDS
        outcome.not_before = edge
    return outcome


# ---- views


@external
@view
def case_of(claim_id: bytes32) -> IGraphProof.Case:
    """
    @notice What is on record of a claim; all zero if nobody has moved against it.
    @param claim_id The claim.
    @return Its status, how deep it was demanded, the open demands, when the last is due, whose the
            reward is, and how many commitments to faults there are.
    """
    word: uint256 = demands._words[claim_id]
    return IGraphProof.Case(
        status=demands._status(word),
        depth=demands._depth(word),
        open_demands=demands._open(word),
        last_due=demands._due(word),
        party=demands._party(word),
        commitments=promises._count(promises._words[claim_id]),
    )


@external
@view
def demand_of(claim_id: bytes32, node: IGraphProof.Node) -> IGraphProof.Demand:
    """
    @notice What is on record of a node; all zero if nobody has demanded it.
    @param claim_id The claim.
    @param node The node.
    @return Its status and, while it is demanded, when the answer is due and who wants it.
    """
    return demands._read(claim_id, node)


@external
@view
def commitment_of(claim_id: bytes32, digest: bytes32) -> (uint256, uint256):
    """
    @notice A commitment to a fault.
    @param claim_id The claim.
    @param digest The commitment.
    @return Its number among those of the claim, from 1 on, and its block; zeros if there is none.
    """
    return promises._read(claim_id, digest)


# ---- internal


@internal
@pure
def _no_hooks():
    raise "graph: has no hooks"


@internal
@pure
def _edge(depth: uint256, claimed_at: uint256, settings: uint256) -> uint256:
    """
    @dev When the level `depth` of a claim closes: with one more than the deepest level that was
         demanded the last second in which it can be proven wrong, with all levels that of D.
    """
    # SAFETY: a time of 40 bits, at most 15 levels, parts of the settings of 32 and 24 bits.
    pause: uint256 = unsafe_add((settings >> 32) & _M24, (settings >> 8) & _M24)
    return unsafe_add(unsafe_add(claimed_at, (settings >> 56) & _M32), unsafe_mul(depth, pause))


@internal
@view
def _is_waiting(promised: uint256, claimed_at: uint256, settings: uint256) -> bool:
    """
    @dev Whether the last commitment of a claim (none if `promised` is 0) may still be opened past
         the edge: for a few blocks, and never longer than D.
    """
    # SAFETY: block numbers of 48 bits.
    return (
        promised != 0
        and block.number <= unsafe_add(promises._last(promised), promises.BLOCKS)
        and block.timestamp <= self._edge(promises._levels(promised), claimed_at, settings)
    )


@internal
@view
def _is_reward_open(promised: uint256, claimed_at: uint256, settings: uint256) -> bool:
    """
    @dev Whether somebody who had committed earlier may still take the reward of a proven claim.
    """
    return (
        block.number <= unsafe_add(promises._proven(promised), promises.BLOCKS)
        and block.timestamp <= self._edge(promises._levels(promised), claimed_at, settings)
    )


@internal
@view
def _is_provable(live: Live) -> bool:
    edge: uint256 = self._edge(demands._depth(live.word), live.claimed_at, live.settings)
    return block.timestamp <= edge or self._is_waiting(
        live.promised, live.claimed_at, live.settings
    )


@internal
@view
def _require_ours(claim: IGraphRules.ClaimRef):
    assert (
        claim.terms.w1 == claim.record.w3 and claim.terms.w1 >> 96 == convert(self, uint256)
    ), "graph: not this verifier"


@internal
@view
def _recognise(claim: IGraphRules.ClaimRef) -> Live:
    """
    @dev Reverts unless JobEscrow has just this claim on record, still open, for this verifier.
    """
    self._require_ours(claim)
    live: Live = empty(Live)
    live.job_id, live.claim_id, live.claimed_at = staticcall ESCROW.claim_context(
        claim.terms, claim.record, claim.commitment
    )
    live.settings = claim.terms.w1 & _M96
    live.word = demands._words[live.claim_id]
    if demands._has_commitments(live.word):
        live.promised = promises._words[live.claim_id]
    return live


@internal
def _contest(claim: IGraphRules.ClaimRef) -> Live:
    """
    @dev As `_recognise`, and from then on JobEscrow asks before the claim is final.
    """
    live: Live = empty(Live)
    live.job_id, live.claim_id, live.claimed_at = extcall ESCROW.contest(
        claim.terms, claim.record, claim.commitment
    )
    live.settings = claim.terms.w1 & _M96
    live.word = demands._words[live.claim_id]
    return live


@internal
def _log_fault(
    claim_id: bytes32,
    index: uint256,
    row: uint256,
    column: uint256,
    judgement: IGraphRules.Judgement,
):
    log IGraphProof.FaultProven(
        claim_id=claim_id,
        refuter=msg.sender,
        kind=judgement.kind,
        index=index,
        row=row,
        column=column,
        claimed=judgement.claimed,
        right=judgement.right,
    )


@internal
def _fall(live: Live, number: uint256):
    """
    @dev The claim falls for good; who had committed earlier may still come. Nobody has to carry it
         out before: JobEscrow's `refute` does once `outcome` says so.
    """
    demands._fell(live.claim_id, live.word, demands.FALLING, msg.sender)
    open_until: uint256 = promises._prove(live.claim_id, live.promised, number)
    log IGraphProof.RewardOpen(claim_id=live.claim_id, open_until=open_until)


@internal
def _convict(live: Live, record: IJobEscrow.Record, commitment: bytes32):
    # The verdict is on record before JobEscrow is called: it asks `outcome` and carries it out.
    demands._fell(live.claim_id, live.word, demands.REFUTED, msg.sender)
    extcall ESCROW.refute(live.job_id, record, commitment)


@internal
def _demand(case: IGraphProof.CaseRef, word: uint256, node: IGraphProof.Node):
    due: uint256 = block.timestamp + ((case.settings >> 32) & _M24)
    demands._demand(case.claim_id, word, node, msg.sender, due)
    log IGraphProof.NodeDemanded(claim_id=case.claim_id, demander=msg.sender, node=node, due=due)
    extcall VAULT.reserve(msg.sender, DEMAND_FEE)
