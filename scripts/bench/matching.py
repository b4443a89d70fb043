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
from dataclasses import replace

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
# What the goals are about.
LARGE = Size(jobs=100_000, asks=10_000)
# Small ones like it: one offer to ten jobs, hundreds of offers to a program, many requesters. As
# in the large one nearly all jobs find something.
SMALL = Size(jobs=1_000, asks=100, programs=1, open_jobs=10)
# Small ones with as many programs as the large one, so that three jobs in four find nothing.
THIN = Size(jobs=1_000, asks=100)
# A hundredth of the large one's jobs before all of its asks: most of what a plan costs is to look
# through the asks, whoever wants them.
SAME_ASKS = Size(jobs=1_000, asks=10_000)
SMALL_MARKETS = 10
SAME_ASKS_MARKETS = 3
# Asks of the markets in which memory is measured, with the large one's jobs.
FEW_ASKS, MANY_ASKS = 1_000, 10_000
PLANS = 3
# Markets of which the best assignment is sought. With this many places at a node at most there are
# four places to a job, two, one, and one place to three jobs.
ASSIGNED = Size(jobs=240, asks=48, programs=3, listed=3, open_jobs=8)
CAPACITIES = (38, 19, 9, 3)
ASSIGNED_MARKETS = 6
_IMPOSSIBLE = 1e15


def planned(size: Size, seed: int) -> tuple[float, int]:
    """
    Seconds of processor time for one plan, the least of several, for the plan is the same each time
    and whatever makes it longer isn't; and how many matches are in it.
    """
    book, snapshot = market(size, seed)
    seconds = []
    for _ in range(PLANS):
        gc.collect()
        start = time.process_time()
        plan = propose(book, snapshot)
        seconds.append(time.process_time() - start)
    return min(seconds), len(plan.matches)


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


def cost_per_job(size: Size, markets: int) -> tuple[float, float]:
    """Seconds for each open job, whether it gets something or not; and the share that does."""
    plans = [planned(size, SEED + seed) for seed in range(markets)]
    jobs = size.jobs * markets
    return sum(seconds for seconds, _ in plans) / jobs, sum(matches for _, matches in plans) / jobs


def gap_at(capacity: int) -> float:
    """The share by which plans cost more than the best assignments, with so many places a node."""
    size = replace(ASSIGNED, capacity=capacity)
    pairs = [price_gap(*market(size, SEED + seed)) for seed in range(ASSIGNED_MARKETS)]
    return sum(ours for ours, _ in pairs) / sum(best for _, best in pairs) - 1


def measure() -> Mapping[str, float]:
    """
    `matches_per_s` in the large market; `match_cost_growth`, the time for an open job in it by that
    in small markets where about as many find something (`served_large`, `served_small` are the
    shares); `match_cost_growth_same_asks`, the same by markets with as many asks and a hundredth of
    the jobs; `thin_cost_growth`, by small markets where few find something (`served_thin`), and a
    job that nobody can do costs next to nothing. `match_price_gap` is the share by which plans cost
    more than the best assignments, in those of the markets where it is largest, from many places to
    few. `keeper_rss_mb` is the most memory of a process that follows a market of the large one's
    100,000 jobs and 1,000 asks; `keeper_rss_large_mb` that of one with the large market's own
    10,000 asks.
    """
    small, served_small = cost_per_job(SMALL, SMALL_MARKETS)
    thin, served_thin = cost_per_job(THIN, SMALL_MARKETS)
    same_asks, _ = cost_per_job(SAME_ASKS, SAME_ASKS_MARKETS)
    large, served_large = cost_per_job(LARGE, 1)
    gaps = {capacity: gap_at(capacity) for capacity in CAPACITIES}
    return {
        "matches_per_s": served_large / large,
        "match_cost_growth": large / small,
        "served_small": served_small,
        "served_large": served_large,
        "match_cost_growth_same_asks": large / same_asks,
        "thin_cost_growth": large / thin,
        "served_thin": served_thin,
        "match_price_gap": max(gaps.values()),
        **{f"price_gap_capacity_{capacity}": gap for capacity, gap in gaps.items()},
        "keeper_rss_mb": keeper_rss_mb(FEW_ASKS),
        "keeper_rss_large_mb": keeper_rss_mb(MANY_ASKS),
    }


def keeper_rss_mb(asks: int) -> float:
    """
    The most memory, in MiB, of a process that follows a market of 100,000 jobs and so many asks and
    plans for it.
    """
    command = [sys.executable, "-m", "scripts.bench.keeper_memory", str(asks)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout)["rss_mb"])


if __name__ == "__main__":
    json.dump(measure(), sys.stdout, indent=2)
    sys.stdout.write("\n")
