# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Requirements
@license AGPL-3.0-only
@notice Whether a node and its provider's record meet what a job asks for, bit by bit.
@dev Stateless. Layouts of the requirement and of the node, and the bits, are in docs/encoding.md.
     `src/headrace/terms/requirement.py` is the same in Python.
"""

from contracts.modules import provider_word as words
from contracts.modules import reputation

NOT_ACTIVE: constant(uint256) = 1
UNAVAILABLE: constant(uint256) = 1 << 1
STALE: constant(uint256) = 1 << 2
NO_NODE: constant(uint256) = 1 << 3
GPU_MODEL: constant(uint256) = 1 << 4
GPU_COUNT: constant(uint256) = 1 << 5
VRAM: constant(uint256) = 1 << 6
REGION: constant(uint256) = 1 << 7
LATENCY: constant(uint256) = 1 << 8
ATTESTATION: constant(uint256) = 1 << 9
BENCHMARK: constant(uint256) = 1 << 10
COMPLETIONS: constant(uint256) = 1 << 11
FAULT_RATE: constant(uint256) = 1 << 12
WEIGHT: constant(uint256) = 1 << 13
CAPACITY: constant(uint256) = 1 << 14

_M8: constant(uint256) = 2**8 - 1
_M16: constant(uint256) = 2**16 - 1
_M24: constant(uint256) = 2**24 - 1
_M32: constant(uint256) = 2**32 - 1
# Where the requirement speaks of the provider's record.
_RECORD: constant(uint256) = 2**56 - 1
# Weights are asked for in units of 2**16.
_WEIGHT_UNIT: constant(uint256) = 16


@internal
@pure
def _unmet(
    requirement: uint256,
    node_word: uint256,
    word: uint256,
    node: uint256,
    count: uint256,
    now: uint256,
    heartbeat_ttl: uint256,
    half_life: uint256,
) -> uint256:
    """
    @dev Why `count` more jobs of this requirement can't go to the node: bits 0 to 14, zero if they can.
    @param word The provider's word.
    @param node Index of the node, and `node_word` what it is; zero if there is none.
    """
    bits: uint256 = 0
    if (node_word >> 200) & _M8 == 0:
        bits |= NO_NODE
    mask: uint256 = requirement >> 160
    if mask != 0 and (mask >> (node_word >> 240)) & 1 == 0:
        bits |= GPU_MODEL
    if (node_word >> 216) & _M8 < (requirement >> 104) & _M8:
        bits |= GPU_COUNT
    if (node_word >> 224) & _M16 < (requirement >> 112) & _M16:
        bits |= VRAM
    mask = (requirement >> 128) & _M32
    if mask != 0 and (mask >> ((node_word >> 208) & _M8)) & 1 == 0:
        bits |= REGION
    most: uint256 = (requirement >> 96) & _M8
    if most != 0 and (node_word >> 192) & _M8 > most:
        bits |= LATENCY
    if (requirement >> 88) & ~(node_word >> 184) & _M8 != 0:
        bits |= ATTESTATION
    if (node_word >> 152) & _M32 < (requirement >> 56) & _M32:
        bits |= BENCHMARK
    # The fields at the top in one comparison. SAFETY: below, 32 bits and a year; a bit's place.
    if word >> words.AT_AVAILABLE != words.LIVE:
        if words._status(word) != words.ACTIVE:
            bits |= NOT_ACTIVE
        if not words._is_available(word):
            bits |= UNAVAILABLE
    if now > unsafe_add((word >> words.AT_LAST_SEEN) & words.M32, heartbeat_ttl):
        bits |= STALE
    # As in `words._active`: of a node out of range, whose own word is zero, these are some other bits.
    active: uint256 = (word >> unsafe_add(words.AT_ACTIVE, unsafe_mul(6, node))) & words.M6
    if active + count > (node_word >> 200) & _M8:
        bits |= CAPACITY
    if requirement & _RECORD != 0:
        bits |= self._record_bits(requirement, word, now, half_life)
    return bits


@internal
@pure
def _record_bits(requirement: uint256, word: uint256, now: uint256, half_life: uint256) -> uint256:
    bits: uint256 = 0
    if words._completions(word) < (requirement >> 40) & _M16:
        bits |= COMPLETIONS
    most: uint256 = (requirement >> 24) & _M16
    least: uint256 = requirement & _M24
    # Most jobs ask for no weight, and most providers have no fault: then there is nothing to decay.
    if least != 0 or most != 0 and words._bad(word) != 0:
        good: uint256 = 0
        bad: uint256 = 0
        good, bad = reputation._weights(word, now, half_life)
        if most != 0 and reputation._fault_rate(good, bad) > most:
            bits |= FAULT_RATE
        if good >> _WEIGHT_UNIT < least:
            bits |= WEIGHT
    return bits


@internal
@pure
def _refuse(bits: uint256):
    """
    @dev Reverts with the reason of the lowest of `bits`, of which one is set.
    """
    reason: String[32] = "registry: no place left"
    if bits & NOT_ACTIVE != 0:
        reason = "registry: not active"
    elif bits & UNAVAILABLE != 0:
        reason = "registry: unavailable"
    elif bits & STALE != 0:
        reason = "registry: stale"
    elif bits & NO_NODE != 0:
        reason = "registry: no such node"
    elif bits & GPU_MODEL != 0:
        reason = "registry: wrong gpu model"
    elif bits & GPU_COUNT != 0:
        reason = "registry: too few gpus"
    elif bits & VRAM != 0:
        reason = "registry: too little vram"
    elif bits & REGION != 0:
        reason = "registry: wrong region"
    elif bits & LATENCY != 0:
        reason = "registry: latency too high"
    elif bits & ATTESTATION != 0:
        reason = "registry: not attested"
    elif bits & BENCHMARK != 0:
        reason = "registry: benchmark too low"
    elif bits & COMPLETIONS != 0:
        reason = "registry: too few completions"
    elif bits & FAULT_RATE != 0:
        reason = "registry: fault rate too high"
    elif bits & WEIGHT != 0:
        reason = "registry: weight too low"
    raise reason
