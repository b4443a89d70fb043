"""Failure 9: 429, or 200 with a complaint in it. What it asks for is done; sending goes on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.chain.endpoints import Endpoints
from headrace.chain.rpc import Rpc, Throttled
from tests.misbehaving_rpc import (
    FORWARD,
    Fails,
    only,
    status,
    throttled_in_200,
)
from tests.offchain.failures.follow import Reading, proxy, source

__all__ = ["proxy", "source"]

READING = {"eth_getLogs", "eth_getBlockByNumber"}
DATE = {"Date": "Tue, 24 Nov 2026 10:00:00 GMT", "Retry-After": "Tue, 24 Nov 2026 10:00:07 GMT"}


class Clock:
    """Time that passes when told, or when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def pool(clock: Clock, *urls: str, draw: Callable[[], float] = lambda: 0.5) -> Endpoints:
    return Endpoints([Rpc(url) for url in urls], clock=clock, sleep=clock.sleep, draw=draw)


@pytest.mark.parametrize(
    "fault",
    [
        status(429, {"Retry-After": "7"}),
        status(429, DATE),
        status(503, {"Retry-After": "7"}),
        throttled_in_200({"Retry-After": "7"}),
    ],
    ids=["429", "429 with a date", "503", "200"],
)
def test_failure_09_waits_for_as_long_as_it_is_asked_to(source, proxy, fault: Fails):
    clock = Clock()
    rpc = pool(clock, proxy.url)
    proxy.fails = fault
    with pytest.raises(Throttled) as caught:
        rpc.head()
    assert caught.value.wait == pytest.approx(7.0)
    proxy.heal()
    posts = proxy.posts
    for seconds in (0.0, 3.0, 3.7):
        clock.now += seconds
        with pytest.raises(Throttled, match="all nodes ask to slow down"):
            rpc.head()
    assert proxy.posts == posts, "asked before the time was over"
    clock.now += 0.3
    assert rpc.head().number == source.head()


def test_failure_09_without_a_word_it_waits_longer_each_time(proxy):
    clock = Clock()
    rpc = pool(clock, proxy.url)
    proxy.fails = status(429)
    waits = []
    for _ in range(9):
        with pytest.raises(Throttled):
            rpc.head()
        waits.append(rpc._nodes[0].reading.free_at - clock.now)
        clock.now += waits[-1]
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


def test_failure_09_reading_cannot_starve_sending(source, proxy):
    clock = Clock()
    rpc = pool(clock, proxy.url)
    proxy.fails = only(READING, status(429, {"Retry-After": "60"}))
    with pytest.raises(Throttled):
        rpc.head()
    # The same node, the same moment: a transaction and what belongs to it goes out.
    assert rpc.nonce(source.account) >= 1
    with pytest.raises(Exception, match=r"(?i)decode|transaction|invalid"):
        rpc.call("eth_sendRawTransaction", "0x02")
    assert proxy.seen["eth_sendRawTransaction"] == 1
    assert clock.slept == []


def test_failure_09_when_sending_is_throttled_reading_slows_down(source, proxy):
    clock = Clock()
    rpc = pool(clock, proxy.url)
    proxy.fails = only({"eth_getTransactionCount"}, status(429, {"Retry-After": "1"}))
    with pytest.raises(Throttled):
        rpc.nonce(source.account)
    proxy.heal()
    gaps = []
    for _ in range(3):
        rpc.head()
        before = clock.now
        rpc.head()
        gaps.append(clock.now - before)
    # Slower at once, and faster again step by step.
    assert gaps[0] > gaps[1] > gaps[2] > 0
    for _ in range(40):
        rpc.head()
    before = clock.now
    rpc.head()
    assert clock.now == before


def test_failure_09_the_other_node_is_asked_meanwhile(source, proxy):
    clock = Clock()
    rpc = pool(clock, proxy.url, source.url)
    proxy.fails = status(429, {"Retry-After": "60"})
    assert rpc.head().number == source.head()
    posts = proxy.posts
    for _ in range(5):
        rpc.head()
    assert proxy.posts == posts
    clock.now += 61
    proxy.heal()
    rpc.head()
    assert proxy.posts == posts + 1


def test_failure_09_ranges_are_cut_and_grow_again(source, tmp_path: Path, proxy):
    reading = Reading(source, tmp_path, proxy.url, near=0, max_range=64)
    source.emit(1)
    source.mine(400)
    widths = []

    def listen(requests: list) -> object:
        for request in requests:
            if request["method"] == "eth_getLogs":
                wanted = request["params"][0]
                widths.append(int(wanted["toBlock"], 16) - int(wanted["fromBlock"], 16) + 1)
        return FORWARD

    proxy.fails = listen
    reading.step()
    proxy.fails = only({"eth_getLogs"}, status(429, {"Retry-After": "0"}))
    with pytest.raises(Throttled):
        reading.step()
    proxy.fails = listen
    reading.catch_up()
    reading.check()
    assert widths[:2] == [64, 32]
    assert max(widths[2:]) > 32
    reading.close()
