"""Failure 25: SIGTERM, a stopped contract, revert data and gas that are meant to hurt."""

import json
import signal

import pytest

from headrace.chain.fees import Fees, Kind
from headrace.chain.node_errors import MOST_CHARACTERS
from headrace.daemon.actions import FIRST_LAPSE, Action, Performer
from headrace.errors import Rejected
from tests.offchain.chain.till import Bench
from tests.offchain.failures.office import employ, until
from tests.task_list import Office


def head_of(office: Office) -> str:
    return str(office.anvil.rpc("eth_getBlockByNumber", "latest", False)["hash"])


def test_failure_25_sigterm_ends_it_within_five_seconds_with_all_on_record(
    bench: Bench, office: Office, tmp_path
):
    clerk = employ(office, tmp_path / "clerk").start()
    office.post(1, 2)
    until(lambda: clerk.saw(head_of(office)))
    assert clerk.process is not None
    clerk.process.send_signal(signal.SIGTERM)
    assert clerk.process.wait(5) == 0
    with clerk.book() as book:
        assert {tx.action for tx in book.unsettled()} == {"perform:1", "perform:2"}
        raws = ["0x" + book.attempts(tx.id)[0].hash.hex() for tx in book.unsettled()]
    assert all(office.anvil.rpc("eth_getTransactionByHash", raw) for raw in raws)
    bench.mine()
    clerk.start()
    bench.mine(2)
    until(lambda: clerk.saw(head_of(office)))
    clerk.stop()
    assert bench.rpc.nonce(clerk.key.address) == 2


def test_failure_25_a_stopped_contract_costs_nothing_and_is_taken_up_when_it_goes_on(
    bench: Bench, office: Office, tmp_path
):
    clerk = employ(office, tmp_path / "clerk")
    office.mood(is_stopped=True)
    office.post(1)
    clerk.start()
    for _ in range(5):
        bench.mine()
        until(lambda: clerk.saw(head_of(office)))
    assert bench.rpc.nonce(clerk.key.address, "pending") == 0
    office.mood()
    bench.wait(FIRST_LAPSE)
    for _ in range(3):
        bench.mine()
        until(lambda: clerk.saw(head_of(office)))
    clerk.stop()
    assert office.tasks.times(1) == 1
    lines = [json.loads(line) for line in clerk.log.read_text().splitlines() if line[:1] == "{"]
    refused = [line for line in lines if line["say"] == "refused"]
    assert [line["why"] for line in refused] == ["tasks: stopped"]


def test_failure_25_what_waits_when_it_is_stopped_is_taken_back(bench: Bench, office: Office):
    office.post(1)
    tx = bench.sender.submit("perform:1", office.tasks.perform(1))
    bench.anvil.rpc("anvil_dropAllTransactions")
    office.mood(is_stopped=True)
    bench.mine(2)
    bench.sender.settle()
    bench.mine()
    bench.sender.settle()
    assert bench.sender._outbox.get(tx.id).state == "empty"


def test_failure_25_a_flood_of_revert_data_is_cut_to_a_short_line(
    bench: Bench, office: Office, caplog
):
    office.post(1)
    office.mood(growls=True)
    performer = Performer(bench.sender, {"TaskList": office.tasks})
    action = Action("perform:1", "TaskList", "perform", (1,))
    performed = performer.perform([action], now=0)
    (why,) = performed.refused.values()
    assert 0 < len(why) <= MOST_CHARACTERS
    assert why.isprintable()
    assert all(len(record.getMessage()) < 200 for record in caplog.records)
    # It isn't asked again at once, however often it is decided.
    assert performer.perform([action], now=1).held == ("perform:1",)
    assert performer.perform([action], now=FIRST_LAPSE - 1).held == ("perform:1",)


def test_failure_25_one_that_eats_gas_is_not_sent_and_one_that_has_learnt_it_is_bounded(
    bench: Bench, office: Office
):
    sender = bench.start(fees=Fees(kind_of=lambda what: Kind(gas_ceiling=150_000)))
    office.post(1, 2)
    office.mood(appetite=1_000)
    with pytest.raises(Rejected, match="the ceiling is 150000"):
        sender.submit("perform:1", office.tasks.perform(1))
    office.mood()
    # It was cheap when it was simulated, and is dear when it is mined: the limit holds.
    tx = sender.submit("perform:2", office.tasks.perform(2))
    office.send("set_mood", False, False, 1_000, tip=10**11)
    bench.mine()
    sender.settle()
    ended = sender._outbox.get(tx.id)
    assert (ended.state, ended.reason) == ("reverted", "out of gas")
    receipt = bench.rpc.receipt(ended.mined_tx)
    assert int(receipt["gasUsed"], 16) <= tx.gas <= 150_000
