# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy off
"""
@title Test-only door to `requirements`. Never deployed.
@license AGPL-3.0-only
"""

from contracts.modules import requirements


@external
@pure
def unmet(
    requirement: uint256,
    node_word: uint256,
    word: uint256,
    node: uint256,
    count: uint256,
    now: uint256,
    heartbeat_ttl: uint256,
    half_life: uint256,
) -> uint256:
    return requirements._unmet(
        requirement, node_word, word, node, count, now, heartbeat_ttl, half_life
    )


@external
@pure
def refuse(bits: uint256):
    requirements._refuse(bits)
