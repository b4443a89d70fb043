"""A stranger's use of a key that has nothing to send itself is seen; nothing of its own is."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from headrace.chain.endpoints import Endpoints
from headrace.chain.fees import GWEI
from headrace.chain.outbox import ForeignNonce, Outbox
from headrace.chain.rpc import Header, NodeError, Rpc
from headrace.chain.sender import Sender
from headrace.chain.strangers import DEPTH, FRESH, GRACE, Strangers
from headrace.errors import RetryLater
from tests.offchain.chain.test_outbox import MINED, add, open_box
from tests.offchain.chain.till import CHAIN_ID, OTHER, Bench


def elsewhere(bench: Bench, nonce: int, value: int = 0) -> None:
    """Another program sends with the key."""
    fees = {"maxFeePerGas": 50 * GWEI, "maxPriorityFeePerGas": 5 * GWEI}
    raw, _ = bench.key.sign_transaction(
        {"type": 2, "chainId": CHAIN_ID, "nonce": nonce, "to": OTHER, "value": value, "gas": 21_000}
        | fees
    )
    bench.anvil.rpc("eth_sendRawTransaction", "0x" + raw.hex())


def look(bench: Bench, sender: Sender) -> str | None:
    """As in a daemon's round; returns why nothing may leave."""
    sender.settle()
    sender.look_for_strangers(bench.rpc.head())
    return sender._outbox.latched()


def settle_in(bench: Bench, sender: Sender) -> None:
    """The count is begun, and long ago."""
    assert look(bench, sender) is None
    bench.wait(GRACE + 1)
    bench.mine()


def book(bench: Bench, name: str = "outbox.sqlite") -> Outbox:
    return Outbox(bench.folder / name, chain_id=CHAIN_ID, address=bench.key.address)


# ---- on a chain


def test_a_stranger_is_seen_while_nothing_is_sent(bench: Bench, caplog: pytest.LogCaptureFixture):
    sender = bench.start(is_unattended=True)
    settle_in(bench, sender)
    elsewhere(bench, 0)
    bench.mine()
    for _ in range(DEPTH):
        assert look(bench, sender) is None
        bench.mine()
    assert look(bench, sender) == "another program has sent with this key at nonce 0"
    bench.mine()
    look(bench, sender)
    said = [r for r in caplog.records if r.message == "nonce used elsewhere"]
    assert [(r.levelno, r.nonce) for r in said] == [(logging.ERROR, 0)]  # type: ignore[attr-defined]
    with pytest.raises(ForeignNonce):
        sender.submit("drip:1", bench.token.drip(5))
    # So it is in the next process, and until somebody has seen to it.
    restarted = bench.start(is_unattended=True)
    assert look(bench, restarted) is not None
    book(bench).release()
    for _ in range(DEPTH + 2):
        bench.mine()
        assert look(bench, restarted) is None
    assert restarted.submit("drip:1", bench.token.drip(5)).nonce == 1
    settle_in(bench, restarted)
    elsewhere(bench, 2)
    bench.mine(DEPTH + 1)
    assert look(bench, restarted) == "another program has sent with this key at nonce 2"


def test_a_person_at_the_command_line_is_not_stopped(bench: Bench):
    daemon, person = bench.start(is_unattended=True), bench.start()
    settle_in(bench, daemon)
    elsewhere(bench, 0)
    bench.mine(DEPTH + 1)
    assert look(bench, person) is None
    assert look(bench, daemon) is not None


def test_a_stranger_is_seen_behind_what_was_signed_since(bench: Bench):
    sender = bench.start(is_unattended=True)
    settle_in(bench, sender)
    elsewhere(bench, 0)
    bench.mine()
    assert sender.submit("drip:1", bench.token.drip(5)).nonce == 1
    bench.mine(DEPTH + 1)
    assert look(bench, sender) == "another program has sent with this key at nonce 0"


def test_who_uses_the_key_while_no_daemon_runs_is_seen_at_the_start(bench: Bench):
    settle_in(bench, bench.start(is_unattended=True))
    elsewhere(bench, 0)
    bench.mine(DEPTH + 1)
    assert look(bench, bench.start(is_unattended=True)) is not None


def test_what_the_book_knows_is_no_strangers(bench: Bench):
    """Sent by this process or another that shares the book, failed, taken back, final, pruned."""
    sender, person = bench.start(is_unattended=True), bench.start()
    standby = bench.start(is_unattended=True)
    look(bench, sender)
    for number in range(4):
        for who in (sender, person):
            who.submit(f"drip:{number}:{id(who)}", bench.token.drip(5))
        bench.mine()
        assert look(bench, sender) is None
    for day in (100, 200):
        bench.mine(3)
        assert look(bench, sender) is None
        sender._outbox.prune(day, keep_days=2)
    assert bench.nonce == 8
    assert len(sender._outbox._db.read("SELECT id FROM tx")) == 1
    # Then the standby takes over.
    for who in (sender, standby, bench.start(is_unattended=True)):
        assert look(bench, who) is None
        assert who._outbox.accounted() == 8
    standby.submit("drip:last", bench.token.drip(5))
    bench.mine(DEPTH + 1)
    assert look(bench, standby) is None


