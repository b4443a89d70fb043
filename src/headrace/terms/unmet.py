"""Why a job and an offer don't match: the check that MatchRules makes, and its bits in words.

`unmet` answers what `MatchRules.unmet` answers at the same moment from the same facts, so a keeper
filters by the rule that `match` enforces. `explain` turns bits into sentences that say what to do
about them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from headrace.errors import Rejected
from headrace.terms import money
from headrace.terms.money import CheckPrice, Policy, Quote
from headrace.terms.requirement import PROVIDER_BITS, REQUESTER_BITS
from headrace.terms.words import (
    ZERO_ADDRESS,
    Ask,
    Exclusion,
    Terms,
    excluded_hash,
    runs_program,
    verifier_terms,
)

# No offer lives longer than this, in seconds.
MAX_LIFE = 30 * 86_400
MAX_ATTEMPTS = 4
MIN_NO_SHOW_BPS = 1_000
MAX_NO_SHOW_BPS = 5_000
# How many lanes an ask may be in.
LANES = 16
# States of a job's slot in which it can be matched.
NOT_ON_RECORD = 0
OPEN = 1

_BIT = {name: 1 << bit for bit, name in REQUESTER_BITS.items()}
_ASK_BIT = {name: 1 << bit for bit, name in PROVIDER_BITS.items()}
FUNDS = _BIT["funds"]
CAPACITY = _BIT["capacity"]
PRICE = _BIT["price"]
TOO_EARLY = _BIT["too_early"]
STAKE = _ASK_BIT["stake"]

Side = Literal["requester", "provider"]

# What a bit means and what can be done about it.
_REQUESTER_SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        "not_active": "the provider isn't registered or is leaving; wait for another offer",
        "unavailable": "the provider has switched itself off; it has to set itself available",
        "stale": "the provider hasn't been heard of for too long; its node has to send a heartbeat",
        "no_node": "the provider has no such node; it has to describe the node with set_node",
        "gpu_model": "the node's GPU model isn't among those asked for; list more models",
        "gpu_count": "the node has fewer GPUs than asked for; ask for fewer",
        "vram": "a GPU of the node has less memory than asked for; ask for less",
        "region": "the node is in none of the regions asked for; list more regions",
        "latency": "the node's latency class is worse than asked for; allow a higher class",
        "attestation": "the node isn't attested; don't ask for it, or wait for one that is",
        "benchmark": "the node's benchmark score is below what is asked for; ask for less",
        "completions": "the provider has completed too few jobs; ask for fewer",
        "fault_rate": "too much of the provider's record is faults; allow a higher share",
        "weight": "the provider's record weighs too little; ask for less",
        "capacity": "all places of the node are taken; wait until one of its jobs ends",
        "too_early": "the job can't be matched yet; wait until it is valid",
        "too_late": "the job's final deadline is over; cancel it, and post it anew",
        "price": "the offer costs more than the ramp allows now; wait, or raise the price cap",
        "excluded": "the provider has failed or declined this job, or the list of those is wrong",
        "verifier_stopped": "no new job may use this verifier; post the job with another",
        "not_open": "the job isn't open, or its signed bid is revoked; nothing to do",
        "funds": "the requester can't put the price aside; it has to deposit, or authorise",
    }
)
_PROVIDER_SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        "signer": "the ask is signed by neither the provider nor its operator; sign it again",
        "epoch": "the provider has revoked its asks since; it has to sign a new one",
        "lane": "the ask's lane is revoked; the provider has to sign in another lane",
        "expired": "the ask has expired, or lives for more than 30 days; sign a new one",
        "program": "the ask doesn't list this program; the provider has to load and list it",
        "units": "the job has more units of work than the ask allows; split it",
        "input_bytes": "the job's input is larger than the ask allows; split it",
        "ack_seconds": "the job gives less time to acknowledge than the ask wants; give more",
        "verifier": "the ask doesn't accept this verifier, its code or its settings; use the ask's",
        "lock": "the job locks more than the ask allows; lower the damages, or the work in it",
        "delay": "the check may take longer than the ask or the rules allow; shorten the window",
        "counterparty": "the ask is for another requester or keeper",
        "stake": "the provider can't put the lock aside; it has to deposit, or authorise",
        "attempt_seconds": "the job gives less time to work than the ask wants; give more",
    }
)


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that stands against a match: on whose side, by which bit's name, in a sentence."""

    side: Side
    name: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """
    What the chain knows of a job and an offer at one moment.

    `job_state` and `job_digest` are the job's slot (0 if there is none), `excluded` the list behind
    the digest, `bid_epoch` the requester's. `registry_bits` are those of `requirement.unmet_bits`,
    `ask_bits` those of `ask_bits`. `check` is the verifier's quote at the price of the offer, None
    if it refuses the job; `code_hash` the keccak of its code. `requester_free` and `provider_free`
    are what JobEscrow may put aside of each side's free balance, None without an authorisation.
    `declined_at` is when a decline opened the job, 0 if none did.
    `count` is how many members of a signed batch are to be matched together.
    """

    now: int
    keeper: str
    job_state: int
    job_digest: int
    bid_epoch: int
    registry_bits: int
    ask_bits: int
    policy: Policy
    check: CheckPrice | None
    code_hash: bytes
    requester_free: int | None
    provider_free: int | None
    attempt_max: int
    delay_max: int
    declined_at: int = 0
    count: int = 1
    excluded: Sequence[Exclusion] = ()
    program_proof: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What `weigh` found: what stands against the match on either side, and what it would cost."""

    requester_bits: int
    provider_bits: int
    quote: Quote

    @property
    def fits(self) -> bool:
        """Whether nothing stands against it."""
        return self.requester_bits == self.provider_bits == 0


def ask_bits(ask: Ask, signer: str, operator: str, epoch: int, revoked_lanes: int) -> int:
    """
    Bits 0 to 2 of the provider's side: whether an ask that `signer` has signed binds the provider,
    given the `operator`, `epoch` and `revoked_lanes` that the Registry has of it.
    """
    bits = 0
    if signer not in (ask.provider, operator):
        bits |= _ASK_BIT["signer"]
    if ask.epoch != epoch:
        bits |= _ASK_BIT["epoch"]
    if ask.lane >= LANES or revoked_lanes >> ask.lane & 1:
        bits |= _ASK_BIT["lane"]
    return bits


def check_form(terms: Terms, attempt_max: int) -> None:
    """Rejected, with the contract's reason, if such terms can never be posted or matched."""
    for fails, reason in (
        (terms.requester == ZERO_ADDRESS, "terms: requester is zero"),
        (not 0 < terms.max_attempts <= MAX_ATTEMPTS, "terms: bad max_attempts"),
        (terms.tip_share_bps > money.BPS, "terms: bad tip_share_bps"),
        (not MIN_NO_SHOW_BPS <= terms.no_show_bps <= MAX_NO_SHOW_BPS, "terms: bad no_show_bps"),
        (terms.price_cap == 0, "terms: price_cap is zero"),
        (terms.price_start > terms.price_cap, "terms: start above cap"),
        (terms.ramp_seconds == 0, "terms: ramp is zero"),
        (not 0 < terms.attempt_seconds <= attempt_max, "terms: bad attempt_seconds"),
        (terms.ack_seconds > terms.attempt_seconds, "terms: bad ack_seconds"),
        (terms.units == 0, "terms: no units"),
        (terms.valid_from > terms.final_deadline, "terms: never valid"),
    ):
        if fails:
            raise Rejected(reason)


