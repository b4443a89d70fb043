"""What FaultProof's events say of disputed claims, folded: demands, answers, faults, settled fees.

As with jobs, the fold is pure and a reorganisation refolds what it touched. The ground for a move
is always what the contract says (`dispute_of`, `outcome`); this is where to look.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from headrace.chain.abi import BadAnswer, Event, Log
from headrace.chain.db import ChainDb
from headrace.chain.follower import Step
from headrace.chain.rules import FaultProof

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Case:
    """
    A disputed claim. `due` is the last second for the trace, 0 if it was never demanded; `refuter`
    is who proved the fault, None while nobody has. The transactions are those of the demand and of
    the published trace, which is in the latter's calldata.
    """

    claim_id: bytes
    demander: str | None = None
    due: int = 0
    demanded_in: bytes | None = None
    publisher: str | None = None
    published_in: bytes | None = None
    published_at: int = 0
    refuter: str | None = None
    is_settled: bool = False

    @property
    def is_demanded(self) -> bool:
        """Whether a trace is waited for."""
        return self.due != 0 and self.publisher is None and self.refuter is None

    @property
    def has_fee(self) -> bool:
        """Whether a demand's fee still has to go where it belongs."""
        return self.due != 0 and not self.is_settled


@dataclass(slots=True)
class DisputeBook:
    """All disputed claims by id; `unsettled` are those with a fee that has not been sent on."""

    cases: dict[bytes, Case] = field(default_factory=dict)
    unsettled: set[bytes] = field(default_factory=set)
    unread: int = 0

    @classmethod
    def load(cls, db: ChainDb, fault_proof: str) -> "DisputeBook":
        """The book over everything in `db` that the contract at `fault_proof` has logged."""
        book = cls()
        book.fold(db.logs(fault_proof))
        return book

    def follow(self, step: Step, db: ChainDb, fault_proof: str) -> set[bytes]:
        """Take in what a step of the follower changed; returns the claims it touched."""
        removed = {
            entry.topics[1]
            for entry in step.removed
            if entry.address == fault_proof and len(entry.topics) > 1
        }
        for claim_id in removed:
            self.cases.pop(claim_id, None)
            self.unsettled.discard(claim_id)
        if removed:
            self.fold(entry for entry in db.logs_about(removed) if entry.address == fault_proof)
        return removed | self.fold(entry for entry in step.added if entry.address == fault_proof)

    def fold(self, logs: Iterable[Log]) -> set[bytes]:
        """Take in logs of FaultProof in the chain's order; returns the claims they touch."""
        abi = FaultProof.abi()
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
        case = self.cases.get(claim_id, Case(claim_id))
        args, entry = event.args, event.log
        if event.name == "TraceDemanded":
            case = replace(
                case, demander=args["demander"], due=args["due"], demanded_in=entry.tx_hash
            )
        elif event.name == "TracePublished":
            case = replace(
                case,
                publisher=args["publisher"],
                published_in=entry.tx_hash,
                published_at=entry.timestamp,
            )
        elif event.name == "FaultProven":
            case = replace(case, refuter=args["refuter"])
        elif event.name == "DemandSettled":
            case = replace(case, is_settled=True)
        self.cases[claim_id] = case
        if case.has_fee:
            self.unsettled.add(claim_id)
        else:
            self.unsettled.discard(claim_id)
        return claim_id
