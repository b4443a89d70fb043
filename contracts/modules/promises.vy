# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Promises
@license AGPL-3.0-only
@notice Commitments to faults that somebody has found but not shown yet, in their order: whoever
        committed first and proves it is paid, however a proof gets onto the chain.
@dev Owns the commitments. A commitment that is never opened costs its sender gas and nobody
     anything but at most `BLOCKS` blocks.
"""

# How many blocks a commitment, or a proof that somebody may have been earlier with, is waited for.
BLOCKS: constant(uint256) = 20

# The number of no commitment: every other one is earlier.
NO_NUMBER: constant(uint256) = 2**32 - 1

# Where the fields of a word begin.
_BEST: constant(uint256) = 32
_LEVELS: constant(uint256) = 64
_LAST: constant(uint256) = 72
_PROVEN: constant(uint256) = 120
_M8: constant(uint256) = 2**8 - 1
_M32: constant(uint256) = 2**32 - 1
_M48: constant(uint256) = 2**48 - 1

# claim => block of the first proof 48 | block of the last commitment 48 | levels of its model 8 |
# number of the best commitment that was proven 32 (or NO_NUMBER) | how many there are 32
_words: HashMap[bytes32, uint256]
# claim => digest => its number 32 | its block 48
_numbers: HashMap[bytes32, HashMap[bytes32, uint256]]


@internal
@pure
def _count(word: uint256) -> uint256:
    return word & _M32


@internal
@pure
def _best(word: uint256) -> uint256:
    return (word >> _BEST) & _M32


@internal
@pure
def _levels(word: uint256) -> uint256:
    return (word >> _LEVELS) & _M8


@internal
@pure
def _last(word: uint256) -> uint256:
    return (word >> _LAST) & _M48


@internal
@pure
def _proven(word: uint256) -> uint256:
    return word >> _PROVEN


@internal
@pure
def _digest(
    claim_id: bytes32,
    index: uint256,
    row: uint256,
    column: uint256,
    prover: address,
    salt: bytes32,
) -> bytes32:
    return keccak256(abi_encode(claim_id, index, row, column, prover, salt))


@internal
def _commit(claim_id: bytes32, digest: bytes32, levels: uint256) -> uint256:
    """
    @return The commitment's number, from 1 on.
    """
    assert self._numbers[claim_id][digest] == 0, "game: already committed"
    number: uint256 = unsafe_add(self._count(self._words[claim_id]), 1)
    assert number < NO_NUMBER, "game: too many commitments"
    self._numbers[claim_id][digest] = (number << 48) | block.number
    self._words[claim_id] = (
        (block.number << _LAST) | (levels << _LEVELS) | (NO_NUMBER << _BEST) | number
    )
    return number


@internal
@view
def _number(claim_id: bytes32, digest: bytes32, before: uint256) -> uint256:
    """
    @dev The number of a commitment that was made in a block before `before`.
    """
    kept: uint256 = self._numbers[claim_id][digest]
    assert kept != 0, "game: not committed"
    assert kept & _M48 < before, "game: committed too late"
    return kept >> 48


@internal
def _prove(claim_id: bytes32, word: uint256, number: uint256) -> uint256:
    """
    @dev Notes the first proof, or a better commitment: from then on only an earlier one counts.
         Returns the last block in which one can come.
    """
    proven: uint256 = self._proven(word)
    if proven == 0:
        proven = block.number
    rest: uint256 = word & ((_M48 << _LAST) | (_M8 << _LEVELS) | _M32)
    self._words[claim_id] = (proven << _PROVEN) | rest | (number << _BEST)
    return unsafe_add(proven, BLOCKS)  # SAFETY: block numbers of 48 bits.


@internal
@view
def _read(claim_id: bytes32, digest: bytes32) -> (uint256, uint256):
    kept: uint256 = self._numbers[claim_id][digest]
    return kept >> 48, kept & _M48
