"""Failure 13: too many results, or too wide a range: halved, to one block, to its receipts."""

from pathlib import Path

import pytest

from headrace.chain.rpc import NodeError, TooLarge
from tests.misbehaving_rpc import both, error_for, too_many
from tests.offchain.failures.follow import Reading, proxy, source

__all__ = ["proxy", "source"]


@pytest.mark.parametrize("near", [128, 0], ids=["head", "range"])
@pytest.mark.parametrize("limit", [1, 4, 30])
def test_failure_13_every_log_through_a_small_window(
    source, tmp_path: Path, proxy, near: int, limit: int
):
    reading = Reading(source, tmp_path, proxy.url, near=near)
    proxy.changes = too_many(limit)
    for salt, count in enumerate((3, 0, 25, 1, 5, 2, 0, 1)):
        source.emit(count, salt)
        source.mine(5)
    reading.catch_up()
    reading.check()
    # Blocks above the limit come from their receipts, the others don't.
    above = sum(count > limit for count in (3, 0, 25, 1, 5, 2, 0, 1))
    assert proxy.seen["eth_getBlockReceipts"] == above
    reading.close()


@pytest.mark.parametrize(
    "said",
    [
        "query returned more than 10000 results",
        "eth_getLogs is limited to a 5 range",
        "exceed maximum block range: 5",
        "Log response size exceeded",
        "query timeout exceeded",
        "too many results, try a smaller range",
        "nobody knows why",
    ],
)
def test_failure_13_however_it_is_worded(source, tmp_path: Path, proxy, said: str):
    reading = Reading(source, tmp_path, proxy.url, near=0)

    def narrow(method, params, answer):
        if method == "eth_getLogs":
            wanted = params[0]
            if int(wanted["toBlock"], 16) - int(wanted["fromBlock"], 16) >= 5:
                error = {"code": -32000, "message": said}
                return {"jsonrpc": "2.0", "id": answer["id"], "error": error}
        return answer

    proxy.changes = narrow
    source.emit(2)
    source.mine(60)
    reading.catch_up()
    reading.check()
    reading.close()


def test_failure_13_without_receipts_there_is_a_clear_end(source, tmp_path: Path, proxy):
    reading = Reading(source, tmp_path, proxy.url, near=0)
    proxy.changes = both(too_many(1), error_for("eth_getBlockReceipts", -32601, "no such method"))
    source.emit(3)
    with pytest.raises(NodeError, match="no such method") as caught:
        reading.catch_up()
    assert not isinstance(caught.value, TooLarge)
    assert reading.rows == []
    # Another node, or another day.
    proxy.heal()
    reading.catch_up()
    reading.check()
    reading.close()
