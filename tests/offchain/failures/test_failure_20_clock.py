"""Failure 20: our clock is hours off, or jumps. Time is the blocks'; pauses are monotonic."""

import time
from itertools import cycle
from pathlib import Path

import pytest

from headrace.chain.rpc import retry_after
from headrace.daemon import loop
from headrace.errors import RetryLater
from tests.misbehaving_rpc import status, times
from tests.offchain.failures.follow import Reading, proxy, source

__all__ = ["proxy", "source"]

HOUR = 3_600


@pytest.mark.parametrize("skew", [-12 * HOUR, 12 * HOUR, -(10**9)])
def test_failure_20_rows_have_the_blocks_time(source, tmp_path: Path, monkeypatch, skew: int):
    reading = Reading(source, tmp_path)
    source.emit(1)
    reading.catch_up()
    # NTP steps the clock in the middle of everything.
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + skew)
    source.emit(1)
    head = reading.step().head
    assert [log.timestamp for log in reading.db.logs()][-1] == head.timestamp
    assert head.timestamp == source.rpc.head().timestamp
    reading.check()
    reading.close()


def test_failure_20_the_chains_clock_far_ahead_changes_nothing(source, tmp_path: Path):
    reading = Reading(source, tmp_path)
    source.rpc.call("evm_increaseTime", hex(30 * 24 * HOUR))
    source.emit(2)
    reading.catch_up()
    reading.check()
    stamps = {log.timestamp for log in reading.db.logs()}
    assert stamps == {source.rpc.head().timestamp}
    assert min(stamps) > time.time() + 29 * 24 * HOUR
    reading.close()


def test_failure_20_pauses_and_retries_do_not_look_at_it(
    source, tmp_path: Path, proxy, monkeypatch
):
    reading = Reading(source, tmp_path, proxy.url)
    source.emit(1)

    # Another hour at every look: whoever waits for this clock waits for hours, or not at all.
    hours = cycle((0, 9, -9, 100, -100))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + next(hours) * HOUR)
    proxy.fails = times(2, status(429, {"Retry-After": "0.2"}))
    stop = loop.Stop()

    def tick() -> None:
        try:
            if reading.step().is_caught_up:
                stop.set()
        except RetryLater:
            pass

    loop.run(tick, stop, poll=0.01)
    monkeypatch.undo()
    reading.check()
    reading.close()


def test_failure_20_a_date_to_wait_for_counts_by_the_servers_clock():
    then = "Tue, 01 Jan 2002 00:00:30 GMT"
    assert retry_after({"Retry-After": then, "Date": "Tue, 01 Jan 2002 00:00:00 GMT"}) == 30.0
    assert retry_after({"Retry-After": then, "Date": "Tue, 01 Jan 2002 00:01:00 GMT"}) == 0.0
    assert retry_after({"Retry-After": then}) is None


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("0", 0.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("300", 300.0),
        ("301", 300.0),
        ("1e99", 300.0),
        ("inf", 300.0),
        ("nan", None),
        ("soon", None),
        ("", None),
    ],
)
def test_failure_20_what_a_server_may_ask_for_is_bounded(said: str, seconds: float | None):
    assert retry_after({"Retry-After": said}) == seconds
