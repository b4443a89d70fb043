"""What is under way is looked after until its block is final: no gap, no waste."""

import logging

import pytest

from headrace.chain.fees import GWEI, Fees, Kind
from headrace.chain.outbox import Deferred, ForeignNonce
from headrace.chain.sender import MAX_PENDING, Sender
from headrace.errors import Rejected
from tests.offchain.chain.till import CHAIN_ID, OTHER, Bench
from tests.task_list import Office

ORDINARY = Kind(gas_ceiling=1_000_000)
SAFETY = Kind(gas_ceiling=1_000_000, is_safety=True)


def kinds(what: str) -> Kind:
    """Drips are ordinary, everything else may not wait."""
    return ORDINARY if what == "FaucetToken.drip" else SAFETY


def policy(**options: int) -> Fees:
    given = {"reserve": 0, "daily_budget": 10**18} | options
    return Fees.unattended(given.pop("cap", 100 * GWEI), kinds, **given)  # type: ignore[arg-type]


def attempts(sender: Sender, action: str):
    return sender._outbox.attempts(sender._outbox.of_action(action).id)


def take_out(bench: Bench, blocks: int = 1) -> None:
    """A reorganisation whose blocks are empty; the pool has lost everything too."""
    bench.anvil.rpc("anvil_reorg", blocks, [])
    bench.anvil.rpc("anvil_dropAllTransactions")


def test_the_nonce_of_a_failure_that_was_taken_out_is_used_up(bench: Bench):
    bench.sender.send("drip", bench.token.drip(100))
    first = bench.sender.submit("a", bench.token.transfer(OTHER, 100))
    second = bench.sender.submit("b", bench.token.transfer(OTHER, 100))
    bench.mine()
    bench.sender.settle()
    assert [bench.sender._outbox.get(tx.id).state for tx in (first, second)] == [
        "mined",
        "reverted",
    ]
    # The failed action is free, and what comes next takes the next nonce.
    third = bench.sender.submit("c", bench.token.drip(1))
    assert third.nonce == second.nonce + 1
    take_out(bench)
    for _ in range(8):
        bench.sender.settle()
        bench.mine()
    bench.sender.settle()
    states = [bench.sender._outbox.get(tx.id).state for tx in (first, second, third)]
    assert states == ["done", "empty", "done"]
    assert bench.sender._outbox.unfinished() == []
    assert (bench.balance, bench.nonce) == (1, 4)


def test_a_failure_that_succeeds_in_another_block_counts_as_done(bench: Bench, office: Office):
    office.post(1)
    tx = bench.sender.submit("task", office.tasks.perform(1))
    # In the same block, and before it.
    office.send("set_mood", True, False, 0, tip=5 * GWEI)
    bench.mine()
    bench.sender.settle()
    found = bench.sender._outbox.get(tx.id)
    assert found.state == "reverted"
    assert found.reason == "tasks: stopped"
    bench.anvil.rpc("anvil_reorg", 1, [["0x" + attempts(bench.sender, "task")[0].raw.hex(), 0]])
    bench.sender.settle()
    assert bench.sender._outbox.get(tx.id).state == "done"
    bench.mine(2)
    bench.sender.settle()
    assert bench.sender._outbox.get(tx.id).is_final
    assert office.tasks.times(1) == 1


def test_nothing_is_final_before_its_depth(bench: Bench):
    sender = bench.start(confirmations=3)
    tx = sender.submit("drip", bench.token.drip(5))
    bench.mine(3)
    sender.settle()
    assert not sender._outbox.get(tx.id).is_final
    bench.mine()
    sender.settle()
    assert sender._outbox.get(tx.id).is_final


