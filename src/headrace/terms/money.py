"""What a job costs, what stands behind it, and who gets what: the figures of the contracts, to the
unit.

Amounts are token base units, shares basis points, times unix seconds, all exact integers. Every
share is rounded down and the dust stays with whoever gets the rest: the sink in a split, the
requester in a quote. The Vyper side is contracts/modules/money.vy and MatchRules; tests compare the
two.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.terms.words import Ask, Exclusion, Record, Terms

BPS = 10_000
REFUTED_REQUESTER_BPS = 1_500
REFUTED_REFUTER_BPS = 3_500
NO_SHOW_REQUESTER_BPS = 2_500
NO_SHOW_KEEPER_BPS = 2_500
# How many keeper's fees a lock is at least, and the slash of a no-show.
LOCK_FEES = 8
NO_SHOW_FEES = 4
# What FaultProof wants at stake for every unit of price.
FAULT_PROOF_LOCK = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    JobEscrow's policy of a verifier: may new matches use it, and what a job under it pays to
    others.
    """

    is_enabled: bool
    charge_bps: int
    keeper_fee: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPrice:
    """
    A verifier's quote for one job at one price: the `levy` for the check, the least lock, the
    `window` in which a claim can be contested, and `delay`, the bound D on its whole delay, both in
    seconds.
    """

    levy: int
    lock_min: int
    window: int
    delay: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """
    What a match would charge on FINAL and what it would promise, as MatchRules.quote answers.
    `limit` is the ramp at that moment; if `total` is above it the match is refused. `latest_end` is
    the second after which the job has ended whatever happens, unless its verifier fails.
    """

    price: int
    tip: int
    levy: int
    charge: int
    total: int
    lock: int
    delay: int
    latest_end: int
    limit: int

    @property
    def fits(self) -> bool:
        """Whether the ramp allows it."""
        return self.total <= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class RefutedSplit:
    """Where the slash of a refuted claim goes; the parts add up to it."""

    to_requester: int
    to_refuter: int
    to_keeper: int
    to_sink: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoShowSplit:
    """Where the slash of a no-show goes; the parts add up to it."""

    to_requester: int
    to_keeper: int
    to_sink: int


def share(amount: int, bps: int) -> int:
    """`bps` basis points of `amount`, rounded down."""
    return amount * bps // BPS


def price_of(ask: Ask, units: int) -> int:
    """The price of `units` units of work under `ask`."""
    return ask.price_base + ask.price_per_unit * units


def ramp(terms: Terms, now: int, declined_at: int = 0) -> int:
    """
    The most that a match at `now` may cost the requester, all in: from price_start at valid_from in
    a straight line to price_cap, ramp_seconds later. Before valid_from it is price_start. It starts
    anew at `declined_at` (unix seconds, 0 if no decline has opened the job), not after `now`.
    ValueError if the terms have no ramp or start above their cap; no such job gets on record.
    """
    if terms.ramp_seconds == 0 or terms.price_start > terms.price_cap:
        raise ValueError("ramp_seconds: the ramp must rise, in more than no time")
    elapsed = min(max(now - max(terms.valid_from, declined_at), 0), terms.ramp_seconds)
    return terms.price_start + (terms.price_cap - terms.price_start) * elapsed // terms.ramp_seconds


