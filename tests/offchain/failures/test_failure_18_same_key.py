"""Failure 18: two processes with one key: a lock on one machine, a foreign nonce across them."""

import pytest

from headrace.chain.fees import GWEI
from headrace.chain.outbox import ForeignNonce, Outbox
from tests.offchain.chain.till import CHAIN_ID, OTHER, Bench
from tests.offchain.failures.office import employ, until
from tests.task_list import Office


def elsewhere(bench: Bench, nonce: int, value: int = 0, gas: int = 21_000) -> None:
    """Another machine sends with the key."""
    raw, _ = bench.key.sign_transaction(
        {
            "type": 2,
            "chainId": CHAIN_ID,
            "nonce": nonce,
            "to": OTHER,
            "value": value,
            "gas": gas,
            "maxFeePerGas": 50 * GWEI,
            "maxPriorityFeePerGas": 5 * GWEI,
        }
    )
    bench.anvil.rpc("eth_sendRawTransaction", "0x" + raw.hex())


def head_of(office: Office) -> str:
    return str(office.anvil.rpc("eth_getBlockByNumber", "latest", False)["hash"])


def test_failure_18_a_second_process_of_this_machine_is_refused(office: Office, tmp_path):
    clerk = employ(office, tmp_path / "clerk").start()
    office.post(1)
    until(lambda: clerk.saw(head_of(office)))
    first = clerk.process
    assert clerk.start().ended() == 1
    said = clerk.log.read_text()
    assert first is not None
    assert f"process {first.pid} sends with this key already" in said
    first.kill()
    first.wait(10)
    clerk.start()
    office.post(2)
    until(lambda: clerk.saw(head_of(office)))
    clerk.stop()


def test_failure_18_a_standby_takes_over_within_a_block(bench: Bench, office: Office, tmp_path):
    clerk = employ(office, tmp_path / "clerk").start()
    office.post(1)
    until(lambda: clerk.saw(head_of(office)))
    first = clerk.process
    clerk.start(is_standby=True)
    until(lambda: "standing by" in clerk.log.read_text())
    assert first is not None
    first.kill()
    first.wait(10)
    office.post(2)
    until(lambda: clerk.saw(head_of(office)))
    bench.mine()
    clerk.stop()
    assert [office.tasks.times(task) for task in (1, 2)] == [1, 1]
    assert bench.rpc.nonce(clerk.key.address) == 2


def test_failure_18_a_foreign_nonce_stops_it_until_an_operator_has_looked(bench: Bench, caplog):
    sender = bench.start(is_unattended=True)
    tx = sender.submit("drip:1", bench.token.drip(5))
    waiting = sender.submit("drip:2", bench.token.drip(5))
    bench.anvil.rpc("anvil_dropAllTransactions")
    elsewhere(bench, 0)
    bench.mine()
    sender.settle()
    assert sender._outbox.get(tx.id).state == "lost"
    assert [r.levelname for r in caplog.records if r.message == "nonce used elsewhere"] == ["ERROR"]
    # Nothing leaves any more: nothing new, and nothing that waits.
    bench.rpc.raws.clear()
    for _ in range(8):
        bench.mine()
        sender.settle()
        with pytest.raises(ForeignNonce, match="another program has sent with this key at nonce 0"):
            sender.submit("drip:3", bench.token.drip(5))
    assert bench.rpc.raws == []
    # A supervisor that starts it again changes nothing.
    restarted = bench.start(is_unattended=True)
    restarted.settle()
    with pytest.raises(ForeignNonce):
        restarted.submit("drip:3", bench.token.drip(5))
    assert bench.rpc.raws == []
    outbox = Outbox(bench.folder / "outbox.sqlite", chain_id=CHAIN_ID, address=bench.key.address)
    outbox.release()
    restarted.settle()
    bench.mine()
    restarted.settle()
    assert outbox.get(waiting.id).is_success
    assert restarted.submit("drip:3", bench.token.drip(5)).nonce == 2


def test_failure_18_it_never_fights_over_a_nonce(bench: Bench):
    sender = bench.start(is_unattended=True)
    sender.submit("drip:1", bench.token.drip(5))
    elsewhere(bench, 0, value=1)
    for _ in range(3):
        bench.mine()
        sender.settle()
    assert len(sender._outbox.attempts(1)) == 1
    assert bench.balance == 0


@pytest.mark.parametrize("is_dropped", [False, True], ids=["gets in", "is dropped"])
def test_failure_18_it_does_not_outbid_a_stranger_who_waits_in_the_pool(
    bench: Bench, caplog, is_dropped: bool
):
    # More gas than a block has from now on: it waits.
    elsewhere(bench, 0, gas=1_000_000)
    bench.anvil.rpc("anvil_setBlockGasLimit", hex(300_000))
    sender = bench.start(is_unattended=True)
    tx = sender.submit("drip:1", bench.token.drip(5))
    for _ in range(10):
        bench.mine()
        sender.settle()
    bench.anvil.rpc("anvil_setBlockGasLimit", hex(30_000_000))
    assert len(sender._outbox.attempts(tx.id)) == 1
    errors = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert errors == ["a stranger's transaction has the nonce"]
    if is_dropped:
        bench.anvil.rpc("anvil_dropAllTransactions")
    for _ in range(5):
        bench.mine()
        sender.settle()
    assert (sender._outbox.latched() is None) is is_dropped
    assert bench.balance == (5 if is_dropped else 0)


def test_failure_18_nonce_too_low_for_what_is_mined_already_is_no_alarm(bench: Bench):
    sender = bench.start(is_unattended=True)
    tx = sender.submit("drip:1", bench.token.drip(5))
    bench.mine()
    # After a restart it sends what it takes for unsent: the node says `nonce too low`.
    restarted = bench.start(is_unattended=True)
    attempt = restarted._outbox.attempts(tx.id)[0]
    restarted._broadcaster.send(tx, attempt, bench.rpc.head().number)
    restarted.settle()
    assert restarted._outbox.get(tx.id).state == "mined"
    assert restarted._outbox.latched() is None


def test_failure_18_receipts_that_lag_are_waited_for_before_anything_is_stopped(bench: Bench):
    patient = bench.start(is_unattended=True, lost_after=60.0)
    tx = patient.submit("drip:1", bench.token.drip(5))
    honest = bench.rpc._post

    def lagging(body, *, may_repeat):
        answer = honest(body, may_repeat=may_repeat)
        asked = {
            item["id"]: item["method"] for item in (body if isinstance(body, list) else [body])
        }
        for item in answer if isinstance(answer, list) else [answer]:
            if asked[item["id"]] == "eth_getTransactionReceipt":
                item["result"] = None
        return answer

    bench.mine()
    bench.rpc._post = lagging
    for _ in range(3):
        patient.settle()
    bench.rpc._post = honest
    patient.settle()
    assert patient._outbox.get(tx.id).state == "mined"
    assert patient._outbox.latched() is None