def test_a_block_of_the_same_number_is_not_the_same_block(bench: Bench):
    sender = bench.start(confirmations=2)
    tx = sender.submit("drip", bench.token.drip(5))
    bench.mine()
    sender.settle()
    before = sender._outbox.get(tx.id)
    raw = "0x" + attempts(sender, "drip")[0].raw.hex()
    bench.anvil.rpc("anvil_reorg", 1, [[raw, 0]])
    # A node whose receipts still tell of the old block, while its chain has the new one.
    stale = {"blockHash": "0x" + before.mined_hash.hex(), "blockNumber": hex(before.mined_in)}
    honest = bench.rpc._post

    def lagging(body, *, may_repeat):
        answer = honest(body, may_repeat=may_repeat)
        for item in answer if isinstance(answer, list) else [answer]:
            if isinstance(item.get("result"), dict) and "effectiveGasPrice" in item["result"]:
                item["result"] |= stale
        return answer

    bench.mine(3)
    bench.rpc._post = lagging
    sender.settle()
    assert not sender._outbox.get(tx.id).is_final
    bench.rpc._post = honest
    sender.settle()
    assert sender._outbox.get(tx.id).is_final
    assert sender._outbox.get(tx.id).mined_hash != before.mined_hash


def test_a_node_that_is_behind_takes_nothing_out_of_its_block(bench: Bench):
    tx = bench.sender.submit("drip", bench.token.drip(5))
    before = bench.rpc.call("eth_getBlockByNumber", "latest", False)
    bench.mine()
    bench.sender.settle()
    honest = bench.rpc._post
    old = {
        "eth_getBlockByNumber": before,
        "eth_getTransactionCount": "0x0",
        "eth_getTransactionReceipt": None,
    }

    def behind(body, *, may_repeat):
        answer = honest(body, may_repeat=may_repeat)
        asked = {r["id"]: r["method"] for r in (body if isinstance(body, list) else [body])}
        for item in answer if isinstance(answer, list) else [answer]:
            if asked[item["id"]] in old:
                item["result"] = old[asked[item["id"]]]
        return answer

    bench.rpc.raws.clear()
    bench.rpc._post = behind
    assert bench.sender.settle() == []
    assert bench.sender._outbox.get(tx.id).state == "mined"
    bench.rpc._post = honest
    bench.mine(2)
    bench.sender.settle()
    assert bench.sender._outbox.get(tx.id).is_final
    assert bench.rpc.raws == []


def test_answers_of_two_nodes_one_behind_take_nothing_back(bench: Bench):
    bench.sender.send("drip", bench.token.drip(100))
    tx = bench.sender.submit("away", bench.token.transfer(OTHER, 100))
    bench.mine()
    honest = bench.rpc._post

    def mixed(body, *, may_repeat):
        # The head is the fresh node's, the count and the receipts of the same batch the other's.
        answer = honest(body, may_repeat=may_repeat)
        asked = {r["id"]: r for r in (body if isinstance(body, list) else [body])}
        for item in answer if isinstance(answer, list) else [answer]:
            request = asked[item["id"]]
            if request["method"] == "eth_getTransactionReceipt":
                item["result"] = None
            elif request["method"] == "eth_getTransactionCount" and "latest" in request["params"]:
                item["result"] = hex(tx.nonce)
        return answer

    restarted = bench.start(confirmations=9)
    bench.rpc._post = mixed
    restarted.settle()
    bench.rpc._post = honest
    assert not any(attempt.is_empty for attempt in attempts(restarted, "away"))
    restarted.settle()
    assert restarted._outbox.get(tx.id).state == "mined"


def test_what_is_in_a_block_already_is_not_taken_back_though_it_would_fail_now(bench: Bench):
    bench.sender.send("drip", bench.token.drip(100))
    tx = bench.sender.submit("away", bench.token.transfer(OTHER, 100))
    honest = bench.rpc._post
    mined = []

    def late(body, *, may_repeat):
        # It gets into its block between the look at the receipts and the simulation.
        answer = honest(body, may_repeat=may_repeat)
        methods = [item["method"] for item in (body if isinstance(body, list) else [body])]
        if "eth_getTransactionReceipt" in methods and not mined:
            mined.append(bench.mine())
        return answer

    restarted = bench.start()
    bench.rpc._post = late
    restarted.settle()
    bench.rpc._post = honest
    restarted.settle()
    assert restarted._outbox.get(tx.id).state == "mined"
    assert not any(attempt.is_empty for attempt in attempts(restarted, "away"))


