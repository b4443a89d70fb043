"""Transactions leave once, whatever crashes, is lost, is reorganised or becomes too dear."""

from typing import Any

import pytest

from headrace.chain.fees import ANY, GWEI, Fees, Kind
from headrace.chain.outbox import Deferred, Outbox
from headrace.chain.sender import MAX_PENDING, Sender, read_receipt
from headrace.errors import Rejected, RetryLater, Unreachable, UsageError
from tests.offchain.chain.till import CHAIN_ID, OTHER, Bench, Crash


def test_a_transaction_goes_from_open_over_mined_to_done(bench):
    tx = bench.sender.submit("drip:1", bench.token.drip(5))
    assert (tx.state, tx.nonce, tx.what) == ("open", 0, "FaucetToken.drip")
    assert bench.sender.settle() == []
    bench.mine()
    (mined,) = bench.sender.settle()
    assert (mined.state, mined.is_success, mined.is_pending) == ("mined", True, False)
    bench.mine(2)
    (done,) = bench.sender.settle()
    assert done.state == "done"
    assert bench.balance == 5
    receipt = read_receipt(bench.rpc, done.mined_tx)
    assert (receipt.block_number, len(receipt.logs)) == (done.mined_in, 1)
    assert receipt.fee >= receipt.gas_used * GWEI


def test_an_action_under_way_or_not_final_is_not_sent_again(bench):
    first = bench.sender.submit("drip:1", bench.token.drip(5))
    assert bench.sender.submit("drip:1", bench.token.drip(7)).id == first.id
    bench.mine()
    bench.sender.settle()
    assert bench.start().submit("drip:1", bench.token.drip(7)).id == first.id
    bench.mine(2)
    bench.sender.settle()
    assert bench.sender.submit("drip:1", bench.token.drip(7)).id != first.id
    bench.mine()
    assert (bench.balance, bench.nonce) == (12, 2)


def test_an_action_that_is_mined_is_a_success_although_it_would_revert_now(bench):
    bench.sender.send("drip", bench.token.drip(5))
    call = bench.token.transfer(OTHER, 5)
    first = bench.sender.submit("away", call)
    bench.mine()
    bench.sender.settle()
    assert bench.sender.submit("away", call).id == first.id
    assert len(bench.sender.send("away", call).logs) == 1
    bench.mine(2)
    bench.sender.settle()
    with pytest.raises(Rejected, match="exceeds balance"):
        bench.sender.submit("away", call)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("error", [Crash, Unreachable])
def test_what_is_on_disk_is_sent_once_although_sending_was_cut(bench, when, error):
    bench.rpc.cut = (when, "eth_sendRawTransaction", error)
    try:
        tx = bench.sender.submit("drip:1", bench.token.drip(5))
    except Crash:
        tx = bench.start()._outbox.of_action("drip:1")
    assert tx.state == "open"
    restarted = bench.start()
    assert restarted.submit("drip:1", bench.token.drip(5)).id == tx.id
    restarted.settle()
    bench.mine()
    assert [tx.state for tx in restarted.settle()] == ["mined"]
    assert (bench.balance, bench.nonce) == (5, 1)
    assert len(set(bench.rpc.raws)) == 1


def test_a_crash_at_any_request_neither_loses_nor_repeats(bench):
    for crash_at in range(12):
        before = bench.balance
        bench.rpc.requests, bench.rpc.crash_at = 0, crash_at
        for _ in range(6):
            try:
                # As a daemon does: first see how things stand, then do what is left.
                sender = bench.start(confirmations=0)
                sender.settle()
                tx = sender._outbox.of_action(f"drip:{crash_at}")
                if tx is not None and tx.state == "done":
                    break
                sender.submit(f"drip:{crash_at}", bench.token.drip(1))
                sender.settle()
                bench.mine()
            except Crash:
                bench.rpc.crash_at = -1
        bench.rpc.crash_at = -1
        assert bench.balance == before + 1, crash_at
    assert bench.nonce == 12


