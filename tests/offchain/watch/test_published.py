"""Reading a published trace back out of the transaction that published it."""

from pathlib import Path
from typing import Any

import pytest

from headrace.chain.rpc import NodeError
from headrace.chain.rules import FaultProof
from headrace.chain.views import ClaimRef
from headrace.errors import RetryLater
from headrace.graph.trace import Trace, run
from headrace.watch.published import published_trace
from tests.offchain.node.fakes import FakeChain
from tests.offchain.terms.examples import VERIFIER, address

TX = b"\x07" * 32


class Node:
    """A node that knows one transaction, and perhaps the calls inside it."""

    def __init__(self, data: bytes | None, calls: Any = None) -> None:
        self.data = data
        self.calls = calls

    def call(self, method: str, tx: str, *rest: Any) -> Any:
        assert tx == "0x" + TX.hex()
        if method == "eth_getTransactionByHash":
            return None if self.data is None else {"input": "0x" + self.data.hex()}
        assert method == "debug_traceTransaction"
        if self.calls is None:
            raise NodeError(-32601, "the method does not exist")
        return self.calls


class Published:
    """A claim and the call that publishes its trace."""

    def __init__(self, folder: Path) -> None:
        world = FakeChain(folder)
        job = world.match(world.terms())
        terms = job.terms
        tensor = world.store.get_tensor(terms.input_id, terms.units, 5)
        self.model = world.model
        self.trace = run(world.model, tensor)
        assert job.record is not None
        ref = ClaimRef(terms, job.record, self.trace.root)
        client = FaultProof(None, VERIFIER)  # type: ignore[arg-type]
        self.call = client.publish_trace(ref, self.trace.to_bytes()).data
        other = self.trace.replace(0, 0, 0, 1)
        self.decoy = client.publish_trace(ref, other.to_bytes()).data

    def read(self, node: Node) -> Trace | None:
        units, root = self.trace.units, self.trace.root
        return published_trace(node, VERIFIER, TX, self.model, units, root)  # type: ignore[arg-type]


@pytest.fixture
def published(tmp_path: Path) -> Published:
    return Published(tmp_path)


def test_from_a_plain_transaction(published: Published):
    found = published.read(Node(published.call))
    assert found is not None
    assert found.root == published.trace.root


@pytest.mark.parametrize("before", [1, 4, 31, 200])
def test_from_a_call_inside_another_call(published: Published, before: int):
    found = published.read(Node(b"\x12" * before + published.call + b"\x00" * 28))
    assert found is not None
    assert found.root == published.trace.root


def test_a_decoy_before_the_call_is_passed_over(published: Published):
    found = published.read(Node(published.decoy + published.call))
    assert found is not None
    assert found.root == published.trace.root


def test_from_the_calls_of_a_contract_that_made_the_call_up(published: Published):
    inner = {"to": VERIFIER.lower(), "input": "0x" + published.call.hex()}
    other = {"to": address(9), "input": "0x" + published.decoy.hex(), "calls": [None, inner]}
    found = published.read(Node(b"\x12" * 40, {"to": address(8), "input": "0x", "calls": [other]}))
    assert found is not None
    assert found.root == published.trace.root


@pytest.mark.parametrize("calls", [None, {"to": VERIFIER, "input": "0x"}])
def test_a_trace_that_is_nowhere(published: Published, calls: Any):
    assert published.read(Node(published.decoy, calls)) is None


def test_a_transaction_that_a_reorganisation_took(published: Published):
    with pytest.raises(RetryLater):
        published.read(Node(None))
