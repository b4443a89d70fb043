"""Failure 1: the process is killed when the bytes are on disk and nobody has heard of them."""

from tests.offchain.chain.till import Bench
from tests.offchain.failures.office import employ, until
from tests.task_list import Office


def test_failure_01_stored_bytes_are_sent_at_the_next_start(bench: Bench, office: Office, tmp_path):
    clerk = employ(office, tmp_path / "clerk")
    office.post(1)
    assert clerk.start(dies="before").ended() == -9
    with clerk.book() as book:
        (tx,) = book.unsettled()
        (attempt,) = book.attempts(tx.id)
    assert (tx.action, tx.state) == ("perform:1", "open")
    assert office.anvil.rpc("eth_getTransactionByHash", "0x" + attempt.hash.hex()) is None
    clerk.start()
    sent = "0x" + attempt.hash.hex()
    until(lambda: office.anvil.rpc("eth_getTransactionByHash", sent) is not None)
    bench.mine()
    until(lambda: clerk.saw(office.anvil.rpc("eth_getBlockByNumber", "latest", False)["hash"]))
    bench.mine(2)
    until(lambda: clerk.saw(office.anvil.rpc("eth_getBlockByNumber", "latest", False)["hash"]))
    clerk.stop()
    assert office.tasks.times(1) == 1
    assert bench.rpc.nonce(clerk.key.address) == 1
    with clerk.book() as book:
        assert len(book.attempts(tx.id)) == 1
        assert book.get(tx.id).is_final
