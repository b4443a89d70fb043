# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Demands
@license AGPL-3.0-only
@notice What is kept of a claim whose data was demanded or whose fault was proven or promised, and
        whose each demand's fee is.
@dev Owns the cases. Nothing is written for a claim until the first demand, commitment or proof. A
     claim that fell stays fallen; a node is demanded and answered once, a fee leaves once.
     INVARIANT: open_demands is the number of nodes that are DEMANDED; last_due is the greatest due
     there was; depth is one more than the deepest level demanded, 0 if none was.
"""

from interfaces import IGraphProof

# Statuses of a case. FALLING: proven, but whose the reward is can still change.
LIVE: constant(uint256) = 0
FALLING: constant(uint256) = 1
REFUTED: constant(uint256) = 2

# Statuses of a node.
DEMANDED: constant(uint256) = 1
ANSWERED: constant(uint256) = 2
SETTLED: constant(uint256) = 3

# Where the fields of a case begin.
_STATUS: constant(uint256) = 248
_DEPTH: constant(uint256) = 240
_OPEN: constant(uint256) = 216
_HAS_COMMITMENTS: constant(uint256) = 208
_DUE: constant(uint256) = 160
_M8: constant(uint256) = 2**8 - 1
_M24: constant(uint256) = 2**24 - 1
_M40: constant(uint256) = 2**40 - 1
_M160: constant(uint256) = 2**160 - 1
_M248: constant(uint256) = 2**248 - 1

# claim => status 8 | depth 8 | open demands 24 | has commitments 8 | 0 (8) | last due 40 | party 160
_words: HashMap[bytes32, uint256]
# claim => hash of its CaseRef; zero until its first demand
_refs: HashMap[bytes32, bytes32]
# hash of claim and node => DEMANDED 8 | 0 (48) | due 40 | demander 160, or ANSWERED 8 | the upper 248
# bits of the hash of demander and answerer, or SETTLED 8 | 0
_nodes: HashMap[bytes32, uint256]


@internal
@pure
def _status(word: uint256) -> uint256:
    return word >> _STATUS


@internal
@pure
def _depth(word: uint256) -> uint256:
    return (word >> _DEPTH) & _M8


@internal
@pure
def _open(word: uint256) -> uint256:
    return (word >> _OPEN) & _M24


@internal
@pure
def _has_commitments(word: uint256) -> bool:
    return (word >> _HAS_COMMITMENTS) & 1 == 1


@internal
@pure
def _due(word: uint256) -> uint256:
    return (word >> _DUE) & _M40


@internal
@pure
def _party(word: uint256) -> address:
    return convert(word & _M160, address)


@internal
@pure
def _is_silent(word: uint256, now: uint256) -> bool:
    """
    @dev Whether a demand of the case has no answer and none can come any more.
    """
    return self._open(word) != 0 and now > self._due(word)


@internal
@pure
def _has_fallen(word: uint256, now: uint256) -> bool:
    return self._status(word) != LIVE or self._is_silent(word, now)


@internal
@pure
def _key(claim_id: bytes32, node: IGraphProof.Node) -> bytes32:
    return keccak256(abi_encode(claim_id, node))


@internal
def _mark_commitments(claim_id: bytes32, word: uint256):
    self._words[claim_id] = word | (1 << _HAS_COMMITMENTS)


@internal
@view
def _require_case(case: IGraphProof.CaseRef) -> uint256:
    """
    @dev The word of a case that has not fallen and that `case` is.
    """
    assert self._refs[case.claim_id] == keccak256(abi_encode(case)), "game: not the case"
    word: uint256 = self._words[case.claim_id]
    assert self._status(word) == LIVE, "game: claim is refuted"
    return word


@internal
def _demand(
    claim_id: bytes32, word: uint256, node: IGraphProof.Node, demander: address, due: uint256
):
    """
    @dev `word` is the case's, LIVE.
    """
    assert not self._is_silent(word, block.timestamp), "game: claim has fallen"
    key: bytes32 = self._key(claim_id, node)
    assert self._nodes[key] == 0, "game: already demanded"
    open_demands: uint256 = unsafe_add(self._open(word), 1)
    assert open_demands <= _M24, "game: too many open demands"
    self._nodes[key] = (DEMANDED << 248) | (due << 160) | convert(demander, uint256)
    # The reward for silence that nobody has called out goes to who asked last: a liar's friend who
    # asks first can't take it from who asks deeper.
    party: uint256 = word & _M160
    last_due: uint256 = self._due(word)
    if due > last_due:
        last_due = due
        party = convert(demander, uint256)
    # SAFETY: level is at most 8.
    depth: uint256 = max(self._depth(word), unsafe_add(node.level, 1))
    kept: uint256 = word & (_M8 << _HAS_COMMITMENTS)
    self._words[claim_id] = (
        (depth << _DEPTH) | (open_demands << _OPEN) | kept | (last_due << _DUE) | party
    )


@internal
def _answer(claim_id: bytes32, node: IGraphProof.Node, answerer: address) -> address:
    """
    @dev Closes a demand that is running. Returns whose it was.
    """
    word: uint256 = self._words[claim_id]
    assert self._status(word) == LIVE, "game: nothing to answer for"
    key: bytes32 = self._key(claim_id, node)
    demanded: uint256 = self._nodes[key]
    assert demanded >> 248 == DEMANDED, "game: no open demand"
    assert block.timestamp <= (demanded >> 160) & _M40, "game: reply is over"
    demander: address = self._party(demanded)
    self._nodes[key] = self._answered(demander, answerer)
    # SAFETY: this node is one of those counted.
    self._words[claim_id] = unsafe_sub(word, 1 << _OPEN)
    return demander


@internal
@pure
def _answered(demander: address, answerer: address) -> uint256:
    parties: uint256 = convert(keccak256(abi_encode(demander, answerer)), uint256)
    return (ANSWERED << 248) | (parties >> 8)


@internal
@view
def _is_answered(claim_id: bytes32, node: IGraphProof.Node) -> bool:
    return self._nodes[self._key(claim_id, node)] >> 248 == ANSWERED


@internal
@view
def _overdue(claim_id: bytes32, node: IGraphProof.Node) -> address:
    """
    @dev Who demanded a node that was not answered in time.
    """
    demanded: uint256 = self._nodes[self._key(claim_id, node)]
    assert demanded >> 248 == DEMANDED, "game: no demand to call out"
    assert block.timestamp > (demanded >> 160) & _M40, "game: reply is running"
    return self._party(demanded)


@internal
def _fell(claim_id: bytes32, word: uint256, status: uint256, refuter: address):
    """
    @dev What there was of demands stays: whose their fees are depends on it.
    """
    kept: uint256 = word & (_M248 - _M160)
    self._words[claim_id] = (status << _STATUS) | kept | convert(refuter, uint256)


@internal
def _settle(
    claim_id: bytes32, node: IGraphProof.Node, demander: address, answerer: address
) -> (address, address):
    """
    @dev Closes the books on a demand whose claim has ended. Returns who paid the fee and whose it
         is: the answerer's if the claim stood, else the demander's again.
    """
    key: bytes32 = self._key(claim_id, node)
    kept: uint256 = self._nodes[key]
    status: uint256 = kept >> 248
    assert status == DEMANDED or status == ANSWERED, "game: no fee to settle"
    self._nodes[key] = SETTLED << 248
    if status == DEMANDED:
        return self._party(kept), self._party(kept)
    assert kept == self._answered(demander, answerer), "game: wrong parties"
    word: uint256 = self._words[claim_id]
    # A claim that ended with a demand open didn't stand: it fell by silence.
    if self._status(word) != LIVE or self._open(word) != 0:
        return demander, demander
    return demander, answerer


@internal
@view
def _read(claim_id: bytes32, node: IGraphProof.Node) -> IGraphProof.Demand:
    kept: uint256 = self._nodes[self._key(claim_id, node)]
    read: IGraphProof.Demand = empty(IGraphProof.Demand)
    read.status = kept >> 248
    if read.status == DEMANDED:
        read.due = (kept >> 160) & _M40
        read.demander = self._party(kept)
    return read
