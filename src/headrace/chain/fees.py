"""What a key may pay for gas: caps, budgets, and how an offer is raised. Pure arithmetic, in wei.

Nodes take a replacement for a transaction only if both of its fees are at least a tenth higher
(geth's default; anvil is content with less), so an offer is raised by an eighth or not at all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from headrace.errors import Rejected

GWEI = 10**9
# A transaction without data between accounts.
EMPTY_GAS = 21_000
SECONDS_PER_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Kind:
    """
    What one kind of action may cost: at most `gas_ceiling` gas a transaction. `is_safety` ones may
    pay the whole fee cap, from a budget of their own, and go first.
    """

    gas_ceiling: int
    is_safety: bool = False


ANY = Kind(gas_ceiling=30_000_000, is_safety=True)


@dataclass(frozen=True, slots=True)
class Offer:
    """Both fees of a transaction, wei per unit of gas; the priority fee is part of `max_fee`."""

    max_fee: int
    priority_fee: int


@dataclass(frozen=True, slots=True)
class Fees:
    """
    A key's policy. `cap` is the most that is ever paid per unit of gas; ordinary actions stay under
    `ordinary_cap`. `daily_budget` bounds what ordinary actions may burn in a day of chain time, and
    again what safety actions may, in wei; None is no bound. Below `reserve` wei only safety actions
    are sent. An offer is raised after `stuck_blocks`, bytes are sent again after `resend_blocks`:
    before the next keeper's turn comes, or the block has both. `warn_seconds` before its deadline a
    transaction in no block is an alert. `kind_of` names the kind of a call by its contract and
    function.
    """

    cap: int = 200 * GWEI
    ordinary_cap: int | None = None
    default_priority: int = GWEI
    stuck_blocks: int = 6
    resend_blocks: int = 2
    daily_budget: int | None = None
    reserve: int = 0
    warn_seconds: int = 120
    kind_of: Callable[[str], Kind] = lambda what: ANY

    @classmethod
    def unattended(
        cls, cap: int, kind_of: Callable[[str], Kind], *, reserve: int, daily_budget: int
    ) -> Self:
        """
        A daemon's. Ordinary actions pay half the cap at most, so that what may not wait still has
        room to outbid a spike.
        """
        return cls(
            cap=cap,
            ordinary_cap=cap // 2,
            daily_budget=daily_budget,
            reserve=reserve,
            kind_of=kind_of,
        )

    def cap_of(self, kind: Kind) -> int:
        """The most per unit of gas for an action of `kind`."""
        if kind.is_safety or self.ordinary_cap is None:
            return self.cap
        return min(self.cap, self.ordinary_cap)


def first_offer(base_fee: int, tip: int, cap: int) -> Offer | None:
    """
    An offer that stays good while the base fee doubles, as far as `cap` allows; None if even the
    next block costs more than `cap`.
    """
    if base_fee + tip > cap:
        return None
    return Offer(min(2 * base_fee + tip, cap), tip)


def eighth_more(fee: int) -> int:
    """The least that is at least 12.5 % above `fee`, and above it at all."""
    return max(-(-fee * 9 // 8), fee + 1)


def raised(offer: Offer, base_fee: int, cap: int) -> Offer | None:
    """
    An offer that replaces `offer`: both fees at least an eighth higher, and enough for twice the
    base fee as far as `cap` allows. None if the cap leaves no room for an eighth.
    """
    least = Offer(eighth_more(offer.max_fee), eighth_more(offer.priority_fee))
    if least.max_fee > cap:
        return None
    wanted = max(least.max_fee, 2 * base_fee + least.priority_fee)
    # `eighth_more` rounds up, so a tip near its max_fee could overtake it by one wei.
    max_fee = max(min(wanted, cap), least.priority_fee)
    return Offer(max_fee, least.priority_fee) if max_fee <= cap else None


def gas_limit(estimate: int, kind: Kind, what: str) -> int:
    """
    The limit for an estimate: a fifth more, plus 20,000, because calls inside get 63/64 of what is
    left and a tight limit can starve the inner ones. Never above the kind's ceiling; Rejected if
    the estimate itself is.
    """
    if estimate > kind.gas_ceiling:
        raise Rejected(f"gas: {what} takes {estimate}, the ceiling is {kind.gas_ceiling}")
    return min(estimate * 6 // 5 + 20_000, kind.gas_ceiling)
