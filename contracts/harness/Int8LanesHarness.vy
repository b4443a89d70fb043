# pragma version 0.4.3
# pragma evm-version cancun
"""
@title Test-only door to `int8_lanes`. Never deployed.
@license AGPL-3.0-only
"""

from contracts.modules import int8_lanes


@external
@pure
def dot(row: Bytes[1024], weights: Bytes[1024]) -> int256:
    return int8_lanes._dot(row, weights)


@external
@view
def dot_gas(row: Bytes[1024], weights: Bytes[1024]) -> uint256:
    gas: uint256 = msg.gas
    dot: int256 = int8_lanes._dot(row, weights)
    return gas - msg.gas


@external
@pure
def requantise(dot: int256, params: uint256, clamp: uint256) -> int256:
    return int8_lanes._requantise(dot, params, clamp)


@external
@pure
def element(row: Bytes[1024], column: uint256) -> int256:
    return int8_lanes._element(row, column)


@external
@pure
def has_zero_padding(weights: Bytes[1024], width: uint256) -> bool:
    return int8_lanes._has_zero_padding(weights, width)


@external
@pure
def padded(width: uint256) -> uint256:
    return int8_lanes._padded(width)
