# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Traces
@license AGPL-3.0-only
@notice The root of a trace from its bytes, as they are published (docs/int8-graph.md).
@dev Stateless. Its frame holds a whole trace; nothing that has to be cheap should call it.
"""

from contracts.modules import merkle
from contracts.modules import models

MAX_BYTES: constant(uint256) = 24_576


@internal
@pure
def _root(trace: Bytes[24576], units: uint256, op_count: uint256, row_words: uint256) -> bytes32:
    """
    @dev Wants at most 256 units, and as many bytes as the rows of all outputs have: then every byte
         counts.
    """
    roots: DynArray[bytes32, 32] = []
    at: uint256 = 0
    for op_index: uint256 in range(op_count, bound=32):
        size: uint256 = models._output_bytes(row_words, op_index)
        leaves: DynArray[bytes32, 256] = []
        for _: uint256 in range(units, bound=256):
            leaves.append(keccak256(concat(0x00, slice(trace, at, size))))
            at = unsafe_add(at, size)
        roots.append(merkle._root(leaves))
    return merkle._root(roots)
