# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy off
"""
@title Dummy verifier
@license AGPL-3.0-only
@notice Test only: a second verifier, as unlike FaultProof as the interface allows. It wants both hooks,
        keeps what they said, takes blinded commitments that are opened later, and pays several payees.
        Its verdicts are set by hand, and it can be broken in each of the ways that a verifier can fail.
@dev A hook that is not due (unknown claim, claimed twice, id used before) reverts, so that a test that
     goes through is a test of JobEscrow's ids as well.
"""

from interfaces import IJobEscrow
from interfaces import IVerifier

implements: IVerifier


# What the hooks and the opening said of a claim. `stage`: 0 unknown, 1 matched, 2 claimed, 3 opened.
struct Claim:
    stage: uint256
    program: bytes32
    input_id: bytes32
    units: uint256
    settings: uint256
    commitment: bytes32
    opened: bytes32


# A verdict set by hand; PENDING and zero until then.
struct Ruling:
    verdict: IVerifier.Verdict
    not_before: uint256
    refuter: address


# The hooks that it wants unless told otherwise: all there are.
HOOKS: constant(uint256) = 7 << 88
# Ways to be broken.
SOUND: constant(uint256) = 0
REVERTS: constant(uint256) = 1
BURNS_GAS: constant(uint256) = 2
# Answers, but STANDS only from a time that never comes.
NEVER_DUE: constant(uint256) = 3
# Uses more gas than JobEscrow gives it when a claim is to be voided, and then answers well.
DEAR: constant(uint256) = 4
# Its hooks revert.
DEAF: constant(uint256) = 5
MODES: constant(uint256) = 6

_M32: constant(uint256) = 2**32 - 1

ESCROW: public(immutable(address))

hooks: public(uint256)
levy: public(uint256)
lock_floor: public(uint256)
# The lock in units of the price.
lock_factor: public(uint256)
mode: public(uint256)
payees: DynArray[IVerifier.Payout, 8]
claims: HashMap[bytes32, Claim]
rulings: HashMap[bytes32, Ruling]
# Asked in every hook, if it is set; the words that came back.
_probe_target: address
_probe_data: Bytes[256]
probed: public(DynArray[uint256, 64])


@deploy
def __init__(escrow: address):
    ESCROW = escrow
    self.hooks = HOOKS
    self.lock_factor = 2


# ---- tests


@external
def set_price(levy: uint256, lock_floor: uint256, lock_factor: uint256):
    """
    @notice What `quote` asks from now on.
    @param levy Token units.
    @param lock_floor Least lock, in token units.
    @param lock_factor Least lock, in units of the price.
    """
    self.levy = levy
    self.lock_floor = lock_floor
    self.lock_factor = lock_factor


@external
def set_payees(payees: DynArray[IVerifier.Payout, 8]):
    """
    @notice Whom to pay when a verdict is carried out from now on.
    @param payees Accounts and amounts, in order.
    """
    self.payees = payees


@external
def set_hooks(hooks: uint256):
    """
    @notice Want other hooks from now on.
    @param hooks Bits 88 to 95 of the settings.
    """
    self.hooks = hooks


@external
def set_probe(target: address, data: Bytes[256]):
    """
    @notice Ask somebody for a word in every hook from now on.
    @param target Whom; zero for nobody.
    @param data The call.
    """
    self._probe_target = target
    self._probe_data = data
    self.probed = []


@external
def set_mode(mode: uint256):
    """
    @notice Break, or mend.
    @param mode One of the modes above.
    """
    assert mode < MODES, "dummy: no such mode"
    self.mode = mode


@external
def rule(claim_id: bytes32, verdict: IVerifier.Verdict, not_before: uint256, refuter: address):
    """
    @notice Set a claim's verdict.
    @param claim_id The claim.
    @param verdict The verdict.
    @param not_before Time after which it is good, if it stands.
    @param refuter Whom to reward, if it falls.
    """
    self.rulings[claim_id] = Ruling(verdict=verdict, not_before=not_before, refuter=refuter)


@external
def open_claim(claim_id: bytes32, opened: bytes32, salt: bytes32):
    """
    @notice Say what a blinded commitment hid. The claim then stands once its window is over.
    @param claim_id The claim.
    @param opened What was committed to.
    @param salt What it was blinded with.
    """
    claim: Claim = self.claims[claim_id]
    assert claim.stage == 2, "dummy: nothing to open"
    assert keccak256(concat(opened, salt)) == claim.commitment, "dummy: opens to another"
    claim.stage = 3
    claim.opened = opened
    self.claims[claim_id] = claim


