# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy off
"""
@title Odd token
@license AGPL-3.0-only
@notice An ERC-20 that can be told to behave as the worst ones do. Test only.
@dev `transfer` and `transferFrom` return raw bytes, so that they can answer with nothing.
"""

from ethereum.ercs import IERC20

# How it behaves. Modes other than NOTHING and REFUSE answer True.
PLAIN: constant(uint256) = 0
# Moves the tokens and answers nothing, as USDT does.
NOTHING: constant(uint256) = 1
# Moves nothing and answers False.
REFUSE: constant(uint256) = 2
# Moves nothing and answers True.
LIE: constant(uint256) = 3
# Takes a unit of every transfer.
FEE: constant(uint256) = 4
# Reverts.
REVERT: constant(uint256) = 5

totalSupply: public(uint256)
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])
mode: public(uint256)
# Called, by this contract, in the middle of the next transfer.
hook_target: public(address)
hook_data: Bytes[1024]
# How the last hook ended.
hook_succeeded: public(bool)
hook_answer: public(Bytes[256])


@external
def set_mode(mode: uint256):
    self.mode = mode


@external
def set_hook(target: address, data: Bytes[1024]):
    """
    @notice Call `target` once, in the middle of the next `transfer` or `transferFrom`.
    """
    self.hook_target = target
    self.hook_data = data
    self.hook_succeeded = False
    self.hook_answer = b""


@external
def mint(to: address, amount: uint256):
    self.totalSupply += amount
    self.balanceOf[to] += amount


@external
def burn(owner: address, amount: uint256):
    """
    @notice What a rebase or a seizure does to a balance.
    """
    self.totalSupply -= amount
    self.balanceOf[owner] -= amount


@external
def act(target: address, data: Bytes[1024]):
    """
    @notice Call `target` as this contract.
    """
    raw_call(target, data)


@external
def approve(spender: address, amount: uint256) -> bool:
    self.allowance[msg.sender][spender] = amount
    return True


@external
@raw_return
def transfer(to: address, amount: uint256) -> Bytes[32]:
    return self._transfer(msg.sender, to, amount)


@external
@raw_return
def transferFrom(owner: address, to: address, amount: uint256) -> Bytes[32]:
    self.allowance[owner][msg.sender] -= amount
    return self._transfer(owner, to, amount)


@internal
def _transfer(owner: address, to: address, amount: uint256) -> Bytes[32]:
    mode: uint256 = self.mode
    assert mode != REVERT, "odd token: told to revert"
    if mode != REFUSE and mode != LIE:
        self.balanceOf[owner] -= amount
        self.balanceOf[to] += amount
    if mode == FEE:
        self.balanceOf[to] -= 1
    if self.hook_target != empty(address):
        target: address = self.hook_target
        self.hook_target = empty(address)
        # The outcome is what the test wants to see, so a failure is kept, not passed on.
        self.hook_succeeded, self.hook_answer = raw_call(
            target, self.hook_data, max_outsize=256, revert_on_failure=False
        )
    if mode == NOTHING:
        return b""
    return abi_encode(mode != REFUSE)
