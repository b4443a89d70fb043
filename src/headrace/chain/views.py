"""What the contracts' views answer, as frozen dataclasses."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from headrace.terms.words import Record, Terms


class JobState(IntEnum):
    """
    What a job's slot says; NONE if the contract has never heard of it. A CLAIMED job is CONTESTED
    once its verifier has to be asked before it ends.
    """

    NONE = 0
    OPEN = 1
    MATCHED = 2
    CLAIMED = 3
    FINAL = 4
    REFUTED = 5
    EXPIRED = 6
    CANCELLED = 7
    CONTESTED = 8

    @property
    def is_live(self) -> bool:
        """Whether somebody still has a move to make."""
        return self in (JobState.OPEN, JobState.MATCHED, JobState.CLAIMED, JobState.CONTESTED)

    @property
    def is_claimed(self) -> bool:
        """Whether a claim waits for its end."""
        return self in (JobState.CLAIMED, JobState.CONTESTED)


class Verdict(IntEnum):
    """What a verifier says of a claim."""

    PENDING = 1
    STANDS = 2
    FALLS = 4


class DisputeStatus(IntEnum):
    """Where a disputed claim is in FaultProof."""

    NONE = 0
    DEMANDED = 1
    PUBLISHED = 2
    REFUTED = 3
    SETTLED = 4


@dataclass(frozen=True, slots=True)
class Account:
    """An account's money in the Vault; `books` is a bit mask of the authorised ones."""

    free: int
    reserved_escrow: int
    reserved_registry: int
    books: int


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider's record; `status` 0 is nobody. Weights are decayed to the block of the read."""

    status: int
    is_available: bool
    operator: str
    payout: str
    bond: int
    epoch: int
    revoked_lanes: int
    last_seen: int
    active: int
    completions: int
    faults: int
    no_shows: int
    declines: int
    good_weight: int
    bad_weight: int
    thaws_at: int


@dataclass(frozen=True, slots=True)
class Slot:
    """
    A job's slot. `time`: OPEN declines so far in two bits, above them when the last one opened the
    job (zero if none did); MATCHED the claim's last second; CLAIMED and CONTESTED when claimed.
    """

    state: JobState
    attempt: int
    time: int
    digest: int


@dataclass(frozen=True, slots=True)
class Policy:
    """How new matches may use a verifier."""

    is_enabled: bool
    charge_bps: int
    keeper_fee: int


@dataclass(frozen=True, slots=True)
class Quote:
    """What a match at the block of the read would cost and promise."""

    price: int
    tip: int
    levy: int
    charge: int
    total: int
    lock: int
    delay: int
    latest_end: int


@dataclass(frozen=True, slots=True)
class Model:
    """A registered model; `row_bytes` is what one unit of work adds to the published trace."""

    graph_root: bytes
    op_count: int
    input_width: int
    row_bytes: int
    max_units: int


@dataclass(frozen=True, slots=True)
class Dispute:
    """What is on record of a disputed claim."""

    status: DisputeStatus
    due: int
    party: str
    publisher: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verifier's answer on a claim; `payouts` are (account, amount)."""

    verdict: Verdict
    not_before: int
    refuter: str
    payouts: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class ClaimRef:
    """Which claim a proof is about."""

    terms: Terms
    record: Record
    commitment: bytes

    def pack(self) -> tuple[Any, ...]:
        """The struct as calldata wants it."""
        return (self.terms.pack(), self.record.pack(), self.commitment)