@pytest.mark.parametrize("is_mined", [True, False])
def test_a_new_book_takes_over_what_an_old_key_has_sent(bench: Bench, is_mined: bool):
    for nonce in range(3):
        elsewhere(bench, nonce)
    if is_mined:
        bench.mine()
    sender = bench.start(is_unattended=True)
    look(bench, sender)
    for _ in range(DEPTH + 2):
        bench.mine()
        assert look(bench, sender) is None
    settle_in(bench, sender)
    elsewhere(bench, 3)
    bench.mine(DEPTH + 1)
    assert look(bench, sender) == "another program has sent with this key at nonce 3"


def test_what_a_reorganisation_takes_back_and_brings_again_is_no_strangers(bench: Bench):
    sender = bench.start(is_unattended=True, confirmations=1)
    bench.mine()
    look(bench, sender)
    sender.submit("drip:1", bench.token.drip(5))
    bench.mine(3)
    assert look(bench, sender) is None
    before = bench.nonce
    bench.anvil.rpc("anvil_reorg", 3, [])
    bench.anvil.rpc("anvil_dropAllTransactions")
    assert (before, bench.nonce) == (1, 0)
    assert look(bench, sender) is None
    # Final, so it is not sent again: the nonce is free, and taken by the next one.
    sender.submit("drip:2", bench.token.drip(5))
    for _ in range(DEPTH + 2):
        bench.mine()
        assert look(bench, sender) is None
    assert bench.nonce == 1


def test_a_stranger_that_a_reorganisation_takes_out_at_once_is_waited_for(bench: Bench):
    sender = bench.start(is_unattended=True)
    bench.mine()
    look(bench, sender)
    elsewhere(bench, 0)
    bench.mine(DEPTH)
    assert (look(bench, sender), bench.nonce) == (None, 1)
    bench.anvil.rpc("anvil_reorg", DEPTH, [])
    bench.anvil.rpc("anvil_dropAllTransactions")
    bench.mine(DEPTH + 1)
    assert look(bench, sender) is None


# ---- with nodes that don't agree


class Node(Rpc):
    """A node by whose word the key has sent `count` transactions, of which `deep` lie deep."""

    def __init__(self, name: str, count: int, deep: int | None = None, pending: int = 0) -> None:
        super().__init__(f"http://{name}:1")
        self.counts = {"latest": count, "pending": max(count, pending)}
        self.deep = count if deep is None else deep
        self.asked: list[str] = []
        self.error: Exception | None = None

    def outcomes(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        if self.error is not None:
            raise self.error
        found = []
        for method, params in calls:
            assert method == "eth_getTransactionCount"
            self.asked.append(params[1])
            found.append(hex(self.counts.get(params[1], self.deep)))
        return found


NOW = 1_900_000_000


def head(number: int = 50, age: int = 0) -> Header:
    return Header(number, bytes(32), bytes(32), NOW - age, 1)


def watch(folder: Path, *nodes: Node, accounted: int | None = 5) -> tuple[Strangers, Outbox]:
    box = open_box(folder)
    if accounted is not None:
        box.account_from(accounted)
    rpc = nodes[0] if len(nodes) == 1 else Endpoints(nodes)
    return Strangers(rpc, box, OTHER, clock=lambda: float(NOW)), box


@pytest.mark.parametrize(
    ("count", "deep", "asked"), [(4, 4, 1), (5, 5, 1), (6, 5, 2), (6, 6, 2)], ids=str
)
def test_one_request_a_block_as_long_as_nothing_is_wrong(
    tmp_path: Path, count: int, deep: int, asked: int
):
    node = Node("a", count, deep)
    strangers, box = watch(tmp_path, node)
    strangers.look(head())
    assert node.asked == ["latest", hex(50 - DEPTH)][:asked]
    assert (box.latched() is not None) is (deep > 5)
    # What is known needs no node.
    if deep > 5:
        strangers.look(head(51))
        assert len(node.asked) == asked


def test_a_chain_that_is_younger_than_the_depth(tmp_path: Path):
    strangers, box = watch(tmp_path, Node("a", 6))
    strangers.look(head(DEPTH - 1))
    assert box.latched() is None
    strangers.look(head(DEPTH))
    assert box.latched() is not None


def test_one_nodes_word_is_not_enough_where_there_are_two(tmp_path: Path):
    liar, honest = Node("a", 9), Node("b", 5)
    strangers, box = watch(tmp_path, liar, honest)
    strangers.look(head())
    assert box.latched() is None
    assert honest.asked == [hex(50 - DEPTH)]
    # The second node doesn't know the block yet, or is down: the next block will do.
    honest.error = NodeError(-32000, "header not found")
    with pytest.raises(NodeError):
        strangers.look(head(51))
    honest.error = None
    honest.deep = 6
    strangers.look(head(52))
    assert box.latched() is not None


def test_a_second_node_that_is_down_is_waited_for(tmp_path: Path):
    strangers, box = watch(tmp_path, Node("a", 9), Node("b", 9))
    rpc = strangers._rpc
    assert isinstance(rpc, Endpoints)
    rpc._nodes[1].rests_until = float("inf")
    with pytest.raises(RetryLater, match="no second node"):
        strangers.look(head())
    assert box.latched() is None
    # One that serves another chain is no second node.
    rpc._nodes[1].wrong = "another chain"
    strangers.look(head())
    assert box.latched() is not None


def test_a_book_begins_with_the_highest_count_and_at_no_old_head(tmp_path: Path):
    behind, ahead = Node("a", 2), Node("b", 3, pending=4)
    strangers, box = watch(tmp_path, behind, ahead, accounted=None)
    strangers.look(head(age=FRESH + 1))
    assert box.accounted() is None
    strangers.look(head(age=FRESH))
    assert box.accounted() == 4
    strangers.look(head(51))
    assert box.latched() is None


def test_one_node_that_fails_does_not_keep_a_book_from_beginning(tmp_path: Path):
    first, second = Node("a", 2), Node("b", 9)
    second.error = NodeError(-32000, "no")
    strangers, box = watch(tmp_path, first, second, accounted=None)
    strangers.look(head())
    assert box.accounted() == 2


@pytest.mark.parametrize("seconds", [0, GRACE, GRACE + 1])
def test_what_comes_to_light_soon_after_the_beginning_may_be_from_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, seconds: int
):
    """The node that the count was begun at was behind: the key's own past is no stranger's."""
    node = Node("a", 2)
    strangers, box = watch(tmp_path, node, accounted=None)
    strangers.look(head(50, age=FRESH))
    # What lies deep, what has just come into a block, and what waits.
    node.counts, node.deep = {"latest": 4, "pending": 5}, 3
    # It is known after a restart too.
    strangers = Strangers(node, box, OTHER, clock=lambda: float(NOW))
    strangers.look(head(55, age=FRESH - seconds))
    if seconds > GRACE:
        assert (box.latched() is not None, box.accounted()) == (True, 2)
        return
    assert (box.latched(), box.accounted()) == (None, 5)
    said = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [(r.nonce, r.used) for r in said] == [(2, 5)]  # type: ignore[attr-defined]
    node.counts, node.deep = {"latest": 5, "pending": 5}, 5
    strangers.look(head(56, age=FRESH - seconds))
    assert box.latched() is None
    # Only once.
    node.counts, node.deep = {"latest": 6, "pending": 6}, 6
    strangers.look(head(57, age=FRESH - seconds))
    assert box.latched() == "another program has sent with this key at nonce 5"


