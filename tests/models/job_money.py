"""What each end of an attempt moves in the Vault, in exact integers.

A `Moves` is compared with the change of everybody's lanes: nobody who isn't in it may gain or lose.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from headrace.terms import money
from headrace.terms.words import ZERO_ADDRESS, Record
from tests.system import Balance

Payouts = Iterable[tuple[str, int]]


@dataclass
class Moves:
    """Changes of the free and the JobEscrow lane by account, and of the sink."""

    free: Counter[str] = field(default_factory=Counter)
    escrow: Counter[str] = field(default_factory=Counter)
    sunk: int = 0

    def changes(self) -> dict[str, Balance]:
        """As `System.changes` gives them."""
        return {
            account: Balance(self.free[account], self.escrow[account], 0)
            for account in {*self.free, *self.escrow}
            if self.free[account] or self.escrow[account]
        }

    def total(self) -> int:
        """Zero if no money appears or disappears."""
        return sum(self.free.values()) + sum(self.escrow.values()) + self.sunk


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
    charge = money.share(record.price, record.charge_bps)
    moves.escrow[record.requester] -= record.price_cap
    moves.escrow[record.provider] -= record.lock
    moves.free[record.provider] += record.lock
    moves.free[payout] += record.price
    moves.free[record.keeper] += record.tip
    total = record.price + record.tip + record.levy + charge
    moves.free[record.requester] += record.price_cap - total
    moves.sunk = charge + _pay_out(moves, record.levy, payouts)
    return moves


def refuted(record: Record, refuter: str, is_open: bool, payouts: Payouts = ()) -> Moves:
    """A claim that fell: the whole lock is divided; the reserve comes back unless `is_open`."""
    moves = Moves()
    split = money.split_refuted(record.lock, record.damage_cap, record.keeper_fee)
    moves.escrow[record.provider] -= record.lock
    moves.free[record.requester] += split.to_requester
    moves.free[record.keeper] += split.to_keeper
    moves.sunk = split.to_sink
    if refuter == ZERO_ADDRESS:
        moves.sunk += split.to_refuter
    else:
        moves.free[refuter] += _pay_out(moves, split.to_refuter, payouts)
    return _with_reserve(moves, record, is_open)


def no_show(record: Record, caller: str, is_open: bool) -> Moves:
    """No claim in time: part of the lock is divided; the reserve comes back unless `is_open`."""
    moves = Moves()
    slash = money.no_show_slash(record.lock, record.price, record.no_show_bps)
    split = money.split_no_show(slash, record.keeper_fee)
    moves.escrow[record.provider] -= record.lock
    moves.free[record.provider] += record.lock - slash
    moves.free[record.requester] += split.to_requester
    moves.free[caller] += split.to_keeper
    moves.sunk = split.to_sink
    return _with_reserve(moves, record, is_open)


def undone(record: Record, is_open: bool = False) -> Moves:
    """A decline or a voided claim: the lock comes back, and the reserve unless `is_open`."""
    moves = Moves()
    moves.escrow[record.provider] -= record.lock
    moves.free[record.provider] += record.lock
    return _with_reserve(moves, record, is_open)


def _with_reserve(moves: Moves, record: Record, is_open: bool) -> Moves:
    if not is_open:
        moves.escrow[record.requester] -= record.price_cap
        moves.free[record.requester] += record.price_cap
    return moves
