"""The same book on a real PostgreSQL, and the lease that fences off who was away too long."""

import threading
import time
from collections.abc import Iterator
from itertools import count

import pytest

from headrace.chain.fees import Fees
from headrace.chain.outbox import Outbox
from headrace.chain.outbox_rows import Attempt, Draft
from headrace.chain.postgres_outbox import PostgresBook, RowLease, open_shared
from headrace.chain.sender import Sender
from headrace.errors import HeadraceError, RetryLater, Unreachable, UsageError
from tests.offchain.chain.till import CHAIN_ID, OTHER, Bench
from tests.postgres_server import missing, server

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

_genesis = count()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with server() as made:
        yield made


@pytest.fixture
def identity() -> dict[str, object]:
    return {"chain_id": CHAIN_ID, "genesis": next(_genesis).to_bytes(4), "address": OTHER}


def add(box: Outbox, action: str):
    return box.add(
        Draft(action, "A.b", OTHER, b"\x01\x00", 10**30, 100, 7, True),
        chain_nonce=0,
        block=5,
        sign=lambda nonce: Attempt(action.encode(), b"\x02\x00", 10**25, 1, False, 5),
    )


def test_a_book_there_is_the_same_as_a_file(url, identity):
    box = open_shared(url, **identity)
    tx, is_new = add(box, "a")
    assert (is_new, tx.nonce, tx.value, tx.data, tx.deadline) == (True, 0, 10**30, b"\x01\x00", 7)
    assert tx.is_safety
    assert add(box, "a") == (tx, False)
    assert add(box, "b")[0].nonce == 1
    assert [attempt.max_fee for attempt in box.attempts(tx.id)] == [10**25]
    assert box.at_stake() == 2 * (100 * 10**25 + 10**30)
    box.settle(tx.id, "mined", mined=(3, b"\x03" * 32, b"a"), fee=9, fee_day=4)
    assert box.spent(4, is_safety=True) == 9 + 100 * 10**25
    box.latch(1)
    box.close()
    again = open_shared(url, **identity)
    assert again.latched() is not None
    assert [(t.action, t.state) for t in again.unfinished()] == [("a", "mined"), ("b", "open")]
    assert again.reopen(tx.id).state == "open"
    again.close()


def test_what_is_long_final_goes_here_too(url, identity):
    box = open_shared(url, **identity)
    tx = add(box, "a")[0]
    box.settle(tx.id, "done", mined=(3, b"\x03" * 32, b"a"), is_final=True, fee=9, fee_day=4)
    after = add(box, "b")[0]
    assert box.prune(4, keep_days=2) == 0
    assert box.prune(6, keep_days=2) == 0
    assert box.prune(7, keep_days=2) == 1
    assert (box.of_action("a"), box.attempts(tx.id)) == (None, [])
    assert [(t.id, t.nonce) for t in box.unfinished()] == [(after.id, after.nonce)]
    assert len(box.attempts(after.id)) == 1
    box.close()


def test_who_takes_over_knows_what_the_key_has_sent_and_a_moved_deadline(url, identity):
    box = open_shared(url, **identity)
    assert box.accounted() is None
    first = add(box, "a")[0]
    box.account_from(first.nonce)
    box.settle(first.id, "done", mined=(3, b"\x03" * 32, b"a"), is_final=True, fee_day=4)
    last = add(box, "b")[0]
    assert box.set_deadline(last.id, 99).deadline == 99
    assert [box.prune(day, keep_days=2) for day in (4, 7)] == [0, 1]
    box.close()
    standby = open_shared(url, is_standby=True, **identity)
    assert standby.accounted() == last.nonce + 1
    standby.release()
    assert standby.accounted() is None
    standby.close()


def test_a_second_process_is_refused_and_a_standby_waits(url, identity):
    first = open_shared(url, **identity)
    with pytest.raises(UsageError, match="sends with this key already"):
        open_shared(url, **identity)
    with pytest.raises(RetryLater, match="standing by"):
        open_shared(url, is_standby=True, **identity)
    first.close()
    open_shared(url, is_standby=True, **identity).close()


def test_who_was_away_too_long_can_neither_sign_nor_write(url, identity):
    old = open_shared(url, seconds=0.2, **identity)
    tx, _ = add(old, "a")
    time.sleep(0.3)
    new = open_shared(url, is_standby=True, **identity)
    signed: list[int] = []

    def sign(nonce: int) -> Attempt:
        signed.append(nonce)
        return Attempt(b"x", b"y", 1, 1, False, 5)

    with pytest.raises(UsageError, match="another process has taken over"):
        old.add(Draft("b", "A.b", OTHER, b"", 0, 1), chain_nonce=0, block=5, sign=sign)
    assert signed == []
    for write in (
        lambda: old.add_attempt(tx.id, Attempt(b"z", b"y", 1, 1, False, 5)),
        lambda: old.settle(tx.id, "done"),
        lambda: old.reopen(tx.id),
        old.hold,
    ):
        with pytest.raises(UsageError, match="another process has taken over"):
            write()
    assert add(new, "b")[0].nonce == 1
    # Its farewell takes nothing from the new one.
    old.close()
    new.hold()
    assert add(new, "c")[0].nonce == 2
    new.close()


def test_a_lease_that_ran_out_goes_on_if_nobody_wanted_it(url, identity):
    box = open_shared(url, seconds=0.2, **identity)
    time.sleep(0.3)
    box.hold()
    assert add(box, "a")[1]
    with pytest.raises(UsageError, match="sends with this key already"):
        open_shared(url, **identity)
    box.close()


def test_writers_wait_for_each_other(url, identity):
    """Without a lease, as the command line does it: nonces are still taken one at a time."""
    schema = f"shared_{identity['genesis'].hex()}"
    boxes = [Outbox(PostgresBook(url, schema), chain_id=CHAIN_ID, address=OTHER) for _ in range(4)]
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(10):
                add(boxes[number], f"{number}:{step}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert [tx.nonce for tx in boxes[0].unfinished()] == list(range(40))
    for box in boxes:
        box.close()


def test_a_lost_connection_ends_it_and_nothing_is_sent(url, bench: Bench):
    genesis = next(_genesis).to_bytes(4)
    box = open_shared(url, chain_id=CHAIN_ID, genesis=genesis, address=bench.key.address)
    sender = Sender(bench.rpc, bench.key, box, chain_id=CHAIN_ID, fees=Fees())
    assert sender.submit("drip:1", bench.token.drip(1)).nonce == 0
    box._db._connection.close()
    with pytest.raises(HeadraceError, match="connection was lost") as caught:
        sender.submit("drip:2", bench.token.drip(1))
    assert not isinstance(caught.value, RetryLater)
    assert len(bench.rpc.raws) == 1
    box.close()


def test_what_is_wrong_with_a_database_is_said_without_its_password(url):
    with pytest.raises(UsageError, match="must start with postgresql"):
        PostgresBook("mysql://x", "a")
    with pytest.raises(UsageError, match="can't name a schema"):
        PostgresBook(url, "a; DROP TABLE tx")
    with pytest.raises(Unreachable, match=r"no database answers for a at 127\.0\.0\.1") as caught:
        PostgresBook("postgresql://me:S3CRET@127.0.0.1:1/x", "a")
    assert "S3CRET" not in str(caught.value)
    book = PostgresBook(url, "refused")
    RowLease.take(book)
    with pytest.raises(HeadraceError, match="nonsense"):
        book.write("SELECT nonsense")
    book.close()
