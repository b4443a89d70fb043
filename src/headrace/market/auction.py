"""Who gets which place when all want the cheap ones: an auction among the jobs of one plan.

Every job without a place bids for the one that is cheapest for it now, bids included. It bids up to
where it would as soon have its second choice (at most what it is ready to pay), and one step
more; if the node is full, whoever bid least for it has to look anew. What a place costs above its
price is the least bid on a full node, and nothing on one with room. In the end nobody has cheaper
to go to by more than the steps: the sum of all prices is within the sum of the last steps of the
best assignment's, and mostly far nearer (D. P. Bertsekas and D. A. Castanon, The auction algorithm
for the transportation problem, Annals of Operations Research 20, 1989). Bids are no money: they
decide who goes where.
"""

from array import array
from collections.abc import Mapping, Sequence
from heapq import heappush, heapreplace

from headrace.market.index import ProgramIndex
from headrace.market.pool import Pool
from headrace.terms.money import BPS

# A step is so many times the price. Small ones come nearer to the best assignment and take more
# looks: with half of it 0.3 % above where places are scarcest, with twice 1.1 %, with four times
# 1.7 %. Among very many jobs time counts for more.
_STEP, _LARGE_STEP = 2.0, 4.0
_VERY_MANY = 20_000
# A job's steps are no smaller than this part of what it would pay, or two with that much to spend
# could bid for something free for ever.
_LEAST_STEP = 1 / 16
# Looks per job after which the rest goes without a place in this auction.
_MOST_LOOKS = 16
_JOB_BITS = 32
_JOBS = (1 << _JOB_BITS) - 1
NOTHING = -1


class Auction:
    """
    One auction. A job is named by its place in the waiting. `room` is by the rows of the nodes, and
    `offers_of[row]` are the offers made for a node: the index of a program, and the slot there.
    """

    def __init__(
        self,
        room: Sequence[int],
        offers_of: Mapping[int, Sequence[tuple[ProgramIndex, int]]],
        node_of: Sequence[int],
        jobs: int,
    ) -> None:
        """`node_of` is the node's row by the rows of `ProgramIndex.rows`."""
        self._room = room
        self._offers_of = offers_of
        self._node_of = node_of
        # Who has a place, by node: a heap of the bid and then the job, in one integer.
        self._holders: dict[int, list[int]] = {}
        # The slot that a job has, and whether another may cost nearly as little, or less.
        self.slots = array("i", [NOTHING]) * jobs
        self.has_rivals = bytearray(jobs)

    def run(
        self,
        waiting: "array[int]",
        pools: Sequence[Pool | None],
        units: Sequence[int],
        limits: Sequence[float],
        band_bps: int,
    ) -> None:
        """
        Let the jobs in `waiting` bid, the last first, until none is left in it or all have had
        their looks. The pools of the jobs, their units and what they would pay are by job.
        `band_bps` says what is nearly as little: how many basis points above the lowest price.
        """
        slots, holders_of, room = self.slots, self._holders, self._room
        node_of, offers_of = self._node_of, self._offers_of
        times = _STEP if len(waiting) <= _VERY_MANY else _LARGE_STEP
        for _ in range(_MOST_LOOKS * len(waiting)):
            if not waiting:
                return
            job = waiting.pop()
            pool, limit = pools[job], limits[job]
            two = None if pool is None else pool.nearly_two(units[job])
            if pool is None or two is None or two.price > limit:
                continue
            index, slot = pool.index, two.first
            level = index.now.item(slot) - index.base.item(slot)
            price = two.price - level
            gain = (two.second_price if two.second_price < limit else limit) - two.price
            self.has_rivals[job] = gain <= price * band_bps / BPS
            step = max(price * times, limit * _LEAST_STEP, 1.0)
            bid = int(level + gain + step) << _JOB_BITS | job
            slots[job] = slot
            node = node_of[index.rows[slot]]
            holders = holders_of.get(node)
            if holders is None:
                holders = holders_of[node] = []
            if len(holders) < room[node]:
                heappush(holders, bid)
            else:
                outbid = heapreplace(holders, bid) & _JOBS
                slots[outbid] = NOTHING
                waiting.append(outbid)
            if len(holders) == room[node]:
                level = float(holders[0] >> _JOB_BITS)
                for offered, at in offers_of[node]:
                    offered.bid(at, level)

    def close(self) -> None:
        """Take the bids off the offers' prices: they are what they were."""
        for node, holders in self._holders.items():
            for index, slot in self._offers_of[node] if len(holders) == self._room[node] else ():
                index.give(slot)
        self._holders.clear()
