"""Failure 6: rewritten below what was final. A second node decides; else it halts, and stays so."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from headrace.chain.follower import Halted, TooDeep
from headrace.chain.resume import main as resume_command
from headrace.chain.resume import resume
from headrace.errors import UsageError
from tests.misbehaving_rpc import of_blocks
from tests.offchain.failures.follow import Reading, proxy, source

__all__ = ["proxy", "source"]

# A daemon as a program: its loop, its error handling, its exit code.
PROGRAM = """
import sys
from pathlib import Path
from headrace.chain.db import ChainDb
from headrace.chain.endpoints import connect
from headrace.chain.follower import Follower
from headrace.daemon import loop
from headrace.daemon.program import main

url, path, chain_id, genesis, address, start = sys.argv[1:]

def run(settings):
    db = ChainDb(Path(path), chain_id=int(chain_id), genesis=bytes.fromhex(genesis), escrow=address)
    follower = Follower(connect(url), db, [address], start=int(start))
    loop.run(follower.step, loop.Stop(), poll=0.01)

main(run)
"""


def filled(source, folder: Path, *urls: str, **options: int) -> Reading:
    """Read 100 blocks with an event every fourth; block -64 is final then."""
    reading = Reading(source, folder, *urls, **options)
    for salt in range(25):
        source.emit(1, salt)
        source.mine(3)
    reading.catch_up()
    reading.check()
    # It has seen what is final, and read it twice.
    reading.catch_up()
    return reading


def test_failure_06_halts_keeps_the_data_and_stays_halted(source, tmp_path: Path):
    reading = filled(source, tmp_path)
    before, cursor = reading.rows, reading.db.cursor()
    source.reorganise(65, [(1, 99, 0)])
    with pytest.raises(TooDeep, match="was final"):
        reading.step()
    assert (reading.rows, reading.db.cursor()) == (before, cursor)
    # In memory and in the file: neither another step nor another process goes on.
    source.mine(100)
    with pytest.raises(Halted, match="halted before"):
        reading.step()
    reading.close()
    program = [sys.executable, "-c", PROGRAM, source.url, str(tmp_path / "chain.db")]
    identity = [str(source.chain_id), source.genesis.hex(), source.address, str(reading.start)]
    ended = subprocess.run([*program, *identity], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "was final" in ended.stderr
    # A person clears it; what was read of the other chain is read again.
    shown = CliRunner().invoke(resume_command, [str(tmp_path / "chain.db"), "--read-again"])
    assert shown.exit_code == 0
    assert "was final" in shown.output
    reading.open()
    assert reading.rows == []
    reading.mirror.by_subject.clear()
    reading.catch_up()
    reading.check()
    reading.close()


def test_failure_06_one_block_less_deep_is_followed(source, tmp_path: Path):
    reading = filled(source, tmp_path)
    source.reorganise(64, [(1, 98, 0)])
    reading.catch_up()
    reading.check()
    reading.close()


def test_failure_06_between_kept_headers_nobody_is_accused(source, tmp_path: Path):
    # Ranges keep few headers: the next one below the common ancestor lies below what is final.
    reading = Reading(source, tmp_path, near=0, max_range=200)
    source.emit(1)
    source.mine(149)
    reading.catch_up()
    reading.catch_up()
    assert reading.follower.final > reading.start + 2
    for salt in range(3):
        source.emit(1, salt)
        reading.catch_up()
    source.reorganise(40, [(1, 5, 0)])
    reading.catch_up()
    reading.check()
    assert reading.follower.counters.deepest > 40
    reading.close()


def test_failure_06_deeper_than_the_kept_headers(source, tmp_path: Path):
    # Nothing is final here, as on a chain that has stopped finalising.
    reading = Reading(source, tmp_path, keep=32, finality=16)
    reading.follower._final_of = lambda head, answer: reading.follower.final
    source.emit(1)
    source.mine(60)
    reading.catch_up()
    before = reading.rows
    source.reorganise(40, [(1, 97, 0)])
    with pytest.raises(TooDeep, match="deeper than the 32 blocks kept"):
        reading.step()
    assert reading.rows == before
    reading.close()


def test_failure_06_a_second_node_that_agrees_halts_too(source, tmp_path: Path, proxy):
    reading = filled(source, tmp_path, source.url, proxy.url)
    source.reorganise(65, [(1, 96, 0)])
    with pytest.raises(TooDeep):
        reading.catch_up()
    assert reading.db.note("halted") is not None
    reading.close()


def test_failure_06_a_second_node_that_knows_better_is_believed(source, tmp_path: Path, proxy):
    reading = filled(source, tmp_path, proxy.url, source.url)

    def other_chain(block: dict) -> dict:
        if int(block["number"], 16) == 0:
            return block
        return block | {name: "0x77" + block[name][4:] for name in ("hash", "parentHash")}

    proxy.changes = of_blocks(other_chain)
    source.emit(3, 44)
    reading.catch_up(until=lambda: reading.rpc.host in source.url)
    reading.check()
    assert reading.db.note("halted") is None
    assert reading.follower.counters.reorganisations == 0
    reading.close()


def test_failure_06_clearing_without_reading_again_keeps_what_was_read(source, tmp_path: Path):
    reading = filled(source, tmp_path)
    reading.db.set_note("halted", "a node at fault")
    before = reading.rows
    reading.close()
    assert resume(str(tmp_path / "chain.db")) == "a node at fault"
    assert resume(str(tmp_path / "chain.db")) is None
    reading.open()
    assert reading.rows == before
    reading.catch_up()
    # The daemon must not be running.
    with pytest.raises(UsageError, match="in use by another process"):
        resume(str(tmp_path / "chain.db"))
    reading.close()


@pytest.mark.parametrize("content", [None, b"no database at all" * 100])
def test_failure_06_only_a_file_of_ours_is_cleared(tmp_path: Path, content: bytes | None):
    path = tmp_path / "some.db"
    if content is not None:
        path.write_bytes(content)
    shown = CliRunner().invoke(resume_command, [str(path)])
    assert shown.exit_code == 1
    assert str(path) in shown.output
