"""What nodes say about a transaction, in the words of geth, anvil and others."""

import pytest

from headrace.chain.accounts import Key
from headrace.chain.fees import GWEI
from headrace.chain.node_errors import MOST_CHARACTERS, Answer, classify, shown
from headrace.chain.rpc import NodeError
from headrace.errors import HeadraceError
from tests.offchain.chain.till import CHAIN_ID, OTHER, Bench

WORDS = [
    ("already known", Answer.KNOWN),
    ("transaction already imported", Answer.KNOWN),
    ("ALREADY_EXISTS: already known", Answer.KNOWN),
    ("AlreadyKnown", Answer.KNOWN),
    ("Known transaction", Answer.KNOWN),
    ("nonce too low: next nonce 5, tx nonce 3", Answer.NONCE_USED),
    ("nonce too low", Answer.NONCE_USED),
    ("OldNonce", Answer.NONCE_USED),
    ("nonce too high", Answer.NONCE_GAP),
    ("replacement transaction underpriced", Answer.REPLACES),
    ("transaction underpriced: tip needed 1, tip permitted 0", Answer.UNDERPRICED),
    ("FeeTooLow", Answer.UNDERPRICED),
    ("FeeTooLowToCompete", Answer.REPLACES),
    ("could not replace existing tx", Answer.REPLACES),
    ("max fee per gas less than block base fee: address 0x1", Answer.BELOW_BASE_FEE),
    ("transaction gas price below minimum", Answer.BELOW_BASE_FEE),
    ("insufficient funds for gas * price + value", Answer.NO_MONEY),
    ("Insufficient funds for gas * price + value", Answer.NO_MONEY),
    ("invalid chain id for signer: have 1 want 2", Answer.WRONG_CHAIN),
    ("intrinsic gas too low", Answer.GAS_TOO_LOW),
    ("exceeds block gas limit", Answer.GAS_TOO_HIGH),
    ("txpool is full", Answer.POOL_FULL),
    ("in-flight transaction limit reached for delegated accounts", Answer.POOL_FULL),
    ("header not found", Answer.OTHER),
    ("", Answer.OTHER),
]


@pytest.mark.parametrize(("message", "answer"), WORDS)
def test_the_words_of_nodes_are_understood(message: str, answer: Answer):
    assert classify(message) is answer
    assert classify(f"node error -32000: {message.upper()}") is answer


class Asker:
    """Sends transactions of a key as they are, and classifies what the node says."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def __call__(self, key: Key | None = None, **changes: int) -> Answer | None:
        fields = {
            "type": 2,
            "chainId": CHAIN_ID,
            "nonce": 0,
            "to": OTHER,
            "value": 0,
            "gas": 21_000,
            "maxFeePerGas": 10 * GWEI,
            "maxPriorityFeePerGas": GWEI,
        }
        raw, _ = (key or self.bench.key).sign_transaction(fields | changes)
        try:
            self.bench.rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
        except NodeError as error:
            return classify(error.message)
        except HeadraceError as error:
            pytest.fail(f"not a complaint of the node's: {error!r}")
        return None


def test_the_words_of_anvil_itself_are_understood(bench):
    ask = Asker(bench)
    assert ask() is None
    assert ask() is Answer.KNOWN
    assert ask(value=1) is Answer.REPLACES
    assert ask(nonce=1, gas=20_000) is Answer.GAS_TOO_LOW
    assert ask(nonce=1, gas=10**9) is Answer.GAS_TOO_HIGH
    assert ask(nonce=1, chainId=CHAIN_ID + 1) is Answer.WRONG_CHAIN
    assert ask(nonce=1, value=10**24) is Answer.NO_MONEY
    bench.mine()
    assert ask() is Answer.NONCE_USED
    assert ask(value=1) is Answer.NONCE_USED
    bench.base_fee(50 * GWEI)
    bench.mine()
    # anvil takes what can't be mined at this base fee, other nodes don't.
    assert ask(nonce=1) in (None, Answer.BELOW_BASE_FEE)


def test_a_strangers_words_are_cut_to_one_short_line():
    assert shown("escrow: no claim") == "escrow: no claim"
    assert shown("a\nb\x00c\u202ed") == "a b c d"
    long = shown("x" * 10_000)
    assert len(long) == MOST_CHARACTERS
    assert long.endswith("x…")
    assert shown("x" * MOST_CHARACTERS) == "x" * MOST_CHARACTERS
