"""Which job goes to which offer: everybody at the least total price, within both sides' limits.

The offers' places and both sides' money are given out once. Jobs are not served in a row, each
taking what is cheapest for itself: they bid for the places (`market.auction`), which keeps the sum
of all prices near its minimum, and each gets the place that it holds in the end, who waits longest
first. An auction knows prices and room alone. Whatever else stands against a pair (money, a lock, a
time) shows when it is served. Such jobs queue for what is left, and the one goes first that has
most to lose by coming later: the difference between the cheapest offer that is left for it and the
next (Vogel's method).

A plan is a pure function of the book, the snapshot and the choice. Every pair in it meets what
`MatchRules` will check. Chance has a seed: the ids of the job and of the offers it is between.
"""

from array import array
from collections.abc import Container
from hashlib import blake2b
from heapq import heapify, heappop, heapreplace
from itertools import islice, takewhile

import numpy as np

from headrace.market.auction import NOTHING, Auction
from headrace.market.book import Book
from headrace.market.candidates import Candidates, Case, Offer
from headrace.market.index import NO_PRICE
from headrace.market.moving import move_up
from headrace.market.plan import Choice, Plan
from headrace.market.pool import Two
from headrace.market.reasons import report
from headrace.market.served import Served
from headrace.market.snapshot import Snapshot
from headrace.terms import money

# Between how many offers of one price lots are drawn.
_MOST_EQUALS = 32

# A job in the queue is one integer, which takes a third of a tuple's memory: what it loses if it
# isn't served now (negative: the least comes first), its place in the waiting, its best slot.
Entry = int
_SLOT_BITS = 32
_PLACE_BITS = 32
_SLOTS = (1 << _SLOT_BITS) - 1
_PLACES = (1 << _PLACE_BITS) - 1


def _best_of(entry: Entry) -> int:
    return entry & _SLOTS


def _place_of(entry: Entry) -> int:
    return entry >> _SLOT_BITS & _PLACES


def _loss_of(entry: Entry) -> int:
    return entry >> _PLACE_BITS + _SLOT_BITS


