"""The follower has exactly the canonical chain's logs, whatever the node and the process do."""

import random
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.chain.abi import checksummed
from headrace.chain.db import ChainDb
from headrace.chain.follower import Follower, TooDeep
from headrace.errors import RetryLater, Unreachable, UsageError
from tests.offchain.chain.fakes import ADDRESS, FakeChain, FakeRpc, lost

GENESIS = b"\x01" * 32


def open_db(path: Path, **changes) -> ChainDb:
    identity = {"chain_id": 1, "genesis": GENESIS, "escrow": checksummed(ADDRESS)}
    return ChainDb(path / "chain.sqlite", **(identity | changes))


def rows(db: ChainDb) -> list[tuple[int, int, bytes, int]]:
    return [
        (log.block_number, log.log_index, log.block_hash, int.from_bytes(log.topics[1]))
        for log in db.logs()
    ]


def catch_up(follower: Follower, limit: int = 200) -> None:
    for _ in range(limit):
        if follower.step().is_caught_up:
            return
    raise AssertionError("never caught up")


def make(rpc: FakeRpc, db: ChainDb, **options) -> Follower:
    sizes = {"start": 0, "near": 8, "keep": 64, "max_range": 10}
    return Follower(rpc, db, [ADDRESS], **(sizes | options))


@pytest.fixture
def fake() -> FakeChain:
    chain = FakeChain()
    for number in range(40):
        chain.mine(*range(number % 3))
    return chain


def test_reads_from_far_to_the_head_in_order(fake, tmp_path):
    db = open_db(tmp_path)
    catch_up(make(FakeRpc(fake), db, start=5))
    assert rows(db) == fake.expected(5)
    assert db.cursor().number == 40
    assert db.cursor().hash.hex() == fake.blocks[-1].hash[2:]
    assert {log.timestamp - log.block_number for log in db.logs()} == {1_000}


def test_a_step_gives_what_it_added_and_took_out(fake, tmp_path):
    db = open_db(tmp_path)
    follower = make(FakeRpc(fake), db)
    catch_up(follower)
    fake.mine(7)
    assert [int.from_bytes(log.topics[1]) for log in follower.step().added] == [7]
    fake.rewrite(1, (8,), (9,))
    back = follower.step()
    assert [int.from_bytes(log.topics[1]) for log in back.removed] == [7]
    assert not back.added
    assert not back.is_caught_up
    assert [int.from_bytes(log.topics[1]) for log in follower.step().added] == [8, 9]


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60)
def test_any_history_of_reorganisations_lost_answers_and_restarts(seed, tmp_path_factory):
    draw = random.Random(seed)
    chain = FakeChain()
    rpc = FakeRpc(chain)
    path = tmp_path_factory.mktemp("db")
    db = open_db(path)
    follower = make(rpc, db, max_range=draw.randint(1, 12), finality=500)

    def contents(most: int) -> list[tuple[int, ...]]:
        return [
            tuple(draw.randrange(99) for _ in range(draw.randint(0, 2)))
            for _ in range(draw.randint(1, most))
        ]

    def disturb(method: str) -> None:
        luck = draw.random()
        if luck < 0.05:
            raise Unreachable("lost")
        if luck < 0.10:  # rewritten between two requests of one step
            chain.rewrite(draw.randint(1, 6), *contents(8))

    for _ in range(12):
        if draw.random() < 0.5:
            for logs in contents(25):
                chain.mine(*logs)
        else:
            chain.rewrite(draw.randint(1, 20), *contents(22))
        rpc.most = draw.choice([3, 10**9])
        rpc.before = disturb
        for _ in range(draw.randint(1, 8)):
            with suppress(RetryLater, Unreachable):
                follower.step()
            assert all(row[0] <= db.cursor().number for row in rows(db))
        if draw.random() < 0.3:
            db.close()
            db = open_db(path)
            follower = make(rpc, db, max_range=draw.randint(1, 12), finality=500)
    rpc.before = lambda method: None
    # A longer chain than any before: what was read of a dead branch has to show.
    for _ in range(60):
        chain.mine(5)
    for _ in range(300):
        with suppress(RetryLater):
            if follower.step().is_caught_up:
                break
    assert rows(db) == chain.expected()
    db.close()


