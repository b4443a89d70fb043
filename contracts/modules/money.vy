# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Money
@license AGPL-3.0-only
@notice What a job costs, what stands behind it, and who gets what of a slash.
@dev Stateless. Amounts are token units of at most 80 bits, shares are basis points.
     `src/headrace/terms/money.py` is the same in Python.
"""

_BPS: constant(uint256) = 10_000
# Shares of the slash of a refuted claim. What neither of them takes goes to the sink: half or more.
_REFUTED_REQUESTER_BPS: constant(uint256) = 1_500
_REFUTED_REFUTER_BPS: constant(uint256) = 3_500
# Shares of the slash of a no-show. The sink gets half or more.
_NO_SHOW_REQUESTER_BPS: constant(uint256) = 2_500
_NO_SHOW_KEEPER_BPS: constant(uint256) = 2_500


@internal
@pure
def _share(amount: uint256, bps: uint256) -> uint256:
    # ROUNDING: down; the dust stays with whoever gets the rest.
    # SAFETY: amounts have at most 112 bits and shares 16, so the product fits.
    return unsafe_div(unsafe_mul(amount, bps), _BPS)


@internal
@pure
def _ramp(
    price_start: uint256,
    price_cap: uint256,
    valid_from: uint256,
    ramp_seconds: uint256,
    now: uint256,
) -> uint256:
    """
    @dev The most that a match at `now` may cost the requester, all in. Wants price_start <= price_cap,
         valid_from <= now, ramp_seconds > 0.
    """
    # SAFETY: the caller checked the order of both pairs; 80 + 40 bits fit.
    elapsed: uint256 = min(unsafe_sub(now, valid_from), ramp_seconds)
    rise: uint256 = unsafe_mul(unsafe_sub(price_cap, price_start), elapsed)
    return unsafe_add(price_start, unsafe_div(rise, ramp_seconds))


@internal
@pure
def _tip(
    saved: uint256, fixed: uint256, share_bps: uint256, most: uint256, price: uint256
) -> uint256:
    """
    @dev At most the price: the lock covers three prices, and a tip that it doesn't cover would pay a provider
         that is its own keeper for a lie.
    """
    # SAFETY: 80 bits each.
    return min(min(most, price), unsafe_add(fixed, self._share(saved, share_bps)))


@internal
@pure
def _lock_required(lock_min: uint256, damage_cap: uint256, keeper_fee: uint256) -> uint256:
    """
    @dev The verifier's floor, or what it takes for the requester's share of the slash to cover its damages, or
         for the refuter's (35 %) to be nearly three times the keeper's fee that comes out of it.
    """
    # ROUNDING: up, so that the share of the lock is never under the cap.
    for_damages: uint256 = unsafe_div(
        unsafe_add(unsafe_mul(damage_cap, _BPS), _REFUTED_REQUESTER_BPS - 1), _REFUTED_REQUESTER_BPS
    )
    for_refuter: uint256 = unsafe_mul(keeper_fee, 8)  # SAFETY: 80 bits.
    return max(max(lock_min, for_damages), for_refuter)


@internal
@pure
def _split_refuted(
    slash: uint256, damage_cap: uint256, keeper_fee: uint256
) -> (uint256, uint256, uint256, uint256):
    """
    @return To the requester, the refuter, the keeper, the sink; together `slash`.
    """
    to_requester: uint256 = min(damage_cap, self._share(slash, _REFUTED_REQUESTER_BPS))
    reward: uint256 = self._share(slash, _REFUTED_REFUTER_BPS)
    to_keeper: uint256 = min(keeper_fee, reward)
    # SAFETY: the shares are 50 % of the slash or less.
    to_sink: uint256 = unsafe_sub(unsafe_sub(slash, to_requester), reward)
    return to_requester, unsafe_sub(reward, to_keeper), to_keeper, to_sink


@internal
@pure
def _no_show_slash(
    lock: uint256, price: uint256, no_show_bps: uint256, keeper_fee: uint256
) -> uint256:
    # Never so little that the keeper's share of it is under its fee: a no-show of a job without a price would
    # else cost nothing, and ending it earn nothing.
    least: uint256 = unsafe_mul(keeper_fee, 4)  # SAFETY: 80 bits.
    return min(lock, max(least, self._share(price, no_show_bps)))


@internal
@pure
def _split_no_show(slash: uint256, keeper_fee: uint256) -> (uint256, uint256, uint256):
    """
    @return To the requester, the keeper, the sink; together `slash`.
    """
    to_requester: uint256 = self._share(slash, _NO_SHOW_REQUESTER_BPS)
    to_keeper: uint256 = min(keeper_fee, self._share(slash, _NO_SHOW_KEEPER_BPS))
    # SAFETY: the shares are 50 % of the slash or less.
    return to_requester, to_keeper, unsafe_sub(unsafe_sub(slash, to_requester), to_keeper)
