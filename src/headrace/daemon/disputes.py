"""What FaultProof's events say of disputed claims, folded: demands, answers, faults, settled fees.

As with jobs, the fold is pure and a reorganisation refolds what it touched. The ground for a move
is always what the contract says (`dispute_of`, `outcome`); this is where to look.
"""

from dataclasses import dataclass, replace

from headrace.chain.abi import Abi, Event
from headrace.chain.rules import FaultProof
from headrace.daemon.claim_book import ClaimBook


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


class DisputeBook(ClaimBook[Case]):
    """All disputed claims by id."""

    __slots__ = ()

    @property
    def cases(self) -> dict[bytes, Case]:
        """The cases by claim."""
        return self.claims

    def _abi(self) -> Abi:
        return FaultProof.abi()

    def _begun(self, claim_id: bytes) -> Case:
        return Case(claim_id)

    def _owes(self, known: Case) -> bool:
        return known.has_fee

    def _moved(self, known: Case, event: Event) -> Case:
        args, entry = event.args, event.log
        if event.name == "TraceDemanded":
            known = replace(
                known, demander=args["demander"], due=args["due"], demanded_in=entry.tx_hash
            )
        elif event.name == "TracePublished":
            known = replace(
                known,
                publisher=args["publisher"],
                published_in=entry.tx_hash,
                published_at=entry.timestamp,
            )
        elif event.name == "FaultProven":
            known = replace(known, refuter=args["refuter"])
        elif event.name == "DemandSettled":
            known = replace(known, is_settled=True)
        return known