@pytest.mark.parametrize("table", ["blocks", "logs", "cursor"])
def test_a_crash_between_rows_and_cursor_leaves_neither(fake, tmp_path, table):
    db = open_db(tmp_path)
    follower = make(FakeRpc(fake), db)
    catch_up(follower)
    before, cursor = rows(db), db.cursor()
    with sqlite3.connect(tmp_path / "chain.sqlite", isolation_level=None) as other:
        other.execute(
            f"CREATE TRIGGER crash BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'crash'); END"
        )
    fake.mine(1, 2)
    with pytest.raises(UsageError, match="crash"):
        follower.step()
    assert (rows(db), db.cursor()) == (before, cursor)
    with sqlite3.connect(tmp_path / "chain.sqlite", isolation_level=None) as other:
        other.execute("DROP TRIGGER crash")
    catch_up(follower)
    assert rows(db) == fake.expected()


def test_a_node_that_is_behind_undoes_nothing(fake, tmp_path):
    db, rpc = open_db(tmp_path), FakeRpc(fake)
    follower = make(rpc, db)
    catch_up(follower)
    for behind in (1, 7, 30):
        rpc.behind = behind
        with pytest.raises(RetryLater, match=f"at block {40 - behind}"):
            follower.step()
    assert rows(db) == fake.expected()
    rpc.behind = 0
    fake.mine(3)
    catch_up(follower)
    assert rows(db) == fake.expected()


def test_a_shorter_chain_with_other_blocks_is_followed(fake, tmp_path):
    db = open_db(tmp_path)
    follower = make(FakeRpc(fake), db)
    catch_up(follower)
    fake.rewrite(6, (1,), (2,))
    catch_up(follower)
    assert rows(db) == fake.expected()


def test_a_reorganisation_deeper_than_what_is_kept_stops_and_keeps_the_file(tmp_path):
    chain = FakeChain()
    for _ in range(60):
        chain.mine(1)
    db = open_db(tmp_path)
    follower = make(FakeRpc(chain), db, keep=16, finality=8)
    catch_up(follower)
    before = rows(db)
    chain.rewrite(50, *[(2,)] * 55)
    with pytest.raises(TooDeep, match="16 blocks kept"):
        follower.step()
    assert rows(db) == before


def test_what_is_not_final_yet_is_always_kept(tmp_path):
    chain = FakeChain()
    for _ in range(60):
        chain.mine(1)
    db = open_db(tmp_path)
    follower = make(FakeRpc(chain), db, keep=4, finality=20)
    catch_up(follower)
    chain.rewrite(20, *[(2,)] * 22)
    catch_up(follower)
    assert rows(db) == chain.expected()
    assert len(db.headers(below=1_000, count=1_000)) == 40


def test_all_since_the_deployment_may_be_rewritten(fake, tmp_path):
    db = open_db(tmp_path)
    follower = make(FakeRpc(fake), db, start=30)
    catch_up(follower)
    fake.rewrite(15, *[(6,)] * 16)
    catch_up(follower)
    assert rows(db) == fake.expected(30)


def test_halves_ranges_that_the_node_refuses(fake, tmp_path):
    db, rpc = open_db(tmp_path), FakeRpc(fake)
    rpc.most = 2
    follower = make(rpc, db, near=0, max_range=32)
    for _ in range(300):
        with suppress(RetryLater):
            if follower.step().is_caught_up:
                break
    assert rows(db) == fake.expected()


@pytest.mark.parametrize("near", [64, 0])
@pytest.mark.parametrize(
    "change",
    [
        {"blockHash": "0x" + "99" * 32},
        {"address": "0x" + "cd" * 20},
        {"removed": True},
        {"blockNumber": "0x28"},
        {"blockNumber": "nonsense"},
        {"logIndex": "0x0"},
        {"topics": ["0x12"]},
    ],
)
def test_nothing_is_written_of_an_answer_that_is_not_what_was_asked_for(
    fake, tmp_path, change, near
):
    db, rpc = open_db(tmp_path), FakeRpc(fake)
    honest = rpc.eth_getLogs

    def lie(wanted):
        logs = honest(wanted)
        # The second log of block 2: its index made that of the first is a log twice.
        return [log | change if log["topics"][1][-1] == "1" else log for log in logs]

    rpc.eth_getLogs = lie
    with pytest.raises((RetryLater, Unreachable)):
        make(rpc, db, near=near).step()
    assert db.cursor() is None
    assert rows(db) == []


@pytest.mark.parametrize("near", [64, 0])
def test_a_chain_that_is_rewritten_while_a_step_reads_is_not_mixed(fake, tmp_path, near):
    db, rpc = open_db(tmp_path), FakeRpc(fake)
    follower = make(rpc, db, near=near)
    catch_up(follower)
    fake.mine(1)
    asked = 0

    def rewrite(method: str) -> None:
        nonlocal asked
        asked += 1
        if asked == 3:  # the head and the cursor's block are known, the new header is not
            fake.rewrite(5, *[(7,)] * 5)

    rpc.before = rewrite
    with suppress(RetryLater):
        follower.step()
    rpc.before = lambda method: None
    fake.mine(8)
    for _ in range(20):
        with suppress(RetryLater):
            follower.step()
    assert rows(db) == fake.expected()


