# pragma version 0.4.3
# pragma evm-version cancun
"""
@title Test-only door to `planes`. Never deployed.
@license AGPL-3.0-only
"""

from contracts.modules import planes


@external
@pure
def element(data: Bytes[1024], offset: uint256, step: uint256, size: uint256) -> int256:
    return planes._element(data, offset, step, size)


@external
@pure
def byte(data: Bytes[1024], offset: uint256) -> uint256:
    return planes._byte(data, offset)


@external
@pure
def sums(
    left: Bytes[planes.MAX_PLANE], right: Bytes[planes.MAX_PLANE], count: uint256
) -> planes.Sums:
    return planes._sums(left, right, count)


@external
@view
def sums_gas(
    left: Bytes[planes.MAX_PLANE], right: Bytes[planes.MAX_PLANE], count: uint256
) -> uint256:
    gas: uint256 = msg.gas
    sums: planes.Sums = planes._sums(left, right, count)
    return gas - msg.gas


@external
@pure
def signed_sum(sum: uint256, size: uint256, count: uint256) -> int256:
    return planes._signed_sum(sum, size, count)


@external
@pure
def signed_products(
    products: uint256,
    left_sum: uint256,
    right_sum: uint256,
    left_size: uint256,
    right_size: uint256,
    count: uint256,
) -> int256:
    return planes._signed_products(products, left_sum, right_sum, left_size, right_size, count)


@external
@pure
def check_padding(last: uint256, width: uint256):
    planes._check_padding(last, width)


@external
@pure
def requantise(acc: int256, word: uint256, post: uint256) -> int256:
    return planes._requantise(acc, word, post)


@external
@pure
def clamp(number: int256, post: uint256) -> int256:
    return planes._clamp(number, post)
