"""How fast, how cheap and how small the matching engine is, on markets drawn from a fixed seed.

`python -m scripts.bench.matching` prints the figures; every market is the same each time. Times are
of the processor, not of the wall, so that other work on the machine disturbs them less.
"""

import gc
import json
import subprocess
import sys
import time
from collections.abc import Mapping

import numpy as np
from scipy.optimize import linear_sum_assignment

from headrace.market.book import Book
from headrace.market.engine import propose
from headrace.market.matching import judge
from headrace.market.plan import Choice
from headrace.market.snapshot import Snapshot
from headrace.terms.money import price_of
from scripts.bench.random_market import Size, market

SEED = 20_261_124
# What the goals are about; the small ones have the same shape, one offer to ten jobs.
LARGE = Size(jobs=100_000, asks=10_000)
SMALL = Size(jobs=1_000, asks=100)
SMALL_MARKETS = 10
# Markets of which the best assignment is sought: with twice the places that there are jobs.
ASSIGNED = Size(jobs=240, asks=48, capacity=19, programs=3, listed=3, open_jobs=8)
ASSIGNED_MARKETS = 8
_IMPOSSIBLE = 1e15


def planned(size: Size, seed: int) -> tuple[float, int]:
    """Seconds of processor time for one plan, and how many matches are in it."""
    book, snapshot = market(size, seed)
    gc.collect()
    start = time.process_time()
    plan = propose(book, snapshot)
    return time.process_time() - start, len(plan.matches)


def price_gap(book: Book, snapshot: Snapshot) -> tuple[float, float]:
    """
    The sum of all prices in the engine's plan, and the least that any assignment can have (scipy).
    A job that gets nothing counts with all that it would pay.
    """
    plan = propose(book, snapshot, choice=Choice(random_bps=0))
    jobs, asks = list(book.jobs()), list(book.asks())
    limits = np.array([float(judge(job, asks[0], snapshot).quote.limit) for job in jobs])
    columns: list[np.ndarray[tuple[int], np.dtype[np.float64]]] = []
    for ask in asks:
        prices = np.full(len(jobs), _IMPOSSIBLE)
        for row, job in enumerate(jobs):
            if job.terms.program in ask.programs and judge(job, ask, snapshot).fits:
                prices[row] = price_of(ask.ask, job.terms.units)
        node = snapshot.providers[ask.ask.provider].nodes[ask.ask.node]
        columns += [prices] * (node.word >> 200 & 0xFF)
    nothing = np.where(np.eye(len(jobs), dtype=bool), limits[:, None], _IMPOSSIBLE)
    costs = np.concatenate((np.array(columns).T, nothing), axis=1)
    rows, chosen = linear_sum_assignment(costs)
    matched = {match.job_id: match.ask for match in plan.matches}
    ours = 0.0
    for job, limit in zip(jobs, limits.tolist(), strict=True):
        found = matched.get(job.job_id)
        ours += limit if found is None else price_of(found.ask, job.terms.units)
    return ours, float(costs[rows, chosen].sum())


def measure() -> Mapping[str, float]:
    """
    `matches_per_s` in the large market; `match_cost_growth`, the time for a job served in it by
    that in the small markets (a job that nobody can do costs next to nothing, and small markets
    have more of these; `job_cost_growth` is the same for all jobs, served or not);
    `match_price_gap`, the share by which the plans' prices are above the best
    assignments'; `keeper_rss_mb`, the most memory of a process that follows the large market.
    """
    small = [planned(SMALL, SEED + seed) for seed in range(SMALL_MARKETS)]
    small_seconds = sum(seconds for seconds, _ in small)
    small_matches = sum(matches for _, matches in small)
    seconds, matches = planned(LARGE, SEED)
    ours = best = 0.0
    for seed in range(ASSIGNED_MARKETS):
        one, other = price_gap(*market(ASSIGNED, SEED + seed))
        ours, best = ours + one, best + other
    return {
        "matches_per_s": matches / seconds,
        "match_cost_growth": seconds / matches * small_matches / small_seconds,
        "job_cost_growth": seconds / LARGE.jobs * SMALL.jobs * SMALL_MARKETS / small_seconds,
        "match_price_gap": ours / best - 1,
        "keeper_rss_mb": keeper_rss_mb(),
    }


def keeper_rss_mb() -> float:
    """The most memory of a process that follows the large market and plans for it, in MiB."""
    command = [sys.executable, "-m", "scripts.bench.keeper_memory"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout)["rss_mb"])


if __name__ == "__main__":
    json.dump(measure(), sys.stdout, indent=2)
    sys.stdout.write("\n")
