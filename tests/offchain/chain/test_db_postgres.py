"""The same tables on a real PostgreSQL: what the follower needs of SQLite, it has there."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from headrace.chain.abi import checksummed
from headrace.chain.db import ChainDb
from headrace.chain.follower import Follower, TooDeep
from headrace.chain.manifest import Deployment, Placed
from headrace.chain.postgres import PostgresTables
from headrace.chain.resume import resume
from headrace.daemon.books import Books
from headrace.daemon.opening import tables_of
from headrace.errors import HeadraceError, RetryLater, Unreachable, UsageError
from headrace.settings import Settings
from tests.harness import free_port
from tests.offchain.chain.earlier import make_earlier
from tests.offchain.chain.fakes import ADDRESS, FakeChain, FakeRpc
from tests.offchain.daemon.histories import ESCROW, GRAPH, PROOF, History
from tests.postgres_server import missing, server

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

GENESIS = b"\x01" * 32
_schemas = count()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with server() as made:
        yield made


@pytest.fixture
def schema() -> str:
    return f"keeper_{next(_schemas)}"


def open_db(url: str, schema: str, **changes) -> ChainDb:
    is_readonly = changes.pop("is_readonly", False)
    identity = {"chain_id": 1, "genesis": GENESIS, "escrow": checksummed(ADDRESS)} | changes
    return ChainDb(PostgresTables(url, schema, is_readonly=is_readonly), **identity)


def make(chain: FakeChain, db: ChainDb, **options) -> Follower:
    sizes = {"start": 0, "near": 8, "keep": 64, "max_range": 10, "finality": 30}
    return Follower(FakeRpc(chain), db, [ADDRESS], **(sizes | options))


def rows(db: ChainDb) -> list[tuple[int, int, bytes, int]]:
    return [
        (log.block_number, log.log_index, log.block_hash, int.from_bytes(log.topics[1]))
        for log in db.logs()
    ]


def catch_up(follower: Follower) -> None:
    for _ in range(200):
        with suppress(RetryLater):
            if follower.step().is_caught_up:
                return
    raise AssertionError("never caught up")


def history() -> FakeChain:
    chain = FakeChain()
    for number in range(40):
        chain.mine(*range(number % 3))
    return chain


def test_reads_rolls_back_and_reads_on(url, schema):
    chain = history()
    db = open_db(url, schema)
    follower = make(chain, db)
    catch_up(follower)
    assert rows(db) == chain.expected()
    assert list(db.logs(checksummed(ADDRESS))) == list(db.logs())
    assert list(db.logs(checksummed("0x" + "cd" * 20))) == []
    chain.rewrite(5, (1,), (2, 3), (4,))
    catch_up(follower)
    assert rows(db) == chain.expected()
    db.close()
    db = open_db(url, schema)
    chain.mine(9)
    catch_up(make(chain, db))
    assert rows(db) == chain.expected()
    wanted = (9).to_bytes(32)
    assert [log.block_number for log in db.logs_about([wanted])] == [len(chain.blocks) - 1]
    db.close()


def test_second_reading_repairs_here_too(url, schema):
    chain = history()
    db, rpc = open_db(url, schema), FakeRpc(chain)
    follower = Follower(rpc, db, [ADDRESS], start=0, near=0, finality=4)
    honest = rpc.eth_getLogs
    rpc.eth_getLogs = lambda wanted: honest(wanted)[:-1]
    catch_up(follower)
    assert rows(db) != chain.expected()
    rpc.eth_getLogs = honest
    for _ in range(20):
        chain.mine()
        catch_up(follower)
    assert rows(db) == chain.expected()
    assert follower.counters.audit_mismatches > 0
    db.close()


@pytest.mark.parametrize("table", ["blocks", "logs", "cursor"])
def test_a_failure_between_rows_and_cursor_leaves_neither(url, schema, table):
    chain = history()
    db = open_db(url, schema)
    follower = make(chain, db)
    catch_up(follower)
    before, cursor = rows(db), db.cursor()
    db._db.write(
        f"CREATE FUNCTION crash() RETURNS trigger AS 'BEGIN RAISE EXCEPTION ''crash''; END' "
        f"LANGUAGE plpgsql; CREATE TRIGGER crash BEFORE INSERT OR UPDATE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION crash()"
    )
    chain.mine(1, 2)
    with pytest.raises(HeadraceError, match="crash"):
        follower.step()
    assert (rows(db), db.cursor()) == (before, cursor)
    db._db.write(f"DROP TRIGGER crash ON {table}")
    catch_up(follower)
    assert rows(db) == chain.expected()
    db.close()


def test_one_writes_and_others_read(url, schema):
    chain = history()
    db = open_db(url, schema)
    catch_up(make(chain, db))
    with pytest.raises(UsageError, match="in use by another process"):
        open_db(url, schema)
    reader = open_db(url, schema, is_readonly=True)
    assert rows(reader) == rows(db)
    with pytest.raises(HeadraceError, match="read-only"):
        reader.rollback(0, b"")
    reader.close()
    # Another daemon's schema is another world.
    other = open_db(url, f"{schema}_other")
    assert rows(other) == []
    other.close()
    db.close()
    open_db(url, schema).close()


def test_a_lost_connection_ends_it_and_the_lock_is_free(url, schema):
    chain = history()
    db = open_db(url, schema)
    catch_up(make(chain, db))
    other = PostgresTables(url, f"{schema}_other")
    other.read(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
        "AND datname = 'postgres'"
    )
    with pytest.raises(HeadraceError, match="connection was lost") as caught:
        db.cursor()
    assert not isinstance(caught.value, Unreachable | RetryLater), "it would go on without a lock"
    again = open_db(url, schema)
    catch_up(make(chain, again))
    assert rows(again) == chain.expected()
    again.close()
    other.close()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chain_id": 2}, "from another chain"),
        ({"genesis": b"\x02" * 32}, "started anew"),
        ({"escrow": checksummed("0x" + "cd" * 20)}, "another deployment"),
    ],
)
def test_tables_from_elsewhere_are_refused(url, schema, changes, message):
    open_db(url, schema).close()
    with pytest.raises(UsageError, match=message):
        open_db(url, schema, **changes)
    open_db(url, schema).close()


def test_a_halt_is_kept_and_cleared(url, schema):
    chain = history()
    db = open_db(url, schema)
    catch_up(make(chain, db, finality=10))
    chain.rewrite(20, *[(5,)] * 25)
    with pytest.raises(TooDeep):
        make(chain, db, finality=10).step()
    db.close()
    with pytest.raises(UsageError, match="--schema"):
        resume(url)
    assert "was final" in str(resume(url, schema=schema, read_again=True))
    db = open_db(url, schema)
    catch_up(make(chain, db))
    assert rows(db) == chain.expected()
    db.close()


def test_no_message_shows_the_password(schema):
    url = f"postgresql://someone:S3CRET@127.0.0.1:{free_port()}/nothing"
    with pytest.raises(Unreachable) as caught:
        PostgresTables(url, schema, timeout=1)
    assert "S3CRET" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("bad", ["mysql://x/y", "/some/path", ""])
def test_only_its_own_urls(bad, schema):
    with pytest.raises(UsageError, match="postgresql://"):
        PostgresTables(bad, schema)


@pytest.mark.parametrize("bad", ["", "Keeper", "a;b", "1a", "a" * 64, 'a"b'])
def test_a_schema_is_a_plain_word(url, bad):
    with pytest.raises(UsageError, match="can't name a schema"):
        PostgresTables(url, bad)


def test_reading_needs_a_schema(url, schema):
    with pytest.raises(UsageError, match="start a daemon"):
        open_db(url, schema, is_readonly=True)


def test_a_path_is_still_a_file(tmp_path: Path):
    db = ChainDb(tmp_path / "db", chain_id=1, genesis=GENESIS, escrow=checksummed(ADDRESS))
    assert db.label == str(tmp_path / "db")
    db.close()


def test_a_daemon_takes_its_tables_from_the_settings(url, tmp_path: Path):
    secret = tmp_path / "database.url"
    secret.write_text(url + "\n")
    for settings in (Settings(database_url=url), Settings(database_url_file=secret)):
        assert settings.database() == url
        assert "S3CRET" not in repr(settings)
        assert any("S3CRET" in word for word in settings.secrets())
        deployment = Deployment(
            path=tmp_path,
            chain_id=5,
            genesis=GENESIS,
            contracts={"JobEscrow": Placed(checksummed(ADDRESS), bytes(32), 0)},
            is_complete=True,
        )
        tables = tables_of(settings, deployment, "node-7")
        assert tables is not None
        assert tables.label == "node_7_5_abababab at 127.0.0.1"
        tables.close()
    assert tables_of(Settings(), deployment, "node-7") is None


def test_a_restart_reads_what_a_checkpoint_wants(url, schema):
    identity = {"chain_id": 1, "genesis": bytes(32), "escrow": ESCROW}
    places = {"escrow": ESCROW, "fault_proof": PROOF, "graph_proof": GRAPH}
    db = ChainDb(PostgresTables(url, schema), **identity)
    history, books = History(db, 5), Books.load(db, **places)
    for _ in range(30):
        books.follow(history.block(6), 0)
    db.keep_checkpoint(25, books._wanted(), [*places.values()])
    wanted, everything = list(db.logs_wanted(ESCROW)), list(db.logs(ESCROW))
    assert wanted == [log for log in everything if log in wanted]
    assert len(wanted) < len(everything)
    db.close()
    db = ChainDb(PostgresTables(url, schema), **identity)
    assert db.checkpoint == 25
    again = Books.load(db, **places)
    assert again.jobs.live == books.jobs.live
    assert all(again.jobs.jobs[i] == books.jobs.jobs[i] for i in books.jobs.live)
    assert again.games.unsettled == books.games.unsettled
    history.db = db
    history.back(24)
    assert db.checkpoint is None
    assert list(db.logs_wanted(ESCROW)) == list(db.logs(ESCROW))
    db.close()


@pytest.mark.parametrize("version", [1, 2])
def test_what_an_earlier_version_has_read_is_read_anew_here_too(url, schema, version):
    chain = history()
    db = open_db(url, schema)
    catch_up(make(chain, db))
    before = rows(db)
    make_earlier(db, version)
    reader = open_db(url, schema, is_readonly=True)
    assert (reader.is_earlier, rows(reader), reader.cursor().number) == (True, before, 40)
    reader.close()
    db = open_db(url, schema)
    assert (rows(db), db.cursor()) == ([], None)
    catch_up(make(chain, db))
    assert rows(db) == before
    chain.rewrite(3, (8,), (9,), (8,), (7,))
    catch_up(make(chain, db))
    assert rows(db) == chain.expected()
    assert len(db.logs_about([(8).to_bytes(32)])) == 2
    db.close()
