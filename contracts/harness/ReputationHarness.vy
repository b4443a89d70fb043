# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy off
"""
@title Test-only door to `reputation`. Never deployed.
@license AGPL-3.0-only
"""

from contracts.modules import reputation


@external
@pure
def decay(weight: uint256, elapsed: uint256, half_life: uint256) -> uint256:
    return reputation._decay(weight, elapsed, half_life)


@external
@pure
def grow(weight: uint256, elapsed: uint256, half_life: uint256) -> uint256:
    return reputation._grow(weight, elapsed, half_life)


@external
@pure
def add(weight: uint256, more: uint256) -> uint256:
    return reputation._add(weight, more)


@external
@pure
def fault_rate(good: uint256, bad: uint256) -> uint256:
    return reputation._fault_rate(good, bad)


@external
@pure
def weights(word: uint256, now: uint256, half_life: uint256) -> (uint256, uint256):
    return reputation._weights(word, now, half_life)


@external
@pure
def seen(word: uint256, more_good: uint256, now: uint256, half_life: uint256) -> uint256:
    return reputation._seen(word, more_good, now, half_life)


@external
@pure
def blamed(word: uint256, more_bad: uint256, now: uint256, half_life: uint256) -> uint256:
    return reputation._blamed(word, more_bad, now, half_life)