def test_ordinary_actions_wait_above_half_the_cap_and_others_do_not(bench: Bench):
    sender = bench.start(fees=policy(), is_unattended=True)
    bench.base_fee(60 * GWEI)
    bench.mine()
    with pytest.raises(Deferred, match="the cap is 50"):
        sender.submit("drip", bench.token.drip(1))
    assert sender.submit("safe", bench.token.approve(OTHER, 1)).is_safety


def test_at_its_cap_a_transaction_waits_and_somebody_is_told_before_the_deadline(bench, caplog):
    sender = bench.start(fees=policy(), is_unattended=True)
    now = bench.rpc.head().timestamp
    sender.submit("drip", bench.token.drip(1), deadline=now + 300)
    bench.base_fee(70 * GWEI)
    bench.mine()
    with caplog.at_level(logging.INFO):
        sender.settle()
        highest = max(attempt.max_fee for attempt in attempts(sender, "drip"))
        assert highest <= 50 * GWEI
        assert [r.message for r in caplog.records if r.levelno >= logging.ERROR] == []
        assert "stuck at the fee cap" in caplog.messages or highest > 2 * GWEI
        for _ in range(4):
            bench.wait(60)
            bench.base_fee(70 * GWEI)
            bench.mine()
            sender.settle()
    risks = [record for record in caplog.records if record.message == "deadline at risk"]
    assert len(risks) == 1
    assert 0 < risks[0].seconds_left <= 120
    assert max(attempt.max_fee for attempt in attempts(sender, "drip")) == highest


def test_a_days_budget_bounds_what_is_raised_and_outlives_the_process(bench: Bench):
    estimate = 200_000 * 3 * GWEI
    sender = bench.start(fees=policy(daily_budget=estimate), is_unattended=True)
    sender.submit("drip", bench.token.drip(1))
    bench.base_fee(20 * GWEI)
    bench.mine()
    sender.settle()
    # The raise that the base fee asks for would break the budget.
    assert len(attempts(sender, "drip")) == 1
    restarted = bench.start(fees=policy(daily_budget=1), is_unattended=True)
    bench.base_fee(GWEI)
    bench.mine()
    with pytest.raises(Deferred, match="the day's gas budget is used up"):
        restarted.submit("drip:2", bench.token.drip(1))


def test_the_last_places_in_flight_are_for_what_may_not_wait(bench: Bench):
    sender = bench.start(fees=policy(), is_unattended=True)
    for number in range(12):
        sender.submit(f"drip:{number}", bench.token.drip(1))
    with pytest.raises(Deferred, match="12 transactions"):
        sender.submit("drip", bench.token.drip(1))
    for number in range(12, MAX_PENDING):
        sender.submit(f"safe:{number}", bench.token.approve(OTHER, number))
    with pytest.raises(Deferred, match="16 transactions"):
        sender.submit("safe", bench.token.approve(OTHER, 1))
    bench.mine()
    sender.settle()
    assert bench.nonce == MAX_PENDING


def test_a_call_that_has_become_dear_is_not_sent(bench: Bench, office: Office):
    ceiling = Fees(kind_of=lambda what: Kind(gas_ceiling=200_000))
    sender = bench.start(fees=ceiling)
    office.post(2, 3)
    assert sender.submit("cheap", office.tasks.perform(2)).gas <= 200_000
    office.mood(appetite=2_000)
    with pytest.raises(Rejected, match=r"gas: TaskList\.perform takes \d+, the ceiling is 200000"):
        sender.submit("dear", office.tasks.perform(3))
    assert sender._outbox.of_action("dear") is None


