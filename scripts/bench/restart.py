"""How long a daemon takes to be back over a long history, and what it needs of memory for it.

    python -m scripts.bench.restart

The tables of a daemon hold a market's whole life: so many jobs that were posted, matched, claimed
and became final, and a thousand that are open. A process of its own loads the books over them, once
from a checkpoint and once, over a smaller part, from nothing.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from headrace.chain.db import ChainDb
from headrace.daemon.books import Books
from tests.offchain.daemon.histories import ESCROW, GRAPH, PROOF, History

ENDED = 200_000
_FEW = 2_000
_OPEN = 1_000
_PER_BLOCK = 500
_TURNS = 3


def open_db(path: Path) -> ChainDb:
    """The tables of the made-up market."""
    return ChainDb(path, chain_id=1, genesis=bytes(32), escrow=ESCROW)


def load(path: Path) -> Books:
    """The books over them."""
    return Books.load(open_db(path), escrow=ESCROW, fault_proof=PROOF, graph_proof=GRAPH)


def fill(path: Path, ended: int) -> None:
    """Write the history of so many ended jobs, and then the open ones."""
    db = open_db(path)
    history = History(db, keeps_blocks=False)
    while ended > 0:
        history.number += 1
        for _ in range(min(ended, _PER_BLOCK)):
            life = history.post()
            history.match(life)
            history.claim(life)
            history.final(life)
        ended -= _PER_BLOCK
        history.lives.clear()
        history.seal()
    history.number += 1
    for _ in range(_OPEN):
        history.post()
    history.seal()
    # All but the last block is final.
    db.set_note("final", str(history.number - 1))
    db.close()


def started(path: Path) -> tuple[float, float]:
    """Seconds and MiB of a process that loads the books over the tables at `path`."""
    code = "import sys; from scripts.bench.restart import reopen; reopen(sys.argv[1])"
    found = []
    for _ in range(_TURNS):
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], check=True, capture_output=True, timeout=300
        )
        found.append((time.perf_counter() - began, float(json.loads(done.stdout))))
    return min(found)


def reopen(path: str) -> None:
    """What the process does: the jobs that are going on have to be there."""
    books = load(Path(path))
    if len(books.jobs.live) != _OPEN:
        raise AssertionError(f"{len(books.jobs.live)} jobs are going on, not {_OPEN}")
    status = Path("/proc/self/status").read_text()
    # `ru_maxrss` would count what its parent had.
    (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps(int(peak) / 1024))


def checkpoint(path: Path) -> None:
    """What is over is wanted no more."""
    books = load(path)
    if not books.keep_checkpoint(int(books.db.note("final") or -1)):
        raise AssertionError("no checkpoint was written")
    books.db.close()


def measure() -> dict[str, float]:
    """From a checkpoint over few and over many ended jobs, and from nothing over few."""
    with tempfile.TemporaryDirectory() as name:
        few, many = Path(name) / "few.db", Path(name) / "many.db"
        fill(few, _FEW)
        nothing, _ = started(few)
        fill(many, ENDED)
        for path in (few, many):
            checkpoint(path)
        little, little_mb = started(few)
        much, much_mb = started(many)
        return {
            "restart_few_from_nothing_s": round(nothing, 3),
            "restart_few_s": round(little, 3),
            "restart_200k_s": round(much, 3),
            "restart_200k_rss_mb": round(much_mb, 1),
            "restart_growth": round(much / little, 2),
            "restart_rss_growth": round(much_mb / little_mb, 3),
        }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
