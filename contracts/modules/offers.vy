# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Offers
@license AGPL-3.0-only
@notice The EIP-712 struct hashes of terms, batches and asks, and the provider's list of programs.
@dev Stateless. The structs travel packed (docs/encoding.md) and are signed unpacked, so that a
     wallet shows every field by its name.
"""

from interfaces import IJobEscrow

_M8: constant(uint256) = 2**8 - 1
_M16: constant(uint256) = 2**16 - 1
_M24: constant(uint256) = 2**24 - 1
_M32: constant(uint256) = 2**32 - 1
_M40: constant(uint256) = 2**40 - 1
_M80: constant(uint256) = 2**80 - 1
_M96: constant(uint256) = 2**96 - 1
_M128: constant(uint256) = 2**128 - 1

_DOMAIN_TYPE: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
_DOMAIN_NAME: constant(bytes32) = keccak256("Headrace")
_DOMAIN_VERSION: constant(bytes32) = keccak256("1")
_TERMS_TYPE: constant(bytes32) = keccak256(
    "Terms(address requester,address verifier,uint96 settings,uint256 requirement,bytes32 program,bytes32 input_id,uint80 price_start,uint80 price_cap,uint80 damage_cap,uint80 tip_fixed,uint80 tip_max,uint16 tip_share_bps,uint16 no_show_bps,uint8 max_attempts,uint40 valid_from,uint32 ramp_seconds,uint40 final_deadline,uint32 ack_seconds,uint32 attempt_seconds,uint32 units,uint32 input_bytes,uint24 epoch,uint128 salt)"
)
_BATCH_TYPE: constant(bytes32) = keccak256(
    "Batch(Terms terms,bytes32[] inputs)Terms(address requester,address verifier,uint96 settings,uint256 requirement,bytes32 program,bytes32 input_id,uint80 price_start,uint80 price_cap,uint80 damage_cap,uint80 tip_fixed,uint80 tip_max,uint16 tip_share_bps,uint16 no_show_bps,uint8 max_attempts,uint40 valid_from,uint32 ramp_seconds,uint40 final_deadline,uint32 ack_seconds,uint32 attempt_seconds,uint32 units,uint32 input_bytes,uint24 epoch,uint128 salt)"
)
_ASK_TYPE: constant(bytes32) = keccak256(
    "Ask(address provider,uint8 node,uint8 lane,uint24 epoch,uint40 expiry,address token,uint80 price_base,uint80 price_per_unit,uint80 max_lock,uint32 max_units,uint32 max_input_bytes,uint32 min_attempt_seconds,uint32 min_ack_seconds,uint32 max_delay,bytes32 programs,bytes32 verifier_terms,address counterparty,uint96 salt)"
)


@internal
@pure
def _domain(chain_id: uint256, escrow: address) -> bytes32:
    # Built anew at each use: right also after a fork that changes the chain id.
    return keccak256(abi_encode(_DOMAIN_TYPE, _DOMAIN_NAME, _DOMAIN_VERSION, chain_id, escrow))


@internal
@pure
def _terms_hash(terms: IJobEscrow.Terms) -> bytes32:
    return keccak256(
        abi_encode(
            _TERMS_TYPE,
            terms.w0 >> 96,
            terms.w1 >> 96,
            terms.w1 & _M96,
            terms.requirement,
            terms.program,
            terms.input_id,
            terms.w5 >> 176,
            (terms.w5 >> 96) & _M80,
            (terms.w5 >> 16) & _M80,
            terms.w6 >> 176,
            (terms.w6 >> 96) & _M80,
            (terms.w0 >> 24) & _M16,
            (terms.w0 >> 40) & _M16,
            (terms.w0 >> 16) & _M8,
            (terms.w6 >> 56) & _M40,
            (terms.w6 >> 24) & _M32,
            (terms.w0 >> 56) & _M40,
            (terms.w7 >> 192) & _M32,
            terms.w7 >> 224,
            (terms.w7 >> 160) & _M32,
            (terms.w7 >> 128) & _M32,
            terms.w6 & _M24,
            terms.w7 & _M128,
        )
    )


@internal
@pure
def _batch_hash(terms: IJobEscrow.Terms, inputs: DynArray[bytes32, 32]) -> bytes32:
    # abi_encode of an array begins with two words (offset, length) that EIP-712 leaves out.
    encoded: Bytes[1088] = abi_encode(inputs)
    members: bytes32 = keccak256(slice(encoded, 64, unsafe_sub(len(encoded), 64)))
    return keccak256(abi_encode(_BATCH_TYPE, self._terms_hash(terms), members))


@internal
@pure
def _ask_hash(ask: IJobEscrow.Ask, token: address) -> bytes32:
    return keccak256(
        abi_encode(
            _ASK_TYPE,
            ask.w0 >> 96,
            (ask.w0 >> 16) & _M8,
            (ask.w0 >> 24) & _M8,
            (ask.w0 >> 32) & _M24,
            (ask.w0 >> 56) & _M40,
            token,
            ask.w1 >> 176,
            (ask.w1 >> 96) & _M80,
            (ask.w1 >> 16) & _M80,
            ask.w2 >> 224,
            (ask.w2 >> 192) & _M32,
            (ask.w2 >> 160) & _M32,
            (ask.w2 >> 128) & _M32,
            (ask.w2 >> 96) & _M32,
            ask.programs,
            ask.verifier_terms,
            ask.w5 >> 96,
            ask.w2 & _M96,
        )
    )


@internal
@pure
def _runs(programs: bytes32, program: bytes32, proof: DynArray[bytes32, 8]) -> bool:
    """
    @dev Whether `program` is in the allow-list `programs`. An inner node is no danger: it would have to be
         the id of a program that the verifier knows.
    """
    node: bytes32 = program
    for sibling: bytes32 in proof:
        if convert(node, uint256) < convert(sibling, uint256):
            node = keccak256(concat(node, sibling))
        else:
            node = keccak256(concat(sibling, node))
    return node == programs
