# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy off
"""
@title Mock escrow
@license AGPL-3.0-only
@notice Test only: what FaultProof sees of JobEscrow. Claims are made by hand; `refute` asks for the
        verdict and carries it out as JobEscrow does, and can be told to call back.
"""

from contracts.modules import job_slots
from interfaces import IJobEscrow
from interfaces import IVerifier


struct Live:
    job_id: bytes32
    claim_id: bytes32
    claimed_at: uint256
    settings: uint256


event RefuteCalled:
    job_id: indexed(bytes32)
    refuter: address


# hash of terms, record and commitment => the claim
lives: HashMap[bytes32, Live]
# hash of job id, record and commitment => the hash above
digests: HashMap[bytes32, bytes32]
jobs: HashMap[bytes32, IJobEscrow.Job]
refuted: public(uint256)
# Whether a claim that was made with commitment zero is taken to have any commitment.
is_lax: public(bool)
# Whether `refute` leaves the claim as it is.
is_stubborn: public(bool)
# What `refute` calls its caller with, before anything else.
callback: Bytes[8192]
callback_reason: public(Bytes[256])


@external
def open_claim(
    terms: IJobEscrow.Terms,
    record: IJobEscrow.Record,
    commitment: bytes32,
    attempt: uint256,
    claimed_at: uint256,
) -> bytes32:
    """
    @notice Put a claim on record.
    @return Its claim id; the job id is the hash of the terms.
    """
    job_id: bytes32 = keccak256(abi_encode(terms))
    claim_id: bytes32 = job_slots._claim_id(job_id, attempt, convert(record.w1 >> 96, address))
    digest: bytes32 = keccak256(abi_encode(terms, record, commitment))
    self.digests[keccak256(abi_encode(job_id, record, commitment))] = digest
    self.lives[digest] = Live(
        job_id=job_id, claim_id=claim_id, claimed_at=claimed_at, settings=record.w3 & (2**96 - 1)
    )
    self.jobs[job_id] = IJobEscrow.Job(
        state=job_slots.CLAIMED, attempt=attempt, time=claimed_at, digest=0
    )
    return claim_id


@external
def set_job(job_id: bytes32, state: uint256, attempt: uint256):
    """
    @notice Move a job by hand.
    """
    self.jobs[job_id].state = state
    self.jobs[job_id].attempt = attempt


@external
def set_stubborn(is_stubborn: bool):
    """
    @notice Whether `refute` leaves claims live.
    """
    self.is_stubborn = is_stubborn


@external
def set_lax(is_lax: bool):
    """
    @notice Whether claims made with commitment zero pass for claims of anything: for simulations by
            the hundred.
    """
    self.is_lax = is_lax


@external
def set_callback(callback: Bytes[8192]):
    """
    @notice What `refute` calls its caller with; nothing if empty.
    """
    self.callback = callback


@external
def refute(job_id: bytes32, record: IJobEscrow.Record, commitment: bytes32):
    """
    @notice Carry the caller's verdict out.
    """
    if len(self.callback) != 0:
        success: bool = False
        reason: Bytes[256] = b""
        success, reason = raw_call(
            msg.sender, self.callback, max_outsize=256, revert_on_failure=False
        )
        assert not success, "mock: callback went through"
        self.callback_reason = reason
    committed: bytes32 = empty(bytes32) if self.is_lax else commitment
    digest: bytes32 = self.digests[keccak256(abi_encode(job_id, record, committed))]
    live: Live = self.lives[digest]
    assert self._is_live(job_id), "mock: nothing to refute"
    outcome: IVerifier.Outcome = staticcall IVerifier(msg.sender).outcome(
        live.claim_id, live.claimed_at, live.settings
    )
    assert outcome.verdict == IVerifier.Verdict.FALLS, "mock: verdict is not FALLS"
    self.refuted += 1
    if not self.is_stubborn:
        self.jobs[job_id].state = job_slots.REFUTED
    log RefuteCalled(job_id=job_id, refuter=outcome.refuter)


@external
def contest(
    terms: IJobEscrow.Terms, record: IJobEscrow.Record, commitment: bytes32
) -> (bytes32, bytes32, uint256):
    """
    @notice As JobEscrow's, but it has no window of its own.
    """
    live: Live = self._context(terms, record, commitment)
    self.jobs[live.job_id].state = job_slots.CONTESTED
    return live.job_id, live.claim_id, live.claimed_at


@external
@view
def claim_context(
    terms: IJobEscrow.Terms, record: IJobEscrow.Record, commitment: bytes32
) -> (bytes32, bytes32, uint256):
    """
    @notice As JobEscrow's.
    """
    live: Live = self._context(terms, record, commitment)
    return live.job_id, live.claim_id, live.claimed_at


@external
@view
def job(job_id: bytes32) -> IJobEscrow.Job:
    """
    @notice As JobEscrow's.
    """
    return self.jobs[job_id]


@internal
@view
def _context(terms: IJobEscrow.Terms, record: IJobEscrow.Record, commitment: bytes32) -> Live:
    committed: bytes32 = empty(bytes32) if self.is_lax else commitment
    live: Live = self.lives[keccak256(abi_encode(terms, record, committed))]
    assert live.claimed_at != 0, "mock: unknown claim"
    assert self._is_live(live.job_id), "mock: no claim"
    return live


@internal
@view
def _is_live(job_id: bytes32) -> bool:
    state: uint256 = self.jobs[job_id].state
    return state == job_slots.CLAIMED or state == job_slots.CONTESTED