def check_terms(terms: Terms, attempt_max: int, now: int) -> None:
    """Rejected, with the contract's reason, if the terms can't be posted at `now`."""
    check_form(terms, attempt_max)
    if now > terms.final_deadline:
        raise Rejected("terms: deadline is over")
    if terms.final_deadline > now + MAX_LIFE:
        raise Rejected("terms: deadline too far")


def weigh(terms: Terms, ask: Ask, context: Context) -> Verdict:
    """
    What stands against a match of `terms` and `ask`, and what it would cost. Rejected where the
    contract reverts: the terms of a signed bid are malformed, or the verifier refuses the job.
    """
    now = context.now
    is_signed = context.job_state == NOT_ON_RECORD
    if is_signed:
        check_form(terms, context.attempt_max)
    check = context.check
    if not context.policy.is_enabled:
        check = CheckPrice(levy=0, lock_min=0, window=0, delay=0)
    elif check is None:
        raise Rejected("the verifier refuses the job")
    quote = money.quote(terms, ask, check, context.policy, now, context.declined_at)

    near = terms.final_deadline <= now + MAX_LIFE
    held = 0 if is_signed else money.held_for(terms, context.excluded)
    funds, stake = amounts(terms, ask, quote, held, context.count)
    requester = {
        "too_early": now < terms.valid_from or (is_signed and not near),
        "too_late": now > terms.final_deadline,
        "price": not quote.fits,
        "excluded": context.job_state <= OPEN and not _may_serve(ask.provider, context),
        "verifier_stopped": not context.policy.is_enabled,
        "not_open": context.job_state > OPEN or (is_signed and terms.epoch != context.bid_epoch),
        "funds": funds > 0 and not _can_reserve(context.requester_free, funds),
    }
    accepted = verifier_terms(terms.verifier, context.code_hash, terms.settings)
    counterparties = (ZERO_ADDRESS, terms.requester, context.keeper)
    provider = {
        "expired": not now <= ask.expiry <= now + MAX_LIFE,
        "program": not runs_program(ask.programs, terms.program, context.program_proof),
        "units": terms.units > ask.max_units,
        "input_bytes": terms.input_bytes > ask.max_input_bytes,
        "ack_seconds": terms.ack_seconds < ask.min_ack_seconds,
        "verifier": ask.verifier_terms != accepted,
        "lock": quote.lock > ask.max_lock,
        "delay": check.window > check.delay or check.delay > min(ask.max_delay, context.delay_max),
        "counterparty": ask.counterparty not in counterparties,
        "stake": not _can_reserve(context.provider_free, stake),
        "attempt_seconds": terms.attempt_seconds < ask.min_attempt_seconds,
    }
    return Verdict(
        requester_bits=context.registry_bits | _sum(requester, _BIT),
        provider_bits=context.ask_bits | _sum(provider, _ASK_BIT),
        quote=quote,
    )


