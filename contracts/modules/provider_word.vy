# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Provider word
@license AGPL-3.0-only
@notice All that a match reads and a job's end writes of a provider, in one storage word.
@dev Stateless. From the most significant bit: status 2, available 1, has_payout 1, epoch 20,
     revoked lanes 16, last_seen 32, active jobs of node 7 .. node 0 6 each, completions 20,
     faults 12, no_shows 12, declines 12, good weight 40, bad weight 40.
     Counters and weights stop at their maximum. Both weights are as of `last_seen`.
"""

# Values of `status`; zero: never registered.
ACTIVE: constant(uint256) = 1
EXITING: constant(uint256) = 2
EXITED: constant(uint256) = 3

# How many nodes a provider may have, and lanes an ask may be in.
NODES: constant(uint256) = 8
LANES: constant(uint256) = 16

MAX_EPOCH: constant(uint256) = 2**20 - 1
MAX_WEIGHT: constant(uint256) = 2**40 - 1

# Where fields begin, the masks of some, and both fields at the top of a provider that is active and
# available. Who is on every job's path takes these by hand: a call of an internal function costs more
# than the shift in it.
AT_AVAILABLE: constant(uint256) = 253
AT_HAS_PAYOUT: constant(uint256) = 252
AT_EPOCH: constant(uint256) = 232
AT_LANES: constant(uint256) = 216
AT_LAST_SEEN: constant(uint256) = 184
AT_ACTIVE: constant(uint256) = 136
AT_GOOD: constant(uint256) = 40
LIVE: constant(uint256) = 3
M6: constant(uint256) = 2**6 - 1
M20: constant(uint256) = 2**20 - 1
M32: constant(uint256) = 2**32 - 1
M40: constant(uint256) = 2**40 - 1

_STATUS: constant(uint256) = 254
_COMPLETIONS: constant(uint256) = 116
_FAULTS: constant(uint256) = 104
_NO_SHOWS: constant(uint256) = 92
_DECLINES: constant(uint256) = 80

_M12: constant(uint256) = 2**12 - 1
_M16: constant(uint256) = 2**16 - 1
_M48: constant(uint256) = 2**48 - 1


@internal
@pure
def _status(word: uint256) -> uint256:
    return word >> _STATUS


@internal
@pure
def _is_available(word: uint256) -> bool:
    return (word >> AT_AVAILABLE) & 1 == 1


@internal
@pure
def _has_payout(word: uint256) -> bool:
    return (word >> AT_HAS_PAYOUT) & 1 == 1


@internal
@pure
def _epoch(word: uint256) -> uint256:
    return (word >> AT_EPOCH) & M20


@internal
@pure
def _revoked_lanes(word: uint256) -> uint256:
    return (word >> AT_LANES) & _M16


@internal
@pure
def _last_seen(word: uint256) -> uint256:
    return (word >> AT_LAST_SEEN) & M32


@internal
@pure
def _active(word: uint256, node: uint256) -> uint256:
    # SAFETY: a node out of range reads some other bits; its own word is zero, so it has no capacity.
    return (word >> unsafe_add(AT_ACTIVE, unsafe_mul(6, node))) & M6


@internal
@pure
def _has_active(word: uint256) -> bool:
    return (word >> AT_ACTIVE) & _M48 != 0


@internal
@pure
def _total_active(word: uint256) -> uint256:
    total: uint256 = 0
    for node: uint256 in range(NODES):
        total += self._active(word, node)
    return total


@internal
@pure
def _completions(word: uint256) -> uint256:
    return (word >> _COMPLETIONS) & M20


@internal
@pure
def _faults(word: uint256) -> uint256:
    return (word >> _FAULTS) & _M12


@internal
@pure
def _no_shows(word: uint256) -> uint256:
    return (word >> _NO_SHOWS) & _M12


@internal
@pure
def _declines(word: uint256) -> uint256:
    return (word >> _DECLINES) & _M12


@internal
@pure
def _good(word: uint256) -> uint256:
    return (word >> AT_GOOD) & M40


@internal
@pure
def _bad(word: uint256) -> uint256:
    return word & M40


@internal
@pure
def _with_status(word: uint256, status: uint256) -> uint256:
    return (word & ~(3 << _STATUS)) | (status << _STATUS)


@internal
@pure
def _with_available(word: uint256, is_available: bool) -> uint256:
    return (word & ~(1 << AT_AVAILABLE)) | (convert(is_available, uint256) << AT_AVAILABLE)


@internal
@pure
def _with_payout(word: uint256, has_payout: bool) -> uint256:
    return (word & ~(1 << AT_HAS_PAYOUT)) | (convert(has_payout, uint256) << AT_HAS_PAYOUT)


@internal
@pure
def _with_lane_revoked(word: uint256, lane: uint256) -> uint256:
    """
    @dev Wants lane < LANES.
    """
    return word | (1 << unsafe_add(AT_LANES, lane))


@internal
@pure
def _with_next_epoch(word: uint256) -> uint256:
    """
    @dev Asks of older epochs are void, so no lane of the new one is revoked. The last epoch has no next:
         there the lanes stay as they are.
    """
    epoch: uint256 = self._epoch(word)
    if epoch == MAX_EPOCH:
        return word
    # SAFETY: below the maximum, so nothing carries into the next field.
    return unsafe_add(word & ~(_M16 << AT_LANES), 1 << AT_EPOCH)


@internal
@pure
def _with_taken(word: uint256, node: uint256, count: uint256) -> uint256:
    """
    @dev Wants node < NODES and active + count <= 63.
    """
    # SAFETY: the sum fits the node's field, so nothing carries.
    return unsafe_add(word, count << unsafe_add(AT_ACTIVE, unsafe_mul(6, node)))


@internal
@pure
def _with_given_back(word: uint256, node: uint256, count: uint256) -> uint256:
    """
    @dev Wants node < NODES and count <= active.
    """
    # SAFETY: the node's field is not below count, so nothing is borrowed.
    return unsafe_sub(word, count << unsafe_add(AT_ACTIVE, unsafe_mul(6, node)))


@internal
@pure
def _with_completions(word: uint256, count: uint256) -> uint256:
    # SAFETY: count is at most 63.
    total: uint256 = min(M20, unsafe_add((word >> _COMPLETIONS) & M20, count))
    return (word & ~(M20 << _COMPLETIONS)) | (total << _COMPLETIONS)


@internal
@pure
def _with_faults(word: uint256, count: uint256) -> uint256:
    total: uint256 = min(_M12, unsafe_add(self._faults(word), count))  # SAFETY: count <= 63
    return (word & ~(_M12 << _FAULTS)) | (total << _FAULTS)


@internal
@pure
def _with_no_shows(word: uint256, count: uint256) -> uint256:
    total: uint256 = min(_M12, unsafe_add(self._no_shows(word), count))  # SAFETY: count <= 63
    return (word & ~(_M12 << _NO_SHOWS)) | (total << _NO_SHOWS)


@internal
@pure
def _with_declines(word: uint256, count: uint256) -> uint256:
    total: uint256 = min(_M12, unsafe_add(self._declines(word), count))  # SAFETY: count <= 63
    return (word & ~(_M12 << _DECLINES)) | (total << _DECLINES)


@internal
@pure
def _with_bad(word: uint256, bad: uint256) -> uint256:
    """
    @dev Wants bad <= MAX_WEIGHT.
    """
    return (word & ~M40) | bad


@internal
@pure
def _with_seen(word: uint256, now: uint256, good: uint256, bad: uint256) -> uint256:
    """
    @dev Both weights as of `now`. Wants them at most MAX_WEIGHT.
    """
    # After 2106 the clock of the word stands still: providers turn stale, running jobs still end.
    rest: uint256 = word & ~((M32 << AT_LAST_SEEN) | (M40 << AT_GOOD) | M40)
    return rest | (min(now, M32) << AT_LAST_SEEN) | (good << AT_GOOD) | bad
