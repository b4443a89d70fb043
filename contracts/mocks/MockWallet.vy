# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy off
"""
@title Mock wallet
@license AGPL-3.0-only
@notice An ERC-1271 wallet that can be told how to answer. Test only.
"""

_MAGIC: constant(bytes4) = method_id("isValidSignature(bytes32,bytes)", output_type=bytes4)

# How it answers. Nothing but one word that is the magic value and zeros is a yes.
YES: constant(uint256) = 0
# A word that is not the magic value.
WRONG: constant(uint256) = 1
REVERT: constant(uint256) = 2
# Uses all gas that it gets.
BURN: constant(uint256) = 3
# The magic value, without the rest of the word.
SHORT: constant(uint256) = 4
# The magic value, then bytes that aren't zero.
DIRTY: constant(uint256) = 5
# Tries to change something, then says yes.
REENTER: constant(uint256) = 6
# Says yes only to the digest it was told.
DIGEST: constant(uint256) = 7
# The right word, then 9 kB more.
LONG: constant(uint256) = 8
# The right word in the data of a revert.
REVERT_YES: constant(uint256) = 9
# Nothing at all.
NOTHING: constant(uint256) = 10

mode: public(uint256)
approved: public(bytes32)
_reenter_target: address
_reenter_data: Bytes[1024]


@external
def set_mode(mode: uint256):
    self.mode = mode


@external
def approve_digest(digest: bytes32):
    """
    @notice Say yes to `digest` and to nothing else.
    """
    self.mode = DIGEST
    self.approved = digest


@external
def set_reentry(target: address, data: Bytes[1024]):
    self.mode = REENTER
    self._reenter_target = target
    self._reenter_data = data


@external
@payable
def execute(target: address, data: Bytes[8192]):
    """
    @notice Call `target` as this wallet. Open to all: nothing here is worth anything.
    """
    raw_call(target, data, value=msg.value)


@external
@payable
def __default__():
    pass


@external
@raw_return
def isValidSignature(digest: bytes32, signature: Bytes[512]) -> Bytes[9600]:
    mode: uint256 = self.mode
    yes: bytes32 = convert(_MAGIC, bytes32)
    assert mode != REVERT, "wallet: told to revert"
    if mode == REVERT_YES:
        raw_revert(abi_encode(yes))
    if mode == BURN:
        word: bytes32 = digest
        for i: uint256 in range(10_000_000):
            word = keccak256(word)
        assert word == empty(bytes32)  # keeps the loop
    if mode == REENTER:
        # Not static here: the caller has to be.
        raw_call(self._reenter_target, self._reenter_data)
    if mode == NOTHING:
        return b""
    if mode == SHORT:
        return slice(yes, 0, 4)
    if mode == DIRTY:
        return concat(_MAGIC, convert(1, bytes28))
    if mode == LONG:
        return abi_encode(yes, empty(bytes32[299]))
    if mode == WRONG or (mode == DIGEST and digest != self.approved):
        return abi_encode(empty(bytes32))
    return abi_encode(yes)
