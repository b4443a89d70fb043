"""What a keeper of a large market needs of memory: a process of its own, for `bench.matching`.

It holds what the keeper holds, in the keeper's own structures: the fold of all open jobs, the
offers with their signatures, the snapshot of all providers, the words it knows of the contracts, as
`keeper.known` keeps them, and a plan in the making. `rss_mb` is the most that the process ever had,
in MiB. The market has 100,000 open jobs, and as many asks as the argument says, or 1,000.
"""

import json
import resource
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import headrace.keeper.run  # noqa: F401 - what a keeper has loaded
from headrace.chain.jobs import Job, JobBook
from headrace.chain.views import Account, Provider
from headrace.keeper.reads import Key, account_key, node_key, places_key, provider_key
from headrace.keeper.weights import Ageing
from headrace.market.book import Book, LiveAsk
from headrace.market.engine import propose
from headrace.market.snapshot import Snapshot
from scripts.bench.random_market import Size, drawn

SEED = 20_261_124
_HALF_LIFE = 30 * 86_400
LARGE = Size(jobs=100_000, asks=int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)


def resident_mb() -> float:
    """What the process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def most_resident_mb() -> float:
    """The most it ever had since it was started; `ru_maxrss` would count what its parent had."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "VmHWM":
            return int(value.split()[0]) / 1024
    raise RuntimeError("the system doesn't say how much memory was in use")


def words(asks: Iterable[LiveAsk], snapshot: Snapshot) -> dict[Key, Any]:
    """
    What is known of each ask's provider. Posted jobs need no words: their money is in the escrow,
    and the events say whether they are open.
    """
    known: dict[Key, Any] = {}
    for live in asks:
        account, state = live.ask.provider, snapshot.providers[live.ask.provider]
        record = state.record
        read = Provider(
            status=record.status,
            is_available=record.is_available,
            operator=account,
            payout=account,
            bond=10**15,
            epoch=0,
            revoked_lanes=0,
            last_seen=record.last_seen,
            active=record.active,
            completions=record.completions,
            faults=0,
            no_shows=0,
            declines=0,
            good_weight=record.good_weight,
            bad_weight=record.bad_weight,
            thaws_at=0,
        )
        known[provider_key(account)] = Ageing(read, snapshot.now, _HALF_LIFE)
        known[node_key(account, live.ask.node)] = state.nodes[live.ask.node].word
        known[places_key(account, live.ask.node)] = 1
        known[account_key(account)] = Account(10**15, 0, 0, 0)
    return known


def main() -> None:
    """Print the memory after each step as JSON."""
    steps = {"loaded": resident_mb()}
    asks, snapshot, posted = drawn(LARGE, SEED)
    jobs = JobBook(keeps_ended=False)
    for number, (job_id, terms) in enumerate(posted):
        jobs.jobs[job_id] = Job(id=job_id, terms=terms, posted_in=number)
        jobs.live.add(job_id)
    steps["followed"] = resident_mb()
    known = words(asks, snapshot)
    # They are named once more by the marks of the blocks, the questions, and the second reading.
    named = [list(known), set(known), list(known)]
    steps["known"] = resident_mb()
    table = jobs.jobs
    book = Book(asks=asks, shapes=table.shapes, posted=dict(table.untried()))
    plan = propose(book, snapshot)
    steps["planned"] = resident_mb()
    steps["rss_mb"] = most_resident_mb()
    steps["matches"] = len(plan.matches)
    steps["words"] = len(named[0])
    json.dump(steps, sys.stdout)


if __name__ == "__main__":
    main()
