"""What each job of a plan could have: the offers that let it through, and what one comes to.

The room of the nodes and the money of both sides are given out here, each once.
"""

from array import array
from collections.abc import Collection, Container, Iterator
from typing import NamedTuple

from headrace.market.book import Book, OpenJob
from headrace.market.columns import Columns
from headrace.market.index import ProgramIndex
from headrace.market.plan import Match
from headrace.market.pool import Pool
from headrace.market.reasons import gate
from headrace.market.snapshot import NO_VERIFIER, Snapshot, VerifierState
from headrace.terms import money
from headrace.terms.compact import glance
from headrace.terms.words import Ask, Exclusion, Terms, verifier_terms

# How many of a job's cheapest offers are looked at before all of them are.
_SHORTLIST = 8


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


class Candidates:
    """
    The jobs of a plan by their place in the waiting, and the offers.

    `pool_of`, `units` and `limits` are by job, once `enter` has been called: the offers that let it
    through (None if there are none), its units of work, and what it would pay now, rounded up.
    `gates` says what bars a job from all offers. `batches` are the jobs of several members, `own`
    those of requesters who make offers themselves: what they pay is in hand for their own locks.
    `offers_of[node]` are the offers made for a node: the index of a program, and the slot there;
    programs that no job has aren't in it.
    """

    def __init__(
        self, book: Book, snapshot: Snapshot, barred: Container[tuple[bytes, bytes]]
    ) -> None:
        """Everything that the plan depends on but the choice."""
        self._book = book
        self.snapshot = snapshot
        self._barred = barred
        self.job_ids = book.job_ids()
        self.columns = Columns.of(list(book.asks()), snapshot)
        self._indices: dict[bytes, ProgramIndex] = {}
        self.offers_of: dict[int, list[tuple[ProgramIndex, int]]] = {}
        self._accepted: dict[tuple[str, int], bytes] = {}
        self._spent: dict[str, int] = {}
        # The rows of the asks by provider, and by program.
        self._rows_by: dict[str, list[int]] = {}
        self._rows_for: dict[bytes, array[int]] = {}
        for row, live in enumerate(self.columns.asks):
            self._rows_by.setdefault(live.ask.provider, []).append(row)
            for program in set(live.programs):
                self._rows_for.setdefault(program, array("i")).append(row)
        self._pools: dict[object, Pool] = {}
        self._posted_pools: dict[tuple[int, tuple[int, int]], Pool] = {}
        # Of each shape: the index of its program, how long its ramp is, and whether it is `own`.
        self._shapes: dict[int, tuple[ProgramIndex, int, bool]] = {}
        self.pool_of: list[Pool | None] = [None] * len(self.job_ids)
        self.units = array("I", bytes(4 * len(self.job_ids)))
        self.limits = array("d", bytes(8 * len(self.job_ids)))
        self.gates: dict[int, str] = {}
        self.batches: set[int] = set()
        self.own: set[int] = set()

    # ---- what is to be known of a job

    def index(self, program: bytes) -> ProgramIndex:
        """The index of a program's offers."""
        found = self._indices.get(program)
        if found is None:
            rows = self._rows_for.get(program, array("i"))
            found = self._indices[program] = ProgramIndex(self.columns, rows)
            for slot, row in enumerate(found.rows):
                place = self.columns.places[row]
                self.offers_of.setdefault(place, []).append((found, slot))
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
        job = self._book.job(self.job_ids[place])
        assert job is not None  # noqa: S101 - the book isn't changed meanwhile
        return job

    def case(self, place: int) -> Case:
        """What is to be known of a job, whatever the offer."""
        job_id = self.job_ids[place]
        row = self._book.posted(job_id)
        if row is not None:
            terms = self._book.shapes.terms_of(row)
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

    def offer(self, case: Case, slot: int, held: int = 0) -> Offer | str:
        """
        What an offer comes to, as `terms.unmet.weigh` has it; or what stands against it. So many
        places at its node are `held` for the job already.
        """
        _, job_id, terms, _, index, verifier, limit, _, count = case
        row = index.rows[slot]
        if self.columns.room[self.columns.places[row]] + held < count:
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
        stake, funds = self._amounts(case, ask, total, lock)
        if funds and funds > self._free(terms.requester):
            return "funds"
        if stake > self._free(ask.provider):
            return "stake"
        return Offer(price, total, slot, tip, lock, funds, stake)

    def had(self, case: Case, row: int, match: Match) -> Offer:
        """What `offer` said of a match; `row` is that of its ask in the columns."""
        ask = match.ask.ask
        index = case.offers
        stake, funds = self._amounts(case, ask, match.total, match.lock)
        price = money.price_of(ask, case.terms.units)
        return Offer(price, match.total, index.slot_of(row), match.tip, match.lock, funds, stake)

    @staticmethod
    def _amounts(case: Case, ask: Ask, total: int, lock: int) -> tuple[int, int]:
        """The provider's stake, and what the requester has to add, for all members together."""
        payment, stake = total * case.members, lock * case.members
        if case.terms.requester == ask.provider:
            return max(stake + payment - case.held, 0), 0
        return stake, max(payment - case.held, 0)

    def _free(self, account: str) -> int:
        return self.snapshot.free.get(account, -1) - self._spent.get(account, 0)

    def delay(self, case: Case) -> int:
        """How long the job's check takes under every offer, in seconds; 0 if it isn't known."""
        quote = case.verifier.quote(case.terms, 1) if case.verifier.is_delay_fixed else None
        return 0 if quote is None else quote.delay

    def pool(self, case: Case) -> Pool:
        """The offers that let through what has the shape of this job."""
        index, terms = case.offers, case.terms
        accepted = self.accepted(terms)
        excluded = case.excluded
        key = (terms.program, index.shape_of(terms, accepted), excluded)
        found = self._pools.get(key)
        if found is None:
            bits = index.let_through(terms, accepted, self.snapshot.keeper, self.delay(case))
            for exclusion in excluded:
                bits &= ~index.of_provider(exclusion.provider)
            per_price = case.verifier.lock_per_price
            found = self._pools[key] = Pool(index, bits, terms.units, per_price)
        return found

    def pool_at(self, place: int) -> Pool:
        """The pool of a job that has one."""
        pool = self.pool_of[place]
        assert pool is not None  # noqa: S101 - every job in a queue has one
        return pool

    def enter(self) -> Collection[tuple[Pool, "array[int]"]]:
        """Find every job's pool. Returns each that has anything in it, with its jobs."""
        groups: dict[int, tuple[Pool, array[int]]] = {}
        for place, job_id in enumerate(self.job_ids):
            row = self._book.posted(job_id)
            if row is None:
                found = self._pool_for(place)
                is_own = self.job(place).terms.requester in self._rows_by
            else:
                found, is_own = self._pool_for_posted(place, row)
            if is_own:
                self.own.add(place)
            if isinstance(found, str):
                self.gates[place] = found
            elif place in self.own or not found.was_empty():
                self.pool_of[place] = found
                groups.setdefault(id(found), (found, array("i")))[1].append(place)
        return groups.values()

    def _pool_for(self, place: int) -> Pool | str:
        """The pool of a job, or what bars the job from all offers."""
        job = self.job(place)
        barred = gate(job, self.snapshot)
        if barred:
            return barred
        case = self.case(place)
        if case.members > 1:
            self.batches.add(place)
        self.units[place] = case.terms.units
        self.limits[place] = _rounded_up(case.limit)
        return self.pool(case)

    def _pool_for_posted(self, place: int, row: bytes) -> tuple[Pool | str, bool]:
        """The same, mostly without taking the terms apart; and whether the job is `own`."""
        shape, units, input_bytes, valid_from, final_deadline, start, cap = glance(row)
        known = self._shapes.get(shape)
        if known is None:
            fields = self._book.shapes.shape(shape)
            is_own = fields.requester in self._rows_by
            known = self._shapes[shape] = self.index(fields.program), fields.ramp_seconds, is_own
        index, ramp_seconds, is_own = known
        key = (shape, index.steps_of(units, input_bytes))
        found = self._posted_pools.get(key)
        now = self.snapshot.now
        if found is None or not valid_from <= now <= final_deadline:
            pool = self._pool_for(place)
            if isinstance(pool, Pool):
                self._posted_pools[key] = pool
            return pool, is_own
        self.units[place] = units
        elapsed = min(now - valid_from, ramp_seconds)
        self.limits[place] = _rounded_up(start + (cap - start) * elapsed // ramp_seconds)
        return found, is_own

    def fitting(self, case: Case) -> Iterator[Offer]:
        """The offers that the job can have now, from the cheapest on."""
        pool, terms, verifier = self.pool(case), case.terms, case.verifier
        least = None
        if case.place not in self.own:
            least = money.lock_required(0, terms.damage_cap, verifier.policy.keeper_fee)
        done: set[int] = set()
        for count in (_SHORTLIST, pool.size()):
            for slot in pool.cheapest(terms.units, count, least):
                if slot in done:
                    continue
                offer = self.offer(case, slot)
                if isinstance(offer, Offer):
                    yield offer
                elif offer == "price":
                    return  # the others are no cheaper
                done.add(slot)

    # ---- what is given out

    def spend(self, case: Case, offer: Offer, times: int = 1) -> None:
        """Put both sides' money for this aside; -1 `times` gives it back."""
        if offer.stake:
            row = case.offers.rows[offer.slot]
            self._put_aside(self.columns.asks[row].ask.provider, offer.stake * times)
        if offer.funds:
            self._put_aside(case.terms.requester, offer.funds * times)

    def _put_aside(self, account: str, amount: int) -> None:
        spent = self._spent[account] = self._spent.get(account, 0) + amount
        free = self.snapshot.free.get(account, -1) - spent
        for row in self._rows_by.get(account, ()):
            self.columns.means[row] = free

    def node_of(self, index: ProgramIndex, slot: int) -> int:
        """The node that an offer is for."""
        return self.columns.places[index.rows[slot]]

    def falls(self) -> dict[ProgramIndex, int]:
        """How often an offer of each program came to be cheaper, or to have room again."""
        return {index: len(index.fallen) for index in self._indices.values()}

    def take(self, node: int, count: int) -> None:
        """Give out `count` places at a node, which has as many."""
        room = self.columns.room
        room[node] -= count
        if room[node] == 0:
            for index, slot in self.offers_of[node]:
                index.take(slot)

    def give(self, node: int, count: int) -> None:
        """Take `count` places at a node back."""
        room = self.columns.room
        if room[node] == 0:
            for index, slot in self.offers_of[node]:
                index.give(slot)
        room[node] += count


def _rounded_up(amount: int) -> float:
    """An amount as a float that isn't below it, by at most one part in 2**50 above."""
    return amount * (1 + 2.0**-51)
