"""Failure 8: a node that doesn't answer. Tried a few times with pauses, then the next one."""

import time
from pathlib import Path

import pytest

from headrace.chain.endpoints import TRIES
from headrace.daemon import loop
from headrace.errors import Unreachable
from tests.misbehaving_rpc import FORWARD, Proxy, hang_up, times
from tests.offchain.failures.follow import Reading, proxy, source

__all__ = ["proxy", "source"]


def silent(requests: list) -> str:
    """Longer than the 0.2 s that are waited here."""
    time.sleep(0.6)
    return FORWARD


def impatient(reading: Reading) -> None:
    for node in reading.rpc._nodes:
        node.rpc._timeout = 0.2


def test_failure_08_bounded_tries_and_nothing_written(source, tmp_path: Path, proxy):
    reading = Reading(source, tmp_path, proxy.url)
    source.emit(2)
    reading.catch_up()
    source.emit(2)
    before, cursor = reading.rows, reading.db.cursor()
    impatient(reading)
    proxy.fails, posts = silent, proxy.posts
    with pytest.raises(Unreachable, match=r"within 0\.2 s"):
        reading.step()
    assert 1 < proxy.posts - posts <= TRIES
    assert (reading.rows, reading.db.cursor()) == (before, cursor)
    proxy.heal()
    reading.catch_up()
    reading.check()
    reading.close()


def test_failure_08_the_next_node_is_asked_at_once(source, tmp_path: Path, proxy):
    reading = Reading(source, tmp_path, proxy.url, source.url)
    source.emit(2)
    reading.catch_up()
    source.emit(2)
    impatient(reading)
    proxy.fails = silent
    assert reading.step().is_caught_up
    reading.check()
    assert reading.rpc.host in source.url
    # The silent one is left alone, not asked again and again.
    posts = proxy.posts
    for salt in range(5):
        source.emit(1, salt)
        reading.catch_up()
    assert proxy.posts - posts <= 1
    reading.check()
    reading.close()


def test_failure_08_a_lost_answer_is_asked_for_again(source, tmp_path: Path, proxy):
    reading = Reading(source, tmp_path, proxy.url)
    source.emit(2)
    for count in range(1, 2 * TRIES):
        # Rpc itself repeats what a closed connection has swallowed, the pool repeats that.
        proxy.fails = times(count, hang_up)
        assert reading.step().is_caught_up
        source.emit(1, count)
    reading.catch_up()
    reading.check()
    reading.close()


def test_failure_08_loops_keep_ticking(source, tmp_path: Path, proxy):
    reading = Reading(source, tmp_path, proxy.url)
    proxy.fails = hang_up
    stop = loop.Stop()
    ticks = []

    def tick() -> None:
        ticks.append(None)
        if len(ticks) == 3:
            proxy.heal()
        if reading.step().is_caught_up:
            stop.set()

    source.emit(1)
    loop.run(tick, stop, poll=0.01, longest=0.05)
    assert len(ticks) >= 3
    reading.check()
    reading.close()


def test_failure_08_a_node_that_is_gone_from_the_start(source, tmp_path: Path):
    dead = Proxy(source.url)
    dead.close()
    reading = Reading(source, tmp_path, dead.url, source.url)
    source.emit(2)
    reading.catch_up()
    reading.check()
    reading.close()
