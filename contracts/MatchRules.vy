# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy off
"""
@title Match rules
@license AGPL-3.0-only
@notice What must hold for a match, and what it costs. JobEscrow asks this contract at every match; a keeper
        asks it beforehand: `unmet` and `quote` run the code that `agree` runs.
@dev Holds no state and no money, so there is nothing to lock. Signatures are for JobEscrow's EIP-712 domain.
@custom:kill Has no switch; JobEscrow's owner can stop a verifier.
"""

from interfaces import IJobEscrow
from interfaces import IMatchRules
from interfaces import IProviderRegistry
from interfaces import IVault
from interfaces import IVerifier

implements: IMatchRules

from contracts.modules import job_slots as slots
from contracts.modules import money
from contracts.modules import offers
from contracts.modules import policies
from contracts.modules import signatures


# What a match would come to: the figures, and what stands against it on either side.
struct Deal:
    price: uint256
    tip: uint256
    levy: uint256
    charge: uint256
    lock: uint256
    window: uint256
    delay: uint256
    requester_bits: uint256
    provider_bits: uint256


_M4: constant(uint256) = 2**4 - 1
_M8: constant(uint256) = 2**8 - 1
_M16: constant(uint256) = 2**16 - 1
_M24: constant(uint256) = 2**24 - 1
_M32: constant(uint256) = 2**32 - 1
_M40: constant(uint256) = 2**40 - 1
_M80: constant(uint256) = 2**80 - 1
_M96: constant(uint256) = 2**96 - 1
_BPS: constant(uint256) = 10_000

# No offer lives longer than this, in seconds.
_MAX_LIFE: constant(uint256) = 30 * 86_400
_MAX_ATTEMPTS: constant(uint256) = 4
# The no-show share that terms may ask for. Never zero: it pays the keeper who ends the attempt.
_MIN_NO_SHOW_BPS: constant(uint256) = 1_000
_MAX_NO_SHOW_BPS: constant(uint256) = 5_000

# Bits of `unmet` that are found here; the lower ones of the requester's side are the Registry's.
_TOO_EARLY: constant(uint256) = 1 << 16
_TOO_LATE: constant(uint256) = 1 << 17
_PRICE: constant(uint256) = 1 << 18
_EXCLUDED: constant(uint256) = 1 << 19
_STOPPED: constant(uint256) = 1 << 20
_NOT_OPEN: constant(uint256) = 1 << 21
_FUNDS: constant(uint256) = 1 << 22
_EXPIRED: constant(uint256) = 1 << 3
_PROGRAM: constant(uint256) = 1 << 4
_UNITS: constant(uint256) = 1 << 5
_INPUT_BYTES: constant(uint256) = 1 << 6
_ACK_SECONDS: constant(uint256) = 1 << 7
_VERIFIER: constant(uint256) = 1 << 8
_LOCK: constant(uint256) = 1 << 9
_DELAY: constant(uint256) = 1 << 10
_COUNTERPARTY: constant(uint256) = 1 << 11
_STAKE: constant(uint256) = 1 << 12
_ATTEMPT_SECONDS: constant(uint256) = 1 << 13

ESCROW: public(immutable(IJobEscrow))
VAULT: public(immutable(IVault))
REGISTRY: public(immutable(IProviderRegistry))
# The token that all amounts are in, the Vault's. Part of what an ask signs.
TOKEN: public(immutable(address))
# The longest attempt, and the longest D of a verifier, in seconds.
ATTEMPT_MAX: public(immutable(uint256))
DELAY_MAX: public(immutable(uint256))
# JobEscrow's EIP-712 domain, and the chain that it was built for.
_DOMAIN: immutable(bytes32)
_CHAIN: immutable(uint256)


@deploy
def __init__(
    escrow: IJobEscrow,
    vault: IVault,
    registry: IProviderRegistry,
    token: address,
    attempt_max: uint256,
    delay_max: uint256,
):
    """
    @notice Fix the partners and bounds for the life of the rules.
    @param escrow The JobEscrow whose matches these rules are for.
    @param vault Where both sides' money is.
    @param registry Where the providers are.
    @param token The vault's token.
    @param attempt_max Longest attempt_seconds of terms, 1 second to 30 days.
    @param delay_max Longest D of a verifier, 1 second to 30 days.
    """
    assert 0 < attempt_max and attempt_max <= _MAX_LIFE, "rules: bad attempt_max"
    assert 0 < delay_max and delay_max <= _MAX_LIFE, "rules: bad delay_max"
    ESCROW = escrow
    VAULT = vault
    REGISTRY = registry
    TOKEN = token
    ATTEMPT_MAX = attempt_max
    DELAY_MAX = delay_max
    _DOMAIN = offers._domain(chain.id, escrow.address)
    _CHAIN = chain.id