def amounts(terms: Terms, ask: Ask, quote: Quote, held: int, count: int) -> tuple[int, int]:
    """
    What `count` matches at this quote put aside of the requester's free balance and of the
    provider's, if `held` is put aside for the job already. Who serves itself needs both at once, as
    its stake.
    """
    payment, stake = quote.total * count, quote.lock * count
    if terms.requester == ask.provider:
        stake = max(stake + payment - held, 0)
    return max(payment - held, 0), stake


def unmet(terms: Terms, ask: Ask, context: Context) -> tuple[int, int]:
    """
    The requester's bits and the provider's bits (docs/encoding.md) that stand against a match; both
    zero if nothing does. Rejected as `weigh`.
    """
    verdict = weigh(terms, ask, context)
    return verdict.requester_bits, verdict.provider_bits


def explain(requester_bits: int, provider_bits: int) -> list[Reason]:
    """Each bit that is set, as a sentence; the requester's side first, lowest bit first."""
    return [
        *_reasons("requester", requester_bits, REQUESTER_BITS, _REQUESTER_SENTENCES),
        *_reasons("provider", provider_bits, PROVIDER_BITS, _PROVIDER_SENTENCES),
    ]


def _reasons(
    side: Side, bits: int, names: Mapping[int, str], sentences: Mapping[str, str]
) -> list[Reason]:
    found = []
    for bit in range(bits.bit_length()):
        if bits >> bit & 1:
            name = names.get(bit, f"bit_{bit}")
            sentence = sentences.get(name, "this version doesn't know what that means; update it")
            found.append(Reason(side, name, sentence))
    return found


def _may_serve(provider: str, context: Context) -> bool:
    known = excluded_hash(context.excluded) == context.job_digest
    return known and all(exclusion.provider != provider for exclusion in context.excluded)


def _can_reserve(free: int | None, amount: int) -> bool:
    return free is not None and free >= amount


def _sum(failed: Mapping[str, bool], bits: Mapping[str, int]) -> int:
    return sum(bits[name] for name, fails in failed.items() if fails)
