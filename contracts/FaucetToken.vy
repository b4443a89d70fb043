# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy off
"""
@title Faucet token
@license AGPL-3.0-only
@notice A dollar for local chains and testnets: ERC-20 with permit and 6 decimals, and whoever asks gets
        some. Worth nothing; never the token of a vault with real money.
@dev No lock: a transfer calls nobody.
"""

from ethereum.ercs import IERC20

implements: IERC20

from snekmate.auth import ownable
from snekmate.tokens import erc20

initializes: ownable
initializes: erc20[ownable := ownable]

# Nobody mints but the faucet, so what belongs to the owner and to minters is left out.
exports: (
    erc20.name,
    erc20.symbol,
    erc20.decimals,
    erc20.totalSupply,
    erc20.balanceOf,
    erc20.allowance,
    erc20.transfer,
    erc20.transferFrom,
    erc20.approve,
    erc20.permit,
    erc20.nonces,
    erc20.DOMAIN_SEPARATOR,
    erc20.eip712Domain,
)

# The most that one call gives: a million.
MAX_DRIP: public(constant(uint256)) = 10**12


@deploy
def __init__():
    """
    @notice Make the token; nothing exists of it yet.
    """
    ownable.__init__()
    erc20.__init__("Headrace Test Dollar", "tUSD", 6, "Headrace Test Dollar", "1")


@external
def drip(amount: uint256):
    """
    @notice Get new tokens, as often as you like.
    @param amount Token units, at most `MAX_DRIP` a call.
    """
    assert amount <= MAX_DRIP, "faucet: too much at once"
    erc20._mint(msg.sender, amount)
