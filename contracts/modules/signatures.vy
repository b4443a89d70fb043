# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Signatures
@license AGPL-3.0-only
@notice Who signed a digest: an account with a key (ECDSA) or one with code (ERC-1271).
@dev Stateless. The wallet is asked by a static call with capped gas and has to answer the exact
     magic value; it can't re-enter, keep the gas, or answer with more than one word.
"""

# Half of the order of secp256k1: an s above it is the malleable twin of one below.
_HALF_ORDER: constant(
    uint256
) = 57896044618658097711785492504343953926418782139537452191302581570759080747168
_MAGIC: constant(bytes4) = method_id("isValidSignature(bytes32,bytes)", output_type=bytes4)
# Gas that a wallet may use: enough for a multi-signature wallet of some dozen owners.
_WALLET_GAS: constant(uint256) = 200_000


@internal
@view
def _signer(maker: address, digest: bytes32, signature: Bytes[512]) -> address:
    """
    @dev `maker` if its key signed or its wallet says yes, else the key that signed, else zero. The key comes
         first: whether an account has code costs 2,600 gas to ask.
    """
    key: address = self._key(digest, signature)
    if key == maker and key != empty(address):
        return maker
    if maker.is_contract:
        if self._wallet_agrees(maker, digest, signature):
            return maker
        return key
    assert len(signature) == 65, "signature: not 65 bytes"
    assert extract32(signature, 32, output_type=uint256) <= _HALF_ORDER, "signature: malleable s"
    return key


@internal
@view
def _wallet_agrees(wallet: address, digest: bytes32, signature: Bytes[512]) -> bool:
    # A wallet that reverts has not signed: no bubbling up of its revert data.
    success: bool = False
    answer: Bytes[32] = b""
    success, answer = raw_call(
        wallet,
        abi_encode(digest, signature, method_id=_MAGIC),
        max_outsize=32,
        gas=_WALLET_GAS,
        is_static_call=True,
        revert_on_failure=False,
    )
    if not success or len(answer) != 32:
        return False
    return convert(answer, bytes32) == convert(_MAGIC, bytes32)


@internal
@pure
def _key(digest: bytes32, signature: Bytes[512]) -> address:
    """
    @dev The key behind a well-formed ECDSA signature (r, s, v; low s), else zero.
    """
    if len(signature) != 65:
        return empty(address)
    s: uint256 = extract32(signature, 32, output_type=uint256)
    if s > _HALF_ORDER:
        return empty(address)
    # The word that ends with the last byte.
    v: uint256 = extract32(signature, 33, output_type=uint256) & 255
    return ecrecover(digest, v, extract32(signature, 0, output_type=uint256), s)
