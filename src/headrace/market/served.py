"""Who has got what so far in a plan: every match takes a place, and money of both sides."""

from headrace.market.candidates import Candidates, Case, Offer
from headrace.market.matches import Matches


class Served:
    """The matches so far, in the order of serving."""

    def __init__(self, candidates: Candidates) -> None:
        """Nobody has got anything."""
        self._have = candidates
        self.matches = Matches(candidates.job_ids, candidates.columns.asks)

    def take(self, case: Case, offer: Offer) -> None:
        """Match a job with an offer that has room for it."""
        self._have.take(self._have.node_of(case.offers, offer.slot), case.members)
        self.add(case, offer)

    def add(self, case: Case, offer: Offer) -> None:
        """Match a job with an offer at whose node its place has been taken already."""
        self._have.spend(case, offer)
        row = case.offers.rows[offer.slot]
        self.matches.add(case.place, row, offer.total, offer.tip, offer.lock)

    def move(self, number: int, case: Case, slot: int) -> int | None:
        """
        Match the job of the match of this `number`, which has one member, with another offer, if it
        can have it. Returns the node at which a place comes free; None if it can't.
        """
        have, matches = self._have, self.matches
        had = have.had(case, matches.rows[number], matches[number])
        have.spend(case, had, times=-1)
        offer = have.offer(case, slot)
        if isinstance(offer, str):
            have.spend(case, had)
            return None
        node = have.node_of(case.offers, had.slot)
        have.give(node, 1)
        have.take(have.node_of(case.offers, slot), 1)
        have.spend(case, offer)
        row = case.offers.rows[slot]
        matches.replace(number, row, offer.total, offer.tip, offer.lock)
        return node
