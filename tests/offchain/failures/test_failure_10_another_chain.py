"""Failure 10: a node of another chain, at the start or later, is put aside; nothing is signed."""

from pathlib import Path

import pytest

from headrace.chain.abi import Call
from headrace.chain.accounts import Key
from headrace.chain.endpoints import connect
from headrace.chain.outbox import Outbox
from headrace.chain.sender import Sender
from headrace.errors import UsageError
from tests.misbehaving_rpc import Proxy, hang_up, of_blocks, result_of
from tests.offchain.failures.follow import Reading, proxy, source

__all__ = ["proxy", "source"]


def other_genesis(block: dict) -> dict:
    return block | {"hash": "0x" + "66" * 32} if block["number"] == "0x0" else block


WRONG = [result_of("eth_chainId", "0x1"), of_blocks(other_genesis)]


@pytest.mark.parametrize("wrong", WRONG, ids=["chain id", "genesis"])
def test_failure_10_at_the_start_the_right_one_is_taken(source, tmp_path: Path, proxy, wrong):
    proxy.changes = wrong
    reading = Reading(source, tmp_path, proxy.url, source.url)
    source.emit(2)
    reading.catch_up()
    reading.check()
    # Asked once who it is, and never for anything else.
    assert set(proxy.seen) == {"eth_chainId", "eth_getBlockByNumber"}
    assert proxy.posts == 1
    reading.close()


@pytest.mark.parametrize("wrong", WRONG, ids=["chain id", "genesis"])
def test_failure_10_on_fail_over_the_wrong_one_is_skipped(source, tmp_path: Path, proxy, wrong):
    proxy.changes = wrong
    with Proxy(source.url) as first:
        reading = Reading(source, tmp_path, first.url, proxy.url, source.url)
        source.emit(2)
        reading.catch_up()
        first.fails = hang_up
        source.emit(2)
        reading.catch_up()
        reading.check()
        assert reading.rpc.host in source.url
        reading.close()


def test_failure_10_a_node_that_comes_back_as_another_chain(source, tmp_path: Path, proxy):
    reading = Reading(source, tmp_path, proxy.url)
    source.emit(2)
    reading.catch_up()
    before = reading.rows
    proxy.fails = hang_up
    with pytest.raises(Exception, match="can't be reached"):
        reading.step()
    proxy.heal()
    proxy.changes = WRONG[0]
    with pytest.raises(UsageError, match=f"serves chain 1, not {source.chain_id}"):
        reading.step()
    assert reading.rows == before
    reading.close()


@pytest.mark.parametrize("wrong", WRONG, ids=["chain id", "genesis"])
def test_failure_10_nothing_is_signed_for_it(source, tmp_path: Path, proxy, wrong):
    proxy.changes = wrong
    key = Key.of(bytes(31) + b"\x09")
    outbox = Outbox(tmp_path / "outbox.db", chain_id=source.chain_id, address=key.address)
    rpc = connect(proxy.url, chain_id=source.chain_id, genesis=source.genesis)
    sender = Sender(rpc, key, outbox, chain_id=source.chain_id)
    with pytest.raises(UsageError, match="serves"):
        sender.submit("act:1", Call(source.address, b"", "Emitter.nothing"))
    assert outbox.of_action("act:1") is None
    assert proxy.seen["eth_sendRawTransaction"] == 0
    outbox.close()
    rpc.close()


def test_failure_10_no_secret_of_a_url_is_shown(source, tmp_path: Path, proxy, caplog):
    proxy.changes = WRONG[0]
    rpc = connect(f"{proxy.url}/v3/S3CRET, {proxy.url}/S3CRET", chain_id=source.chain_id)
    with pytest.raises(UsageError) as caught:
        rpc.head()
    assert "S3CRET" not in f"{caught.value} {rpc!r} {caplog.text}"