@external
@view
def check_terms(terms: IJobEscrow.Terms) -> bool:
    """
    @notice Reverts unless the terms are within the bounds and not over.
    @param terms The job.
    @return True.
    """
    self._check_terms(terms, True)
    return True


@external
@view
def agree(
    terms: IJobEscrow.Terms,
    digest: bytes32,
    epoch: uint256,
    bid_signature: Bytes[512],
    ask: IJobEscrow.Ask,
    ask_signature: Bytes[512],
    program_proof: DynArray[bytes32, 8],
    policy: uint256,
    keeper: address,
    opening: uint256,
    excluded: uint256,
) -> (bytes32, address, IJobEscrow.Record):
    """
    @notice Reverts unless both sides have signed for this match and its limits hold; what the Registry and
            the Vault know is checked there, when JobEscrow engages them.
    @param terms The job.
    @param digest What the requester signed; zero if the job is on record and needs no signature.
    @param epoch The requester's epoch of bids.
    @param bid_signature The requester's signature; ignored if digest is zero.
    @param ask The offer.
    @param ask_signature The signature of the provider or its operator.
    @param program_proof Leads from the job's program to the ask's list.
    @param policy JobEscrow's policy of the verifier, packed.
    @param keeper Who matches.
    @param opening How often the job has been declined (2 bits) and when last (from bit 2, unix seconds).
    @param excluded Chain hash of the providers that the job has excluded.
    @return The ask's digest, who signed it (the Registry must know it), and the record of the match.
    """
    requester: address = convert(terms.w0 >> 96, address)
    if digest != empty(bytes32):
        self._check_terms(terms, True)
        assert terms.w6 & _M24 == epoch, "match: bid is revoked"
        # A key's signature is what most bids have; the wallet comes after.
        if signatures._key(digest, bid_signature) != requester:
            assert (
                signatures._signer(requester, digest, bid_signature) == requester
            ), "match: wrong bid signature"
    self._check_ask(ask.w0 | ask.w1, ask.w5)

    deal: Deal = self._weigh(terms, ask, program_proof, policy, keeper, opening >> 2)
    if deal.requester_bits | deal.provider_bits != 0:
        self._refuse(deal.requester_bits, deal.provider_bits)
    ask_hash: bytes32 = self._typed(offers._ask_hash(ask, TOKEN))
    provider: address = convert(ask.w0 >> 96, address)
    signer: address = signatures._key(ask_hash, ask_signature)
    if signer != provider or signer == empty(address):
        # The Registry knows an operator's key, and is asked next anyway; only then comes the wallet.
        if signer == empty(address) or not staticcall REGISTRY.may_operate(provider, signer):
            signer = signatures._signer(provider, ask_hash, ask_signature)
    return ask_hash, signer, IJobEscrow.Record(
        w0=(terms.w0 >> 96 << 96) | (deal.price << 16) | ((terms.w0 >> 40) & _M16),
        w1=(ask.w0 >> 96 << 96)
        | (deal.lock << 16)
        | (ask.w0 >> 16 & _M8) << 8
        | (terms.w0 >> 16 & _M8) << 4
        | opening & 3,
        w2=(convert(keeper, uint256) << 96) | (deal.tip << 16) | (policy >> policies.CHARGE) & _M16,
        w3=terms.w1,
        w4=(terms.w5 >> 96 << 176) | (deal.levy << 96) | (terms.w5 >> 16 & _M80) << 16,
        w5=((policy & _M80) << 176)
        | (block.timestamp << 136)
        | (terms.w0 >> 56 & _M40) << 96
        | (terms.w7 >> 192 & _M32) << 64,
        excluded=excluded,
        w7=(convert(signer, uint256) << 96) | (deal.window << 64),
    )


@external
@view
def quote(terms: IJobEscrow.Terms, ask: IJobEscrow.Ask) -> IMatchRules.Quote:
    """
    @notice What a match in this block would charge on FINAL, to the unit, and what it would promise.
    @param terms The job.
    @param ask The offer.
    @return The figures. `total` is what the requester pays; it may exceed the ramp, then `unmet` says so.
    """
    deal: Deal = self._weigh(
        terms, ask, [], self._policy(terms), msg.sender, self._declined_at(terms)
    )
    return IMatchRules.Quote(
        price=deal.price,
        tip=deal.tip,
        levy=deal.levy,
        charge=deal.charge,
        total=deal.price + deal.tip + deal.levy + deal.charge,
        lock=deal.lock,
        delay=deal.delay,
        latest_end=((terms.w0 >> 56) & _M40) + (terms.w7 >> 224) + deal.delay,
    )


