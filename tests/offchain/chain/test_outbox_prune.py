"""The book lets go of what has long been final, and answers every question as before."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.chain import outbox as outbox_module
from headrace.chain import outbox_tables
from headrace.chain.outbox import Outbox
from tests.offchain.chain.test_outbox import MINED, add, open_box


@pytest.fixture
def box(tmp_path: Path) -> Outbox:
    return open_box(tmp_path)


def end(box: Outbox, action: str, nonce: int, *, fee_day: int = 0) -> int:
    """One that is final."""
    tx = add(box, action, chain_nonce=nonce, salt=nonce % 256)[0]
    box.settle(tx.id, "done", mined=MINED, is_final=True, fee=7, fee_day=fee_day)
    return tx.id


def count(box: Outbox, table: str) -> int:
    return int(box._db.read(f"SELECT count(*) FROM {table}")[0][0])  # noqa: S608


def test_what_is_final_goes_after_its_days_and_not_before(box):
    old = end(box, "old", 0)
    assert box.prune(100, keep_days=30) == 0
    young = end(box, "young", 1)
    assert box.prune(101, keep_days=30) == 0
    open_one = add(box, "open", chain_nonce=2)[0]
    # Thirty whole days lie between day 100 and day 131.
    assert box.prune(130, keep_days=30) == 0
    assert box.prune(131, keep_days=30) == 1
    assert box.of_action("old") is None
    assert box.attempts(old) == []
    assert box.get(young).is_final
    assert box.prune(132, keep_days=30) == 1
    # What isn't final stays for ever.
    assert box.prune(10_000, keep_days=2) == 0
    assert [tx.id for tx in box.unfinished()] == [open_one.id]
    assert len(box.attempts(open_one.id)) == 1


def test_a_bounded_number_goes_at_once(box, monkeypatch):
    monkeypatch.setattr(outbox_module, "PRUNE_AT_ONCE", 3)
    for nonce in range(6):
        end(box, f"a{nonce}", nonce)
    add(box, "open", chain_nonce=6)
    assert box.prune(1, keep_days=2) == 0
    assert [box.prune(9, keep_days=2) for _ in range(3)] == [3, 3, 0]
    assert (count(box, "tx"), count(box, "attempt")) == (1, 1)


def test_no_id_is_given_twice(box):
    last = end(box, "a", 0)
    box.prune(1, keep_days=2)
    assert box.prune(9, keep_days=2) == 0
    assert add(box, "b", chain_nonce=1)[0].id > last
    assert box.prune(9, keep_days=2) == 1


def test_a_clock_that_was_ahead_keeps_nothing_for_ever(box):
    end(box, "a", 0)
    end(box, "b", 1)
    assert box.prune(50_000, keep_days=2) == 0
    assert box.prune(10, keep_days=2) == 0
    assert box.prune(13, keep_days=2) == 1


def test_a_file_that_is_pruned_stops_growing(box):
    pages = []
    for day in range(30):
        for number in range(20):
            end(box, f"{day}:{number}", day * 20 + number, fee_day=day)
        box.prune(day, keep_days=3)
        pages.append(box._db.read("PRAGMA page_count")[0][0])
    assert pages[-1] == pages[12]
    assert count(box, "tx") <= 20 * 5
    assert count(box, "tx") == count(box, "attempt")


@settings(deadline=None, max_examples=40)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["add", "mine", "fail", "reopen", "final", "lost", "day", "deep"]),
            st.integers(0, 4),
        ),
        max_size=50,
    )
)
def test_a_pruned_book_answers_as_one_that_keeps_everything(steps, tmp_path_factory):
    """
    Nonces, actions, budgets, what is at stake and the latch; and after a reorganisation below what
    was final, when the chain's count of nonces falls, both take the same nonce.
    """
    boxes = [open_box(tmp_path_factory.mktemp("kept")), open_box(tmp_path_factory.mktemp("pruned"))]
    kept, pruned = boxes
    for book in boxes:
        book.account_from(0)
    day, salt, chain_nonce = 100, 0, 0
    for step, number in steps:
        first = [tx for tx in kept.unfinished() if tx.mined_in is None][:1]
        mined = [tx for tx in kept.unfinished() if tx.mined_in is not None]
        if step == "day":
            day += number
        elif step == "deep":
            chain_nonce = max(0, chain_nonce - number)
        elif step == "add":
            salt += 1
            made = [add(b, f"a{number}", chain_nonce=chain_nonce, salt=salt) for b in boxes]
            assert made[0] == made[1]
        elif step in ("mine", "fail") and first:
            state = "reverted" if step == "fail" or first[0].state != "open" else "mined"
            for book in boxes:
                book.settle(first[0].id, state, mined=MINED, fee=3, fee_day=day)
            chain_nonce = max(chain_nonce, first[0].nonce + 1)
        elif step == "lost" and first:
            for book in boxes:
                book.latch(first[0].nonce)
                book.settle(first[0].id, "lost", is_final=True, reason="elsewhere")
        elif step == "reopen" and mined:
            for book in boxes:
                book.reopen(mined[-1].id)
        elif step == "final" and mined:
            state = "done" if mined[0].state == "mined" else mined[0].state
            for book in boxes:
                book.settle(mined[0].id, state, mined=MINED, is_final=True, fee=3, fee_day=day)
        pruned.prune(day, keep_days=2)
        assert answers(kept, day) == answers(pruned, day)
    for book in boxes:
        book.close()


def answers(box: Outbox, day: int) -> list[object]:
    """All that somebody asks of a book, but for what an action that has ended has come to."""
    live = [box.of_action(f"a{number}") for number in range(5)]
    return [
        [tx if tx is not None and not tx.is_final else None for tx in live],
        [(tx, box.attempts(tx.id)) for tx in box.unfinished()],
        box.unsettled(),
        box.at_stake(),
        [box.spent(today, is_safety=False) for today in (day - 1, day, day + 1)],
        box.latched(),
        box.accounted(),
    ]


def test_what_a_book_of_the_second_version_holds_ages_from_now_on(tmp_path, monkeypatch):
    monkeypatch.setattr(outbox_tables, "SCHEMA", 2)
    monkeypatch.setattr(outbox_tables, "_SCRIPTS", outbox_tables._SCRIPTS[:2])
    box = open_box(tmp_path)
    end(box, "a", 0)
    end(box, "b", 1)
    box.close()
    monkeypatch.undo()
    box = open_box(tmp_path)
    assert box.prune(500, keep_days=2) == 0
    assert box.prune(503, keep_days=2) == 1
    assert (tmp_path / "outbox.db.v2").exists()