def test_a_call_that_would_revert_is_refused_before_anything_is_signed(bench):
    with pytest.raises(Rejected, match="erc20: transfer amount exceeds balance"):
        bench.sender.submit("t", bench.token.transfer(OTHER, 1))
    assert bench.sender._outbox.of_action("t") is None
    assert bench.rpc.raws == []


def test_a_lost_race_is_told_with_its_reason(bench):
    bench.sender.send("drip", bench.token.drip(100))
    before = bench.token.balance_of(OTHER)
    first = bench.sender.submit("a", bench.token.transfer(OTHER, 100))
    second = bench.sender.submit("b", bench.token.transfer(OTHER, 100))
    bench.mine()
    bench.sender.settle()
    assert bench.sender.wait(first).logs
    with pytest.raises(Rejected, match="erc20: transfer amount exceeds balance"):
        bench.sender.wait(second)
    assert bench.token.balance_of(OTHER) == before + 100
    # Its end is known: the action may be tried again, and is refused by simulation now.
    with pytest.raises(Rejected):
        bench.sender.submit("b", bench.token.transfer(OTHER, 100))


def test_running_out_of_gas_is_told(bench):
    tx = bench.sender.submit("drip", bench.token.drip(5), gas=30_000)
    with pytest.raises(Rejected, match="out of gas"):
        bench.sender.wait(tx)


def test_a_reorganisation_takes_it_out_and_it_goes_in_again(bench):
    tx = bench.sender.submit("drip", bench.token.drip(5))
    bench.mine()
    assert [tx.state for tx in bench.sender.settle()] == ["mined"]
    bench.anvil.rpc("anvil_reorg", 1, [])
    bench.anvil.rpc("anvil_dropAllTransactions")
    assert bench.balance == 0
    assert [tx.state for tx in bench.start().settle()] == ["open"]
    assert bench.sender._outbox.get(tx.id).is_pending
    bench.mine()
    assert [tx.state for tx in bench.sender.settle()] == ["mined"]
    assert (bench.balance, len(set(bench.rpc.raws))) == (5, 1)


def test_dropped_bytes_are_sent_again_every_few_blocks(bench):
    bench.sender.submit("drip", bench.token.drip(5))
    bench.anvil.rpc("anvil_dropAllTransactions")
    bench.mine()
    bench.sender.settle()
    assert len(bench.rpc.raws) == 1
    bench.mine()
    bench.sender.settle()
    assert (len(bench.rpc.raws), len(set(bench.rpc.raws))) == (2, 1)
    bench.mine()
    bench.sender.settle()
    assert bench.balance == 5


def fees_of(sender: Sender, action: str) -> list[tuple[int, int]]:
    tx = sender._outbox.of_action(action)
    return [(a.max_fee, a.priority_fee) for a in sender._outbox.attempts(tx.id)]


def test_a_stuck_one_is_replaced_at_an_eighth_more(bench):
    sender = bench.start(fees=Fees(stuck_blocks=2))
    sender.submit("drip", bench.token.drip(5))
    bench.anvil.rpc("anvil_dropAllTransactions")
    bench.mine(2)
    sender.settle()
    (old_max, old_tip), (new_max, new_tip) = fees_of(sender, "drip")
    assert new_max * 8 >= old_max * 9
    assert new_tip * 8 >= old_tip * 9
    bench.mine()
    sender.settle()
    assert (bench.balance, bench.nonce) == (5, 1)