@external
@view
def lock_required(terms: IJobEscrow.Terms, ask: IJobEscrow.Ask) -> uint256:
    """
    @notice The stake that a match of this job and this offer would lock.
    @param terms The job.
    @param ask The offer.
    @return Token units.
    """
    deal: Deal = self._weigh(
        terms, ask, [], self._policy(terms), msg.sender, self._declined_at(terms)
    )
    return deal.lock


@external
@view
def unmet(
    terms: IJobEscrow.Terms,
    ask: IJobEscrow.Ask,
    program_proof: DynArray[bytes32, 8],
    excluded: DynArray[uint256, 8],
    keeper: address,
) -> (uint256, uint256):
    """
    @notice What stands against a match in this block, by the code that `match` runs; signatures aside.
            Reverts, as `match` does, on terms or an ask that could never be matched.
    @param terms The job.
    @param ask The offer.
    @param program_proof As for `match`.
    @param excluded As for `match`.
    @param keeper Who would call `match`.
    @return The requester's bits and the provider's bits (docs/encoding.md); both zero if it would succeed.
    """
    self._check_ask(ask.w0 | ask.w1, ask.w5)
    deal: Deal = self._weigh(
        terms, ask, program_proof, self._policy(terms), keeper, self._declined_at(terms)
    )
    requester: address = convert(terms.w0 >> 96, address)
    provider: address = convert(ask.w0 >> 96, address)
    ours: uint256 = deal.requester_bits | staticcall REGISTRY.unmet(
        terms.requirement, provider, (ask.w0 >> 16) & _M8
    )
    # Who signed is only known with the signature: the provider itself stands in here.
    theirs: uint256 = deal.provider_bits | staticcall REGISTRY.ask_unmet(
        provider, provider, (ask.w0 >> 32) & _M24, (ask.w0 >> 24) & _M8
    )
    job: IJobEscrow.Job = staticcall ESCROW.job(self._job_id(terms))
    if job.state > slots.OPEN:
        ours |= _NOT_OPEN
    elif not slots._may_serve(excluded, job.digest, provider):
        ours |= _EXCLUDED
    total: uint256 = deal.price + deal.tip + deal.levy + deal.charge
    held: uint256 = slots._held(excluded, (terms.w5 >> 96) & _M80)
    if job.state == 0:
        # Only signed: what is checked of a posted job when it is posted.
        held = 0
        self._check_terms(terms, False)
        if (terms.w0 >> 56) & _M40 > block.timestamp + _MAX_LIFE:
            ours |= _TOO_EARLY
        if terms.w6 & _M24 != staticcall ESCROW.bid_epoch(requester):
            ours |= _NOT_OPEN
    if total > held and not self._can_reserve(requester, total - held):
        ours |= _FUNDS
    stake: uint256 = deal.lock
    if requester == provider:
        stake = max(stake + total, held) - held
    if not self._can_reserve(provider, stake):
        theirs |= _STAKE
    return ours, theirs


@external
@view
def has_verdict(
    verifier: address, claim_id: bytes32, claimed_at: uint256, settings: uint256
) -> bool:
    """
    @notice Whether a verifier has ruled on a claim so that JobEscrow can carry it out in this block; it
            asks before it voids a claim. Reverts if the verifier does, or answers what can't be decoded.
    @param verifier The verifier.
    @param claim_id The claim.
    @param claimed_at When it was claimed.
    @param settings The settings of its terms.
    @return True if the claim falls, or stands and its window is over.
    """
    outcome: IVerifier.Outcome = staticcall IVerifier(verifier).outcome(
        claim_id, claimed_at, settings
    )
    if outcome.verdict == IVerifier.Verdict.STANDS:
        return block.timestamp > outcome.not_before
    return outcome.verdict == IVerifier.Verdict.FALLS


@external
@view
def job_id(terms: IJobEscrow.Terms) -> bytes32:
    """
    @notice The EIP-712 digest of terms: what a requester signs, and the job's id in either form.
    @param terms The job.
    @return The digest.
    """
    return self._job_id(terms)


