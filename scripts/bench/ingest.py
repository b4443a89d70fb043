"""How fast the follower reads: against web3.py's decoder, a million events, a restart, the head.

    python -m scripts.bench.ingest

A local anvil holds the events of contracts/mocks/EventEmitter.vy: three topics and 96 bytes each.
What is timed is the way that a daemon goes: request, check, commit to SQLite, and decode.
"""

import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

from headrace.chain.db import ChainDb
from headrace.chain.endpoints import connect
from headrace.chain.follower import Follower
from headrace.chain.rpc import Rpc
from headrace.errors import RetryLater
from tests.emitter import Emitter, emitter

EVENTS = 1_000_000
_PER_BLOCK = 4_000
# Blocks of which the rates are taken, in turns. Of each side the best turn counts: what else the
# machine does can only slow one down.
_COMPARED_BLOCKS = 5
_ROUNDS = 5
_POLL = 0.25
_HEADS = 60


def read_all(source: Emitter, db: ChainDb, *, start: int, decode: bool) -> int:
    """Follow from block `start` to the head; returns the number of events."""
    rpc = connect(source.url, timeout=120.0)
    follower = Follower(rpc, db, [source.address], start=start)
    events = 0
    while True:
        try:
            step = follower.step()
        except RetryLater:
            continue
        if decode:
            for entry in step.added:
                source.abi.event(entry)
        events += len(step.added)
        if step.is_caught_up:
            rpc.close()
            return events


def against_web3(source: Emitter, folder: Path, first: int) -> tuple[float, float]:
    """Events per second of the follower and of web3.py's contract decoder, over the same blocks."""
    from web3 import HTTPProvider, Web3

    web3 = Web3(HTTPProvider(source.url, request_kwargs={"timeout": 120}))
    address = Web3.to_checksum_address(source.address)
    event: Any = web3.eth.contract(address=address, abi=source.raw_abi).events.Noted
    last = first + _COMPARED_BLOCKS - 1
    ours, theirs = [], []
    for turn in range(_ROUNDS):
        db = source.db(folder, f"compare{turn}.db")
        began = time.perf_counter()
        count = _read_blocks(source, db, first, last)
        ours.append(count / (time.perf_counter() - began))
        db.close()
        began = time.perf_counter()
        found = sum(
            len(event.get_logs(from_block=number, to_block=number))
            for number in range(first, last + 1)
        )
        theirs.append(found / (time.perf_counter() - began))
        if found != count:
            raise AssertionError(f"web3.py reads {found} events, the follower {count}")
    return max(ours), max(theirs)


def _read_blocks(source: Emitter, db: ChainDb, first: int, last: int) -> int:
    """The follower's own way, ended after the block `last`."""
    rpc = connect(source.url, timeout=120.0)
    follower = Follower(rpc, db, [source.address], start=first, near=0, max_range=1)
    events = 0
    while True:
        step = follower.step()
        for entry in step.added:
            source.abi.event(entry)
        events += len(step.added)
        if step.cursor >= last:
            rpc.close()
            return events


def restart(source: Emitter, path: Path) -> float:
    """Seconds from the start of a new process to the head, over a file that is there already."""
    code = (
        "import sys, json\n"
        "from pathlib import Path\n"
        "from scripts.bench.ingest import reopen\n"
        "reopen(*json.loads(sys.argv[1]))\n"
    )
    argument = json.dumps([source.url, str(path), source.address, source.start])
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, argument], check=True, timeout=120)
    return time.perf_counter() - began


def reopen(url: str, path: str, address: str, start: int) -> None:
    """What a started process does until it is at the head."""
    rpc = connect(url)
    genesis = rpc.header(0)
    db = ChainDb(
        Path(path),
        chain_id=rpc.chain_id(),
        genesis=b"" if genesis is None else genesis.hash,
        escrow=address,
    )
    follower = Follower(rpc, db, [address], start=start)
    while not follower.step().is_caught_up:
        pass
    db.close()


def head_to_commit(source: Emitter, db: ChainDb) -> list[float]:
    """Milliseconds from a block at the node to its rows in the file, polled every 250 ms."""
    rpc = connect(source.url)
    follower = Follower(rpc, db, [source.address], start=source.start)
    while not follower.step().is_caught_up:
        pass
    mined: dict[int, float] = {}
    done = threading.Event()

    def mine() -> None:
        miner = Rpc(source.url)
        for turn in range(_HEADS):
            # Spread over the poll's phases.
            time.sleep(0.30 + 0.05 * (turn % 7))
            source_block = miner.head().number + 1
            source.send(5, turn)
            miner.call("evm_mine")
            mined[source_block] = time.perf_counter()
        miner.close()
        done.set()

    thread = threading.Thread(target=mine, daemon=True)
    thread.start()
    committed: dict[int, float] = {}
    seen = follower.step().cursor
    while not done.is_set() or len(committed) < _HEADS:
        began = time.perf_counter()
        step = follower.step()
        now = time.perf_counter()
        for number in range(seen + 1, step.cursor + 1):
            committed[number] = now
        seen = step.cursor
        time.sleep(max(0.0, _POLL - (time.perf_counter() - began)))
    thread.join()
    rpc.close()
    return [1_000 * max(0.0, committed[number] - at) for number, at in mined.items()]


def measure() -> dict[str, float]:
    """All of them, on flat keys. Takes about two minutes."""
    with tempfile.TemporaryDirectory() as name, emitter() as source:
        folder = Path(name)
        for salt in range(EVENTS // _PER_BLOCK):
            source.emit(_PER_BLOCK, salt)
        gc.collect()
        ours, theirs = against_web3(source, folder, source.start + 1)
        db = source.db(folder)
        began = time.perf_counter()
        count = read_all(source, db, start=source.start, decode=True)
        catch_up = time.perf_counter() - began
        db.close()
        if count != EVENTS:
            raise AssertionError(f"{count} events were read, {EVENTS} were logged")
        again = median(restart(source, folder / "chain.db") for _ in range(3))
        db = source.db(folder)
        latencies = sorted(head_to_commit(source, db))
        db.close()
        return {
            "ingest_events_per_s": round(ours, 1),
            "ingest_vs_web3": round(ours / theirs, 2),
            "catch_up_1m_s": round(catch_up, 2),
            "restart_s": round(again, 3),
            "head_to_commit_p95_ms": round(latencies[int(len(latencies) * 0.95)], 1),
        }


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    print(json.dumps(measure(), indent=2))