def test_a_rise_of_the_base_fee_is_followed_at_once_up_to_the_cap(bench):
    sender = bench.start(fees=Fees(cap=50 * GWEI))
    sender.submit("drip", bench.token.drip(5))
    bench.base_fee(20 * GWEI)
    bench.mine()
    assert bench.balance == 0
    sender.settle()
    assert fees_of(sender, "drip")[-1][0] > 20 * GWEI
    bench.base_fee(60 * GWEI)
    bench.mine()
    for _ in range(3):
        sender.settle()
    highest = fees_of(sender, "drip")[-1][0]
    assert highest <= 50 * GWEI
    with pytest.raises(RetryLater, match="the cap is 50"):
        sender.submit("other", bench.token.drip(1))
    for _ in range(4):
        bench.base_fee(GWEI)
        bench.mine()
        sender.settle()
    assert (bench.balance, bench.nonce) == (5, 1)


def test_what_became_invalid_while_it_waited_is_replaced_by_nothing(bench, anvil, token, tmp_path):
    owner = Bench(anvil, token, tmp_path / "owner")
    owner.sender.send("drip", owner.token.drip(100))
    owner.sender.send("approve", owner.token.approve(bench.key.address, 100))
    bench.mine()
    sender = bench.start(fees=Fees(stuck_blocks=2))
    call = bench.token.call("transferFrom", owner.key.address, OTHER, 100)
    tx = sender.submit("take", call)
    anvil.rpc("anvil_dropAllTransactions")
    owner.sender.send("away", owner.token.transfer(OTHER, 100))
    bench.mine(2)
    with pytest.raises(Rejected, match="became invalid"):
        sender.wait(tx)
    ended = sender._outbox.get(tx.id)
    assert ended.state == "empty"
    assert read_receipt(bench.rpc, ended.mined_tx).gas_used == 21_000
    assert bench.nonce == 1
    sender.send("drip", bench.token.drip(3))
    assert bench.balance == 3


def test_a_nonce_used_elsewhere_is_given_up_and_the_next_one_taken(bench):
    bench.rpc.cut = ("before", "eth_sendRawTransaction", Unreachable)
    tx = bench.sender.submit("drip", bench.token.drip(5))
    foreign, _ = bench.key.sign_transaction(
        {
            "type": 2,
            "chainId": CHAIN_ID,
            "nonce": 0,
            "to": OTHER,
            "value": 0,
            "gas": 21_000,
            "maxFeePerGas": 10 * GWEI,
            "maxPriorityFeePerGas": GWEI,
        }
    )
    bench.anvil.rpc("eth_sendRawTransaction", "0x" + foreign.hex())
    bench.mine()
    assert [tx.state for tx in bench.sender.settle()] == ["lost"]
    with pytest.raises(RetryLater, match="another program sends with this key"):
        bench.sender.wait(tx)
    assert bench.sender.submit("drip", bench.token.drip(5)).nonce == 1
    bench.mine()
    bench.sender.settle()
    assert bench.balance == 5


def test_receipts_that_lag_behind_the_nonce_are_waited_for(bench):
    patient = bench.start(lost_after=60.0)
    bench.rpc.cut = ("before", "eth_sendRawTransaction", Unreachable)
    patient.submit("drip", bench.token.drip(5))
    bench.anvil.rpc("anvil_setNonce", bench.key.address, "0x1")
    bench.mine()
    assert patient.settle() == []
    assert patient._outbox.of_action("drip").state == "open"


def test_processes_that_share_a_key_share_its_nonces(bench):
    one, two = bench.start(), bench.start()
    nonces = [
        sender.submit(f"drip:{number}", bench.token.drip(1)).nonce
        for number, sender in enumerate([one, two, one, two])
    ]
    assert nonces == [0, 1, 2, 3]
    assert one.submit("drip:1", bench.token.drip(1)).nonce == 1
    bench.mine()
    assert len(two.settle()) == 4
    assert one.settle() == []
    assert bench.balance == 4


def test_no_more_than_a_node_keeps_is_under_way(bench):
    for number in range(MAX_PENDING):
        bench.sender.submit(f"drip:{number}", bench.token.drip(1))
    with pytest.raises(RetryLater, match="16 transactions"):
        bench.sender.submit("one more", bench.token.drip(1))
    bench.mine()
    bench.sender.settle()
    assert bench.balance == MAX_PENDING


