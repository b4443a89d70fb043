"""Why jobs get nothing: every filter says how many offers it has dropped; none is silent."""

from array import array
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from headrace.errors import Rejected
from headrace.market.book import OpenJob
from headrace.market.matching import fits_from, judge
from headrace.market.plan import Report, Shortfall
from headrace.market.snapshot import NO_VERIFIER, Snapshot
from headrace.terms.money import price_of
from headrace.terms.unmet import MAX_LIFE, NOT_ON_RECORD, check_form
from headrace.terms.words import excluded_hash

if TYPE_CHECKING:
    from headrace.market.candidates import Candidates, Case

# How many of a job's cheapest offers are asked from when on they fit.
_ASKED = 6


def gate(job: OpenJob, snapshot: Snapshot) -> str:
    """What bars a job from every offer now: the name of a bit, or a reason; "" if nothing does."""
    terms, now = job.terms, snapshot.now
    is_signed = job.state == NOT_ON_RECORD
    if is_signed:
        try:
            check_form(terms, snapshot.attempt_max)
        except Rejected as error:
            return error.reason
        if terms.epoch != snapshot.bid_epochs.get(terms.requester, 0):
            return "not_open"
    if not snapshot.verifiers.get(terms.verifier, NO_VERIFIER).policy.is_enabled:
        return "verifier_stopped"
    if excluded_hash(job.excluded) != job.digest:
        return "excluded"
    if now > terms.final_deadline:
        return "too_late"
    if now < terms.valid_from or (is_signed and terms.final_deadline > now + MAX_LIFE):
        return "too_early"
    return ""


def report(candidates: "Candidates", served: "array[int]", most: int) -> Report:
    """The account of all jobs whose place is not among `served`; of `most` of them one by one."""
    is_unmatched = np.ones(len(candidates.job_ids), dtype=np.bool_)
    is_unmatched[np.asarray(served)] = False
    unmatched = np.flatnonzero(is_unmatched).tolist()
    return Report(
        jobs=len(candidates.job_ids),
        unmatched=len(unmatched),
        barred=Counter(candidates.gates.values()),
        shortfalls=tuple(_shortfall(candidates, place) for place in unmatched[:most]),
        not_accounted=max(len(unmatched) - most, 0),
    )


def _shortfall(candidates: "Candidates", place: int) -> Shortfall:
    case = candidates.case(place)
    job, index = candidates.job(place), case.offers
    refusal = candidates.gates.get(place, "")
    if refusal and refusal != "too_early":
        return Shortfall(job_id=job.job_id, considered=index.size, refusal=refusal)
    dropped = _by_filter(candidates, case)
    pool = candidates.pool(case)
    asks, units = candidates.columns.asks, job.terms.units
    slots = pool.cheapest(units, pool.size())
    slots.sort(key=lambda slot: (price_of(asks[index.rows[slot]].ask, units), slot))
    for number, slot in enumerate(slots):
        reason = candidates.offer(case, slot)
        if reason == "price":
            # The others are no cheaper.
            dropped["price"] += len(slots) - number
            break
        if isinstance(reason, str):
            dropped[reason] += 1
    at = None
    for slot in slots[:_ASKED]:
        ask = asks[index.rows[slot]]
        try:
            verdict = judge(job, ask, candidates.snapshot)
        except Rejected:
            continue
        fits = fits_from(job, ask, verdict, candidates.snapshot)
        if fits is not None and fits > candidates.snapshot.now:
            at = fits if at is None else min(at, fits)
    return Shortfall(
        job_id=job.job_id,
        considered=index.size,
        refusal=refusal,
        dropped={name: count for name, count in sorted(dropped.items()) if count},
        at=at,
    )


def _by_filter(candidates: "Candidates", case: "Case") -> Counter[str]:
    """How many offers each filter drops that is a set of bits."""
    terms, index, columns = case.terms, case.offers, candidates.columns
    dropped: Counter[str] = Counter()
    for row in index.rows:
        if columns.dead[row]:
            dropped[columns.dead[row]] += 1
        elif columns.room[columns.places[row]] == 0:
            dropped["capacity"] += 1
    sets = index.by_requirement(terms.requirement)
    sets |= index.by_terms(
        terms, candidates.accepted(terms), candidates.snapshot.keeper, candidates.delay(case)
    )
    for name, bits in sets.items():
        dropped[name] += index.size - bits.bit_count()
    for exclusion in case.excluded:
        dropped["excluded"] += index.of_provider(exclusion.provider).bit_count()
    return dropped
