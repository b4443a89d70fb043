"""Several nodes behind one Rpc: who is asked, how often, and who is left alone."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from headrace.chain.endpoints import TRIES, Budget, Endpoints, connect
from headrace.chain.rpc import NodeError, Rpc, Throttled
from headrace.errors import Unreachable, UsageError


class Clock:
    """Time that passes when told, or when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 50.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Node(Rpc):
    """A partner that answers as told: `says` gets the methods and returns outcomes, or raises."""

    def __init__(self, name: str, says: Callable[[list[str]], list[Any]] | None = None) -> None:
        super().__init__(f"http://{name}:1")
        self.says = says or self.answer
        self.asked: list[list[str]] = []
        self.chain = "0x5"

    def answer(self, methods: list[str]) -> list[Any]:
        return [self.chain if method == "eth_chainId" else f"{self.host}" for method in methods]

    def outcomes(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        methods = [method for method, _ in calls]
        self.asked.append(methods)
        return self.says(methods)


def fails(error: Exception) -> Callable[[list[str]], list[Any]]:
    def say(methods: list[str]) -> list[Any]:
        raise error

    return say


def pool(*nodes: Node, clock: Clock | None = None, **identity: Any) -> Endpoints:
    clock = clock or Clock()
    return Endpoints(nodes, clock=clock, sleep=clock.sleep, draw=lambda: 0.5, **identity)


def test_the_first_node_is_asked_as_long_as_it_answers():
    first, second = Node("a"), Node("b")
    rpc = pool(first, second)
    assert [rpc.call("eth_call") for _ in range(3)] == ["a:1"] * 3
    assert second.asked == []


def test_a_failure_goes_to_the_next_and_stays_there():
    first, second = Node("a", fails(Unreachable("x"))), Node("b")
    clock = Clock()
    rpc = pool(first, second, clock=clock)
    assert [rpc.call("eth_call") for _ in range(3)] == ["b:1"] * 3
    assert len(first.asked) == 1
    assert rpc.host == "b:1"
    assert clock.slept == [], "another node needs no pause"
    # When the second one fails, the first one is tried again.
    first.says, second.says = first.answer, fails(Unreachable("x"))
    clock.now += 120
    assert rpc.call("eth_call") == "a:1"


def test_one_node_is_tried_a_few_times_with_growing_pauses():
    only, clock = Node("a", fails(Unreachable("gone"))), Clock()
    rpc = pool(only, clock=clock)
    with pytest.raises(Unreachable, match="gone"):
        rpc.call("eth_call")
    assert len(only.asked) == TRIES
    assert clock.slept == [0.05, 0.1]


@pytest.mark.parametrize("method", ["eth_sendTransaction", "evm_mine", "anvil_reorg"])
def test_what_may_have_been_done_is_not_asked_for_twice(method):
    first, second = Node("a", fails(Unreachable("lost"))), Node("b")
    with pytest.raises(Unreachable, match="lost"):
        pool(first, second).call(method)
    assert second.asked == []
    assert len(first.asked) == 1


def test_signed_bytes_may_be_sent_again():
    first, second = Node("a", fails(Unreachable("lost"))), Node("b")
    assert pool(first, second).call("eth_sendRawTransaction", "0x") == "b:1"


def test_an_error_of_a_request_is_its_answer():
    refused = NodeError(-32000, "nonce too low")
    first, second = Node("a", lambda methods: [refused]), Node("b")
    assert pool(first, second).outcomes([("eth_sendRawTransaction", ())]) == [refused]
    assert second.asked == []


def test_half_an_answer_is_asked_for_again_and_given_at_last():
    half = Unreachable("left a request unanswered")
    only = Node("a", lambda methods: ["0x1", half])
    assert pool(only).outcomes([("eth_call", ()), ("eth_call", ())]) == ["0x1", half]
    assert len(only.asked) == TRIES


def test_a_node_that_failed_rests_longer_each_time():
    only, clock = Node("a", fails(Unreachable("x"))), Clock()
    rpc = pool(only, clock=clock)
    rests = []
    for _ in range(4):
        with pytest.raises(Unreachable):
            rpc.call("eth_call")
        rests.append(rpc._nodes[0].rests_until - clock.now)
        clock.now += 100
    assert rests == pytest.approx([4.0, 32.0, 60.0, 60.0])
    only.says = only.answer
    rpc.call("eth_call")
    assert rpc._nodes[0].failures == 0


def test_who_serves_another_chain_is_never_asked_again():
    first, second = Node("a"), Node("b")
    first.chain = "0x1"
    rpc = pool(first, second, chain_id=5)
    for _ in range(4):
        assert rpc.call("eth_call") == "b:1"
    assert first.asked == [["eth_chainId", "eth_getBlockByNumber"]]
    second.chain = "0x2"
    second.says = fails(Unreachable("restarted"))
    with pytest.raises(Unreachable):
        rpc.call("eth_call")
    second.says = second.answer
    with pytest.raises(UsageError, match="serves chain"):
        rpc.call("eth_call")


def test_the_second_is_another_one_that_answers():
    first, second, third = Node("a"), Node("b"), Node("c")
    second.chain = "0x1"
    rpc = pool(first, second, third, chain_id=5)
    found = rpc.second()
    assert found is not None
    assert found.call("eth_call") == "c:1"
    # It answers for itself: its failure is no reason to ask the first one.
    third.says = fails(Unreachable("x"))
    with pytest.raises(Unreachable):
        found.call("eth_call")
    assert rpc.second() is None, "it rests"
    assert pool(Node("a")).second() is None
    assert Rpc("http://127.0.0.1:1").second() is None


def test_distrust_turns_to_the_next_and_never_to_nobody():
    first, second = Node("a"), Node("b")
    rpc = pool(first, second)
    rpc.distrust("it lags")
    assert rpc.call("eth_call") == "b:1"
    rpc.distrust("it lags too")
    assert rpc.call("eth_call") == "a:1"
    alone = pool(Node("a"))
    alone.distrust("it lags")
    assert alone.call("eth_call") == "a:1"


def test_short_pauses_are_slept_and_long_ones_are_the_callers():
    only, clock = Node("a", fails(Throttled("slow", 0.2))), Clock()
    rpc = pool(only, clock=clock)
    with pytest.raises(Throttled):
        rpc.call("eth_call")
    assert clock.slept == pytest.approx([0.2] * (TRIES - 1))
    only.says = fails(Throttled("slow", 0.3))
    clock.now += 1
    clock.slept.clear()
    with pytest.raises(Throttled, match="all nodes ask"):
        rpc.call("eth_call")
    assert clock.slept == []


def test_what_is_read_for_an_action_is_not_reading():
    only = Node("a")
    rpc = pool(only)
    rpc._nodes[0].reading.throttled(50.0, 60.0, 0.5)
    with pytest.raises(Throttled):
        rpc.batch([("eth_getLogs", ()), ("eth_getBlockByNumber", ())])
    # A sender looks at the head beside its nonce, and a keeper asks contracts.
    rpc.batch([("eth_getBlockByNumber", ()), ("eth_getTransactionCount", ())])
    rpc.call("eth_call")


def test_a_budget_halves_its_pace_and_gets_it_back():
    budget = Budget()
    budget.throttled(0.0, 5.0, 0.5)
    assert (budget.free_at, budget.gap) == (5.0, 0.01)
    for _ in range(20):
        budget.throttled(0.0, 0.0, 0.5)
    assert budget.gap == 2.0, "bounded"
    budget.used(100.0, 3)
    assert budget.free_at == pytest.approx(100 + 3 * 1.8)
    for _ in range(100):
        budget.used(100.0, 3)
    assert (budget.gap, budget.free_at) == (0.0, 100.0)


@pytest.mark.parametrize("urls", ["", " , ", "ws://x", "http://a, ftp://b", "http://a,,nonsense"])
def test_only_urls_of_nodes_can_be_connected_to(urls):
    with pytest.raises(UsageError, match="RPC URL"):
        connect(urls)


def test_several_urls_are_several_nodes():
    rpc = connect("http://a:1, https://b/key ,http://c")
    assert repr(rpc) == "Endpoints(a:1, b, c)"
    assert rpc.host == "a:1"
    rpc.close()
