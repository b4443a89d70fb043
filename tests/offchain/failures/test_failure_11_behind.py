"""Failure 11: a provider behind by N blocks. Late is not rewritten: nothing is undone for it."""

from pathlib import Path

import pytest

from headrace.errors import RetryLater
from tests.misbehaving_rpc import Behind, Proxy
from tests.offchain.failures.follow import Reading, proxy, source

__all__ = ["proxy", "source"]


@pytest.mark.parametrize("behind", [1, 7, 70])
def test_failure_11_nothing_is_undone(source, tmp_path: Path, proxy, behind: int):
    reading = Reading(source, tmp_path, proxy.url)
    for salt in range(20):
        source.emit(1, salt)
        source.mine(4)
    reading.catch_up()
    before, cursor = reading.rows, reading.db.cursor()
    proxy.changes = Behind(proxy, source.head() - behind)
    for _ in range(20):
        with pytest.raises(RetryLater, match=f"it was at {source.head()} before"):
            reading.step()
    assert (reading.rows, reading.db.cursor()) == (before, cursor)
    assert reading.follower.counters.reorganisations == 0
    assert reading.follower.counters.behind == 20
    proxy.heal()
    source.emit(2, 99)
    reading.catch_up()
    reading.check()
    reading.close()


@pytest.mark.parametrize("patience", [1, 4])
def test_failure_11_switches_after_some_polls(source, tmp_path: Path, proxy, patience: int):
    reading = Reading(source, tmp_path, proxy.url, source.url, patience=patience)
    source.emit(2)
    reading.catch_up()
    proxy.changes = Behind(proxy, source.head() - 1)
    source.emit(2)
    for _ in range(patience):
        assert reading.rpc.host in proxy.url
        with pytest.raises(RetryLater):
            reading.step()
    assert reading.rpc.host in source.url
    assert reading.step().is_caught_up
    reading.check()
    reading.close()


def test_failure_11_a_node_that_stays_on_a_dead_branch_is_not_followed(source, tmp_path: Path):
    # Two anvils of one chain: the first one doesn't get the last blocks and makes its own.
    with Proxy(source.url) as lost:
        reading = Reading(source, tmp_path, lost.url, source.url, patience=2)
        for salt in range(6):
            source.emit(1, salt)
        reading.catch_up()
        before = reading.rows
        at = source.head()
        behind = Behind(lost, at - 1)

        def own_branch(method, params, answer):
            answer = behind(method, params, answer)
            block = answer.get("result")
            if method == "eth_getBlockByNumber" and block and int(block["number"], 16) >= at - 3:
                block = block | {name: "0x55" + block[name][4:] for name in ("hash",)}
            return answer | {"result": block} if "result" in answer else answer

        lost.changes = own_branch
        for _ in range(2):
            with pytest.raises(RetryLater, match="another one still has"):
                reading.step()
        assert reading.rows == before
        source.emit(1, 50)
        assert reading.step().is_caught_up
        assert reading.follower.counters.reorganisations == 0
        reading.check()
        reading.close()


def test_failure_11_both_nodes_have_rewritten(source, tmp_path: Path, proxy):
    reading = Reading(source, tmp_path, proxy.url, source.url)
    for salt in range(6):
        source.emit(1, salt)
    reading.catch_up()
    source.reorganise(3, [(2, 9, 0)])
    reading.step()
    assert reading.follower.counters.reorganisations == 1
    reading.catch_up()
    reading.check()
    reading.close()
