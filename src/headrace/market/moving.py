"""Who else would like what came free after the auction: a winner couldn't have its place after all.

Each place that came free is offered to the jobs that were served before, and to those that have
nothing; to whom it would save most first. What they leave is offered in turn. Every move lowers the
sum of all prices, so there is an end to it.
"""

from array import array
from collections import deque

import numpy as np

from headrace.market.candidates import Candidates, Offer
from headrace.market.columns import Integers
from headrace.market.index import ProgramIndex
from headrace.market.pool import DOUBT
from headrace.market.served import Served
from headrace.terms.money import BPS, price_of

# How many moves are tried for each job, as a plan is wanted in time; to look through so many jobs
# counts as one.
_TRIES = 4
_LOOKED_THROUGH = 256
# The number of the match of a job that has none.
_NONE = -1


def move_up(
    have: Candidates, served: Served, places: "array[int]", freed: list[int], band_bps: int
) -> None:
    """
    Offer the room of the nodes `freed` to the jobs at `places`, which have one member each. Nobody
    moves for a saving of less than `band_bps` basis points of the lower price.
    """
    number_of = array("i", [_NONE]) * len(have.job_ids)
    jobs = _by_program(have, places)
    locks = np.array([pool.lock_per_price if pool else 0 for pool in have.pool_of])
    units, pays = np.array(have.units), np.array(have.limits)
    for number, place in enumerate(served.matches.places):
        number_of[place] = number
        ask = have.columns.asks[served.matches.rows[number]].ask
        pays[place] = price_of(ask, have.units[place])
    tries = _TRIES * len(places)
    waiting = deque(freed)
    while waiting and tries > 0:
        for index, slot in have.offers_of[waiting.popleft()]:
            if not index.is_open[slot] or index not in jobs:
                continue
            found = jobs[index]
            asked = index.base[slot] + index.per_unit[slot] * units[found]
            saved = pays[found] - asked * (1 + band_bps / BPS)
            saved[asked * locks[found] * DOUBT > index.can_lock(np.array([slot]))] = 0
            order = np.argsort(-saved, kind="stable")[: np.count_nonzero(saved > 0)]
            tries -= len(found) // _LOOKED_THROUGH
            for place in found[order].tolist():
                if not index.is_open[slot] or tries <= 0:
                    break
                if not have.pool_at(place).has(slot):
                    continue
                tries -= 1
                case = have.case(place)
                if number_of[place] != _NONE:
                    node = served.move(number_of[place], case, slot)
                    if node is None:
                        continue
                    waiting.append(node)
                else:
                    offer = have.offer(case, slot)
                    if not isinstance(offer, Offer):
                        continue
                    number_of[place] = len(served.matches)
                    served.take(case, offer)
                pays[place] = index.base[slot] + index.per_unit[slot] * have.units[place]


def _by_program(have: Candidates, places: "array[int]") -> dict[ProgramIndex, Integers]:
    found: dict[ProgramIndex, array[int]] = {}
    for place in places:
        found.setdefault(have.pool_at(place).index, array("i")).append(place)
    return {index: np.array(jobs) for index, jobs in found.items()}
