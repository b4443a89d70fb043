"""Work beside the loop: a bounded number at once, each collected once, errors included."""

import threading
import time
from collections.abc import Callable
from typing import Any

from headrace.daemon.bench import Bench, Done


def until(bench: Bench[str, Any], count: int) -> list[Done[str, Any]]:
    """What has ended, once it is `count` pieces."""
    ended: list[Done[str, Any]] = []
    end = time.monotonic() + 5
    while len(ended) < count and time.monotonic() < end:
        ended += bench.collect()
    return ended


def boom() -> int:
    raise MemoryError("no room")


def test_values_and_errors_come_back_under_their_keys():
    bench: Bench[str, int] = Bench(2)
    assert bench.start("a", lambda: 5)
    assert bench.start("b", boom)
    ended = {done.key: done for done in until(bench, 2)}
    assert (ended["a"].value, ended["a"].error) == (5, None)
    assert ended["b"].value is None
    assert isinstance(ended["b"].error, MemoryError)
    assert bench.running == frozenset()
    assert bench.collect() == []


def test_places_are_limited_and_given_back_when_collected():
    go = threading.Event()
    wait: Callable[[], bool] = lambda: go.wait(5)  # noqa: E731
    bench: Bench[str, bool] = Bench(1)
    assert bench.start("a", wait)
    assert not bench.has_place
    assert not bench.start("a", wait)
    assert not bench.start("b", wait)
    go.set()
    (done,) = until(bench, 1)
    assert done.key == "a"
    assert bench.has_place
    assert bench.start("b", wait)
    assert [done.key for done in until(bench, 1)] == ["b"]


def test_nobody_waits_for_what_runs_when_the_process_ends():
    before = set(threading.enumerate())
    bench: Bench[str, bool] = Bench(1)
    bench.start("a", threading.Event().wait)
    (made,) = set(threading.enumerate()) - before
    assert made.daemon