@external
@view
def batch_id(terms: IJobEscrow.Terms, inputs: DynArray[bytes32, 32]) -> bytes32:
    """
    @notice The EIP-712 digest of a batch.
    @param terms What the members have in common.
    @param inputs The members' inputs.
    @return The digest.
    """
    return self._typed(offers._batch_hash(terms, inputs))


@external
@view
def ask_hash(ask: IJobEscrow.Ask) -> bytes32:
    """
    @notice The EIP-712 digest of an offer.
    @param ask The offer.
    @return The digest.
    """
    return self._typed(offers._ask_hash(ask, TOKEN))


@internal
@view
def _typed(struct_hash: bytes32) -> bytes32:
    domain: bytes32 = _DOMAIN
    if chain.id != _CHAIN:
        domain = offers._domain(chain.id, ESCROW.address)
    return keccak256(concat(0x1901, domain, struct_hash))


@internal
@view
def _job_id(terms: IJobEscrow.Terms) -> bytes32:
    return self._typed(offers._terms_hash(terms))


@internal
@view
def _declined_at(terms: IJobEscrow.Terms) -> uint256:
    job: IJobEscrow.Job = staticcall ESCROW.job(self._job_id(terms))
    return job.time >> 2 if job.state == slots.OPEN else 0


@internal
@view
def _policy(terms: IJobEscrow.Terms) -> uint256:
    policy: IJobEscrow.Policy = staticcall ESCROW.policy_of(convert(terms.w1 >> 96, address))
    return policies._pack(policy.is_enabled, policy.charge_bps, policy.keeper_fee)


@internal
@view
def _check_terms(terms: IJobEscrow.Terms, in_time: bool):
    """
    @dev Their form and, if that is wanted, that their final deadline is ahead and near enough.
    """
    deadline: uint256 = (terms.w0 >> 56) & _M40
    attempt_seconds: uint256 = terms.w7 >> 224
    assert (terms.w0 | terms.w5) & _M16 == 0, "terms: spare bits"
    assert terms.w0 >> 96 != 0, "terms: requester is zero"
    # SAFETY: where a range doesn't begin at zero, what is below it wraps to far above.
    assert (unsafe_sub((terms.w0 >> 16) & _M8, 1) < _MAX_ATTEMPTS), "terms: bad max_attempts"
    assert (terms.w0 >> 24) & _M16 <= _BPS, "terms: bad tip_share_bps"
    assert (
        unsafe_sub((terms.w0 >> 40) & _M16, _MIN_NO_SHOW_BPS) <= _MAX_NO_SHOW_BPS - _MIN_NO_SHOW_BPS
    ), "terms: bad no_show_bps"
    price_cap: uint256 = (terms.w5 >> 96) & _M80
    assert price_cap != 0, "terms: price_cap is zero"
    assert terms.w5 >> 176 <= price_cap, "terms: start above cap"
    assert (terms.w6 >> 24) & _M32 != 0, "terms: ramp is zero"
    assert unsafe_sub(attempt_seconds, 1) < ATTEMPT_MAX, "terms: bad attempt_seconds"
    assert (terms.w7 >> 192) & _M32 <= attempt_seconds, "terms: bad ack_seconds"
    assert (terms.w7 >> 160) & _M32 != 0, "terms: no units"
    assert (terms.w6 >> 56) & _M40 <= deadline, "terms: never valid"
    if in_time:
        assert block.timestamp <= deadline, "terms: deadline is over"
        assert deadline <= unsafe_add(block.timestamp, _MAX_LIFE), "terms: deadline too far"


@internal
@pure
def _check_ask(w0_or_w1: uint256, w5: uint256):
    assert (w0_or_w1 & _M16) | (w5 & _M96) == 0, "match: spare bits in ask"


@internal
@view
def _can_reserve(account: address, amount: uint256) -> bool:
    if not staticcall VAULT.may_reserve(account, 0):
        return False
    return staticcall VAULT.free_of(account) >= amount


