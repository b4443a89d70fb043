"""Failure 2: the process is killed when the node has the bytes and before its answer is known."""

import pytest

from tests.offchain.chain.till import Bench
from tests.offchain.failures.office import employ, until
from tests.task_list import Office


@pytest.mark.parametrize("is_mined", [False, True], ids=["in the pool", "in a block"])
def test_failure_02_the_same_transaction_goes_on(
    bench: Bench, office: Office, tmp_path, is_mined: bool
):
    clerk = employ(office, tmp_path / "clerk")
    office.post(1)
    assert clerk.start(dies="after").ended() == -9
    assert bench.rpc.nonce(clerk.key.address, "pending") == 1
    if is_mined:
        bench.mine()
        assert office.tasks.times(1) == 1
    clerk.start()
    for _ in range(4):
        head = office.anvil.rpc("eth_getBlockByNumber", "latest", False)["hash"]
        until(lambda head=head: clerk.saw(head))
        bench.mine()
    clerk.stop()
    assert office.tasks.times(1) == 1
    assert bench.rpc.nonce(clerk.key.address, "pending") == 1
    with clerk.book() as book:
        assert book.unsettled() == []
        assert book.of_action("perform:1").state == "done"
