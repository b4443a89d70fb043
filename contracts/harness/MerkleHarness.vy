# pragma version 0.4.3
# pragma evm-version cancun
"""
@title Test-only door to `merkle` and `traces`. Never deployed.
@license AGPL-3.0-only
"""

from contracts.modules import merkle
from contracts.modules import traces


@external
@pure
def depth_of(leaves: uint256) -> uint256:
    return merkle._depth_of(leaves)


@external
@pure
def row_leaf(row: Bytes[1024]) -> bytes32:
    return merkle._row_leaf(row)


@external
@pure
def param_leaf(word: uint256) -> bytes32:
    return merkle._param_leaf(word)


@external
@pure
def zero(level: uint256) -> bytes32:
    return merkle._zero(level)


@external
@pure
def climb(node: bytes32, index: uint256, depth: uint256, proof: DynArray[bytes32, 16]) -> bytes32:
    return merkle._climb(node, index, depth, proof)


@external
@pure
def root(leaves: DynArray[bytes32, 256]) -> bytes32:
    return merkle._root(leaves)


@external
@pure
def trace_root(
    trace: Bytes[24576], units: uint256, op_count: uint256, row_words: uint256
) -> bytes32:
    return traces._root(trace, units, op_count, row_words)