def test_a_lost_answer_changes_nothing(fake, tmp_path):
    db, rpc = open_db(tmp_path), FakeRpc(fake)
    rpc.before = lost
    with pytest.raises(Unreachable):
        make(rpc, db).step()
    assert db.cursor() is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chain_id": 2}, "from another chain"),
        ({"genesis": b"\x02" * 32}, "started anew"),
        ({"escrow": checksummed("0x" + "cd" * 20)}, "another deployment"),
    ],
)
def test_a_file_from_elsewhere_is_refused(tmp_path, changes, message):
    open_db(tmp_path).close()
    with pytest.raises(UsageError, match=message):
        open_db(tmp_path, **changes)
    open_db(tmp_path).close()


def test_one_process_writes_and_others_read(fake, tmp_path):
    db = open_db(tmp_path)
    catch_up(make(FakeRpc(fake), db))
    with pytest.raises(UsageError, match="in use by another process"):
        open_db(tmp_path)
    reader = open_db(tmp_path, is_readonly=True)
    assert rows(reader) == rows(db)
    db.close()
    open_db(tmp_path).close()


def test_a_locked_file_says_what_to_do(tmp_path):
    db = open_db(tmp_path)
    db._db.connection.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(tmp_path / "chain.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UsageError, match="locked by another process"):
        db.rollback(0, b"")
    other.close()


def test_a_damaged_file_says_what_to_do(tmp_path):
    (tmp_path / "chain.sqlite").write_bytes(b"this is no database" * 300)
    with pytest.raises(UsageError, match="damaged or no file of ours"):
        open_db(tmp_path)


def test_reading_needs_a_file(tmp_path):
    with pytest.raises(UsageError, match="start a daemon"):
        open_db(tmp_path, is_readonly=True)


@pytest.mark.parametrize("after", ["eth_getLogs", "eth_getBlockByNumber"])
def test_a_range_that_is_rewritten_between_its_logs_and_its_headers_is_not_taken(tmp_path, after):
    chain = FakeChain()
    chain.mine(1)
    db, rpc = open_db(tmp_path), FakeRpc(chain)
    follower = make(rpc, db, near=0, max_range=50)
    catch_up(follower)
    for _ in range(6):
        chain.mine()
    asked = []

    def rewrite(method: str) -> None:
        # Empty when its logs were asked for; the new branch has some.
        if asked and asked[-1] == after and "eth_getLogs" in [*asked, method]:
            rpc.before = lambda method: None
            chain.rewrite(6, *[(9,)] * 6)
        asked.append(method)

    rpc.before = rewrite
    with suppress(RetryLater):
        follower.step()
    rpc.before = lambda method: None
    chain.mine(3)
    catch_up(follower)
    assert rows(db) == chain.expected()
    db.close()


def test_ranges_are_asked_for_ahead_and_taken_once(fake, tmp_path):
    db, rpc = open_db(tmp_path), FakeRpc(fake)
    spare = FakeRpc(fake)
    rpc.spare = lambda: spare
    catch_up(make(rpc, db, near=0, max_range=7))
    assert rows(db) == fake.expected()
    # All but the first range came over the second connection.
    assert rpc.requests.count("eth_getLogs") == 1
    assert spare.requests.count("eth_getLogs") == 5
    db.close()


def test_what_was_asked_for_ahead_and_failed_is_asked_for_again(fake, tmp_path):
    db, rpc = open_db(tmp_path), FakeRpc(fake)
    spare = FakeRpc(fake)
    spare.before = lost
    rpc.spare = lambda: spare
    catch_up(make(rpc, db, near=0, max_range=7))
    assert rows(db) == fake.expected()
    assert rpc.requests.count("eth_getLogs") == 6
    db.close()


def test_what_was_asked_for_ahead_on_a_dead_branch_is_not_taken(fake, tmp_path):
    db, rpc = open_db(tmp_path), FakeRpc(fake)
    spare = FakeRpc(fake)
    rpc.spare = lambda: spare
    follower = make(rpc, db, near=0, max_range=7)
    follower.step()
    follower._reader._ahead._thread.join()
    fake.rewrite(33, *[(4, 5)] * 34)
    for _ in range(100):
        with suppress(RetryLater):
            if follower.step().is_caught_up:
                break
    assert rows(db) == fake.expected()
    db.close()
