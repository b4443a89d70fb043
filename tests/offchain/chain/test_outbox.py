"""The book of what a key has signed: nonces, budgets, the latch, and books of earlier versions."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.chain import outbox_tables
from headrace.chain.outbox import Deferred, Outbox
from headrace.chain.outbox_rows import Attempt, Draft, Limits
from headrace.chain.outbox_tables import SCHEMA
from headrace.errors import UsageError
from tests.offchain.chain.till import CHAIN_ID, OTHER

MINED = (7, b"\x07" * 32, b"\x01" * 32)


def open_box(folder: Path) -> Outbox:
    return Outbox(folder / "outbox.db", chain_id=CHAIN_ID, address=OTHER)


@pytest.fixture
def box(tmp_path: Path) -> Outbox:
    return open_box(tmp_path)


def draft(action: str, *, gas: int = 100, is_safety: bool = False, value: int = 0) -> Draft:
    return Draft(action, "A.b", OTHER, b"\x01", value, gas, None, is_safety)


def signed(nonce: int, max_fee: int = 10, salt: int = 0) -> Attempt:
    return Attempt(
        bytes([nonce % 256, nonce >> 8, max_fee, salt]) * 8, b"raw", max_fee, 1, False, 5
    )


def add(box: Outbox, action: str, chain_nonce: int = 0, **options: object):
    limits = options.pop("limits", None)
    salt = int(options.pop("salt", 0))  # type: ignore[call-overload]
    return box.add(
        draft(action, **options),  # type: ignore[arg-type]
        chain_nonce=chain_nonce,
        block=5,
        sign=lambda nonce: signed(nonce, salt=salt),
        limits=limits,  # type: ignore[arg-type]
    )


def test_nonces_go_on_from_the_chain_or_from_the_books_own(box):
    assert add(box, "a", chain_nonce=4)[0].nonce == 4
    assert add(box, "b", chain_nonce=4)[0].nonce == 5
    assert add(box, "c", chain_nonce=9)[0].nonce == 9
    assert add(box, "d", chain_nonce=0)[0].nonce == 10


def test_an_action_has_one_transaction_that_is_not_at_its_end(box):
    first, is_new = add(box, "a")
    assert is_new
    assert add(box, "a") == (first, False)
    box.settle(first.id, "mined", mined=MINED)
    assert add(box, "a")[1] is False
    box.settle(first.id, "done", mined=MINED, is_final=True)
    again, is_new = add(box, "a", chain_nonce=1, salt=1)
    assert (is_new, again.nonce) == (True, 1)


@pytest.mark.parametrize("state", ["reverted", "empty"])
def test_a_failed_action_is_free_at_once_but_its_nonce_only_when_it_is_final(box, state):
    first, _ = add(box, "a")
    box.settle(first.id, state, mined=MINED)
    # The node's count may be behind, or a reorganisation may take it back: nonce 0 is taken.
    again, is_new = add(box, "a", chain_nonce=0)
    assert (is_new, again.nonce) == (True, 1)
    assert [tx.id for tx in box.unsettled()] == [again.id]
    assert [tx.id for tx in box.unfinished()] == [first.id, again.id]
    box.settle(first.id, state, mined=MINED, is_final=True)
    assert [tx.id for tx in box.unfinished()] == [again.id]


def test_what_a_reorganisation_took_out_is_open_again_unless_its_action_goes_on(box):
    success, _ = add(box, "a")
    box.settle(success.id, "mined", mined=MINED, fee=9, fee_day=1)
    assert box.reopen(success.id).state == "open"
    assert box.get(success.id).mined_in is None
    failed, _ = add(box, "b")
    box.settle(failed.id, "reverted", reason="why", mined=MINED)
    assert (box.reopen(failed.id).state, box.get(failed.id).reason) == ("reverted", "why")
    late, _ = add(box, "c")
    box.settle(late.id, "done", mined=MINED)
    successor, is_new = add(box, "c")
    assert is_new
    assert box.reopen(late.id).state == "empty"
    box.settle(successor.id, "done", mined=MINED, is_final=True)
    box.settle(late.id, "done", mined=MINED)
    assert box.reopen(late.id).state == "open"


def test_signing_that_fails_leaves_nothing_behind(box):
    def refuse(nonce: int) -> Attempt:
        raise Deferred("no")

    with pytest.raises(Deferred):
        box.add(draft("a"), chain_nonce=0, block=5, sign=refuse)
    assert box.of_action("a") is None
    assert add(box, "a")[0].nonce == 0


def test_only_so_many_are_under_way(box):
    limits = Limits(in_flight=2)
    first = add(box, "a", limits=limits)[0]
    add(box, "b", limits=limits)
    with pytest.raises(Deferred, match="2 transactions of the key are under way"):
        add(box, "c", limits=limits)
    # One that is in a block has made room, though it isn't final.
    box.settle(first.id, "mined", mined=MINED)
    assert add(box, "c", limits=limits)[1]


def test_a_days_budget_counts_what_was_burnt_and_the_worst_of_what_is_under_way(box):
    limits = Limits(in_flight=9, budget=2_500, day=3, max_fee=10)
    first = add(box, "a", limits=limits)[0]
    second = add(box, "b", limits=limits)[0]
    with pytest.raises(Deferred, match="the day's gas budget is used up: 2000 of 2500 wei"):
        add(box, "c", limits=limits)
    # Cheaper than feared: 600 + 1,000 + 900 is just within.
    box.settle(first.id, "mined", mined=MINED, fee=600, fee_day=3)
    with pytest.raises(Deferred):
        add(box, "c", limits=limits, gas=91)
    assert add(box, "c", limits=limits, gas=90)[1]
    # Safety actions have a budget of their own.
    assert add(box, "safe", limits=limits, is_safety=True, gas=250)[1]
    # A raised offer counts with its worst.
    box.add_attempt(second.id, signed(1, max_fee=20))
    assert box.spent(3, is_safety=False) == 600 + 2_000 + 900
    assert box.spent(3, is_safety=True) == 2_500
    # Another day is another budget, but what is under way will be burnt in it.
    assert box.spent(4, is_safety=False) == 2_900


def test_what_is_at_stake_is_gas_and_value_of_what_is_in_no_block(box):
    tx = add(box, "a", value=10**30)[0]
    assert box.at_stake() == 1_000 + 10**30
    box.settle(tx.id, "mined", mined=MINED, fee=5, fee_day=1)
    assert box.at_stake() == 0


def test_the_latch_holds_in_every_process_until_it_is_released(tmp_path):
    box = open_box(tmp_path)
    assert box.latched() is None
    box.latch(7)
    box.latch(8)
    box.close()
    again = open_box(tmp_path)
    assert again.latched() == "another program has sent with this key at nonce 7"
    again.release()
    assert open_box(tmp_path).latched() is None


@settings(deadline=None, max_examples=30)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["add", "mine", "fail", "reopen", "final"]), st.integers(0, 5)),
        max_size=40,
    )
)
def test_whatever_happens_no_nonce_is_taken_twice_and_none_is_left_out(steps, tmp_path_factory):
    box = open_box(tmp_path_factory.mktemp("box"))
    salt = 0
    for step, number in steps:
        unfinished = box.unfinished()
        chain_nonce = sum(tx.mined_in is not None for tx in unfinished) + box_finals(box)
        if step == "add":
            salt += 1
            add(box, f"action:{number}", chain_nonce=chain_nonce, salt=salt % 256)
        elif unfinished:
            # Blocks take nonces in their order, and reorganisations give them back in reverse.
            open_now = [tx for tx in unfinished if tx.mined_in is None]
            in_block = [tx for tx in unfinished if tx.mined_in is not None]
            if step in ("mine", "fail") and open_now:
                state = "reverted" if step == "fail" or open_now[0].state != "open" else "mined"
                box.settle(open_now[0].id, state, mined=MINED)
            elif step == "reopen" and in_block:
                box.reopen(in_block[-1].id)
            elif step == "final" and in_block:
                state = "done" if in_block[0].state == "mined" else in_block[0].state
                box.settle(in_block[0].id, state, mined=MINED, is_final=True)
        nonces = [tx.nonce for tx in box.unfinished()]
        assert nonces == list(range(box_finals(box), box_finals(box) + len(nonces)))
    box.close()


def box_finals(box: Outbox) -> int:
    return int(box._db.read("SELECT count(*) FROM tx WHERE is_final = 1")[0][0])


_FIRST_VERSION = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tx (
    id INTEGER PRIMARY KEY, action TEXT NOT NULL, what TEXT NOT NULL, nonce INTEGER NOT NULL,
    target TEXT NOT NULL, data BLOB NOT NULL, value TEXT NOT NULL, gas INTEGER NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', mined_in INTEGER, mined_hash BLOB,
    mined_tx BLOB, made_at_block INTEGER NOT NULL
);
CREATE UNIQUE INDEX one_open ON tx (action) WHERE state IN ('open', 'mined');
CREATE UNIQUE INDEX one_per_nonce ON tx (nonce) WHERE state IN ('open', 'mined');
CREATE TABLE attempt (
    hash BLOB PRIMARY KEY, tx INTEGER NOT NULL REFERENCES tx (id), raw BLOB NOT NULL,
    max_fee TEXT NOT NULL, priority_fee TEXT NOT NULL, is_empty INTEGER NOT NULL,
    made_at_block INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX attempts_of ON attempt (tx);
"""


