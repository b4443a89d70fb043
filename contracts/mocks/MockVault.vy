# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy off
"""
@title Mock vault
@license AGPL-3.0-only
@notice Test only: balances without a token, and what each book holds of them.
"""

free: public(HashMap[address, uint256])
# account => book => amount
held: public(HashMap[address, HashMap[address, uint256]])


@external
def mint(account: address, amount: uint256):
    """
    @notice Make money.
    """
    self.free[account] += amount


@external
def reserve(account: address, amount: uint256):
    """
    @notice As Vault's, for any book.
    """
    assert self.free[account] >= amount, "mock: not enough free"
    self.free[account] -= amount
    self.held[account][msg.sender] += amount


@external
def release(account: address, amount: uint256):
    """
    @notice As Vault's.
    """
    assert self.held[account][msg.sender] >= amount, "mock: not held"
    self.held[account][msg.sender] -= amount
    self.free[account] += amount


@external
def pay(payer: address, payee: address, amount: uint256):
    """
    @notice As Vault's.
    """
    assert self.held[payer][msg.sender] >= amount, "mock: not held to pay"
    self.held[payer][msg.sender] -= amount
    self.free[payee] += amount
