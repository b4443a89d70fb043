"""Which job goes to which offer: everybody at the least total price, within both sides' limits.

The offers' places and both sides' money are given out once. Jobs are not served in a row, each
taking what is cheapest for itself: the one goes first that has most to lose by coming later, which
is the difference between the cheapest offer that is left for it and the next (Vogel's method). That
keeps the sum of all prices near its minimum, and a job that only one node can do gets that node.
Among equals the one that waits longer goes first.

A plan is a pure function of the book, the snapshot and the choice. Every pair in it meets what
`MatchRules` will check. Chance has a seed: the ids of the job and of the offers it is between.
"""

from array import array
from collections.abc import Container, Iterator
from hashlib import blake2b
from heapq import heapify, heappop, heapreplace
from itertools import islice, takewhile
from typing import NamedTuple

import numpy as np

from headrace.market.book import Book, OpenJob
from headrace.market.columns import Columns
from headrace.market.index import ProgramIndex
from headrace.market.plan import Choice, Match, Plan
from headrace.market.pool import NO_PRICE, Pool, Two
from headrace.market.reasons import gate, report
from headrace.market.snapshot import NO_VERIFIER, Snapshot, VerifierState
from headrace.terms import money
from headrace.terms.compact import glance, terms_of
from headrace.terms.words import Exclusion, Terms, verifier_terms

# How many of a job's cheapest offers are looked at before all of them are.
_SHORTLIST = 8
# Between how many offers of one price lots are drawn.
_MOST_EQUALS = 32


class Offer(NamedTuple):
    """What one offer comes to for one job, per job of a batch."""

    price: int
    total: int
    slot: int
    tip: int
    lock: int
    funds: int
    stake: int


