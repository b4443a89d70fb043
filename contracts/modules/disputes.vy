# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Disputes
@license AGPL-3.0-only
@notice What is kept of a claim that somebody has moved against, and whose the demand's fee is.
@dev Owns the disputes. Nothing is written for a claim until the first demand or proof. A refuted
     claim stays refuted; a fee leaves once.
"""

from interfaces import IFaultProof

DEMANDED: constant(uint256) = 1
PUBLISHED: constant(uint256) = 2
REFUTED: constant(uint256) = 3
SETTLED: constant(uint256) = 4

_M8: constant(uint256) = 2**8 - 1
_M40: constant(uint256) = 2**40 - 1
_IS_SETTLED: constant(uint256) = 1 << 208

# claim => settled 1 (bit 208) | status 8 | due 40 | who demanded or, once refuted, the refuter 160.
# Due is not zero if and only if there was a demand, and so a fee.
_words: HashMap[bytes32, uint256]
# claim => the publisher or, once refuted, who had demanded. Zero if there was no demand or answer.
_others: HashMap[bytes32, address]


@internal
@pure
def _status(word: uint256) -> uint256:
    return (word >> 200) & _M8


@internal
@pure
def _due(word: uint256) -> uint256:
    return (word >> 160) & _M40


@internal
@pure
def _party(word: uint256) -> address:
    return convert(word & (2**160 - 1), address)


@internal
def _demand(claim_id: bytes32, demander: address, due: uint256):
    assert self._words[claim_id] == 0, "dispute: already disputed"
    self._words[claim_id] = (DEMANDED << 200) | (due << 160) | convert(demander, uint256)


@internal
@pure
def _require_demanded(word: uint256):
    assert self._status(word) == DEMANDED, "dispute: no open demand"


@internal
def _publish(claim_id: bytes32, word: uint256, publisher: address):
    """
    @dev `word` is the claim's, DEMANDED.
    """
    self._words[claim_id] = word ^ ((DEMANDED ^ PUBLISHED) << 200)
    self._others[claim_id] = publisher


@internal
def _refute(claim_id: bytes32, word: uint256, refuter: address):
    """
    @dev `word` is the claim's, not yet REFUTED.
    """
    due: uint256 = self._due(word)
    self._words[claim_id] = (REFUTED << 200) | (due << 160) | convert(refuter, uint256)
    if due != 0:
        # The fee is the demander's again: who published a false trace has earned nothing.
        self._others[claim_id] = self._party(word)


@internal
def _settle(claim_id: bytes32) -> (address, address):
    """
    @dev Closes the books on a demand whose claim has ended. Returns who paid the fee and whose it
         is.
    """
    word: uint256 = self._words[claim_id]
    assert self._due(word) != 0, "dispute: no demand"
    assert word & _IS_SETTLED == 0, "dispute: already settled"
    self._words[claim_id] = word | _IS_SETTLED
    status: uint256 = self._status(word)
    if status == PUBLISHED:
        return self._party(word), self._others[claim_id]
    demander: address = self._others[claim_id] if status == REFUTED else self._party(word)
    return demander, demander


@internal
@view
def _read(claim_id: bytes32) -> IFaultProof.Dispute:
    word: uint256 = self._words[claim_id]
    status: uint256 = self._status(word)
    publisher: address = empty(address)
    if status == PUBLISHED:
        publisher = self._others[claim_id]
    if word & _IS_SETTLED != 0:
        status = SETTLED
    return IFaultProof.Dispute(
        status=status, due=self._due(word), party=self._party(word), publisher=publisher
    )
