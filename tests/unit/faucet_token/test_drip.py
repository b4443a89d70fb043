import pytest

from tests.harness import ZERO_ADDRESS, Chain, Contract, reverts

MAX_DRIP = 10**12


@pytest.fixture(scope="module")
def token(chain: Chain) -> Contract:
    return chain.deploy("FaucetToken")


def test_what_it_is(token: Contract) -> None:
    assert token.call("name", ()) == "Headrace Test Dollar"
    assert token.symbol() == "tUSD"
    assert (token.decimals(), token.totalSupply()) == (6, 0)
    assert token.MAX_DRIP() == MAX_DRIP


def test_gives_the_caller_new_tokens(chain: Chain, token: Contract) -> None:
    alice = chain.accounts[6]
    receipt = token.drip(700, sender=alice)
    token.drip(MAX_DRIP, sender=alice)
    assert token.balanceOf(alice) == token.totalSupply() == MAX_DRIP + 700
    assert receipt.only("Transfer") == (ZERO_ADDRESS, alice.address, 700)


def test_not_too_much_at_once(token: Contract) -> None:
    with reverts("faucet: too much at once"):
        token.drip(MAX_DRIP + 1)


def test_nobody_mints_otherwise(token: Contract) -> None:
    functions = token.abi.functions.values()
    changing = {f.name for overloads in functions for f in overloads if not f.is_view}
    assert changing == {"transfer", "transferFrom", "approve", "permit", "drip"}
