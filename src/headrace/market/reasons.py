"""Why jobs get nothing: every filter says how many offers it has dropped; none is silent."""

from collections import Counter
from typing import TYPE_CHECKING, Protocol

from headrace.errors import Rejected
from headrace.market.book import OpenJob
from headrace.market.columns import Columns
from headrace.market.matching import fits_from, judge
from headrace.market.plan import Report, Shortfall
from headrace.market.pool import Pool
from headrace.market.snapshot import NO_VERIFIER, Snapshot
from headrace.terms.money import price_of
from headrace.terms.unmet import MAX_LIFE, NOT_ON_RECORD, check_form
from headrace.terms.words import Terms, excluded_hash

if TYPE_CHECKING:
    from headrace.market.engine import Case

# How many of a job's cheapest offers are asked from when on they fit.
_ASKED = 6


class _Engine(Protocol):
    """What is asked of the engine, after its plan."""

    columns: Columns
    snapshot: Snapshot
    gates: dict[int, str]

    def job(self, place: int) -> OpenJob: ...

    def case(self, place: int) -> "Case": ...

    def accepted(self, terms: Terms) -> bytes: ...

    def pool(self, case: "Case") -> Pool: ...

    def offer(self, case: "Case", slot: int) -> object: ...


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


def report(engine: _Engine, jobs: int, served: set[int], most: int) -> Report:
    """The account of all jobs whose place is not among `served`; of `most` of them one by one."""
    unmatched = [place for place in range(jobs) if place not in served]
    return Report(
        jobs=jobs,
        unmatched=len(unmatched),
        barred=Counter(engine.gates.values()),
        shortfalls=tuple(_shortfall(engine, place) for place in unmatched[:most]),
        not_accounted=max(len(unmatched) - most, 0),
    )


def _shortfall(engine: _Engine, place: int) -> Shortfall:
    case = engine.case(place)
    job, index = engine.job(place), case.offers
    refusal = engine.gates.get(place, "")
    if refusal and refusal != "too_early":
        return Shortfall(job_id=job.job_id, considered=index.size, refusal=refusal)
    dropped = _by_filter(engine, case)
    pool = engine.pool(case)
    asks, units = engine.columns.asks, job.terms.units
    slots = pool.cheapest(units, pool.size())
    slots.sort(key=lambda slot: (price_of(asks[index.rows[slot]].ask, units), slot))
    for number, slot in enumerate(slots):
        reason = engine.offer(case, slot)
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
            verdict = judge(job, ask, engine.snapshot)
        except Rejected:
            continue
        fits = fits_from(job, ask, verdict, engine.snapshot)
        if fits is not None and fits > engine.snapshot.now:
            at = fits if at is None else min(at, fits)
    return Shortfall(
        job_id=job.job_id,
        considered=index.size,
        refusal=refusal,
        dropped={name: count for name, count in sorted(dropped.items()) if count},
        at=at,
    )


def _by_filter(engine: _Engine, case: "Case") -> Counter[str]:
    """How many offers each filter drops that is a set of bits."""
    terms, index, columns = case.terms, case.offers, engine.columns
    dropped: Counter[str] = Counter()
    for row in index.rows:
        if columns.dead[row]:
            dropped[columns.dead[row]] += 1
        elif columns.room[columns.places[row]] == 0:
            dropped["capacity"] += 1
    sets = index.by_requirement(terms.requirement)
    sets |= index.by_terms(terms, engine.accepted(terms), engine.snapshot.keeper)
    for name, bits in sets.items():
        dropped[name] += index.size - bits.bit_count()
    for exclusion in case.excluded:
        dropped["excluded"] += index.of_provider(exclusion.provider).bit_count()
    return dropped
