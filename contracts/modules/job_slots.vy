# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Job slots
@license AGPL-3.0-only
@notice The one word that is kept of a job: state 8 | attempt 4 | time 40 | digest 204.
@dev Owns the words. A word never goes back to zero, so terms never open twice.
"""

from interfaces import IJobEscrow

OPEN: constant(uint256) = 1
MATCHED: constant(uint256) = 2
CLAIMED: constant(uint256) = 3
FINAL: constant(uint256) = 4
REFUTED: constant(uint256) = 5
EXPIRED: constant(uint256) = 6
CANCELLED: constant(uint256) = 7
# Claimed, and its verifier wants to be asked before it is final.
CONTESTED: constant(uint256) = 8

# Where the fields begin, and the mask of the lowest. Who is on every job's path takes them out by hand:
# a call of an internal function costs more than the shift in it.
STATE: constant(uint256) = 248
ATTEMPT: constant(uint256) = 244
TIME: constant(uint256) = 204
DIGEST: constant(uint256) = 2**204 - 1

_M4: constant(uint256) = 2**4 - 1
_M80: constant(uint256) = 2**80 - 1

# job id => word
slots: HashMap[bytes32, uint256]


@internal
@pure
def _open(attempts: uint256, time: uint256, digest: uint256) -> uint256:
    return (OPEN << STATE) | (attempts << ATTEMPT) | (time << TIME) | digest


@internal
@pure
def _closed(word: uint256, state: uint256) -> uint256:
    """
    @dev The word of a job that has ended: its number of attempts stays.
    """
    return (state << STATE) | (((word >> ATTEMPT) & _M4) << ATTEMPT)


@internal
@pure
def _record_digest(record: IJobEscrow.Record) -> uint256:
    return convert(keccak256(abi_encode(record)), uint256) >> 52


@internal
@pure
def _claim_digest(record: IJobEscrow.Record, commitment: bytes32) -> uint256:
    return convert(keccak256(abi_encode(record, commitment)), uint256) >> 52


@internal
@pure
def _exclude(excluded: uint256, provider: address, held: uint256) -> uint256:
    """
    @dev The chain hash after one more provider, `held` of the requester's money staying for the next.
    """
    entry: uint256 = (convert(provider, uint256) << 96) | held
    return self._chain(excluded, entry)


@internal
@pure
def _chain(excluded: uint256, entry: uint256) -> uint256:
    return convert(keccak256(abi_encode(excluded, entry)), uint256) >> 52


@internal
@pure
def _list_digest(excluded: DynArray[uint256, 8]) -> uint256:
    digest: uint256 = 0
    for entry: uint256 in excluded:
        digest = self._chain(digest, entry)
    return digest


@internal
@pure
def _held(excluded: DynArray[uint256, 8], price_cap: uint256) -> uint256:
    """
    @dev What is reserved for an open job: the cap if it was posted and never matched, else what it had paid
         for its last attempt. Wants the list behind the job's digest.
    """
    if len(excluded) == 0:
        return price_cap
    return excluded[len(excluded) - 1] & _M80


@internal
@pure
def _claim_id(job_id: bytes32, attempt: uint256, provider: address) -> bytes32:
    return keccak256(abi_encode(job_id, attempt, provider))


@internal
@pure
def _may_serve(excluded: DynArray[uint256, 8], digest: uint256, provider: address) -> bool:
    """
    @dev Whether `excluded` is the list behind the open job's digest, and `provider` isn't in it.
    """
    for entry: uint256 in excluded:
        if entry >> 96 == convert(provider, uint256):
            return False
    return self._list_digest(excluded) == digest
