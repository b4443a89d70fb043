"""What a keeper of a large market needs of memory: a process of its own, for `bench.matching`.

It holds what the keeper holds, in the keeper's own structures: the fold of all open jobs, the
offers with their signatures, the snapshot of all providers, and a plan in the
making. `rss_mb` is the most that the process ever had, in MiB.
"""

import json
import resource
import sys
from pathlib import Path

import headrace.keeper.run  # noqa: F401 - what a keeper has loaded
from headrace.chain.jobs import Job, JobBook
from headrace.market.book import Book
from headrace.market.engine import propose
from headrace.terms.compact import terms_of
from scripts.bench.random_market import Size, market

SEED = 20_261_124
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


def main() -> None:
    """Print the memory after each step as JSON."""
    steps = {"loaded": resident_mb()}
    drawn, snapshot = market(LARGE, SEED)
    jobs = JobBook(keeps_ended=False)
    asks = list(drawn.asks())
    for number, job_id in enumerate(drawn.job_ids()):
        packed = drawn.posted(job_id)
        if packed is not None:
            jobs.jobs[job_id] = Job(id=job_id, terms=terms_of(packed), posted_in=number)
            jobs.live.add(job_id)
        drawn.drop_job(job_id)
    del drawn
    steps["followed"] = resident_mb()
    book = Book(asks=asks)
    for job_id, packed in jobs.jobs.untried():
        book.add_posted(job_id, packed)
    plan = propose(book, snapshot)
    steps["planned"] = resident_mb()
    steps["rss_mb"] = most_resident_mb()
    steps["matches"] = len(plan.matches)
    json.dump(steps, sys.stdout)


if __name__ == "__main__":
    main()