@internal
@view
def _weigh(
    terms: IJobEscrow.Terms,
    ask: IJobEscrow.Ask,
    program_proof: DynArray[bytes32, 8],
    policy: uint256,
    keeper: address,
    declined_at: uint256,
) -> Deal:
    deal: Deal = empty(Deal)
    verifier: address = convert(terms.w1 >> 96, address)
    settings: uint256 = terms.w1 & _M96
    now: uint256 = block.timestamp
    units: uint256 = (terms.w7 >> 160) & _M32
    valid_from: uint256 = (terms.w6 >> 56) & _M40

    ours: uint256 = 0
    if now < valid_from:
        ours |= _TOO_EARLY
        valid_from = now
    # A decline costs nothing, so it must not let the ramp run out for a friend: the ramp starts anew.
    valid_from = max(valid_from, declined_at)
    if now > (terms.w0 >> 56) & _M40:
        ours |= _TOO_LATE
    if policy >> policies.ENABLED == 0:
        ours |= _STOPPED
    # SAFETY: 80 bits + 80 bits * 32 bits.
    deal.price = unsafe_add(ask.w1 >> 176, unsafe_mul((ask.w1 >> 96) & _M80, units))
    lock_min: uint256 = 0
    # Only a verifier that the owner has enabled is called: others may have no code, or worse.
    if ours & _STOPPED == 0:
        deal.levy, lock_min, deal.window, deal.delay = staticcall IVerifier(verifier).quote(
            terms.program, units, settings, deal.price
        )
    deal.lock = money._lock_required(lock_min, (terms.w5 >> 16) & _M80, policy & _M80)
    deal.charge = money._share(deal.price, (policy >> policies.CHARGE) & _M16)
    limit: uint256 = money._ramp(
        terms.w5 >> 176, (terms.w5 >> 96) & _M80, valid_from, (terms.w6 >> 24) & _M32, now
    )
    # The levy is the verifier's word: this sum is checked. SAFETY: the others have 80 + 32 bits.
    before_tip: uint256 = unsafe_add(deal.price, deal.charge) + deal.levy
    if before_tip > limit:
        ours |= _PRICE
    else:
        saved: uint256 = unsafe_sub(limit, before_tip)  # SAFETY: just compared.
        deal.tip = money._tip(
            saved,
            terms.w6 >> 176,
            (terms.w0 >> 24) & _M16,
            (terms.w6 >> 96) & _M80,
            deal.price,
        )
        if deal.tip > saved:
            ours |= _PRICE
    deal.requester_bits = ours

    theirs: uint256 = 0
    expiry: uint256 = (ask.w0 >> 56) & _M40
    # SAFETY: an expiry that is over wraps to far above.
    if unsafe_sub(expiry, now) > _MAX_LIFE:
        theirs |= _EXPIRED
    if ask.programs != terms.program or len(program_proof) != 0:
        if not offers._runs(ask.programs, terms.program, program_proof):
            theirs |= _PROGRAM
    if units > ask.w2 >> 224:
        theirs |= _UNITS
    if (terms.w7 >> 128) & _M32 > (ask.w2 >> 192) & _M32:
        theirs |= _INPUT_BYTES
    if terms.w7 >> 224 < (ask.w2 >> 160) & _M32:
        theirs |= _ATTEMPT_SECONDS
    if (terms.w7 >> 192) & _M32 < (ask.w2 >> 128) & _M32:
        theirs |= _ACK_SECONDS
    if ask.verifier_terms != keccak256(abi_encode(verifier, verifier.codehash, settings)):
        theirs |= _VERIFIER
    if deal.lock > (ask.w1 >> 16) & _M80:
        theirs |= _LOCK
    # An attempt can't outlive the bond: D is bounded for all, whatever the ask allows.
    if deal.window > deal.delay or deal.delay > min((ask.w2 >> 96) & _M32, DELAY_MAX):
        theirs |= _DELAY
    # Zero: anybody will do.
    wanted: uint256 = ask.w5 >> 96
    if wanted != 0 and wanted != terms.w0 >> 96 and wanted != convert(keeper, uint256):
        theirs |= _COUNTERPARTY
    deal.provider_bits = theirs
    return deal


@internal
@pure
def _refuse(ours: uint256, theirs: uint256):
    assert ours & _TOO_EARLY == 0, "match: job isn't valid yet"
    assert ours & _TOO_LATE == 0, "match: job is over"
    assert ours & _STOPPED == 0, "match: verifier is stopped"
    assert ours & _PRICE == 0, "match: price above the ramp"
    assert theirs & _EXPIRED == 0, "match: ask expired or too long"
    assert theirs & _PROGRAM == 0, "match: program not in ask"
    assert theirs & _UNITS == 0, "match: too many units"
    assert theirs & _INPUT_BYTES == 0, "match: input too large"
    assert theirs & _ATTEMPT_SECONDS == 0, "match: attempt too short"
    assert theirs & _ACK_SECONDS == 0, "match: ack too short"
    assert theirs & _VERIFIER == 0, "match: verifier not in ask"
    assert theirs & _LOCK == 0, "match: lock above ask"
    assert theirs & _DELAY == 0, "match: delay too long"
    assert theirs & _COUNTERPARTY == 0, "match: ask is for another"