def test_an_account_without_money_says_so(bench):
    bench.anvil.rpc("anvil_setBalance", bench.key.address, "0x0")
    with pytest.raises(RetryLater, match="not enough money for gas"):
        bench.sender.submit("drip", bench.token.drip(1))


def test_waiting_ends(bench):
    idle = bench.start(sleep=lambda seconds: None)
    tx = idle.submit("drip", bench.token.drip(1))
    with pytest.raises(RetryLater, match="not in a block after"):
        idle.wait(tx, timeout=0.05)


def test_an_outbox_of_another_key_or_chain_is_refused(bench):
    for changes in ({"address": OTHER}, {"chain_id": 1}):
        identity = {"address": bench.key.address, "chain_id": CHAIN_ID} | changes
        with pytest.raises(UsageError, match=f"is of key {bench.key.address} on chain {CHAIN_ID}"):
            Outbox(bench.folder / "outbox.sqlite", **identity)


def test_signed_bytes_are_on_disk_before_they_are_sent(bench):
    seen: list[int] = []
    outbox_path = bench.folder / "outbox.sqlite"
    send = bench.rpc._post

    def spy(body: Any, *, may_repeat: bool) -> Any:
        if isinstance(body, dict) and body["method"] == "eth_sendRawTransaction":
            with_others = Outbox(outbox_path, chain_id=CHAIN_ID, address=bench.key.address)
            (tx,) = with_others.unsettled()
            seen.append(len(with_others.attempts(tx.id)))
        return send(body, may_repeat=may_repeat)

    bench.rpc._post = spy
    bench.sender.submit("drip", bench.token.drip(1))
    assert seen == [1]


# ---- what a key can pay


def test_the_means_are_what_is_not_spoken_for(bench: Bench):
    bench.anvil.rpc("anvil_setBalance", bench.key.address, hex(10**18))
    before = bench.sender.means()
    assert before.left == 10**18
    head = bench.rpc.head()
    tip = int(bench.rpc.call("eth_maxPriorityFeePerGas"), 16)
    # Good while the base fee doubles, and then for the offer that is made at twice of it.
    assert before.price == 4 * head.base_fee + tip
    tx = bench.sender.submit("drip:1", bench.token.drip(5))
    at_stake = bench.sender._outbox.at_stake()
    assert at_stake >= tx.gas * GWEI
    assert bench.sender.means().left == 10**18 - at_stake


def test_the_days_budget_bounds_the_means(bench: Bench):
    sender = bench.start(fees=Fees(daily_budget=10**17))
    assert sender.means().left == 10**17
    sender.submit("drip:1", bench.token.drip(5))
    assert sender.means().left == 10**17 - sender._outbox.at_stake()
    bench.mine()
    (mined,) = sender.settle()
    assert sender.means().left == 10**17 - mined.fee


def test_a_price_above_the_cap_is_none(bench: Bench):
    base, tip = bench.rpc.head().base_fee, int(bench.rpc.call("eth_maxPriorityFeePerGas"), 16)
    cap = 2 * base + tip
    assert bench.start(fees=Fees(cap=cap)).means().price == cap
    with pytest.raises(Deferred):
        bench.start(fees=Fees(cap=cap - 1)).means()


def test_the_gas_of_a_call_is_its_limit_or_its_kinds_ceiling(bench: Bench):
    call = bench.token.drip(5)
    expected = bench.sender.gas_of(call)
    assert bench.sender.submit("drip:1", call).gas == expected < 200_000
    ceiling = bench.start(fees=Fees(kind_of=lambda what: Kind(gas_ceiling=30_000)))
    assert ceiling.gas_of(call) == 30_000
    # It would revert.
    assert bench.sender.gas_of(bench.token.transfer(OTHER, 10**30)) == ANY.gas_ceiling