def ramp_reaches(terms: Terms, amount: int, declined_at: int = 0) -> int | None:
    """The first second at which `ramp` is at least `amount`; None if it never is."""
    start = max(terms.valid_from, declined_at)
    if amount <= ramp(terms, start, declined_at):
        return start
    if amount > terms.price_cap:
        return None
    rise = terms.price_cap - terms.price_start
    return start - (-(amount - terms.price_start) * terms.ramp_seconds // rise)


def tip_of(terms: Terms, saved: int, price: int) -> int:
    """
    The keeper's tip for a match that leaves `saved` below the ramp before the tip. At most the
    price: the lock covers three prices, and a tip that it doesn't cover would pay for lies.
    """
    return min(terms.tip_max, price, terms.tip_fixed + share(saved, terms.tip_share_bps))


def least_saving(terms: Terms, price: int) -> int:
    """
    The least saving below the ramp that pays for its own tip:
    `saved >= tip_of(terms, saved, price)`.
    """
    # What is left of a saving after its tip never falls with the saving (a share is at most all of
    # it), so the savings that will do are all from the least one on; tip_max always does.
    low, high = 0, terms.tip_max
    while low < high:
        middle = (low + high) // 2
        if middle >= tip_of(terms, middle, price):
            high = middle
        else:
            low = middle + 1
    return low


def lock_required(lock_min: int, damage_cap: int, keeper_fee: int) -> int:
    """
    The stake of an attempt, the most of: the verifier's floor; what it takes for 15 % of it to
    cover the damages (rounded up); eight keeper's fees, so that a refuter is left with something.
    """
    for_damages = -(-damage_cap * BPS // REFUTED_REQUESTER_BPS)
    return max(lock_min, for_damages, LOCK_FEES * keeper_fee)


def latest_end(terms: Terms, delay: int) -> int:
    """The end of an attempt that is matched, claimed and disputed at the last moments allowed."""
    return terms.final_deadline + terms.attempt_seconds + delay


def quote(
    terms: Terms, ask: Ask, check: CheckPrice, policy: Policy, now: int, declined_at: int = 0
) -> Quote:
    """
    What a match of `terms` and `ask` at `now` would come to. `check` is the verifier's quote at
    `price_of(ask, terms.units)`, `declined_at` as for `ramp`. If price, levy and charge alone are
    above the ramp there is no tip.
    """
    price = price_of(ask, terms.units)
    charge = share(price, policy.charge_bps)
    limit = ramp(terms, now, declined_at)
    before_tip = price + check.levy + charge
    tip = tip_of(terms, limit - before_tip, price) if before_tip <= limit else 0
    return Quote(
        price=price,
        tip=tip,
        levy=check.levy,
        charge=charge,
        total=before_tip + tip,
        lock=lock_required(check.lock_min, terms.damage_cap, policy.keeper_fee),
        delay=check.delay,
        latest_end=latest_end(terms, check.delay),
        limit=limit,
    )


def total_of(record: Record) -> int:
    """What the requester pays for an attempt that ends FINAL; it is put aside at the match."""
    return record.price + record.tip + record.levy + share(record.price, record.charge_bps)


def exclusion_after(record: Record) -> Exclusion:
    """What a job that opens again after this attempt adds to its list of exclusions."""
    return Exclusion(provider=record.provider, held=total_of(record))


def held_for(terms: Terms, excluded: Sequence[Exclusion]) -> int:
    """
    What is put aside for an open job that is on record: the price cap since it was posted, or the
    total of its last attempt.
    """
    return excluded[-1].held if excluded else terms.price_cap


def split_refuted(slash: int, damage_cap: int, keeper_fee: int) -> RefutedSplit:
    """
    The slash of a refuted claim: to the requester its damages, at most 15 %; to the refuter 35 %
    less the match's keeper's fee; to the sink the rest, at least half.
    """
    to_requester = min(damage_cap, share(slash, REFUTED_REQUESTER_BPS))
    reward = share(slash, REFUTED_REFUTER_BPS)
    to_keeper = min(keeper_fee, reward)
    return RefutedSplit(
        to_requester=to_requester,
        to_refuter=reward - to_keeper,
        to_keeper=to_keeper,
        to_sink=slash - to_requester - reward,
    )


def no_show_slash(lock: int, price: int, no_show_bps: int, keeper_fee: int) -> int:
    """
    What a no-show costs: a share of the price fixed in the terms, at least four keeper's fees (so
    that the keeper's quarter covers one), at most the lock.
    """
    return min(lock, max(NO_SHOW_FEES * keeper_fee, share(price, no_show_bps)))


def split_no_show(slash: int, keeper_fee: int) -> NoShowSplit:
    """
    The slash of a no-show: to the requester 25 %; to whoever called `expire` the fee, at most 25 %;
    to the sink the rest, at least half.
    """
    to_requester = share(slash, NO_SHOW_REQUESTER_BPS)
    to_keeper = min(keeper_fee, share(slash, NO_SHOW_KEEPER_BPS))
    return NoShowSplit(
        to_requester=to_requester,
        to_keeper=to_keeper,
        to_sink=slash - to_requester - to_keeper,
    )
