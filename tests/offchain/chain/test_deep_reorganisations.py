"""Reorganisations deeper than what a key takes for final: nothing waits on, nobody is a thief."""

from headrace.chain.sender import Sender
from tests.offchain.chain.till import Bench


def take_out(bench: Bench, since: int) -> None:
    """All blocks after `since` are empty ones now, and the pool has lost everything."""
    bench.anvil.rpc("anvil_reorg", bench.rpc.head().number - since, [])
    bench.anvil.rpc("anvil_dropAllTransactions")


def start(bench: Bench) -> tuple[Sender, int]:
    """A daemon's sender that takes the second block for final, and the block before its first."""
    bench.mine()
    sender = bench.start(is_unattended=True, confirmations=1)
    return sender, bench.rpc.head().number


def settle(bench: Bench, sender: Sender, blocks: int) -> None:
    for _ in range(blocks):
        sender.settle()
        bench.mine()
    sender.settle()


def finalise(bench: Bench, sender: Sender, *actions: str) -> None:
    for action in actions:
        sender.submit(action, bench.token.drip(1))
    settle(bench, sender, 3)
    assert sender._outbox.unfinished() == []


def test_what_was_final_is_done_again_with_the_same_bytes_where_something_waits_behind_it(
    bench: Bench,
):
    sender, since = start(bench)
    finalise(bench, sender, "a", "b")
    waiting = sender.submit("c", bench.token.drip(1))
    before = list(bench.rpc.raws)
    take_out(bench, since)
    assert (bench.nonce, bench.balance) == (waiting.nonce - 2, 0)
    settle(bench, sender, 12)
    assert (bench.nonce, bench.balance) == (waiting.nonce + 1, 3)
    assert set(bench.rpc.raws) == set(before)
    box = sender._outbox
    assert [box.of_action(action).state for action in "abc"] == ["done"] * 3
    assert (box.unfinished(), box.latched()) == ([], None)


def test_a_node_that_is_behind_takes_nothing_back(bench: Bench):
    sender, _ = start(bench)
    finalise(bench, sender, "a")
    waiting = sender.submit("b", bench.token.drip(1))
    box = sender._outbox
    mined_in = box.of_action("a").mined_in
    assert mined_in is not None
    box.take_back(waiting.nonce - 1, mined_in - 1)
    assert [tx.action for tx in box.unfinished()] == ["b"]
    # Nor does a count that holds all that is final.
    box.take_back(waiting.nonce, mined_in)
    assert [tx.action for tx in box.unfinished()] == ["b"]
    box.take_back(waiting.nonce - 1, mined_in)
    assert [tx.action for tx in box.unfinished()] == ["a", "b"]


def test_own_bytes_that_come_back_are_no_stranger(bench: Bench):
    sender, since = start(bench)
    finalise(bench, sender, "old")
    old = bench.rpc.raws[-1]
    take_out(bench, since)
    tx = sender.submit("next", bench.token.drip(5))
    assert tx.nonce == bench.nonce
    bench.anvil.rpc("anvil_dropAllTransactions")
    bench.anvil.rpc("eth_sendRawTransaction", old)
    bench.mine()
    sender.settle()
    assert sender._outbox.latched() is None
    after = sender._outbox.get(tx.id)
    assert (after.state, after.reason) == (
        "lost",
        "an earlier transaction of this key has the nonce again",
    )
    # What it was for is free to be decided again.
    again = sender.submit("next", bench.token.drip(5))
    assert again.nonce == tx.nonce + 1
    settle(bench, sender, 3)
    assert (sender._outbox.of_action("next").state, bench.balance) == ("done", 6)
    sender.look_for_strangers(bench.rpc.head())
    assert sender._outbox.latched() is None


def test_of_two_that_had_a_nonce_the_later_one_is_taken_back(bench: Bench):
    sender, since = start(bench)
    finalise(bench, sender, "old")
    take_out(bench, since)
    finalise(bench, sender, "new")
    box = sender._outbox
    first, second = box.of_action("old"), box.of_action("new")
    assert (first.nonce, first.is_final) == (second.nonce, second.is_final)
    sender.submit("behind", bench.token.drip(1))
    take_out(bench, since)
    settle(bench, sender, 12)
    assert box.unfinished() == []
    assert (box.of_action("new").state, box.of_action("behind").state) == ("done", "done")
    assert (bench.balance, box.latched()) == (2, None)
