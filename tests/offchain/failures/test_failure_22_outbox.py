"""Failure 22: the outbox can't be written: nothing unrecorded is sent, and the process ends."""

import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.chain.outbox import Outbox
from headrace.daemon.loop import PASSING
from headrace.errors import HeadraceError, Rejected, UsageError
from tests.harness import ROOT
from tests.offchain.chain.till import CHAIN_ID, Bench
from tests.offchain.failures.office import employ, until
from tests.task_list import Office


def fill(bench: Bench) -> None:
    """Send until there is no room, a block at a time."""
    for number in range(1, 1_000):
        bench.sender.submit(f"drip:{number}", bench.token.drip(1))
        if number % 10 == 0:
            bench.mine()
            bench.sender.settle()


def test_failure_22_a_full_disk_stops_sending_and_the_process(bench: Bench):
    bench.sender.submit("drip:0", bench.token.drip(1))
    database = bench.sender._outbox._db.connection
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(HeadraceError, match="full") as caught:
        fill(bench)
    assert not isinstance(caught.value, PASSING)
    # Whatever left is on record, and nothing else has.
    known = {
        "0x" + bytes(raw).hex() for (raw,) in database.execute("SELECT raw FROM attempt").fetchall()
    }
    assert set(bench.rpc.raws) == known
    # With room again, the same connection goes on: it was left in no transaction.
    database.execute("PRAGMA max_page_count = 1073741823")
    last = bench.sender._outbox.unfinished()[-1]
    assert bench.sender.submit("later", bench.token.drip(1)).nonce == last.nonce + 1
    bench.mine()
    bench.sender.settle()
    assert bench.nonce == last.nonce + 2


def test_failure_22_a_disk_that_fails_under_a_process_ends_it_and_it_goes_on_later(
    bench: Bench, office: Office, tmp_path
):
    clerk = employ(office, tmp_path / "clerk")
    path = clerk.config.write()

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))

    with clerk.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.fuzz.clerk", str(path)],
            cwd=ROOT,
            stderr=log,
            preexec_fn=small_files,
        )
    task = 0
    while process.poll() is None and task < 200:
        task += 1
        office.post(task)
        head = office.anvil.rpc("eth_getBlockByNumber", "latest", False)["hash"]
        until(lambda head=head: clerk.saw(head) or process.poll() is not None)
    assert process.wait(10) == 1
    assert "Traceback" not in clerk.log.read_text()
    with clerk.book() as book:
        known = {"0x" + a.hash.hex() for id_ in range(1, task + 1) for a in book.attempts(id_)}
    pool = bench.anvil.rpc("txpool_content")["pending"]
    mine = [txs for who, txs in pool.items() if who.lower() == clerk.key.address.lower()]
    assert {tx["hash"] for txs in mine for tx in txs.values()} <= known
    clerk.start()
    for _ in range(4):
        bench.mine()
        head = office.anvil.rpc("eth_getBlockByNumber", "latest", False)["hash"]
        until(lambda head=head: clerk.saw(head))
    clerk.stop()
    assert all(office.tasks.times(number) == 1 for number in range(1, task + 1))


def test_failure_22_a_locked_outbox_sends_nothing(bench: Bench):
    bench.sender._outbox._db.connection.execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(bench.folder / "outbox.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UsageError, match="locked by another process"):
        bench.sender.submit("drip", bench.token.drip(1))
    assert bench.rpc.raws == []
    other.execute("ROLLBACK")
    other.close()
    assert bench.sender.submit("drip", bench.token.drip(1)).nonce == 0


def test_failure_22_a_damaged_file_is_refused_and_a_new_one_goes_on_from_the_chain(
    bench: Bench, office: Office
):
    office.post(1, 2, 3)
    bench.sender.submit("perform:1", office.tasks.perform(1))
    bench.mine()
    bench.sender.settle()
    bench.sender.submit("perform:2", office.tasks.perform(2))
    bench.sender._outbox.close()
    path: Path = bench.folder / "outbox.sqlite"
    for file in bench.folder.glob("outbox.sqlite-*"):
        file.unlink()
    path.write_bytes(b"not a database at all" * 400)
    with pytest.raises(UsageError, match="is damaged or no file of ours"):
        Outbox(path, chain_id=CHAIN_ID, address=bench.key.address)
    path.rename(path.with_suffix(".damaged"))
    # What was done shows on chain; what was under way is still in the pool, or is sent again.
    fresh = bench.start()
    with pytest.raises(Rejected, match="tasks: not open"):
        fresh.submit("perform:1", office.tasks.perform(1))
    fresh.submit("perform:2", office.tasks.perform(2))
    fresh.submit("perform:3", office.tasks.perform(3))
    for _ in range(8):
        bench.mine()
        fresh.settle()
    assert [office.tasks.times(task) for task in (1, 2, 3)] == [1, 1, 1]
    assert fresh._outbox.unsettled() == []
