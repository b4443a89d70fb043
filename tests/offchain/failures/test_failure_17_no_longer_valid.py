"""Failure 17: while it waits, somebody else does it: 21,000 gas for nothing, not a revert."""

from headrace.chain.fees import GWEI, Fees
from headrace.chain.sender import read_receipt
from tests.offchain.chain.till import Bench
from tests.task_list import Office


def rival(bench: Bench, office: Office, task: int) -> None:
    """Somebody else performs it, in the next block."""
    office.send("perform", task)
    bench.mine()


def test_failure_17_it_is_simulated_before_it_is_sent_again(bench: Bench, office: Office):
    office.post(1)
    tx = bench.sender.submit("perform:1", office.tasks.perform(1))
    bench.anvil.rpc("anvil_dropAllTransactions")
    rival(bench, office, 1)
    bench.rpc.raws.clear()
    bench.mine(2)
    bench.sender.settle()
    # Not the call again: a transaction to itself took its place.
    attempts = bench.sender._outbox.attempts(tx.id)
    assert [attempt.is_empty for attempt in attempts] == [False, True]
    assert bench.rpc.raws == ["0x" + attempts[1].raw.hex()]
    assert attempts[1].max_fee * 8 >= attempts[0].max_fee * 9
    bench.mine()
    bench.sender.settle()
    ended = bench.sender._outbox.get(tx.id)
    assert (ended.state, ended.reason) == ("empty", "became invalid")
    receipt = read_receipt(bench.rpc, ended.mined_tx)
    assert receipt.gas_used == 21_000
    assert bench.rpc.receipt(ended.mined_tx)["status"] == "0x1"
    assert (office.tasks.times(1), bench.nonce) == (1, 1)


def test_failure_17_the_same_after_a_restart(bench: Bench, office: Office):
    office.post(2)
    tx = bench.sender.submit("perform:2", office.tasks.perform(2))
    bench.anvil.rpc("anvil_dropAllTransactions")
    rival(bench, office, 2)
    restarted = bench.start()
    restarted.settle()
    bench.mine()
    restarted.settle()
    assert restarted._outbox.get(tx.id).state == "empty"


def test_failure_17_it_is_not_sent_again_even_where_a_replacement_is_too_dear(
    bench: Bench, office: Office
):
    sender = bench.start(fees=Fees(cap=3 * GWEI))
    office.post(6)
    bench.base_fee(GWEI)
    bench.mine()
    tx = sender.submit("perform:6", office.tasks.perform(6))
    bench.anvil.rpc("anvil_dropAllTransactions")
    rival(bench, office, 6)
    bench.rpc.raws.clear()
    for _ in range(5):
        bench.base_fee(GWEI)
        bench.mine()
        sender.settle()
    assert bench.rpc.raws == []
    assert len(sender._outbox.attempts(tx.id)) == 1


def test_failure_17_what_follows_in_the_queue_is_not_held_up(bench: Bench, office: Office):
    office.post(3, 4)
    first = bench.sender.submit("perform:3", office.tasks.perform(3))
    second = bench.sender.submit("perform:4", office.tasks.perform(4))
    bench.anvil.rpc("anvil_dropAllTransactions")
    rival(bench, office, 3)
    bench.mine(2)
    for _ in range(2):
        bench.sender.settle()
        bench.mine()
    bench.sender.settle()
    states = [bench.sender._outbox.get(tx.id).state for tx in (first, second)]
    assert states == ["empty", "mined"]
    assert office.tasks.times(4) == 1


def test_failure_17_a_reorganisation_takes_the_task_itself_away(bench: Bench, office: Office):
    """The raw bytes were in the pool when the job went: they must not burn gas in a revert."""
    office.post(5)
    bench.mine()
    sender, outbox = bench.sender, bench.sender._outbox
    tx = sender.submit("perform:5", office.tasks.perform(5))
    bench.mine()
    sender.settle()
    assert outbox.get(tx.id).state == "mined"
    # The block with the task and those after it go; the task is not posted again.
    office.anvil.rpc("anvil_reorg", 3, [])
    office.anvil.rpc("anvil_dropAllTransactions")
    sender.settle()
    bench.mine()
    sender.settle()
    assert outbox.get(tx.id).state == "empty"
    # It comes back, and the action with it.
    office.post(5)
    again = sender.submit("perform:5", office.tasks.perform(5))
    assert again.id != tx.id
    bench.mine()
    sender.settle()
    assert (outbox.get(again.id).state, office.tasks.times(5)) == ("mined", 1)