@external
def contest(
    terms: IJobEscrow.Terms, record: IJobEscrow.Record, commitment: bytes32
) -> (bytes32, bytes32, uint256):
    """
    @notice Contest a claim, as a verifier does that is not asked about every one.
    @param terms As for JobEscrow.
    @param record As for JobEscrow.
    @param commitment As for JobEscrow.
    @return What JobEscrow says.
    """
    return extcall IJobEscrow(ESCROW).contest(terms, record, commitment)


# ---- JobEscrow


@external
@view
def quote(
    program: bytes32, units: uint256, settings: uint256, price: uint256
) -> (uint256, uint256, uint256, uint256):
    """
    @notice The levy and lock as set; the window and what a contest adds are in the settings.
    @param program Any.
    @param units Any.
    @param settings The hooks in the top 8 bits, the window in the low 32, what D is longer above it.
    @param price The price.
    @return The levy, the least lock, the window and D in seconds.
    """
    assert settings >> 88 << 88 == self.hooks, "dummy: not its hooks"
    lock: uint256 = max(self.lock_floor, self.lock_factor * price)
    window: uint256 = settings & _M32
    return self.levy, lock, window, window + ((settings >> 32) & _M32)


@external
def on_match(
    claim_id: bytes32, program: bytes32, input_id: bytes32, units: uint256, settings: uint256
):
    """
    @notice Keep what is matched.
    @param claim_id The claim to be.
    @param program What is to be run.
    @param input_id On what.
    @param units How much work it is.
    @param settings The terms' settings.
    """
    assert msg.sender == ESCROW, "dummy: not the escrow"
    assert self.mode != DEAF, "dummy: deaf"
    assert self.claims[claim_id].stage == 0, "dummy: claim id is used"
    self._probe()
    self.claims[claim_id] = Claim(
        stage=1,
        program=program,
        input_id=input_id,
        units=units,
        settings=settings,
        commitment=empty(bytes32),
        opened=empty(bytes32),
    )


@external
def on_claim(claim_id: bytes32, commitment: bytes32):
    """
    @notice Keep what is claimed.
    @param claim_id The claim.
    @param commitment keccak256 of what is hidden and a salt.
    """
    assert msg.sender == ESCROW, "dummy: claimant unknown"
    assert self.mode != DEAF, "dummy: deaf to claims"
    assert self.claims[claim_id].stage == 1, "dummy: not matched"
    self._probe()
    self.claims[claim_id].stage = 2
    self.claims[claim_id].commitment = commitment


@external
@view
def outcome(claim_id: bytes32, claimed_at: uint256, settings: uint256) -> IVerifier.Outcome:
    """
    @notice The ruling if there is one; else an opened claim stands when its window is over.
    @param claim_id The claim.
    @param claimed_at When it was claimed.
    @param settings The terms' settings.
    @return The outcome, with the payees as set.
    """
    mode: uint256 = self.mode
    assert mode != REVERTS, "dummy: broken"
    if mode == BURNS_GAS or mode == DEAR:
        self._burn(max_value(uint256) if mode == BURNS_GAS else 600_000)
    claim: Claim = self.claims[claim_id]
    ruling: Ruling = self.rulings[claim_id]
    if ruling.verdict == empty(IVerifier.Verdict):
        ruling.verdict = IVerifier.Verdict.PENDING
        if claim.stage == 3:
            # SAFETY of the test: JobEscrow has to say the settings of the match.
            assert settings == claim.settings, "dummy: other settings"
            ruling.verdict = IVerifier.Verdict.STANDS
            ruling.not_before = claimed_at + (settings & _M32)
    if mode == NEVER_DUE:
        ruling.verdict = IVerifier.Verdict.STANDS
        ruling.not_before = max_value(uint256)
    return IVerifier.Outcome(
        verdict=ruling.verdict,
        not_before=ruling.not_before,
        refuter=ruling.refuter,
        payouts=self.payees,
    )


# ---- views


@external
@view
def claim_of(claim_id: bytes32) -> Claim:
    """
    @notice What the hooks said of a claim.
    @param claim_id The claim.
    @return The record; all zero if it is unknown.
    """
    return self.claims[claim_id]


# ---- internal


@internal
def _probe():
    if self._probe_target != empty(address):
        answer: Bytes[32] = raw_call(self._probe_target, self._probe_data, max_outsize=32)
        self.probed.append(convert(answer, uint256))


@internal
@view
def _burn(amount: uint256):
    start: uint256 = msg.gas
    word: bytes32 = empty(bytes32)
    for i: uint256 in range(1_000_000):
        if start - msg.gas >= amount:
            break
        word = keccak256(word)
