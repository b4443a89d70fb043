"""Transactions leave once, whatever crashes, is lost, is reorganised or becomes too dear."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from headrace.chain.accounts import Key
from headrace.chain.artifacts import load
from headrace.chain.contracts import Token
from headrace.chain.outbox import Outbox
from headrace.chain.rpc import Rpc
from headrace.chain.fees import GWEI, Fees
from headrace.chain.sender import MAX_PENDING, Sender, read_receipt
from headrace.errors import Rejected, RetryLater, Unreachable, UsageError
from tests.harness import Anvil

CHAIN_ID = 31337
OTHER = "0x" + "00" * 18 + "0123"
_secrets = count(1_000)


class Crash(BaseException):
    """The process ends here."""


class Line(Rpc):
    """An Rpc that can be cut: at the request number `crash_at`, or after what `cut` names."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.crash_at = -1
        self.requests = 0
        self.cut: tuple[str, str, type[BaseException]] | None = None  # when, method, error
        self.raws: list[str] = []

    def _post(self, body: Any, *, may_repeat: bool) -> Any:
        methods = [item["method"] for item in (body if isinstance(body, list) else [body])]
        self._maybe("before", methods)
        if self.requests == self.crash_at:
            raise Crash
        self.requests += 1
        if methods == ["eth_sendRawTransaction"]:
            self.raws.append(body["params"][0])
        answer = super()._post(body, may_repeat=may_repeat)
        self._maybe("after", methods)
        return answer

    def _maybe(self, when: str, methods: list[str]) -> None:
        if self.cut is not None and self.cut[0] == when and self.cut[1] in methods:
            error = self.cut[2]
            self.cut = None
            raise error("cut")


class Bench:
    """A chain that mines when told, a token, and a key of the test's own."""

    def __init__(self, anvil: Anvil, token: str, folder: Path) -> None:
        self.anvil = anvil
        self.folder = folder
        self.key = Key.of(next(_secrets).to_bytes(32))
        anvil.rpc("anvil_setBalance", self.key.address, hex(10**21))
        self.rpc = Line(anvil.url)
        self.token = Token(self.rpc, token)
        self.sender = self.start()

    def start(self, **options: Any) -> Sender:
        """A process of its own on the same files."""
        outbox = Outbox(self.folder / "outbox.sqlite", chain_id=CHAIN_ID, address=self.key.address)
        settings = {"lost_after": 0.0, "sleep": lambda seconds: self.mine()}
        return Sender(self.rpc, self.key, outbox, chain_id=CHAIN_ID, **(settings | options))

    def mine(self, blocks: int = 1) -> None:
        self.anvil.rpc("anvil_mine", hex(blocks))

    def base_fee(self, wei: int) -> None:
        """Of the next block."""
        self.anvil.rpc("anvil_setNextBlockBaseFeePerGas", hex(wei))

    @property
    def balance(self) -> int:
        return self.token.balance_of(self.key.address)

    @property
    def nonce(self) -> int:
        return self.rpc.nonce(self.key.address)


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    node = Anvil("--no-mining", "--chain-id", str(CHAIN_ID))
    yield node
    node.stop()


@pytest.fixture(scope="module")
def token(anvil: Anvil) -> str:
    account = anvil.rpc("eth_accounts")[0]
    data = "0x" + load("FaucetToken").bytecode.hex()
    tx = anvil.rpc("eth_sendTransaction", {"from": account, "data": data, "gas": hex(5_000_000)})
    anvil.rpc("evm_mine")
    return str(anvil.rpc("eth_getTransactionReceipt", tx)["contractAddress"])


@pytest.fixture
def bench(anvil: Anvil, token: str, tmp_path: Path) -> Iterator[Bench]:
    anvil.rpc("anvil_dropAllTransactions")
    anvil.rpc("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
    anvil.rpc("evm_mine")
    made = Bench(anvil, token, tmp_path)
    yield made
    made.rpc.close()


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
    bench.mine(2)
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
