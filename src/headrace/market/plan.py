"""What a plan is: the pairs to match, and an account of every job that gets none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from headrace.market.book import LiveAsk


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """
    How to choose among offers that cost nearly the same: those whose price is at most `band_bps`
    basis points above the lowest. A share of `random_bps` of such jobs goes to one of them by lot,
    so that newcomers get a record; the others go to the best record: the smaller share of faults,
    then the heavier record, then more completions. At most `reports` jobs are accounted for one by
    one.
    """

    band_bps: int = 0
    random_bps: int = 1_000
    reports: int = 128


class Match(NamedTuple):
    """
    A pair to match now: what one job costs its requester all in, the keeper's tip in it, and what
    is locked of the provider's, in token units (for a batch: per member).
    """

    job_id: bytes
    ask: LiveAsk
    total: int
    tip: int
    lock: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """
    Why a job gets nothing now. `refusal` is what bars it from every offer: a bit's name, or the
    contract's reason. Otherwise `dropped` says how many of the `considered` offers (those that list
    its program) each filter has dropped, each counted on its own: an offer that two filters drop is
    in both. `at` is the first second at which one of the cheapest will fit if all stays; None if
    time alone won't do.
    """

    job_id: bytes
    considered: int
    refusal: str = ""
    dropped: Mapping[str, int] = field(default_factory=dict)
    at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    `jobs` is how many there were, `unmatched` how many get nothing. `barred` counts those that no
    offer can have, by the reason. `shortfalls` are the longest waiting of the unmatched, and
    `not_accounted` how many more there are.
    """

    jobs: int
    unmatched: int
    barred: Mapping[str, int]
    shortfalls: tuple[Shortfall, ...]
    not_accounted: int

    def dropped(self) -> dict[str, int]:
        """How many pairs each filter dropped, over all `shortfalls`."""
        sums: dict[str, int] = {}
        for shortfall in self.shortfalls:
            for name, count in shortfall.dropped.items():
                sums[name] = sums.get(name, 0) + count
        return sums


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to match now, the longest waiting first, and why not more."""

    matches: Sequence[Match]
    report: Report

    @property
    def wake_at(self) -> int | None:
        """The first second at which something that is waited for comes about, as far as known."""
        times = [s.at for s in self.report.shortfalls if s.at is not None]
        return min(times, default=None)
