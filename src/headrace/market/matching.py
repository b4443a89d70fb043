"""Whether one job and one offer fit, by the rule that `MatchRules` enforces, and from when on.

`judge` is the rule, pair by pair. The engine (`market.engine`) comes to the same answers by
indices, and its tests hold the two together.
"""

from dataclasses import replace

from headrace.market.book import LiveAsk, OpenJob
from headrace.market.snapshot import NO_NODE, NO_VERIFIER, NOBODY
from headrace.market.snapshot import NodeState as NodeState
from headrace.market.snapshot import ProviderState as ProviderState
from headrace.market.snapshot import Quoter as Quoter
from headrace.market.snapshot import Snapshot as Snapshot
from headrace.market.snapshot import VerifierState as VerifierState
from headrace.terms import money
from headrace.terms.requirement import unmet_bits
from headrace.terms.unmet import (
    MAX_LIFE,
    NOT_ON_RECORD,
    PRICE,
    TOO_EARLY,
    Context,
    Verdict,
    ask_bits,
    weigh,
)


def context_of(job: OpenJob, ask: LiveAsk, snapshot: Snapshot) -> Context:
    """What `terms.unmet` needs to know of a pair."""
    terms, offer = job.terms, ask.ask
    provider = snapshot.providers.get(offer.provider, NOBODY)
    node = provider.nodes.get(offer.node, NO_NODE)
    verifier = snapshot.verifiers.get(terms.verifier, NO_VERIFIER)
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