def first_version(path: Path) -> None:
    """A book as the first version of this program left it, with one done and one open."""
    with sqlite3.connect(path) as old:
        old.executescript(_FIRST_VERSION)
        old.executemany(
            "INSERT INTO meta VALUES (?, ?)", [("chain_id", str(CHAIN_ID)), ("address", OTHER)]
        )
        for id_, state in ((1, "done"), (2, "open")):
            old.execute(
                "INSERT INTO tx VALUES (?, ?, 'A.b', ?, ?, X'01', '0', 100, ?, '', NULL, NULL, "
                "NULL, 5)",
                (id_, f"action:{id_}", id_ - 1, OTHER, state),
            )
            old.execute(
                "INSERT INTO attempt VALUES (?, ?, X'02', '10', '1', 0, 5)",
                (bytes([id_]) * 32, id_),
            )
    old.close()


def test_a_book_of_the_first_version_goes_on_and_is_copied_first(tmp_path):
    first_version(tmp_path / "outbox.db")
    box = open_box(tmp_path)
    assert [tx.action for tx in box.unfinished()] == ["action:2"]
    assert box.of_action("action:1").is_final
    assert add(box, "action:3", chain_nonce=1)[0].nonce == 2
    box.close()
    with sqlite3.connect(tmp_path / "outbox.db.v1") as copy:
        assert copy.execute("SELECT count(*) FROM tx").fetchone() == (2,)
    copy.close()
    assert len(open_box(tmp_path).unfinished()) == 2


@pytest.mark.parametrize("step", [1, 2])
def test_a_migration_that_is_cut_short_leaves_the_book_as_it_was(tmp_path, monkeypatch, step):
    first_version(tmp_path / "outbox.db")
    scripts = list(outbox_tables._SCRIPTS)
    scripts[step] += "; CREATE NONSENSE"
    monkeypatch.setattr(outbox_tables, "_SCRIPTS", tuple(scripts))
    with pytest.raises(Exception, match="NONSENSE"):
        open_box(tmp_path)
    monkeypatch.undo()
    assert [tx.action for tx in open_box(tmp_path).unfinished()] == ["action:2"]


def test_a_book_of_a_later_version_is_refused(tmp_path):
    open_box(tmp_path).close()
    with sqlite3.connect(tmp_path / "outbox.db") as later:
        later.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (str(SCHEMA + 1),))
    later.close()
    with pytest.raises(UsageError, match="of a later version of this program"):
        open_box(tmp_path)
