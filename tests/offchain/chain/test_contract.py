"""Reads that may be refused: the refused ones are None, what isn't an answer is an error."""

from typing import Any

import pytest
from eth_abi import encode

from headrace.chain.contract import try_many
from headrace.chain.contracts import Vault
from headrace.chain.rpc import Rpc
from headrace.errors import HeadraceError, Rejected, RetryLater, Unreachable
from tests.offchain.terms.examples import address


class Answering(Rpc):
    """Answers each request of a batch with the next outcome."""

    def __init__(self, *answers: Any) -> None:
        super().__init__("http://127.0.0.1:1")
        self.answers = answers
        self.blocks: list[str] = []

    def outcomes(self, calls: Any) -> list[Any]:
        self.blocks += [params[1] for _, params in calls]
        assert len(calls) == len(self.answers)
        return list(self.answers)


def asked(rpc: Answering, block: int = 7) -> list[Any]:
    vault = Vault(rpc, address(1))
    return try_many(rpc, [vault.query("free_of", address(2))] * len(rpc.answers), block)


def test_what_is_refused_or_no_answer_of_the_abi_is_none():
    right = "0x" + encode(["uint256"], [5]).hex()
    rpc = Answering(right, Rejected("vault: no"), "0x", "0x01", right)
    assert asked(rpc) == [5, None, None, None, 5]
    assert rpc.blocks == ["0x7"] * 5


@pytest.mark.parametrize("error", [Unreachable("x"), RetryLater("x")])
def test_what_passes_is_raised(error: HeadraceError):
    with pytest.raises(type(error)):
        asked(Answering("0x" + "00" * 32, error))
