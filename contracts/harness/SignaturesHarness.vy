# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy off
"""
@title Test-only door to `signatures`. Never deployed.
@license AGPL-3.0-only
"""

from contracts.modules import signatures


@external
@view
def signer(maker: address, digest: bytes32, signature: Bytes[512]) -> address:
    return signatures._signer(maker, digest, signature)


@external
@pure
def key(digest: bytes32, signature: Bytes[512]) -> address:
    return signatures._key(digest, signature)


@external
@view
def wallet_agrees(wallet: address, digest: bytes32, signature: Bytes[512]) -> bool:
    return signatures._wallet_agrees(wallet, digest, signature)