class Case(NamedTuple):
    """A job in the waiting and what doesn't change with the offer; `limit` is its ramp now."""

    place: int
    job_id: bytes
    terms: Terms
    excluded: tuple[Exclusion, ...]
    offers: ProgramIndex
    verifier: VerifierState
    limit: int
    held: int
    members: int


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

    def __init__(
        self,
        book: Book,
        snapshot: Snapshot,
        barred: Container[tuple[bytes, bytes]],
        choice: Choice,
    ) -> None:
        """Everything that the plan depends on."""
        self._book = book
        self.snapshot = snapshot
        self._barred = barred
        self._choice = choice
        self._job_ids = book.job_ids()
        self.columns = Columns.of(list(book.asks()), snapshot)
        self._row_of = {ask.ask_hash: row for row, ask in enumerate(self.columns.asks)}
        self._indices: dict[bytes, ProgramIndex] = {}
        self._slots: dict[int, list[tuple[ProgramIndex, int]]] = {}
        self._accepted: dict[tuple[str, int], bytes] = {}
        self._spent: dict[str, int] = {}
        self._pools: dict[object, Pool] = {}
        self._posted_pools: dict[object, Pool] = {}
        # By place in the waiting.
        self._pool_of: list[Pool | None] = [None] * len(self._job_ids)
        self._units = array("q", bytes(8 * len(self._job_ids)))
        self._limits = array("d", bytes(8 * len(self._job_ids)))
        self.gates: dict[int, str] = {}
        # The matches in the order of serving, and the places of their jobs.
        self.matches: list[Match] = []
        self.places = array("q")

    # ---- what a job could have

    def index(self, program: bytes) -> ProgramIndex:
        """The index of a program's offers."""
        found = self._indices.get(program)
        if found is None:
            rows = [self._row_of[ask.ask_hash] for ask in self._book.asks_for(program)]
            found = self._indices[program] = ProgramIndex(self.columns, rows)
            for slot, row in enumerate(found.rows):
                place = self.columns.places[row]
                self._slots.setdefault(place, []).append((found, slot))
        return found

    def accepted(self, terms: Terms) -> bytes:
        """How an ask names the terms' verifier."""
        key = (terms.verifier, terms.settings)
        found = self._accepted.get(key)
        if found is None:
            verifier = self.snapshot.verifiers.get(terms.verifier, NO_VERIFIER)
            found = verifier_terms(terms.verifier, verifier.code_hash, terms.settings)
            self._accepted[key] = found
        return found

    def job(self, place: int) -> OpenJob:
        """The job at a place in the waiting."""
        job = self._book.job(self._job_ids[place])
        assert job is not None  # noqa: S101 - the book isn't changed meanwhile
        return job

    def case(self, place: int) -> Case:
        """What is to be known of a job, whatever the offer."""
        job_id = self._job_ids[place]
        packed = self._book.posted(job_id)
        if packed is not None:
            terms = terms_of(packed)
            excluded: tuple[Exclusion, ...] = ()
            declined_at, held, members = 0, terms.price_cap, 1
        else:
            job = self.job(place)
            terms, excluded, declined_at = job.terms, job.excluded, job.declined_at
            held, members = job.held, job.count
        return Case(
            place,
            job_id,
            terms,
            excluded,
            self.index(terms.program),
            self.snapshot.verifiers.get(terms.verifier, NO_VERIFIER),
            money.ramp(terms, self.snapshot.now, declined_at),
            held,
            members,
        )

    def offer(self, case: Case, slot: int) -> Offer | str:
        """What an offer comes to, as `terms.unmet.weigh` has it; or what stands against it."""
        _, job_id, terms, _, index, verifier, limit, held, count = case
        row = index.rows[slot]
        if self.columns.room[self.columns.places[row]] < count:
            return "capacity"
        live = self.columns.asks[row]
        ask = live.ask
        price = ask.price_base + ask.price_per_unit * terms.units
        check = verifier.quote(terms, price)
        if check is None:
            return "refused"
        policy = verifier.policy
        before_tip = price + check.levy + price * policy.charge_bps // money.BPS
        saved = limit - before_tip
        if saved < 0:
            return "price"
        tip = money.tip_of(terms, saved, price)
        if tip > saved:
            return "price"
        lock = money.lock_required(check.lock_min, terms.damage_cap, policy.keeper_fee)
        if lock > ask.max_lock:
            return "lock"
        longest = min(ask.max_delay, self.snapshot.delay_max)
        if not check.window <= check.delay <= longest:
            return "delay"
        if self._barred and (job_id, live.ask_hash) in self._barred:
            return "barred"
        total = before_tip + tip
        payment, stake = total * count, lock * count
        funds = payment - held if payment > held else 0
        if terms.requester == ask.provider:
            stake, funds = max(stake + payment - held, 0), 0
        elif funds and funds > self._free(terms.requester):
            return "funds"
        if stake > self._free(ask.provider):
            return "stake"
        return Offer(price, total, slot, tip, lock, funds, stake)

    def _free(self, account: str) -> int:
        return self.snapshot.free.get(account, -1) - self._spent.get(account, 0)

    def pool(self, case: Case) -> Pool:
        """The offers that let through what has the shape of this job."""
        index, terms = case.offers, case.terms
        accepted = self.accepted(terms)
        excluded = case.excluded
        key = (terms.program, index.shape_of(terms, accepted), excluded)
        found = self._pools.get(key)
        if found is None:
            bits = index.let_through(terms, accepted, self.snapshot.keeper)
            for exclusion in excluded:
                bits &= ~index.of_provider(exclusion.provider)
            found = self._pools[key] = Pool(index, bits, terms.units)
        return found

    # ---- the queue

    def _pool_at(self, place: int) -> Pool:
        pool = self._pool_of[place]
        assert pool is not None  # noqa: S101 - every job in the queue has one
        return pool

    def enter(self) -> list[Entry]:
        """Every job that anything could be had for, with the best two offers by their prices."""
        groups: dict[int, tuple[Pool, array[int]]] = {}
        for place, job_id in enumerate(self._job_ids):
            packed = self._book.posted(job_id)
            found = (
                self._pool_for(place) if packed is None else self._pool_for_posted(place, packed)
            )
            if isinstance(found, str):
                self.gates[place] = found
            elif found.size():
                self._pool_of[place] = found
                groups.setdefault(id(found), (found, array("q")))[1].append(place)
        entries = []
        for pool, places in groups.values():
            units = np.array([self._units[place] for place in places], dtype=np.int64)
            best = pool.best_two(units)
            entered = (self._entry(place, two) for place, two in zip(places, best, strict=True))
            entries += [entry for entry in entered if entry is not None]
        return entries

    def _pool_for(self, place: int) -> Pool | str:
        """The pool of a job, or what bars the job from all offers."""
        job = self.job(place)
        barred = gate(job, self.snapshot)
        if barred:
            return barred
        case = self.case(place)
        self._units[place] = case.terms.units
        self._limits[place] = _rounded_up(case.limit)
        return self.pool(case)

    def _pool_for_posted(self, place: int, packed: bytes) -> Pool | str:
        """The same, mostly without taking the terms apart."""
        look = glance(packed)
        now = self.snapshot.now
        index = self._indices.get(look.program)
        key = (look.fixed, index and index.steps_of(look.units, look.input_bytes))
        found = self._posted_pools.get(key)
        if found is None or not look.valid_from <= now <= look.final_deadline:
            pool = self._pool_for(place)
            if isinstance(pool, Pool):
                steps = pool.index.steps_of(look.units, look.input_bytes)
                self._posted_pools[look.fixed, steps] = pool
            return pool
        self._units[place] = look.units
        elapsed = min(now - look.valid_from, look.ramp_seconds)
        rise = (look.price_cap - look.price_start) * elapsed // look.ramp_seconds
        self._limits[place] = _rounded_up(look.price_start + rise)
        return found

    def _entry(self, place: int, two: Two) -> Entry | None:
        limit = self._limits[place]
        if two.price > limit:
            return None
        # A job that gets nothing is as bad as one for all that it would pay.
        second = two.second_price
        loss = int(two.price - (second if second < limit else limit))
        return (loss << _PLACE_BITS | place) << _SLOT_BITS | two.first

    def _look(self, place: int) -> Entry | None:
        """A job's place in the queue by the prices and the room there is now."""
        two = self._pool_at(place).two(self._units[place])
        return None if two is None else self._entry(place, two)

    def _look_closely(self, case: Case) -> Entry | None:
        """The same by everything else as well."""
        found = list(islice(self._fitting(case), 2))
        if not found:
            return None
        best, second = found[0], found[-1]
        next_price = float(second.price) if len(found) > 1 else NO_PRICE
        return self._entry(case.place, Two(best.slot, second.slot, float(best.price), next_price))

    def _fitting(self, case: Case) -> Iterator[Offer]:
        """The offers that the job can have now, from the cheapest on."""
        pool, units = self.pool(case), case.terms.units
        done: set[int] = set()
        for count in (_SHORTLIST, pool.size()):
            for slot in pool.cheapest(units, count):
                if slot in done:
                    continue
                offer = self.offer(case, slot)
                if isinstance(offer, Offer):
                    yield offer
                elif offer == "price":
                    return  # the others are no cheaper
                done.add(slot)

    def run(self) -> None:
        """Serve the queue until nobody in it can be served."""
        queue = self.enter()
        heapify(queue)
        is_close = bytearray(len(self._job_ids))
        pools = self._pool_of
        while queue:
            entry = queue[0]
            place = _place_of(entry)
            # Without its second it has only more to lose: its turn is now all the same.
            pool = pools[place]
            if pool is not None and not pool.index.is_open[_best_of(entry)]:
                is_near = is_close[place]
                again = self._look_closely(self.case(place)) if is_near else self._look(place)
                if again is None:
                    heappop(queue)
                    continue
                if _loss_of(again) > _loss_of(entry):
                    heapreplace(queue, again)
                    continue
                entry = again
            case = self.case(place)
            if self._serve(case, entry):
                heappop(queue)
                continue
            # The ramp, the money that is left, or something else in the pair stands against it.
            is_close[place] = 1
            closer = self._look_closely(case)
            if closer is None:
                heappop(queue)
            else:
                heapreplace(queue, closer)

    def _serve(self, case: Case, entry: Entry) -> bool:
        """Give the job its offer, if that can still be had."""
        offer = self.offer(case, _best_of(entry))
        if isinstance(offer, str):
            return False
        band = offer.price * self._choice.band_bps // money.BPS
        if -_loss_of(entry) <= band:
            offer = self._chosen(case, offer, offer.price + band)
        row = case.offers.rows[offer.slot]
        ask = self.columns.asks[row]
        self._spend(ask.ask.provider, offer.stake)
        self._spend(case.terms.requester, offer.funds)
        self._take(self.columns.places[row], case.members)
        match = Match(case.job_id, ask, offer.total, offer.tip, offer.lock)
        self.places.append(case.place)
        self.matches.append(match)
        return True

    def _chosen(self, case: Case, best: Offer, limit: int) -> Offer:
        """One of the offers for a price of at most `limit`: by lot, or by its record."""
        asks, rows = self.columns.asks, case.offers.rows
        seed = blake2b(case.job_id + asks[rows[best.slot]].ask_hash, digest_size=8).digest()
        by_lot = int.from_bytes(seed[:4]) % money.BPS < self._choice.random_bps
        if limit == best.price and not by_lot:
            # Slots are in the order of records, and the best is the first of its price.
            return best
        fitting = takewhile(lambda offer: offer.price <= limit, self._fitting(case))
        equals = list(islice(fitting, _MOST_EQUALS))
        if by_lot:
            return equals[int.from_bytes(seed[4:]) % len(equals)]
        return min(equals, key=lambda offer: offer.slot)

    def _spend(self, account: str, amount: int) -> None:
        if amount:
            self._spent[account] = self._spent.get(account, 0) + amount

    def _take(self, place: int, count: int) -> None:
        room = self.columns.room
        room[place] -= count
        if room[place] == 0:
            for index, slot in self._slots[place]:
                index.take(slot)


def _rounded_up(amount: int) -> float:
    """An amount as a float that isn't below it, by at most one part in 2**50 above."""
    return amount * (1 + 2.0**-51)


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
    engine = Engine(book, snapshot, barred, choice)
    engine.run()
    order = sorted(range(len(engine.places)), key=engine.places.__getitem__)
    return Plan(
        matches=tuple(engine.matches[number] for number in order),
        report=report(engine, len(book), set(engine.places), choice.reports),
    )
