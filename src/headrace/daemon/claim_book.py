"""Folds a verifier's events by claim: what the books of both verifiers share.

The fold is pure, and a reorganisation refolds what it touched.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Self, TypeVar

from headrace.chain.abi import Abi, BadAnswer, Event, Log
from headrace.chain.db import ChainDb
from headrace.chain.follower import Step

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(slots=True)
class ClaimBook(ABC, Generic[T]):
    """
    What is known of each claim, by its id; `unsettled` are those with fees that have not been sent
    on, `unread` counts events that were left out because they can't be read.
    """

    claims: dict[bytes, T] = field(default_factory=dict)
    unsettled: set[bytes] = field(default_factory=set)
    unread: int = 0

    @classmethod
    def load(cls, db: ChainDb, verifier: str) -> Self:
        """The book over what is wanted still of what the contract at `verifier` has logged."""
        book = cls()
        book.fold(db.logs_wanted(verifier))
        return book

    def look_up(self, claim_ids: Iterable[bytes], db: ChainDb, verifier: str) -> None:
        """Fold what `db` has of the claims that aren't in the book."""
        missing = [claim_id for claim_id in claim_ids if claim_id not in self.claims]
        self.fold(entry for entry in db.logs_about(missing) if entry.address == verifier)

    def follow(self, step: Step, db: ChainDb, verifier: str) -> set[bytes]:
        """Take in what a step of the follower changed; returns the claims it touched."""
        removed = {
            entry.topics[1]
            for entry in step.removed
            if entry.address == verifier and len(entry.topics) > 1
        }
        for claim_id in removed:
            self.claims.pop(claim_id, None)
            self.unsettled.discard(claim_id)
        if removed:
            self.fold(entry for entry in db.logs_about(removed) if entry.address == verifier)
        added = [entry for entry in step.added if entry.address == verifier]
        if added:
            self._recall(added, db, verifier)
        return removed | self.fold(added)

    def _recall(self, added: Sequence[Log], db: ChainDb, verifier: str) -> None:
        """Fold what was logged before `added` about claims that were let go of."""
        first = (added[0].block_number, added[0].log_index)
        claim_ids = {entry.topics[1] for entry in added if len(entry.topics) > 1}
        self.fold(
            entry
            for entry in db.logs_about(claim_ids - self.claims.keys())
            if entry.address == verifier and (entry.block_number, entry.log_index) < first
        )

    def fold(self, logs: Iterable[Log]) -> set[bytes]:
        """Take in the verifier's logs in the chain's order; returns the claims they touch."""
        abi = self._abi()
        touched = set()
        for entry in logs:
            try:
                event = abi.event(entry)
            except BadAnswer as error:
                self.unread += 1
                log.error("event left out", extra={"block": entry.block_number, "why": repr(error)})
                continue
            if event is not None and "claim_id" in event.args:
                touched.add(self.apply(event))
        return touched

    def apply(self, event: Event) -> bytes:
        """Take in one event about a claim; returns the claim's id."""
        claim_id = bytes(event.args["claim_id"])
        moved = self._moved(self.claims.get(claim_id) or self._begun(claim_id), event)
        self.claims[claim_id] = moved
        if self._owes(moved):
            self.unsettled.add(claim_id)
        else:
            self.unsettled.discard(claim_id)
        return claim_id

    @abstractmethod
    def _abi(self) -> Abi:
        """What the verifier's events are read by."""

    @abstractmethod
    def _begun(self, claim_id: bytes) -> T:
        """A claim of which nothing is known."""

    @abstractmethod
    def _moved(self, known: T, event: Event) -> T:
        """What is known after an event."""

    @abstractmethod
    def _owes(self, known: T) -> bool:
        """Whether a fee still has to go where it belongs."""
