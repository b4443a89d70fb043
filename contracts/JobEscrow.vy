# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Job escrow
@license AGPL-3.0-only
@notice The life of a job: posted, matched, claimed, then final, refuted or expired. Anyone may make every
        move that is due; the contract checks both sides' limits again and never takes a keeper's word.
@dev One word is stored per job (modules/job_slots). What later moves need comes back in calldata and has
     to hash to that word. Money stays in the Vault. INVARIANT: a requester's lane is the sum of what is
     held over its open jobs; a provider's lane is the sum of lock and total (price, tip, levy, charge)
     over its running attempts. A slash is never more than the lock of one record, so it can't reach the total.
@custom:kill The owner can stop a verifier: no new match uses it. Running jobs end as they would have.
"""

from interfaces import IJobEscrow
from interfaces import IMatchRules
from interfaces import IProviderRegistry
from interfaces import IVault
from interfaces import IVerifier

implements: IJobEscrow

from snekmate.auth import ownable
from snekmate.auth import ownable_2step
from contracts.modules import job_slots as slots
from contracts.modules import money
from contracts.modules import offers
from contracts.modules import policies

initializes: ownable
initializes: ownable_2step[ownable := ownable]
initializes: slots
initializes: policies

exports: (
    ownable.owner,
    ownable_2step.pending_owner,
    ownable_2step.transfer_ownership,
    ownable_2step.accept_ownership,
)

_M4: constant(uint256) = 2**4 - 1
_M8: constant(uint256) = 2**8 - 1
_M16: constant(uint256) = 2**16 - 1
_M24: constant(uint256) = 2**24 - 1
_M32: constant(uint256) = 2**32 - 1
_M40: constant(uint256) = 2**40 - 1
_M80: constant(uint256) = 2**80 - 1
_M96: constant(uint256) = 2**96 - 1

_MAX_TIMELOCK: constant(uint256) = 30 * 86_400
_MAX_DECLINES: constant(uint256) = 3
# A verifier that hasn't answered this long after its bound has failed: the claim can be voided.
_VOID_GRACE: constant(uint256) = 2 * 86_400
_OUTCOME_GAS: constant(uint256) = 500_000

# Hooks in the settings (see IVerifier).
_ON_MATCH: constant(uint256) = 1 << 88
_ON_CLAIM: constant(uint256) = 1 << 89
_ASK_ALWAYS: constant(uint256) = 1 << 90

# Bits of `Skipped`.
_SKIP_STATE: constant(uint256) = 1
_SKIP_RECORD: constant(uint256) = 2
_SKIP_TIME: constant(uint256) = 4
_SKIP_VERDICT: constant(uint256) = 8
_SKIP_COMMITMENT: constant(uint256) = 16

VAULT: public(immutable(IVault))
REGISTRY: public(immutable(IProviderRegistry))
RULES: public(immutable(IMatchRules))
# The longest D of a verifier, in seconds.
DELAY_MAX: public(immutable(uint256))
# How long a change of policy waits, in seconds.
TIMELOCK: public(immutable(uint256))
# The EIP-712 domain, and the chain that it was built for.
_DOMAIN: immutable(bytes32)
_CHAIN: immutable(uint256)

# requester => epoch of its signed bids; a higher one revokes all earlier ones
bid_epoch: public(HashMap[address, uint256])
# requester => how often a provider declined one of its jobs
declines_of: public(HashMap[address, uint256])


@deploy
def __init__(
    vault: IVault,
    registry: IProviderRegistry,
    rules: IMatchRules,
    owner: address,
    delay_max: uint256,
    timelock: uint256,
):
    """
    @notice Fix the partners and bounds for the life of the escrow.
    @param vault Holds the money; this contract must be its book 0.
    @param registry Knows the providers; must have this contract as its escrow.
    @param rules Checks both sides' limits; must have this contract as its escrow.
    @param owner May propose and stop verifiers; can't touch money or a running job.
    @param delay_max Longest D of a verifier, as in the rules.
    @param timelock Seconds that a change of policy waits, at most 30 days.
    """
    assert owner != empty(address), "escrow: owner is zero"
    assert timelock <= _MAX_TIMELOCK, "escrow: timelock too long"
    # Later calls of these two don't check it again.
    assert (
        vault.address.is_contract and registry.address.is_contract
    ), "escrow: partner has no code"
    ownable.__init__()
    ownable_2step.__init__()
    ownable._transfer_ownership(owner)
    VAULT = vault
    REGISTRY = registry
    RULES = rules
    DELAY_MAX = delay_max
    TIMELOCK = timelock
    _DOMAIN = offers._domain(chain.id, self)
    _CHAIN = chain.id


# No lock on the moves of every job: what they call is the Vault, the Registry and the rules, which call nobody
# back, and a verifier that the owner has enabled, after everything is written. A wallet is only asked statically.


# ---- requester


@external
def post_job(terms: IJobEscrow.Terms):
    """
    @notice Open a job and put its price cap aside.
    @param terms The job; the caller must be its requester.
    """
    assert msg.sender == convert(terms.w0 >> 96, address), "escrow: not the requester"
    job_id: bytes32 = self._job_id(terms)
    assert slots.slots[job_id] == 0, "escrow: job exists"
    assert staticcall RULES.check_terms(terms), UNREACHABLE  # it reverts by its own reason

    slots.slots[job_id] = slots.OPEN << slots.STATE
    log IJobEscrow.Posted(job_id=job_id, requester=msg.sender, terms=terms)
    extcall VAULT.reserve(msg.sender, (terms.w5 >> 96) & _M80)


@external
def cancel(terms: IJobEscrow.Terms, excluded: DynArray[uint256, 8]):
    """
    @notice Close a job that nobody works on: the requester at any time, also for a bid that was only
            signed; anyone once its final deadline is over.
    @param terms The job.
    @param excluded The job's exclusions so far, in order, as for `match`.
    """
    requester: address = convert(terms.w0 >> 96, address)
    job_id: bytes32 = self._job_id(terms)
    word: uint256 = slots.slots[job_id]
    assert word == 0 or word >> slots.STATE == slots.OPEN, "escrow: job is not open"
    assert word & slots.DIGEST == slots._list_digest(excluded), "escrow: wrong exclusions"
    if msg.sender != requester:
        assert word != 0, "escrow: only requester revokes"
        assert block.timestamp > (terms.w0 >> 56) & _M40, "escrow: before final deadline"

    slots.slots[job_id] = slots._closed(word, slots.CANCELLED)
    log IJobEscrow.Cancelled(job_id=job_id, requester=requester)
    if word != 0:
        extcall VAULT.release(requester, slots._held(excluded, (terms.w5 >> 96) & _M80))


@external
def revoke_bids():
    """
    @notice Revoke every bid that the caller has signed and that isn't matched yet. Posted jobs stay.
    """
    epoch: uint256 = self.bid_epoch[msg.sender] + 1
    assert epoch <= _M24, "escrow: epochs are used up"
    self.bid_epoch[msg.sender] = epoch
    log IJobEscrow.BidsRevoked(requester=msg.sender, epoch=epoch)


# ---- anyone


@external
@reentrant
def match(
    terms: IJobEscrow.Terms,
    bid_signature: Bytes[512],
    ask: IJobEscrow.Ask,
    ask_signature: Bytes[512],
    program_proof: DynArray[bytes32, 8],
    excluded: DynArray[uint256, 8],
):
    """
    @notice Put a job and an offer together; the caller is the keeper who earns the tip if it ends final.
    @param terms The job, posted or signed.
    @param bid_signature The requester's signature of the terms; empty for a job that is on record.
    @param ask The offer.
    @param ask_signature The signature of the provider or its operator.
    @param program_proof Leads from the job's program to the ask's list.
    @param excluded The providers that this job has excluded so far, in order: provider 160, 0 (16), what
                    the job holds since then 80.
    """
    # A copy in memory: what is handed on several times costs less from there than from calldata.
    job: IJobEscrow.Terms = terms
    job_id: bytes32 = self._job_id(job)
    word: uint256 = slots.slots[job_id]
    requester: address = convert(job.w0 >> 96, address)
    provider: address = convert(ask.w0 >> 96, address)
    # Terms that aren't on record need the requester's signature; nothing is held for them yet.
    to_sign: bytes32 = empty(bytes32)
    epoch: uint256 = 0
    held: uint256 = 0
    if word == 0:
        to_sign = job_id
        epoch = self.bid_epoch[requester]
    else:
        assert word >> slots.STATE == slots.OPEN, "match: job is not open"
        held = slots._held(excluded, (job.w5 >> 96) & _M80)
    digest: uint256 = word & slots.DIGEST
    if digest != 0 or len(excluded) != 0:
        assert slots._may_serve(excluded, digest, provider), "match: provider is excluded"

    ask_hash: bytes32 = empty(bytes32)
    signer: address = empty(address)
    record: IJobEscrow.Record = empty(IJobEscrow.Record)
    ask_hash, signer, record = staticcall RULES.agree(
        job,
        to_sign,
        epoch,
        bid_signature,
        ask,
        ask_signature,
        program_proof,
        policies._policies[convert(job.w1 >> 96, address)],
        msg.sender,
        (word >> slots.TIME) & _M40,
        digest,
    )
    # SAFETY: fields of 4 and 32 bits, and a time of 40.
    attempt: uint256 = unsafe_add((word >> slots.ATTEMPT) & _M4, 1)
    slots.slots[job_id] = (
        (slots.MATCHED << slots.STATE)
        | (attempt << slots.ATTEMPT)
        | (unsafe_add(block.timestamp, job.w7 >> 224) << slots.TIME)
        | slots._record_digest(record)
    )
    if word == 0:
        log IJobEscrow.BidMatched(
            job_id=job_id, account=provider, ask_hash=ask_hash, terms=job, record=record
        )
    else:
        log IJobEscrow.Matched(job_id=job_id, account=provider, ask_hash=ask_hash, record=record)
    self._bind(requester, held, record, job.requirement, ask.w0, signer, 1)
    if job.w1 & _ON_MATCH != 0:
        self._hook_match(job_id, attempt, job, provider)


@external
@reentrant
def match_batch(
    terms: IJobEscrow.Terms,
    inputs: DynArray[bytes32, 32],
    bid_signature: Bytes[512],
    ask: IJobEscrow.Ask,
    ask_signature: Bytes[512],
    program_proof: DynArray[bytes32, 8],
):
    """
    @notice Match up to 32 jobs that differ only in their input, signed as one batch, with one offer.
            A member that is on record already is skipped.
    @param terms What the members have in common; input_id must be zero.
    @param inputs The members' inputs.
    @param bid_signature The requester's signature of the batch.
    @param ask The offer.
    @param ask_signature The signature of the provider or its operator.
    @param program_proof Leads from the jobs' program to the ask's list.
    """
    assert terms.input_id == empty(bytes32), "match: batch has an input"
    member: IJobEscrow.Terms = terms  # in memory, as in `match`
    batch_id: bytes32 = self._batch_id(member, inputs)
    requester: address = convert(member.w0 >> 96, address)
    provider: address = convert(ask.w0 >> 96, address)
    ask_hash: bytes32 = empty(bytes32)
    signer: address = empty(address)
    record: IJobEscrow.Record = empty(IJobEscrow.Record)
    ask_hash, signer, record = staticcall RULES.agree(
        member,
        batch_id,
        self.bid_epoch[requester],
        bid_signature,
        ask,
        ask_signature,
        program_proof,
        policies._policies[convert(member.w1 >> 96, address)],
        msg.sender,
        0,
        0,
    )
    matched: uint256 = (
        (slots.MATCHED << slots.STATE)
        | (1 << slots.ATTEMPT)
        | (unsafe_add(block.timestamp, member.w7 >> 224) << slots.TIME)
        | slots._record_digest(record)
    )
    log IJobEscrow.BatchMatched(
        batch_id=batch_id, account=provider, ask_hash=ask_hash, terms=member, record=record
    )

    count: uint256 = 0
    is_hooked: bool = member.w1 & _ON_MATCH != 0
    matches: DynArray[bytes32[2], 32] = []  # for the hook: a new job's id and its input
    for input_id: bytes32 in inputs:
        member.input_id = input_id
        job_id: bytes32 = self._job_id(member)
        if slots.slots[job_id] != 0:
            log IJobEscrow.Skipped(job_id=job_id, bits=_SKIP_STATE)
            continue
        slots.slots[job_id] = matched
        count = unsafe_add(count, 1)  # SAFETY: at most 32.
        log IJobEscrow.MemberMatched(job_id=job_id, batch_id=batch_id, input_id=input_id)
        if is_hooked:
            matches.append([job_id, input_id])
    assert count > 0, "match: nothing to match"

    self._bind(requester, 0, record, member.requirement, ask.w0, signer, count)
    # Last: a verifier may come back in here, and must find every member's money in its place.
    for pair: bytes32[2] in matches:
        member.input_id = pair[1]
        self._hook_match(pair[0], 1, member, provider)


@external
@reentrant
def finalise(job_id: bytes32, record: IJobEscrow.Record, commitment: bytes32):
    """
    @notice Pay for a claim that stands.
    @param job_id The job.
    @param record What was agreed.
    @param commitment What the provider claimed.
    """
    agreed: IJobEscrow.Record = record  # in memory, as in `match`
    word: uint256 = self._claimed(job_id, slots._claim_digest(agreed, commitment))
    bits: uint256 = 0
    spent: uint256 = 0
    bits, spent = self._stand(job_id, word, agreed)
    if bits != 0:
        assert bits != _SKIP_VERDICT, "finalise: no such verdict"
        raise "finalise: window is open"
    self._pay_final(agreed, 1, spent)


@external
@reentrant
def finalise_batch(record: IJobEscrow.Record, items: DynArray[IJobEscrow.ClaimItem, 32]):
    """
    @notice Pay for claims that stand and share one record; an item that isn't due is skipped.
    @param record What was agreed.
    @param items The jobs and what the provider claimed.
    """
    agreed: IJobEscrow.Record = record
    count: uint256 = 0
    spent: uint256 = 0
    for item: IJobEscrow.ClaimItem in items:
        word: uint256 = slots.slots[item.job_id]
        bits: uint256 = 0
        paid_out: uint256 = 0
        if not self._is_claimed(word):
            bits = _SKIP_STATE
        elif word & slots.DIGEST != slots._claim_digest(agreed, item.commitment):
            bits = _SKIP_RECORD
        else:
            bits, paid_out = self._stand(item.job_id, word, agreed)
        if bits == 0:
            count += 1
            spent += paid_out
        else:
            log IJobEscrow.Skipped(job_id=item.job_id, bits=bits)
    if count > 0:
        self._pay_final(agreed, count, spent)


@external
def expire(job_id: bytes32, record: IJobEscrow.Record):
    """
    @notice End an attempt whose time is over without a claim: the provider loses its no-show share, the
            caller earns the keeper's fee, the job opens again or ends.
    @param job_id The job.
    @param record What was agreed.
    """
    agreed: IJobEscrow.Record = record
    word: uint256 = self._matched(job_id, slots._record_digest(agreed))
    assert block.timestamp > (word >> slots.TIME) & _M40, "expire: attempt is running"
    provider: address = convert(record.w1 >> 96, address)
    lock: uint256 = (record.w1 >> 16) & _M80
    slash: uint256 = money._no_show_slash(
        lock, (record.w0 >> 16) & _M80, record.w0 & _M16, record.w5 >> 176
    )
    to_requester: uint256 = 0
    to_keeper: uint256 = 0
    to_sink: uint256 = 0
    to_requester, to_keeper, to_sink = money._split_no_show(slash, record.w5 >> 176)

    is_open: bool = self._reopen(job_id, word, agreed, slots.EXPIRED)
    log IJobEscrow.Expired(
        job_id=job_id,
        account=provider,
        keeper=msg.sender,
        slash=slash,
        to_requester=to_requester,
        to_keeper=to_keeper,
        to_sink=to_sink,
        is_open=is_open,
    )
    self._disengage(record.w1, IProviderRegistry.Ending.NO_SHOW, to_sink, 1)
    self._undo(
        agreed,
        is_open,
        0,
        lock - slash,
        to_requester,
        msg.sender,
        to_keeper,
        empty(address),
        0,
        to_sink,
    )


@external
def refute(job_id: bytes32, record: IJobEscrow.Record, commitment: bytes32):
    """
    @notice Carry out the verifier's verdict that a claim falls: the requester is made whole, the refuter
            and the keeper are paid out of the slash, the job opens again or ends.
    @param job_id The job.
    @param record What was agreed.
    @param commitment What the provider claimed.
    """
    agreed: IJobEscrow.Record = record
    word: uint256 = self._claimed(job_id, slots._claim_digest(agreed, commitment))
    outcome: IVerifier.Outcome = self._outcome(job_id, word, agreed.w1, agreed.w3)
    assert outcome.verdict == IVerifier.Verdict.FALLS, "refute: no such verdict"
    provider: address = convert(record.w1 >> 96, address)
    lock: uint256 = (record.w1 >> 16) & _M80
    to_requester: uint256 = 0
    to_refuter: uint256 = 0
    to_keeper: uint256 = 0
    to_sink: uint256 = 0
    to_requester, to_refuter, to_keeper, to_sink = money._split_refuted(
        lock, (record.w4 >> 16) & _M80, record.w5 >> 176
    )
    # INVARIANT: a verdict never reverts for want of a payee; what nobody can be paid goes to the sink.
    if outcome.refuter == empty(address):
        to_sink += to_refuter
        to_refuter = 0

    is_open: bool = self._reopen(job_id, word, agreed, slots.REFUTED)
    log IJobEscrow.Refuted(
        job_id=job_id,
        account=provider,
        refuter=outcome.refuter,
        slash=lock,
        to_requester=to_requester,
        to_refuter=to_refuter,
        to_keeper=to_keeper,
        to_sink=to_sink,
        is_open=is_open,
    )
    self._disengage(record.w1, IProviderRegistry.Ending.FAULT, to_sink, 1)
    spent: uint256 = self._pay_out(provider, to_refuter, outcome.payouts)
    self._undo(
        agreed,
        is_open,
        spent,
        0,
        to_requester,
        outcome.refuter,
        to_refuter - spent,
        convert(record.w2 >> 96, address),
        to_keeper,
        to_sink,
    )


@external
def void_claim(job_id: bytes32, record: IJobEscrow.Record, commitment: bytes32):
    """
    @notice Undo a claim whose verifier has failed: no verdict two days after the longest delay. Everybody
            gets back what was put aside; nobody is paid or slashed.
    @param job_id The job.
    @param record What was agreed.
    @param commitment What the provider claimed.
    """
    agreed: IJobEscrow.Record = record
    word: uint256 = self._claimed(job_id, slots._claim_digest(agreed, commitment))
    assert (
        block.timestamp > ((word >> slots.TIME) & _M40) + DELAY_MAX + _VOID_GRACE
    ), "void: too early"
    # SAFETY: with less gas left the verifier might fail for want of it, and a good claim be voided.
    assert msg.gas > 2 * _OUTCOME_GAS, "void: not enough gas"
    assert not self._has_verdict(job_id, word, agreed.w1, agreed.w3), "void: there is a verdict"
    provider: address = convert(record.w1 >> 96, address)

    slots.slots[job_id] = slots._closed(word, slots.EXPIRED)
    log IJobEscrow.Voided(job_id=job_id, account=provider)
    self._disengage(record.w1, IProviderRegistry.Ending.VOID, 0, 1)
    self._return(agreed, False)


@external
def contest(
    terms: IJobEscrow.Terms, record: IJobEscrow.Record, commitment: bytes32
) -> (bytes32, bytes32, uint256):
    """
    @notice Only for the claim's verifier: from now on ask me before the claim is final. Decides nothing.
    @param terms The job.
    @param record What was agreed.
    @param commitment What the provider claimed.
    @return As `claim_context`.
    """
    assert msg.sender == convert(record.w3 >> 96, address), "contest: not the verifier"
    job_id: bytes32 = empty(bytes32)
    claim_id: bytes32 = empty(bytes32)
    claimed_at: uint256 = 0
    job_id, claim_id, claimed_at = self._claim_context(terms, record, commitment)
    word: uint256 = slots.slots[job_id]
    if word >> slots.STATE == slots.CLAIMED:
        window: uint256 = (record.w7 >> 64) & _M32
        assert block.timestamp <= claimed_at + window, "contest: window is over"
        slots.slots[job_id] = word ^ ((slots.CLAIMED ^ slots.CONTESTED) << slots.STATE)
        log IJobEscrow.Contested(job_id=job_id, account=convert(record.w1 >> 96, address))
    return job_id, claim_id, claimed_at


@external
def enact_policy(verifier: address):
    """
    @notice Put a proposed policy into force once its time has come. Only new matches use it.
    @param verifier The verifier it is for.
    """
    charge_bps: uint256 = 0
    keeper_fee: uint256 = 0
    charge_bps, keeper_fee = policies._enact(verifier, block.timestamp)
    log IJobEscrow.PolicyEnacted(verifier=verifier, charge_bps=charge_bps, keeper_fee=keeper_fee)


# ---- provider


@external
def decline(job_id: bytes32, record: IJobEscrow.Record):
    """
    @notice Step back from a job whose input is missing or ill-formed: no slash, no attempt used. The third
            decline closes the job.
    @param job_id The job; the caller must be its provider or the provider's operator.
    @param record What was agreed.
    """
    agreed: IJobEscrow.Record = record
    word: uint256 = self._matched(job_id, slots._record_digest(agreed))
    provider: address = self._check_provider(agreed.w1, agreed.w7)
    matched_at: uint256 = (record.w5 >> 136) & _M40
    assert block.timestamp <= matched_at + ((record.w5 >> 64) & _M32), "decline: too late"
    requester: address = convert(record.w0 >> 96, address)
    declines: uint256 = (record.w1 & _M4) + 1
    attempts: uint256 = ((word >> slots.ATTEMPT) & _M4) - 1
    is_open: bool = (declines < _MAX_DECLINES and block.timestamp <= (record.w5 >> 96) & _M40)

    if is_open:
        slots.slots[job_id] = slots._open(
            attempts,
            declines | (block.timestamp << 2),
            slots._exclude(record.excluded, provider, self._total(agreed)),
        )
    else:
        slots.slots[job_id] = slots._closed(attempts << slots.ATTEMPT, slots.CANCELLED)
    self.declines_of[requester] += 1
    log IJobEscrow.Declined(job_id=job_id, account=provider, is_open=is_open)
    self._disengage(record.w1, IProviderRegistry.Ending.DECLINE, 0, 1)
    self._return(agreed, is_open)


@external
@reentrant
def submit_claim(job_id: bytes32, record: IJobEscrow.Record, commitment: bytes32):
    """
    @notice Say what the result is. The lock stands for it from now on.
    @param job_id The job; the caller must be its provider or the provider's operator.
    @param record What was agreed.
    @param commitment For `exact` jobs the trace's root.
    """
    agreed: IJobEscrow.Record = record
    word: uint256 = self._matched(job_id, slots._record_digest(agreed))
    assert commitment != empty(bytes32), "claim: commitment is zero"
    assert block.timestamp <= (word >> slots.TIME) & _M40, "claim: too late"
    provider: address = self._check_provider(agreed.w1, agreed.w7)
    self._claim(job_id, word, agreed, provider, commitment)


@external
@reentrant
def submit_claims(record: IJobEscrow.Record, items: DynArray[IJobEscrow.ClaimItem, 32]):
    """
    @notice Say what the results of up to 32 jobs with one record are; an item that can't be claimed is skipped.
    @param record What was agreed; the caller must be its provider or the provider's operator.
    @param items The jobs and their commitments.
    """
    agreed: IJobEscrow.Record = record
    provider: address = self._check_provider(agreed.w1, agreed.w7)
    digest: uint256 = slots._record_digest(agreed)
    for item: IJobEscrow.ClaimItem in items:
        word: uint256 = slots.slots[item.job_id]
        bits: uint256 = 0
        if word >> slots.STATE != slots.MATCHED:
            bits = _SKIP_STATE
        elif word & slots.DIGEST != digest:
            bits = _SKIP_RECORD
        elif block.timestamp > (word >> slots.TIME) & _M40:
            bits = _SKIP_TIME
        elif item.commitment == empty(bytes32):
            bits = _SKIP_COMMITMENT
        if bits == 0:
            self._claim(item.job_id, word, agreed, provider, item.commitment)
        else:
            log IJobEscrow.Skipped(job_id=item.job_id, bits=bits)


# ---- owner


@external
def propose_policy(verifier: address, charge_bps: uint256, keeper_fee: uint256):
    """
    @notice Propose how new matches may use a verifier; anyone may enact it after the timelock.
    @param verifier The verifier, a contract.
    @param charge_bps Share of each final price that goes to the sink, at most 200.
    @param keeper_fee Most that the keeper of a failed attempt gets out of its slash, in token units.
    """
    ownable._check_owner()
    enacts_at: uint256 = block.timestamp + TIMELOCK
    policies._propose(verifier, charge_bps, keeper_fee, enacts_at)
    log IJobEscrow.PolicyProposed(
        verifier=verifier, charge_bps=charge_bps, keeper_fee=keeper_fee, enacts_at=enacts_at
    )


@external
def stop_verifier(verifier: address):
    """
    @notice Stop new matches on a verifier at once, and drop what is proposed for it.
    @param verifier The verifier.
    """
    ownable._check_owner()
    policies._stop(verifier)
    log IJobEscrow.VerifierStopped(verifier=verifier)


# ---- views


@external
@view
def job(job_id: bytes32) -> IJobEscrow.Job:
    """
    @notice What is on record of a job; all zero if nothing is.
    @param job_id The job.
    @return The slot, unpacked (docs/encoding.md).
    """
    word: uint256 = slots.slots[job_id]
    return IJobEscrow.Job(
        state=word >> slots.STATE,
        attempt=(word >> slots.ATTEMPT) & _M4,
        time=(word >> slots.TIME) & _M40,
        digest=word & slots.DIGEST,
    )


@external
@view
def claim_context(
    terms: IJobEscrow.Terms, record: IJobEscrow.Record, commitment: bytes32
) -> (bytes32, bytes32, uint256):
    """
    @notice For verifiers: which live claim this is. Reverts unless the job is claimed with just this.
    @param terms The job.
    @param record What was agreed.
    @param commitment What the provider claimed.
    @return The job's id, the claim's id, and when it was claimed.
    """
    return self._claim_context(terms, record, commitment)


@external
@view
def policy_of(verifier: address) -> IJobEscrow.Policy:
    """
    @notice How new matches may use a verifier.
    @param verifier The verifier.
    @return The policy in force.
    """
    policy: uint256 = policies._policies[verifier]
    return IJobEscrow.Policy(
        is_enabled=policies._is_enabled(policy),
        charge_bps=policies._charge_bps(policy),
        keeper_fee=policies._keeper_fee(policy),
    )


# ---- internal: a match


@internal
@view
def _typed(struct_hash: bytes32) -> bytes32:
    domain: bytes32 = _DOMAIN
    if chain.id != _CHAIN:
        domain = offers._domain(chain.id, self)
    return keccak256(concat(0x1901, domain, struct_hash))


@internal
@view
def _job_id(terms: IJobEscrow.Terms) -> bytes32:
    return self._typed(offers._terms_hash(terms))


@internal
@view
def _batch_id(terms: IJobEscrow.Terms, inputs: DynArray[bytes32, 32]) -> bytes32:
    return self._typed(offers._batch_hash(terms, inputs))


@internal
def _bind(
    requester: address,
    held: uint256,
    record: IJobEscrow.Record,
    requirement: uint256,
    offer: uint256,
    signer: address,
    count: uint256,
):
    """
    @dev Takes places at the Registry and puts both sides' money aside. `offer` is the ask's first word.
    """
    # SAFETY: the constructor saw that both partners have code; amounts of 80 bits, at most 32 of each.
    provider: address = convert(offer >> 96, address)
    extcall REGISTRY.engage(
        provider,
        (offer >> 16) & _M8,
        signer,
        requirement,
        (offer >> 32) & _M24,
        (offer >> 24) & _M8,
        count,
        skip_contract_check=True,
    )
    extcall VAULT.pledge(
        requester,
        held,
        unsafe_mul(count, self._total(record)),
        provider,
        unsafe_mul(count, (record.w1 >> 16) & _M80),
        skip_contract_check=True,
    )


@internal
def _hook_match(job_id: bytes32, attempt: uint256, terms: IJobEscrow.Terms, provider: address):
    extcall IVerifier(convert(terms.w1 >> 96, address)).on_match(
        slots._claim_id(job_id, attempt, provider),
        terms.program,
        terms.input_id,
        (terms.w7 >> 160) & _M32,
        terms.w1 & _M96,
    )


# ---- internal: what follows a match


@internal
@view
def _matched(job_id: bytes32, digest: uint256) -> uint256:
    word: uint256 = slots.slots[job_id]
    assert word >> slots.STATE == slots.MATCHED, "escrow: job is not matched"
    assert word & slots.DIGEST == digest, "escrow: wrong match record"
    return word


@internal
@view
def _check_provider(w1: uint256, w7: uint256) -> address:
    provider: address = convert(w1 >> 96, address)
    assert (
        msg.sender == provider or msg.sender == convert(w7 >> 96, address)
    ), "escrow: not the provider"
    return provider


@internal
def _claim(
    job_id: bytes32,
    word: uint256,
    record: IJobEscrow.Record,
    provider: address,
    commitment: bytes32,
):
    attempt: uint256 = (word >> slots.ATTEMPT) & _M4
    slots.slots[job_id] = (
        (slots.CLAIMED << slots.STATE)
        | (attempt << slots.ATTEMPT)
        | (block.timestamp << slots.TIME)
        | slots._claim_digest(record, commitment)
    )
    log IJobEscrow.Claimed(job_id=job_id, account=provider, commitment=commitment)
    if record.w3 & _ON_CLAIM != 0:
        extcall IVerifier(convert(record.w3 >> 96, address)).on_claim(
            slots._claim_id(job_id, attempt, provider), commitment
        )


@internal
@view
def _claim_context(
    terms: IJobEscrow.Terms, record: IJobEscrow.Record, commitment: bytes32
) -> (bytes32, bytes32, uint256):
    job_id: bytes32 = self._job_id(terms)
    word: uint256 = self._claimed(job_id, slots._claim_digest(record, commitment))
    provider: address = convert(record.w1 >> 96, address)
    return job_id, slots._claim_id(job_id, (word >> slots.ATTEMPT) & _M4, provider), (
        word >> slots.TIME
    ) & _M40


@internal
@view
def _outcome(job_id: bytes32, word: uint256, w1: uint256, w3: uint256) -> IVerifier.Outcome:
    return staticcall IVerifier(convert(w3 >> 96, address)).outcome(
        slots._claim_id(job_id, (word >> slots.ATTEMPT) & _M4, convert(w1 >> 96, address)),
        (word >> slots.TIME) & _M40,
        w3 & _M96,
    )


@internal
@view
def _has_verdict(job_id: bytes32, word: uint256, w1: uint256, w3: uint256) -> bool:
    # A verifier that reverts, or answers what can't be decoded, has no verdict. The rules decode it, so that
    # an answer that looks like a verdict but can't be carried out doesn't keep the money in here.
    if not self._is_asked(word, w3):
        return True
    success: bool = False
    answer: Bytes[32] = b""
    success, answer = raw_call(
        RULES.address,
        abi_encode(
            convert(w3 >> 96, address),
            slots._claim_id(job_id, (word >> slots.ATTEMPT) & _M4, convert(w1 >> 96, address)),
            (word >> slots.TIME) & _M40,
            w3 & _M96,
            method_id=method_id("has_verdict(address,bytes32,uint256,uint256)"),
        ),
        max_outsize=32,
        gas=_OUTCOME_GAS,
        is_static_call=True,
        revert_on_failure=False,
    )
    return success and convert(answer, uint256) == 1


@internal
def _reopen(job_id: bytes32, word: uint256, record: IJobEscrow.Record, closed: uint256) -> bool:
    """
    @dev Opens the job for another provider while attempts and time are left, else closes it as `closed`.
    """
    attempt: uint256 = (word >> slots.ATTEMPT) & _M4
    max_attempts: uint256 = (record.w1 >> 4) & _M4
    is_open: bool = attempt < max_attempts and block.timestamp <= (record.w5 >> 96) & _M40
    if is_open:
        slots.slots[job_id] = slots._open(
            attempt,
            record.w1 & _M4,
            slots._exclude(record.excluded, convert(record.w1 >> 96, address), self._total(record)),
        )
    else:
        slots.slots[job_id] = slots._closed(word, closed)
    return is_open


@internal
def _disengage(
    w1: uint256, ending: IProviderRegistry.Ending, weight: uint256, count: uint256
) -> address:
    return extcall REGISTRY.disengage(
        convert(w1 >> 96, address), (w1 >> 8) & _M8, ending, weight, count
    )


@internal
@view
def _claimed(job_id: bytes32, digest: uint256) -> uint256:
    word: uint256 = slots.slots[job_id]
    state: uint256 = word >> slots.STATE
    assert state == slots.CLAIMED or state == slots.CONTESTED, "escrow: no claim"
    assert word & slots.DIGEST == digest, "escrow: wrong record"
    return word


@internal
@pure
def _is_claimed(word: uint256) -> bool:
    state: uint256 = word >> slots.STATE
    return state == slots.CLAIMED or state == slots.CONTESTED


@internal
@pure
def _is_asked(word: uint256, w3: uint256) -> bool:
    """
    @dev Whether it takes the verifier's word for the claim to stand. The verifier said at match how long it
         takes to contest a claim: one that it didn't contest by then stands by itself.
    """
    return word >> slots.STATE == slots.CONTESTED or w3 & _ASK_ALWAYS != 0


@internal
def _stand(job_id: bytes32, word: uint256, record: IJobEscrow.Record) -> (uint256, uint256):
    """
    @dev Ends a claim that stands and is due. Returns what is against it (as bits of `Skipped`; nothing has
         changed then) and what its verifier had paid out of the levy.
    """
    # As `_is_asked`, without a call.
    if word >> slots.STATE == slots.CLAIMED and record.w3 & _ASK_ALWAYS == 0:
        # SAFETY: 40 + 32 bits.
        if block.timestamp <= unsafe_add((word >> slots.TIME) & _M40, (record.w7 >> 64) & _M32):
            return _SKIP_TIME, 0
        self._end(job_id, word, record.w0, record.w1)
        return 0, 0
    outcome: IVerifier.Outcome = self._outcome(job_id, word, record.w1, record.w3)
    if outcome.verdict != IVerifier.Verdict.STANDS:
        return _SKIP_VERDICT, 0
    if block.timestamp <= outcome.not_before:
        return _SKIP_TIME, 0
    self._end(job_id, word, record.w0, record.w1)
    return 0, self._pay_out(
        convert(record.w1 >> 96, address), (record.w4 >> 96) & _M80, outcome.payouts
    )


@internal
def _end(job_id: bytes32, word: uint256, w0: uint256, w1: uint256):
    attempt: uint256 = (word >> slots.ATTEMPT) & _M4
    slots.slots[job_id] = (slots.FINAL << slots.STATE) | (attempt << slots.ATTEMPT)
    log IJobEscrow.Finalised(
        job_id=job_id, account=convert(w1 >> 96, address), price=(w0 >> 16) & _M80
    )


@internal
def _pay_out(payer: address, pot: uint256, payouts: DynArray[IVerifier.Payout, 8]) -> uint256:
    """
    @dev Pays what a verifier wants paid out of `pot`, cut where the pot ends. Returns what was paid.
    """
    left: uint256 = pot
    for payout: IVerifier.Payout in payouts:
        amount: uint256 = min(payout.amount, left)
        if amount == 0 or payout.account == empty(address):
            continue
        left -= amount
        extcall VAULT.pay(payer, payout.account, amount)
    return pot - left


@internal
@pure
def _total(record: IJobEscrow.Record) -> uint256:
    """
    @dev All that the requester pays if the claim is final; in the provider's lane since the match.
    """
    price: uint256 = (record.w0 >> 16) & _M80
    # SAFETY: the match checked that the sum is within price_cap, which has 80 bits.
    return unsafe_add(
        unsafe_add(price, (record.w2 >> 16) & _M80),
        unsafe_add((record.w4 >> 96) & _M80, money._share(price, record.w2 & _M16)),
    )


@internal
def _undo(
    record: IJobEscrow.Record,
    is_open: bool,
    spent: uint256,
    lock_back: uint256,
    to_requester: uint256,
    first: address,
    first_amount: uint256,
    second: address,
    second_amount: uint256,
    sunk: uint256,
):
    """
    @dev Money of an attempt that failed; `spent` of its lock has been paid out. INVARIANT: the requester's
         whole payment comes back: free, or held for the next attempt if the job is open.
    """
    total: uint256 = self._total(record)
    extcall VAULT.settle(
        convert(record.w1 >> 96, address),
        total + ((record.w1 >> 16) & _M80) - spent,
        lock_back,
        0,
        convert(record.w0 >> 96, address),
        to_requester if is_open else total + to_requester,
        total if is_open else 0,
        first,
        first_amount,
        second,
        second_amount,
        sunk,
    )


@internal
def _return(record: IJobEscrow.Record, is_open: bool):
    """
    @dev Both sides get back what the match put aside, nobody is paid.
    """
    lock: uint256 = (record.w1 >> 16) & _M80
    self._undo(record, is_open, 0, lock, 0, empty(address), 0, empty(address), 0, 0)


@internal
def _pay_final(record: IJobEscrow.Record, count: uint256, spent: uint256):
    """
    @dev Money of `count` final jobs with one record; `spent` of their levies has been paid out.
    """
    provider: address = convert(record.w1 >> 96, address)
    # SAFETY: amounts of 80 bits, at most 32 of each; what was spent is part of the levies.
    price: uint256 = (record.w0 >> 16) & _M80
    prices: uint256 = unsafe_mul(count, price)
    tips: uint256 = unsafe_mul(count, (record.w2 >> 16) & _M80)
    locks: uint256 = unsafe_mul(count, (record.w1 >> 16) & _M80)
    charges: uint256 = unsafe_mul(count, money._share(price, record.w2 & _M16))
    levies: uint256 = unsafe_sub(unsafe_mul(count, (record.w4 >> 96) & _M80), spent)
    kept: uint256 = unsafe_add(charges, levies)
    payout: address = extcall REGISTRY.disengage(
        provider, (record.w1 >> 8) & _M8, IProviderRegistry.Ending.COMPLETION, charges, count
    )
    # A payout address of its own is one more credit; else the price joins the lock on its way back.
    to_provider: uint256 = prices if payout == provider else 0
    extcall VAULT.settle(
        provider,
        unsafe_add(unsafe_add(locks, prices), unsafe_add(tips, kept)),
        unsafe_add(locks, to_provider),
        kept,
        empty(address),
        0,
        0,
        convert(record.w2 >> 96, address),
        tips,
        payout,
        unsafe_sub(prices, to_provider),
        0,
        skip_contract_check=True,
    )
