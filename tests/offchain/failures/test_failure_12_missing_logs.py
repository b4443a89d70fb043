"""Failure 12: no logs, or not all. Seen by the block's filter, or by the second reading."""

import logging
from pathlib import Path

import pytest

from headrace.chain.logs import Malformed
from tests.misbehaving_rpc import both, error_for, of_logs
from tests.offchain.failures.follow import Reading, proxy, source

__all__ = ["proxy", "source"]

NO_RECEIPTS = error_for("eth_getBlockReceipts", -32601, "the method does not exist")


def test_failure_12_no_logs_near_the_head_are_refused(source, tmp_path: Path, proxy):
    reading = Reading(source, tmp_path, proxy.url)
    source.mine(3)
    reading.catch_up()
    cursor = reading.db.cursor()
    proxy.changes = of_logs(lambda logs: [])
    source.emit(2)
    for _ in range(3):
        with pytest.raises(Malformed, match="no logs for a block that has some"):
            reading.step()
    assert (reading.rows, reading.db.cursor()) == ([], cursor)
    assert reading.follower.counters.refused_answers == 3
    proxy.heal()
    reading.catch_up()
    reading.check()
    reading.close()


def test_failure_12_a_block_without_our_logs_costs_no_receipts(source, tmp_path: Path, proxy):
    reading = Reading(source, tmp_path, proxy.url)
    source.mine(5)
    reading.catch_up()
    assert proxy.seen["eth_getBlockReceipts"] == 0
    reading.close()


@pytest.mark.parametrize(
    "lost",
    [lambda logs: [], lambda logs: logs[:-1], lambda logs: logs[1:]],
    ids=["none", "not the last", "not the first"],
)
@pytest.mark.parametrize("near", [128, 0], ids=["head", "range"])
@pytest.mark.parametrize("has_receipts", [True, False], ids=["receipts", "no receipts"])
def test_failure_12_the_second_reading_repairs(
    source, tmp_path: Path, proxy, caplog, lost, near: int, has_receipts: bool
):
    reading = Reading(source, tmp_path, proxy.url, near=near)
    # With receipts an empty answer near the head is refused at once, so there they are kept away.
    first = of_logs(lost)
    proxy.changes = both(first, NO_RECEIPTS)
    for salt in range(5):
        source.emit(3, salt)
    reading.catch_up()
    assert len(reading.rows) < 15
    proxy.heal()
    if not has_receipts:
        proxy.changes = NO_RECEIPTS
    source.mine(70)
    with caplog.at_level(logging.ERROR, "headrace.chain.recheck"):
        reading.catch_up(until=lambda: reading.follower.counters.audited_blocks >= 6)
    reading.check()
    assert reading.follower.counters.audit_mismatches >= 1
    assert "first reading was wrong" in caplog.text
    # Once: another process doesn't read it a third time.
    reading.close()
    reading.open()
    proxy.seen.clear()
    reading.catch_up()
    assert proxy.seen["eth_getLogs"] == 0
    reading.check()
    reading.close()


def test_failure_12_a_second_reading_that_is_short_changes_nothing(source, tmp_path: Path, proxy):
    # The second node answers short; the first one is right, and its receipts say so.
    reading = Reading(source, tmp_path, source.url, proxy.url)
    for salt in range(5):
        source.emit(3, salt)
    reading.catch_up()
    proxy.changes = of_logs(lambda logs: logs[:-1])
    source.mine(70)
    reading.catch_up(until=lambda: reading.follower.counters.audited_blocks >= 6)
    reading.check()
    assert reading.follower.counters.audit_mismatches == 0
    assert proxy.seen["eth_getLogs"] > 0
    reading.close()


def test_failure_12_a_second_node_that_fails_keeps_nobody_from_the_head(
    source, tmp_path: Path, proxy
):
    reading = Reading(source, tmp_path, source.url, proxy.url)
    source.emit(3)
    source.mine(70)
    proxy.changes = error_for("eth_getLogs", -32603, "internal error")
    for salt in range(5):
        source.emit(1, salt)
        reading.catch_up()
        reading.check()
    proxy.heal()
    reading.catch_up(until=lambda: reading.follower.counters.audited_blocks >= 2)
    reading.close()
