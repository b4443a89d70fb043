"""What each move of a job's life changes in the Vault, in exact integers.

At the match both the provider's lock and what the requester will pay go into the provider's lane
of JobEscrow; for an open job money is held in the requester's. What a final job owes the sink is
kept in the provider's lane of the Registry until somebody sweeps it. A `Moves` is compared with the
change of everybody's lanes: nobody who isn't in it may gain or lose.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from headrace.terms import money
from headrace.terms.words import ZERO_ADDRESS, Record, Terms
from tests.system import Balance

Payouts = Iterable[tuple[str, int]]


@dataclass
class Moves:
    """Changes of the lanes by account (free, JobEscrow's, the Registry's), and of the sink."""

    free: Counter[str] = field(default_factory=Counter)
    escrow: Counter[str] = field(default_factory=Counter)
    registry: Counter[str] = field(default_factory=Counter)
    sunk: int = 0

    def changes(self) -> dict[str, Balance]:
        """As `System.changes` gives them."""
        return {
            account: Balance(self.free[account], self.escrow[account], self.registry[account])
            for account in {*self.free, *self.escrow, *self.registry}
            if self.free[account] or self.escrow[account] or self.registry[account]
        }

    def total(self) -> int:
        """Zero if no money appears or disappears."""
        lanes = (self.free, self.escrow, self.registry)
        return sum(sum(lane.values()) for lane in lanes) + self.sunk

    def times(self, count: int) -> "Moves":
        """The same for each of `count` jobs."""

        def scaled(lane: Counter[str]) -> Counter[str]:
            return Counter({account: count * amount for account, amount in lane.items()})

        lanes = (scaled(lane) for lane in (self.free, self.escrow, self.registry))
        return Moves(*lanes, count * self.sunk)


def total(record: Record) -> int:
    """What the requester pays if the claim is final."""
    return record.price + record.tip + record.levy + money.share(record.price, record.charge_bps)


def posted(terms: Terms) -> Moves:
    """The price cap is held."""
    moves = Moves()
    moves.free[terms.requester] -= terms.price_cap
    moves.escrow[terms.requester] += terms.price_cap
    return moves


def cancelled(terms: Terms, held: int | None = None) -> Moves:
    """What is held is free again: the price cap, unless `held` says otherwise."""
    moves = Moves()
    held = terms.price_cap if held is None else held
    moves.free[terms.requester] += held
    moves.escrow[terms.requester] -= held
    return moves


def matched(record: Record, held: int = 0) -> Moves:
    """A match of a job for which `held` is held: zero if it was only signed."""
    moves = Moves()
    moves.escrow[record.requester] -= held
    moves.free[record.requester] += held - total(record)
    moves.free[record.provider] -= record.lock
    moves.escrow[record.provider] += record.lock + total(record)
    return moves


def _pay_out(moves: Moves, pot: int, payouts: Payouts) -> int:
    """Pays out of `pot` as far as it goes; gives what is left."""
    for account, amount in payouts:
        amount = min(amount, pot)
        if account != ZERO_ADDRESS:
            moves.free[account] += amount
            pot -= amount
    return pot


def final(record: Record, payout: str, payouts: Payouts = ()) -> Moves:
    """A claim that stood: `payout` gets the price, the keeper its tip, the sink charge and rest."""
    moves = Moves()
    moves.escrow[record.provider] -= record.lock + total(record)
    moves.free[record.provider] += record.lock
    moves.free[payout] += record.price
    moves.free[record.keeper] += record.tip
    charge = money.share(record.price, record.charge_bps)
    moves.registry[record.provider] += charge + _pay_out(moves, record.levy, payouts)
    return moves


def refuted(record: Record, refuter: str, is_open: bool, payouts: Payouts = ()) -> Moves:
    """A claim that fell: the whole lock is divided, the payment comes back."""
    moves = _refunded(record, is_open)
    split = money.split_refuted(record.lock, record.damage_cap, record.keeper_fee)
    moves.free[record.requester] += split.to_requester
    moves.free[record.keeper] += split.to_keeper
    moves.sunk = split.to_sink
    if refuter == ZERO_ADDRESS:
        moves.sunk += split.to_refuter
    else:
        left = _pay_out(moves, split.to_refuter, payouts)
        moves.free[refuter] += left
    return moves


def no_show(record: Record, caller: str, is_open: bool) -> Moves:
    """No claim in time: part of the lock is divided, the payment comes back."""
    moves = _refunded(record, is_open)
    slash = no_show_slash(record)
    split = money.split_no_show(slash, record.keeper_fee)
    moves.free[record.provider] += record.lock - slash
    moves.free[record.requester] += split.to_requester
    moves.free[caller] += split.to_keeper
    moves.sunk = split.to_sink
    return moves


def undone(record: Record, is_open: bool = False) -> Moves:
    """A decline or a voided claim: lock and payment come back."""
    moves = _refunded(record, is_open)
    moves.free[record.provider] += record.lock
    return moves


def no_show_slash(record: Record) -> int:
    """What a no-show costs the provider."""
    return money.no_show_slash(record.lock, record.price, record.no_show_bps, record.keeper_fee)


def _refunded(record: Record, is_open: bool) -> Moves:
    """The requester's payment comes back, held for the next attempt if the job is open."""
    moves = Moves()
    moves.escrow[record.provider] -= record.lock + total(record)
    back = moves.escrow if is_open else moves.free
    back[record.requester] += total(record)
    return moves
