# pragma version 0.4.3
# pragma evm-version cancun
"""
@title Test-only door to `views` and `quads`. Never deployed.
@license AGPL-3.0-only
"""

from contracts.modules import quads
from contracts.modules import views


@external
@pure
def layout(view: uint256, units: uint256) -> views.Layout:
    return views._layout(view, units)


@external
@pure
def place(
    shape: views.Shape,
    view: uint256,
    row: uint256,
    column: uint256,
    start: uint256,
    given: uint256,
) -> views.Place:
    return views._place(shape, view, row, column, start, given)


@external
@pure
def row_place(
    shape: views.Shape, view: uint256, row: uint256, start: uint256, given: uint256
) -> views.Place:
    return views._row_place(shape, view, row, start, given)


@external
@pure
def leaf_place(shape: views.Shape, view: uint256, leaf: uint256) -> views.Place:
    return views._leaf_place(shape, view, leaf)


@external
@pure
def padding_at(shape: views.Shape, view: uint256, leaf: uint256, offset: uint256) -> uint256:
    return views._padding_at(shape, view, leaf, offset)


@external
@pure
def depth_of(leaves: uint256) -> uint256:
    return quads._depth_of(leaves)


@external
@pure
def zero(level: uint256) -> bytes32:
    return quads._zero(level)


@external
@pure
def over(nodes: bytes32[16], count: uint256) -> bytes32:
    return quads._over(nodes, count)


@external
@pure
def climb(node: bytes32, index: uint256, siblings: Bytes[quads.MAX_SIBLINGS]) -> bytes32:
    return quads._climb(node, index, siblings)


@external
@pure
def climb_binary(node: bytes32, index: uint256, siblings: Bytes[quads.MAX_BINARY]) -> bytes32:
    return quads._climb_binary(node, index, siblings)
