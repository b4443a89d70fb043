"""What a keeper knows of the chain at one block, as far as matching goes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from headrace.terms.money import CheckPrice, Policy
from headrace.terms.requirement import ProviderRecord
from headrace.terms.words import ZERO_ADDRESS, Terms

# A verifier's quote for a job at a price; None if it refuses the job.
Quoter = Callable[[Terms, int], CheckPrice | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """A node: its word on chain, and how many jobs run on it."""

    word: int
    active: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderState:
    """
    What the Registry has of a provider. The record's own `active` is not looked at: each node has
    one.
    """

    record: ProviderRecord
    operator: str
    epoch: int
    revoked_lanes: int
    nodes: Mapping[int, NodeState]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierState:
    """
    A verifier: its policy, the keccak of its code, and how to ask it for a quote. No quote has a
    lock of less than `lock_per_price` times the price; it may be 0 if nothing is known of that. If
    `is_delay_fixed`, all quotes for a program under the same settings have the same delay.
    """

    policy: Policy
    code_hash: bytes
    quote: Quoter
    lock_per_price: int = 0
    is_delay_fixed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """
    The chain at one block, for one keeper. `now` is the time of the block that a match would be in.
    `free` is what JobEscrow may put aside of each account's free balance; an account without an
    authorisation isn't in it. Unknown providers and verifiers are as unregistered ones.
    """

    now: int
    keeper: str
    providers: Mapping[str, ProviderState]
    verifiers: Mapping[str, VerifierState]
    free: Mapping[str, int]
    bid_epochs: Mapping[str, int]
    attempt_max: int
    delay_max: int


NOBODY = ProviderState(
    record=ProviderRecord(status=0, is_available=False, last_seen=0, heartbeat_ttl=0, active=0),
    operator=ZERO_ADDRESS,
    epoch=0,
    revoked_lanes=0,
    nodes={},
)
NO_NODE = NodeState(word=0, active=0)
# The keccak of no code.
_NO_CODE = bytes.fromhex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470")
NO_VERIFIER = VerifierState(
    policy=Policy(is_enabled=False, charge_bps=0, keeper_fee=0),
    code_hash=_NO_CODE,
    quote=lambda _terms, _price: None,
)