def test_a_node_that_finds_it_too_cheap_gets_a_better_offer_at_the_next_block(bench: Bench):
    # Another transaction of the key with this nonce is in the pool, from a lost outbox perhaps.
    rival, _ = bench.key.sign_transaction(
        {
            "type": 2,
            "chainId": 31337,
            "nonce": 0,
            "to": OTHER,
            "value": 1,
            "gas": 1_000_000,
            "maxFeePerGas": 10 * GWEI,
            "maxPriorityFeePerGas": 2 * GWEI,
        }
    )
    bench.anvil.rpc("eth_sendRawTransaction", "0x" + rival.hex())
    bench.anvil.rpc("anvil_setBlockGasLimit", hex(200_000))
    tx = bench.sender.submit("drip", bench.token.drip(5))
    for _ in range(12):
        bench.mine()
        bench.sender.settle()
    bench.anvil.rpc("anvil_setBlockGasLimit", hex(30_000_000))
    assert bench.sender._outbox.get(tx.id).is_success
    assert bench.balance == 5


def risks(caplog: pytest.LogCaptureFixture) -> int:
    return sum(record.message == "deadline at risk" for record in caplog.records)


def test_a_deadline_that_moves_is_the_new_one_and_warned_of_anew(bench: Bench, caplog):
    sender = bench.start(fees=Fees(warn_seconds=50, cap=5 * GWEI))
    tx = sender.submit("drip", bench.token.drip(1), deadline=bench.rpc.head().timestamp + 40)
    for later, is_near in ((40, True), (900, False), (40, True)):
        deadline = bench.rpc.head().timestamp + later
        before = risks(caplog)
        assert sender.submit("drip", bench.token.drip(1), deadline=deadline).id == tx.id
        assert sender._outbox.get(tx.id).deadline == deadline
        bench.base_fee(70 * GWEI)
        bench.mine(4)
        sender.settle()
        assert risks(caplog) == before + is_near
    # Who doesn't know of one leaves it as it is.
    assert sender.submit("drip", bench.token.drip(1)).deadline == deadline
    # Past it nothing is taken back that would still succeed: it is the contract that knows.
    bench.wait(500)
    bench.base_fee(70 * GWEI)
    bench.mine(4)
    sender.settle()
    assert not sender._outbox.attempts(tx.id)[-1].is_empty
    for _ in range(4):
        bench.base_fee(GWEI)
        bench.mine()
        sender.settle()
    assert sender._outbox.get(tx.id).is_success
    assert sender._outbox.get(tx.id).deadline == deadline


def lived_through(bench: Bench, *, is_pruned: bool) -> tuple[list[str], str | None]:
    """
    A transaction becomes final, others follow, its block is rewritten after all, and the pool has
    lost it; a stranger's program takes a nonce of what is sent next.
    """
    sender = bench.start(fees=policy(), is_unattended=True, confirmations=1)
    outbox = sender._outbox
    bench.mine()
    start = bench.rpc.head().number
    sender.send("old", bench.token.drip(1))
    sender.send("last", bench.token.drip(1))
    for _ in range(3):
        bench.mine()
        sender.settle()
    assert outbox.unfinished() == []
    if is_pruned:
        outbox.prune(1, keep_days=2)
        assert outbox.prune(9, keep_days=2) == 1
    before = bench.nonce
    take_out(bench, bench.rpc.head().number - start)
    assert bench.nonce < before
    tx = sender.submit("next", bench.token.drip(1))
    assert tx.nonce == bench.nonce
    bench.anvil.rpc("anvil_dropAllTransactions")
    foreign, _ = bench.key.sign_transaction(
        {
            "type": 2,
            "chainId": CHAIN_ID,
            "nonce": tx.nonce,
            "to": OTHER,
            "data": b"",
            "value": 1,
            "gas": 21_000,
            "maxFeePerGas": 100 * GWEI,
            "maxPriorityFeePerGas": GWEI,
        }
    )
    bench.anvil.rpc("eth_sendRawTransaction", "0x" + foreign.hex())
    bench.mine()
    for _ in range(2):
        sender.settle()
    with pytest.raises(ForeignNonce):
        sender.submit("more", bench.token.drip(1))
    return [tx.state for tx in outbox.unfinished()], outbox.latched()


@pytest.mark.parametrize("is_pruned", [False, True])
def test_below_what_was_final_a_stranger_still_stops_everything(bench: Bench, is_pruned: bool):
    states, why = lived_through(bench, is_pruned=is_pruned)
    assert states == []
    assert why is not None
