# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy off
"""
@title Test-only door to `money`. Never deployed.
@license AGPL-3.0-only
"""

from contracts.modules import money


@external
@pure
def ramp(
    price_start: uint256,
    price_cap: uint256,
    valid_from: uint256,
    ramp_seconds: uint256,
    now: uint256,
) -> uint256:
    return money._ramp(price_start, price_cap, valid_from, ramp_seconds, now)


@external
@pure
def tip(
    saved: uint256, fixed: uint256, share_bps: uint256, most: uint256, price: uint256
) -> uint256:
    return money._tip(saved, fixed, share_bps, most, price)


@external
@pure
def lock_required(lock_min: uint256, damage_cap: uint256, keeper_fee: uint256) -> uint256:
    return money._lock_required(lock_min, damage_cap, keeper_fee)


@external
@pure
def split_refuted(
    slash: uint256, damage_cap: uint256, keeper_fee: uint256
) -> (uint256, uint256, uint256, uint256):
    return money._split_refuted(slash, damage_cap, keeper_fee)


@external
@pure
def no_show_slash(
    lock: uint256, price: uint256, no_show_bps: uint256, keeper_fee: uint256
) -> uint256:
    return money._no_show_slash(lock, price, no_show_bps, keeper_fee)


@external
@pure
def split_no_show(slash: uint256, keeper_fee: uint256) -> (uint256, uint256, uint256):
    return money._split_no_show(slash, keeper_fee)
