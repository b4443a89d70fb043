"""Which job goes to which offer: the cheapest that both sides' limits allow, job by job.

A plan is a pure function of the book and of a snapshot of the chain. Every pair in it meets what
`MatchRules` will check (`terms.unmet` is the same rule), and all pairs together fit the places and
the free balances of the snapshot. Whatever is left out comes with the bits that stand against it.
"""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace

from headrace.errors import Rejected
from headrace.market.book import Book, LiveAsk, OpenJob
from headrace.terms import money
from headrace.terms.money import CheckPrice, Policy, Quote
from headrace.terms.requirement import ProviderRecord, fault_rate_bps, unmet_bits
from headrace.terms.unmet import (
    CAPACITY,
    FUNDS,
    MAX_LIFE,
    NOT_ON_RECORD,
    PRICE,
    STAKE,
    TOO_EARLY,
    Context,
    Verdict,
    amounts,
    ask_bits,
    weigh,
)
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
    """A verifier: its policy, the keccak of its code, and how to ask it for a quote."""

    policy: Policy
    code_hash: bytes
    quote: Quoter


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """
    A pair to match now, and what it would cost and lock (per job, for a batch of `job.count`).
    """

    job: OpenJob
    ask: LiveAsk
    quote: Quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """
    A pair that was looked at and left out, by the bits of docs/encoding.md. Without any bit the
    `refusal` says why, as the contract would, or the pair was dearer than the one chosen.
    """

    job_id: bytes
    ask_hash: bytes
    requester_bits: int = 0
    provider_bits: int = 0
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """
    A job for which nothing fits yet, and the first second at which `ask_hash` will, if all stays.
    """

    job_id: bytes
    ask_hash: bytes
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to match now, what was left out, and what to look at again when."""

    matches: tuple[Match, ...]
    drops: tuple[Drop, ...]
    waits: tuple[Wait, ...]

    @property
    def wake_at(self) -> int | None:
        """The first of the waits."""
        return min((wait.at for wait in self.waits), default=None)


_NOBODY = ProviderState(
    record=ProviderRecord(status=0, is_available=False, last_seen=0, heartbeat_ttl=0, active=0),
    operator=ZERO_ADDRESS,
    epoch=0,
    revoked_lanes=0,
    nodes={},
)
_NO_NODE = NodeState(word=0, active=0)
# The keccak of no code.
_NO_CODE = bytes.fromhex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470")
_NO_VERIFIER = VerifierState(
    policy=Policy(is_enabled=False, charge_bps=0, keeper_fee=0),
    code_hash=_NO_CODE,
    quote=lambda _terms, _price: None,
)


def context_of(job: OpenJob, ask: LiveAsk, snapshot: Snapshot) -> Context:
    """What `terms.unmet` needs to know of a pair."""
    terms, offer = job.terms, ask.ask
    provider = snapshot.providers.get(offer.provider, _NOBODY)
    node = provider.nodes.get(offer.node, _NO_NODE)
    verifier = snapshot.verifiers.get(terms.verifier, _NO_VERIFIER)
    return Context(
        now=snapshot.now,
        keeper=snapshot.keeper,
        job_state=job.state,
        job_digest=job.digest,
        declined_at=job.declined_at,
        excluded=job.excluded,
        program_proof=ask.proof(terms.program) if terms.program in ask.programs else (),
        bid_epoch=snapshot.bid_epochs.get(terms.requester, 0),
        registry_bits=unmet_bits(
            terms.requirement,
            node.word,
            replace(provider.record, active=node.active),
            snapshot.now,
            job.count,
        ),
        ask_bits=ask_bits(
            offer, ask.signer, provider.operator, provider.epoch, provider.revoked_lanes
        ),
        policy=verifier.policy,
        check=verifier.quote(terms, money.price_of(offer, terms.units)),
        code_hash=verifier.code_hash,
        requester_free=snapshot.free.get(terms.requester),
        provider_free=snapshot.free.get(offer.provider),
        attempt_max=snapshot.attempt_max,
        delay_max=snapshot.delay_max,
        count=job.count,
    )


def judge(job: OpenJob, ask: LiveAsk, snapshot: Snapshot) -> Verdict:
    """What stands against this pair now, on its own. Rejected where the contract would revert."""
    return weigh(job.terms, ask.ask, context_of(job, ask, snapshot))


def fits_from(job: OpenJob, ask: LiveAsk, verdict: Verdict, snapshot: Snapshot) -> int | None:
    """
    The first second from the snapshot's on at which the ramp allows this pair; None if it never
    will, or if something else than time stands against it. Assumes that nothing but time changes.
    """
    terms = job.terms
    if verdict.requester_bits & ~(PRICE | TOO_EARLY) or verdict.provider_bits:
        return None
    quote = verdict.quote
    before_tip = quote.price + quote.levy + quote.charge
    reached = money.ramp_reaches(
        terms, before_tip + money.least_saving(terms, quote.price), job.declined_at
    )
    if reached is None:
        return None
    at = max(snapshot.now, terms.valid_from, reached)
    if job.state == NOT_ON_RECORD:
        at = max(at, terms.final_deadline - MAX_LIFE)
    # By then the ask may have expired, the provider be stale, the tip more than the requester has.
    return at if judge(job, ask, replace(snapshot, now=at)).fits else None


def propose(
    book: Book, snapshot: Snapshot, barred: Container[tuple[bytes, bytes]] = frozenset()
) -> Plan:
    """
    The plan for a moment: each job, the longest waiting first, gets the offer with the least total
    that is still free; among equals the provider with the better record. Only offers that list the
    job's program are looked at, and none of the pairs (job id, ask hash) in `barred`. The same
    arguments always give the same plan.
    """
    matches: list[Match] = []
    drops: list[Drop] = []
    waits: list[Wait] = []
    left = _Left(snapshot)
    for job in book.jobs():
        fitting: list[tuple[LiveAsk, Verdict]] = []
        later: list[Wait] = []
        for ask in book.asks_for(job.terms.program):
            if (job.job_id, ask.ask_hash) in barred:
                continue
            try:
                verdict = judge(job, ask, snapshot)
            except Rejected as error:
                drops.append(_drop(job, ask, refusal=error.reason))
                continue
            if verdict.fits:
                fitting.append((ask, verdict))
                continue
            drops.append(_drop(job, ask, verdict.requester_bits, verdict.provider_bits))
            at = fits_from(job, ask, verdict, snapshot)
            if at is not None:
                later.append(Wait(job_id=job.job_id, ask_hash=ask.ask_hash, at=at))

        chosen = False
        for ask, verdict in sorted(
            fitting, key=lambda pair: _preference(pair[0], pair[1], snapshot)
        ):
            bits = (0, 0) if chosen else left.lacking(job, ask, verdict.quote)
            if chosen or bits != (0, 0):
                drops.append(_drop(job, ask, *bits))
                continue
            left.take(job, ask, verdict.quote)
            matches.append(Match(job=job, ask=ask, quote=verdict.quote))
            chosen = True
        if not chosen and later:
            waits.append(min(later, key=lambda wait: (wait.at, wait.ask_hash)))
    return Plan(matches=tuple(matches), drops=tuple(drops), waits=tuple(waits))


class _Left:
    """What a plan has not yet used of the snapshot's places and free balances."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._taken: dict[tuple[str, int], int] = {}
        self._spent: dict[str, int] = {}

    def lacking(self, job: OpenJob, ask: LiveAsk, quote: Quote) -> tuple[int, int]:
        """
        The bits of what isn't left for one more match, as `unmet` would answer after the others.
        """
        offer = ask.ask
        node = self._snapshot.providers[offer.provider].nodes[offer.node]
        taken = self._taken.get((offer.provider, offer.node), 0)
        record = replace(
            self._snapshot.providers[offer.provider].record, active=node.active + taken
        )
        ours = unmet_bits(0, node.word, record, self._snapshot.now, job.count) & CAPACITY
        funds, stake = amounts(job.terms, offer, quote, job.held, job.count)
        if funds > self._free(job.terms.requester):
            ours |= FUNDS
        return ours, STAKE if stake > self._free(offer.provider) else 0

    def take(self, job: OpenJob, ask: LiveAsk, quote: Quote) -> None:
        """Use what one match uses."""
        place = (ask.ask.provider, ask.ask.node)
        self._taken[place] = self._taken.get(place, 0) + job.count
        funds, stake = amounts(job.terms, ask.ask, quote, job.held, job.count)
        if job.terms.requester == ask.ask.provider:
            funds = 0  # it is in the stake
        for account, amount in ((ask.ask.provider, stake), (job.terms.requester, funds)):
            self._spent[account] = self._spent.get(account, 0) + amount

    def _free(self, account: str) -> int:
        return self._snapshot.free.get(account, 0) - self._spent.get(account, 0)


def _drop(
    job: OpenJob, ask: LiveAsk, requester_bits: int = 0, provider_bits: int = 0, refusal: str = ""
) -> Drop:
    return Drop(
        job_id=job.job_id,
        ask_hash=ask.ask_hash,
        requester_bits=requester_bits,
        provider_bits=provider_bits,
        refusal=refusal,
    )


def _preference(
    ask: LiveAsk, verdict: Verdict, snapshot: Snapshot
) -> tuple[int, int, int, int, bytes]:
    """Cheapest first; then the smaller share of faults, the heavier record, more completions."""
    record = snapshot.providers[ask.ask.provider].record
    return (
        verdict.quote.total,
        fault_rate_bps(record.good_weight, record.bad_weight),
        -record.good_weight,
        -record.completions,
        ask.ask_hash,
    )
