# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Reputation
@license AGPL-3.0-only
@notice How much of what was sunk over a provider's jobs still speaks for it or against it.
@dev Stateless. Weights are token units that went to the sink, so a record costs what it weighs. They stop
     at their maximum. Both are as of the word's `last_seen`; `now` is never before that. A half-life is
     1 second to 2**40 seconds.
"""

from contracts.modules import provider_word as words

_BPS: constant(uint256) = 10_000


@internal
@pure
def _decay(weight: uint256, elapsed: uint256, half_life: uint256) -> uint256:
    """
    @dev What is left of `weight` after `elapsed` seconds: halved for every whole half-life, and falling in
         a straight line towards the next half in between.
    """
    # SAFETY: the half-life is not zero, and the products have at most 40 + 40 bits.
    left: uint256 = weight >> unsafe_div(elapsed, half_life)
    part: uint256 = unsafe_mul(left, elapsed % half_life)
    whole: uint256 = unsafe_mul(2, half_life)
    # ROUNDING: against the weight; part < half of left * whole, so this can't fall below zero.
    return unsafe_sub(left, unsafe_div(unsafe_add(part, unsafe_sub(whole, 1)), whole))


@internal
@pure
def _grow(weight: uint256, elapsed: uint256, half_life: uint256) -> uint256:
    """
    @dev What has to be added to a sum that is `elapsed` seconds old, for at least `weight` to be left of it
         now: `_decay(_grow(w, t, h), t, h) >= w` unless the maximum is met, and at most w * 9 / 8 + 1.
    """
    # SAFETY: the half-life is not zero; 40 + 40 bits in the product, 40 + 1 + 40 after the shift.
    weight_: uint256 = min(weight, words.MAX_WEIGHT)
    part: uint256 = unsafe_mul(weight_, elapsed % half_life)
    # ROUNDING: for the weight. 1 + x >= 1 / (1 - x / 2) for 0 <= x <= 1.
    grown: uint256 = unsafe_add(
        weight_, unsafe_div(unsafe_add(part, unsafe_sub(half_life, 1)), half_life)
    )
    return min(grown << min(unsafe_div(elapsed, half_life), 40), words.MAX_WEIGHT)


@internal
@pure
def _add(weight: uint256, more: uint256) -> uint256:
    # SAFETY: both are capped at 40 bits before they are added.
    return min(unsafe_add(weight, min(more, words.MAX_WEIGHT)), words.MAX_WEIGHT)


@internal
@pure
def _fault_rate(good: uint256, bad: uint256) -> uint256:
    """
    @return The share of `bad` in both, in basis points; 0 without a record.
    """
    # ROUNDING: down, for the provider, by less than one basis point.
    # SAFETY: 40 + 14 bits; the divisor is checked.
    total: uint256 = unsafe_add(good, bad)
    if total == 0:
        return 0
    return unsafe_div(unsafe_mul(bad, _BPS), total)


@internal
@pure
def _weights(word: uint256, now: uint256, half_life: uint256) -> (uint256, uint256):
    """
    @return The good and the bad weight of a provider's word as of `now`.
    """
    elapsed: uint256 = now - words._last_seen(word)
    return (
        self._decay(words._good(word), elapsed, half_life),
        self._decay(words._bad(word), elapsed, half_life),
    )


@internal
@pure
def _seen(word: uint256, more_good: uint256, now: uint256, half_life: uint256) -> uint256:
    """
    @dev The word after a sign of life that adds to the good weight, or adds nothing.
    """
    elapsed: uint256 = now - ((word >> words.AT_LAST_SEEN) & words.M32)
    good: uint256 = (word >> words.AT_GOOD) & words.M40
    bad: uint256 = word & words.M40
    # Most providers have no fault: nothing to decay.
    if good != 0:
        good = self._decay(good, elapsed, half_life)
    if bad != 0:
        bad = self._decay(bad, elapsed, half_life)
    # SAFETY: both are capped at 40 bits before they are added.
    good = min(unsafe_add(good, min(more_good, words.MAX_WEIGHT)), words.MAX_WEIGHT)
    return words._with_seen(word, now, good, bad)


@internal
@pure
def _blamed(word: uint256, more_bad: uint256, now: uint256, half_life: uint256) -> uint256:
    """
    @dev The word after something bad, which is no sign of life: `last_seen` stays, so what is added is
         first grown back to it.
    """
    grown: uint256 = self._grow(more_bad, now - words._last_seen(word), half_life)
    return words._with_bad(word, self._add(words._bad(word), grown))