class Engine:
    """One plan in the making."""

    def __init__(self, candidates: Candidates, choice: Choice) -> None:
        """Start with nobody served."""
        self._have = candidates
        self._choice = choice
        # Jobs that more stands against than prices and room.
        self._is_close = bytearray(len(candidates.job_ids))
        self.served = Served(candidates)

    def run(self) -> None:
        """Give out what can be had: to batches first, for they go whole or not at all."""
        waiting = self._enter()
        batches = self._have.batches
        if batches:
            queue = (self._look(place) for place in waiting if place in batches)
            self._serve_queue([entry for entry in queue if entry is not None])
            waiting = array("i", (place for place in waiting if place not in batches))
        auctioned = array("i", np.sort(waiting).tobytes())
        left, freed = self._auction(waiting, auctioned)
        queue = (self._look(place) for place in left)
        self._serve_queue([entry for entry in queue if entry is not None])
        if freed:
            move_up(self._have, self.served, auctioned, freed, self._choice.band_bps)

    def _enter(self) -> "array[int]":
        """
        Every job that anything could be had for, in the order of how much more its second choice
        costs. Who has most to lose comes last, to bid first: so the fewest are outbid.
        """
        have = self._have
        groups = have.enter()
        all_units, all_limits = np.asarray(have.units), np.asarray(have.limits)
        places, losses = [], []
        for pool, jobs in groups:
            found = np.asarray(jobs)
            lowest, second = pool.about_two(all_units[found])
            places.append(found)
            losses.append(np.minimum(second, all_limits[found]) - lowest)
        if not places:
            return array("i")
        joined = np.concatenate(places)
        # Of those that lose as much the one that waits longest comes last.
        order = np.lexsort((-joined, np.concatenate(losses)))
        return array("i", joined[order].tobytes())

    def _auction(self, waiting: "array[int]", places: "array[int]") -> tuple[list[int], list[int]]:
        """
        Auction the room off among the jobs in `waiting`, the last first, and serve those that get
        some in the order of `places`, which are the same. Returns the others, if there may be
        something left for them, and the nodes of which places came free after somebody was served.
        """
        have = self._have
        auction = Auction(have.columns.room, have.offers_of, have.columns.places, len(have.job_ids))
        auction.run(waiting, have.pool_of, have.units, have.limits, self._choice.band_bps)
        auction.close()
        slots = auction.slots
        # All places are held before anybody is served: a lot may not draw one that another has.
        for place in places:
            if slots[place] != NOTHING:
                have.take(have.node_of(have.pool_at(place).index, slots[place]), 1)
        heard = have.falls()
        left = set(waiting)
        for place in places:
            if slots[place] != NOTHING and not self._serve_held(
                place, slots[place], has_rivals=bool(auction.has_rivals[place])
            ):
                self._is_close[place] = 1
                left.add(place)
        # Who lost is looked at again where something came free since; and whoever makes offers too,
        # since pools don't know that it can have its own with what it pays in hand.
        for place in places:
            if slots[place] != NOTHING:
                continue
            if place in have.own:
                self._is_close[place] = 1
                left.add(place)
            index = have.pool_at(place).index
            if len(index.fallen) != heard[index]:
                left.add(place)
        freed = {
            have.node_of(index, slot)
            for index, count in heard.items()
            for slot in index.fallen[count:]
        }
        return sorted(left), sorted(freed)

    # ---- the queue

    def _serve_queue(self, queue: list[Entry]) -> None:
        """Serve these jobs until nobody among them can be served."""
        heapify(queue)
        have = self._have
        while queue:
            entry = queue[0]
            place = _place_of(entry)
            # Without its second it has only more to lose: its turn is now all the same.
            if not have.pool_at(place).index.is_open[_best_of(entry)]:
                again = self._look(place)
                if again is None:
                    heappop(queue)
                    continue
                if _loss_of(again) > _loss_of(entry):
                    heapreplace(queue, again)
                    continue
                entry = again
            case = have.case(place)
            offer = have.offer(case, _best_of(entry))
            if isinstance(offer, Offer):
                heappop(queue)
                if -_loss_of(entry) <= self._band(offer) - offer.price:
                    offer = self._chosen(case, offer)
                self.served.take(case, offer)
                continue
            # The ramp, the money that is left, or something else in the pair stands against it.
            self._is_close[place] = 1
            closer = self._look(place)
            if closer is None:
                heappop(queue)
            else:
                heapreplace(queue, closer)

    def _look(self, place: int) -> Entry | None:
        """A job's place in the queue, by prices and room; once that has failed, by all there is."""
        have = self._have
        if not self._is_close[place]:
            two = have.pool_at(place).two(have.units[place])
            return None if two is None else self._entry(place, two)
        found = list(islice(have.fitting(have.case(place)), 2))
        if not found:
            return None
        best, second = found[0], found[-1]
        next_price = float(second.price) if len(found) > 1 else NO_PRICE
        return self._entry(place, Two(best.slot, second.slot, float(best.price), next_price))

    def _entry(self, place: int, two: Two) -> Entry | None:
        limit = self._have.limits[place]
        if two.price > limit:
            return None
        # A job that gets nothing is as bad as one for all that it would pay.
        second = two.second_price
        loss = int(two.price - (second if second < limit else limit))
        return (loss << _PLACE_BITS | place) << _SLOT_BITS | two.first

    # ---- a match

    def _serve_held(self, place: int, slot: int, *, has_rivals: bool) -> bool:
        """
        Give a job the offer at whose node a place is held for it, or one that costs nearly as
        little or less and has room. If it can't have the offer, the place is given back.
        """
        have = self._have
        case = have.case(place)
        offer = have.offer(case, slot, held=1)
        if isinstance(offer, str):
            have.give(have.node_of(case.offers, slot), 1)
            return False
        rival = have.pool_at(place).two(have.units[place]) if has_rivals else None
        if rival is None or rival.price > self._band(offer):
            self.served.add(case, offer)
        else:
            have.give(have.node_of(case.offers, slot), 1)
            cheapest = next(have.fitting(case))
            self.served.take(case, self._chosen(case, cheapest))
        return True

    def _band(self, offer: Offer) -> int:
        """The most that an offer may cost which costs nearly as little."""
        return offer.price + offer.price * self._choice.band_bps // money.BPS

    def _chosen(self, case: Case, best: Offer) -> Offer:
        """One of the offers that cost nearly as little as the best: by lot, or by its record."""
        limit = self._band(best)
        asks, rows = self._have.columns.asks, case.offers.rows
        seed = blake2b(case.job_id + asks[rows[best.slot]].ask_hash, digest_size=8).digest()
        by_lot = int.from_bytes(seed[:4]) % money.BPS < self._choice.random_bps
        if limit == best.price and not by_lot:
            # Slots are in the order of records, and the best is the first of its price.
            return best
        fitting = takewhile(lambda offer: offer.price <= limit, self._have.fitting(case))
        equals = list(islice(fitting, _MOST_EQUALS))
        if by_lot:
            return equals[int.from_bytes(seed[4:]) % len(equals)]
        return min(equals, key=lambda offer: offer.slot)


def propose(
    book: Book,
    snapshot: Snapshot,
    barred: Container[tuple[bytes, bytes]] = frozenset(),
    choice: Choice | None = None,
) -> Plan:
    """
    The plan for a moment. Only offers that list a job's program are looked at, and none of the
    pairs (job id, ask hash) in `barred`. The same arguments always give the same plan.
    """
    choice = choice or Choice()
    candidates = Candidates(book, snapshot, barred)
    engine = Engine(candidates, choice)
    engine.run()
    matches = engine.served.matches
    matches.sort()
    return Plan(matches=matches, report=report(candidates, matches.places, choice.reports))
