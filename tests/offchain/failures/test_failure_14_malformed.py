"""Failure 14: an answer that can't be right. The whole piece is refused and nothing written."""

from pathlib import Path

import pytest

from headrace.errors import RetryLater, Unreachable
from tests.misbehaving_rpc import Changes, of_blocks, of_logs, result_of
from tests.offchain.failures.follow import Reading, proxy, source

__all__ = ["proxy", "source"]


def with_last(**changes: object) -> Changes:
    """The last log of every answer has other fields."""
    return of_logs(lambda logs: [*logs[:-1], logs[-1] | changes])


def without_last(field: str) -> Changes:
    return of_logs(lambda logs: [*logs[:-1], {k: v for k, v in logs[-1].items() if k != field}])


def empty_filter(block: dict) -> dict:
    return block | {"logsBloom": "0x" + "00" * 256}


def next_number(block: dict) -> dict:
    return block | {"number": hex(int(block["number"], 16) + 1)}


CASES = {
    "no block": result_of("eth_getBlockByNumber", None),
    "a text for a block": result_of("eth_getBlockByNumber", "0x1"),
    "another block": of_blocks(next_number),
    "a block without a hash": of_blocks(lambda block: block | {"hash": None}),
    "a short hash": of_blocks(lambda block: block | {"hash": "0x1234"}),
    "no list": of_logs(lambda logs: "0x"),
    "null for logs": of_logs(lambda logs: None),
    "a number for a log": of_logs(lambda logs: [*logs, 7]),
    "out of range": with_last(blockNumber="0xfffff"),
    "another block's log": with_last(blockHash="0x" + "99" * 32),
    "another contract": with_last(address="0x" + "cd" * 20),
    "no address": with_last(address="0x12"),
    "taken back": with_last(removed=True),
    "a log twice": of_logs(lambda logs: [*logs, logs[-1]]),
    "an index twice": of_logs(lambda logs: [*logs[:-1], logs[-1] | {"logIndex": "0x0"}]),
    "a short topic": with_last(topics=["0x12"]),
    "five topics": with_last(topics=["0x" + "12" * 32] * 5),
    "no hex": with_last(data="0xzz"),
    "a number for data": with_last(data=5),
    "a negative index": with_last(logIndex="-0x1"),
    "no transaction yet": with_last(transactionHash=None),
    "a short transaction hash": with_last(transactionHash="0x12"),
    **{
        f"no {field}": without_last(field)
        for field in ("blockNumber", "logIndex", "topics", "data", "transactionHash", "blockHash")
    },
}
NEAR_ONLY = {"an empty filter": of_blocks(empty_filter)}


def refused(source, folder: Path, proxy, fault: Changes, near: int) -> None:
    reading = Reading(source, folder, proxy.url, near=near)
    source.mine(2)
    reading.catch_up()
    cursor = reading.db.cursor()
    source.emit(2)
    proxy.changes = fault
    for _ in range(2):
        with pytest.raises((RetryLater, Unreachable)):
            reading.step()
    assert (reading.rows, reading.db.cursor()) == ([], cursor)
    proxy.heal()
    reading.catch_up()
    reading.check()
    reading.close()


@pytest.mark.parametrize("near", [128, 0], ids=["head", "range"])
@pytest.mark.parametrize("name", CASES)
def test_failure_14_nothing_is_written(source, tmp_path: Path, proxy, name: str, near: int):
    refused(source, tmp_path, proxy, CASES[name], near)


@pytest.mark.parametrize("name", NEAR_ONLY)
def test_failure_14_logs_that_the_filter_rules_out(source, tmp_path: Path, proxy, name: str):
    refused(source, tmp_path, proxy, NEAR_ONLY[name], 128)


def test_failure_14_the_next_node_is_asked(source, tmp_path: Path, proxy):
    reading = Reading(source, tmp_path, proxy.url, source.url)
    proxy.changes = CASES["another contract"]
    source.emit(2)
    reading.catch_up()
    reading.check()
    assert reading.rpc.host in source.url
    assert reading.follower.counters.refused_answers == 1
    reading.close()


def test_failure_14_hashes_in_capitals_are_right(source, tmp_path: Path, proxy):
    def shout(log: dict) -> dict:
        loud = {name: "0x" + log[name][2:].upper() for name in ("blockHash", "transactionHash")}
        return log | loud | {"address": "0x" + log["address"][2:].upper()}

    proxy.changes = of_logs(lambda logs: [shout(log) for log in logs])
    reading = Reading(source, tmp_path, proxy.url)
    source.emit(2)
    reading.catch_up()
    reading.check()
    reading.close()


def test_failure_14_logs_in_any_order_are_right(source, tmp_path: Path, proxy):
    proxy.changes = of_logs(lambda logs: logs[::-1])
    for near in (128, 0):
        reading = Reading(source, tmp_path / str(near), proxy.url, near=near)
        source.emit(5)
        source.emit(5)
        reading.catch_up()
        reading.check()
        reading.close()