def test_a_count_that_is_moved_keeps_what_was_signed_here(tmp_path: Path):
    box = open_box(tmp_path)
    box.account_from(2, at=7)
    add(box, "ours", chain_nonce=3)
    assert (box.accounted(), box.begun_at()) == (2, 7)
    box.move_count(3)
    assert (box.accounted(), box.begun_at()) == (4, None)
    box.move_count(9)
    assert box.accounted() == 4
    # Released, it is begun and may be moved again; one that was begun without a time never.
    box.release()
    box.account_from(1)
    box.move_count(9)
    assert box.accounted() == 1
    box.release()
    box.account_from(1, at=8)
    box.release()
    assert box.begun_at() is None


def test_a_key_that_is_not_watched_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    strangers, box = watch(tmp_path, Node("a", 2), accounted=None)
    strangers.look(head(50, age=FRESH + 1))
    assert not caplog.records
    for number in (51, 52, 53):
        strangers.look(head(number, age=FRESH + 1))
    said = [(r.levelno, r.age) for r in caplog.records]  # type: ignore[attr-defined]
    assert said == [(logging.WARNING, FRESH + 1)]
    assert box.accounted() is None


# ---- the book's own count


def test_only_what_has_no_gap_is_accounted_for(tmp_path: Path):
    box = open_box(tmp_path)
    add(box, "before", chain_nonce=3)
    assert box.accounted() is None
    box.account_from(2)
    # Nonce 2 is nobody's yet, so 3 isn't reached.
    assert box.accounted() == 2
    box.account_from(9)
    assert box.accounted() == 2
    box.release()
    box.account_from(3)
    assert box.accounted() == 4
    add(box, "next", chain_nonce=4, salt=1)
    assert box.accounted() == 5
    add(box, "behind a stranger's", chain_nonce=6, salt=2)
    assert box.accounted() == 5


def test_what_is_pruned_stays_accounted_for_and_what_is_not_reached_is_kept_apart(tmp_path: Path):
    box = open_box(tmp_path)
    box.account_from(0)
    for nonce in (0, 1, 2, 4, 5):
        tx, _ = add(box, f"a{nonce}", chain_nonce=nonce, salt=nonce)
        box.settle(tx.id, "done", mined=MINED, is_final=True)
    assert [box.prune(day, keep_days=2) for day in (1, 9)] == [0, 4]
    assert box.accounted() == 3
    # The row that fills the gap: what lay behind it went, and is not ours to vouch for any more.
    add(box, "a3", chain_nonce=3, salt=9)
    assert box.accounted() == 4
