"""Who has got what so far in a plan: every match takes a place, and money of both sides."""

from array import array

from headrace.market.candidates import Candidates, Case, Offer
from headrace.market.plan import Match


class Served:
    """The matches in the order of serving; `places[i]` is the place in the waiting of the i-th."""

    def __init__(self, candidates: Candidates) -> None:
        """Nobody has got anything."""
        self._have = candidates
        self.matches: list[Match] = []
        self.places = array("q")

    def take(self, case: Case, offer: Offer) -> None:
        """Match a job with an offer that has room for it."""
        self._have.take(self._have.node_of(case.offers, offer.slot), case.members)
        self.add(case, offer)

    def add(self, case: Case, offer: Offer) -> None:
        """Match a job with an offer at whose node its place has been taken already."""
        self._have.spend(case, offer)
        self.places.append(case.place)
        self.matches.append(self._match(case, offer))

    def move(self, number: int, case: Case, slot: int) -> int | None:
        """
        Match the job of the match of this `number`, which has one member, with another offer, if it
        can have it. Returns the node at which a place comes free; None if it can't.
        """
        have = self._have
        had = have.had(case, self.matches[number])
        have.spend(case, had, times=-1)
        offer = have.offer(case, slot)
        if isinstance(offer, str):
            have.spend(case, had)
            return None
        node = have.node_of(case.offers, had.slot)
        have.give(node, 1)
        have.take(have.node_of(case.offers, slot), 1)
        have.spend(case, offer)
        self.matches[number] = self._match(case, offer)
        return node

    def in_order(self) -> tuple[Match, ...]:
        """The matches, the longest waiting first."""
        order = sorted(range(len(self.places)), key=self.places.__getitem__)
        return tuple(self.matches[number] for number in order)

    def _match(self, case: Case, offer: Offer) -> Match:
        ask = self._have.columns.asks[case.offers.rows[offer.slot]]
        return Match(case.job_id, ask, offer.total, offer.tip, offer.lock)
