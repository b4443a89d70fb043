"""The whole market in plain Python: what every move does to jobs and money, and why it can fail.

For each move there is a function that gives the reason by which the contracts must refuse it at a
given second, or "" if it must succeed, and one that carries it out. Figures are the twin's
(headrace.terms.money), money moves as tests/models/job_money.py says.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from headrace.terms import money, words
from headrace.terms.words import ZERO_ADDRESS, Ask, Exclusion, Record, Terms
from tests.models import job_money
from tests.models.job_money import Moves
from tests.system import (
    CANCELLED,
    CLAIMED,
    CONTESTED,
    EXPIRED,
    FALLS,
    FINAL,
    MATCHED,
    NONE,
    OPEN,
    PENDING,
    REFUTED,
    SKIP_RECORD,
    SKIP_STATE,
    SKIP_TIME,
    SKIP_VERDICT,
    STANDS,
    VOID_GRACE,
    Balance,
)

ASK_ALWAYS = 1 << 90
WINDOW = 2**32 - 1
MAX_DECLINES = 3


@dataclass
class Verifier:
    """What a DummyVerifier is set to, and JobEscrow's policy of it."""

    address: str
    hooks: int
    levy: int
    lock_factor: int
    policy: money.Policy
    payees: list[tuple[str, int]] = field(default_factory=list)


@dataclass
class Job:
    """A job, from the time its terms were made."""

    job_id: bytes
    terms: Terms
    state: int = NONE
    attempt: int = 0
    time: int = 0
    excluded: list[Exclusion] = field(default_factory=list)
    record: Record | None = None
    ruling: tuple[int, int, str] = (0, 0, ZERO_ADDRESS)  # verdict, not_before, refuter

    @property
    def held(self) -> int:
        """What is reserved of the requester for it."""
        if self.state != OPEN:
            return 0
        return self.excluded[-1].held if self.excluded else self.terms.price_cap

    @property
    def running(self) -> Record:
        """What was agreed at its match."""
        assert self.record is not None
        return self.record

    @property
    def is_running(self) -> bool:
        """Whether a provider's lock stands for it."""
        return self.state in (MATCHED, CLAIMED, CONTESTED)

    @property
    def is_claimed(self) -> bool:
        """Whether it waits for its verifier."""
        return self.state in (CLAIMED, CONTESTED)

    @property
    def is_asked(self) -> bool:
        """Whether it takes the verifier's word for the claim to stand."""
        return self.state == CONTESTED or self.terms.settings & ASK_ALWAYS != 0

    @property
    def claim_id(self) -> bytes:
        """What the verifier calls the claim."""
        return words.claim_id(self.job_id, self.attempt, self.running.provider)

    @property
    def commitment(self) -> bytes:
        """What its provider claims."""
        return words.keccak(self.job_id + self.claim_id)

    @property
    def digest(self) -> int:
        """As in its slot."""
        if self.state == OPEN:
            return words.excluded_hash(self.excluded)
        if self.state == MATCHED:
            return words.record_hash(self.running)
        return words.claim_digest(self.running, self.commitment) if self.is_claimed else 0

    @property
    def declines(self) -> int:
        """How often it was declined, while it is open."""
        return self.time & 3 if self.state == OPEN else 0

    @property
    def declined_at(self) -> int:
        """When the decline that opened it was."""
        return self.time >> 2 if self.state == OPEN else 0

    def edges(self, delay_max: int) -> list[tuple[int, tuple[str, ...]]]:
        """The last seconds of all that can still run out, with the moves for which it matters."""
        terms = self.terms
        if self.state in (NONE, OPEN):
            return [(terms.final_deadline, ("close", "match"))]
        if self.state == MATCHED:
            ack = self.running.matched_at + terms.ack_seconds
            return [(ack, ("decline",)), (self.time, ("expire", "claim"))]
        if self.is_claimed:
            window = self.time + self.running.window
            grace = self.time + delay_max + VOID_GRACE
            return [
                (window, ("finalise", "contest")),
                (self.ruling[1], ("finalise",)),
                (grace, ("void",)),
            ]
        return []


class World:
    """All jobs, everybody's money, and the providers' places."""

    def __init__(
        self,
        delay_max: int,
        capacity: dict[str, int],
        operators: dict[str, str],
        payouts: dict[str, str],
    ) -> None:
        self.delay_max = delay_max
        self.operators = operators
        self.capacity = capacity
        self.payouts = payouts
        self.verifiers: dict[str, Verifier] = {}
        self.jobs: list[Job] = []
        self.lanes: dict[str, Balance] = {}
        self.epochs: Counter[str] = Counter()
        self.unauthorised: set[str] = set()
        self.leaving: set[str] = set()
        self.sunk = 0
        # provider => completions, faults, no-shows, declines
        self.record: dict[str, list[int]] = {provider: [0] * 4 for provider in capacity}

    # -- money --

    def apply(self, moves: Moves) -> None:
        """Carries out `moves`."""
        assert moves.total() == 0
        for account, change in moves.changes().items():
            old = self.lanes[account]
            self.lanes[account] = Balance(
                old.free + change.free,
                old.escrow + change.escrow,
                old.registry + change.registry,
            )
        self.sunk += moves.sunk

    def free(self, account: str) -> int:
        """What is free of an account."""
        return self.lanes[account].free

    def active(self, provider: str) -> int:
        """Running attempts of a provider."""
        return sum(j.is_running and j.running.provider == provider for j in self.jobs)

    def escrow_lane(self, account: str) -> int:
        """What JobEscrow must have reserved of an account, by the jobs alone."""
        held = sum(job.held for job in self.jobs if job.terms.requester == account)
        return held + sum(
            job.running.lock + job_money.total(job.running)
            for job in self.jobs
            if job.is_running and job.running.provider == account
        )

    # -- the requester --

    def why_not_post(self, job: Job, now: int) -> str:
        if job.state != NONE:
            return "escrow: job exists"
        if now > job.terms.final_deadline:
            return "terms: deadline is over"
        if job.terms.requester in self.unauthorised:
            return "vault: book not authorised"
        if self.free(job.terms.requester) < job.terms.price_cap:
            return "vault: not enough to reserve"
        return ""

    def post(self, job: Job) -> None:
        self.apply(job_money.posted(job.terms))
        job.state = OPEN

    def why_not_cancel(self, job: Job, now: int, by_requester: bool) -> str:
        if job.state not in (NONE, OPEN):
            return "escrow: job is not open"
        if by_requester:
            return ""
        if job.state == NONE:
            return "escrow: only requester revokes"
        return "" if now > job.terms.final_deadline else "escrow: before final deadline"

    def cancel(self, job: Job) -> None:
        self.apply(job_money.cancelled(job.terms, job.held))
        self._close(job, CANCELLED)

    # -- a match --

    def why_not_match(self, jobs: Sequence[Job], ask: Ask, keeper: str, now: int) -> str:
        """For one job, or for the members of a signed batch that are not on record."""
        record = self.agreed(jobs[0], ask, keeper, now)
        return record if isinstance(record, str) else self._why_not_engage(jobs, record)

    def agreed(self, job: Job, ask: Ask, keeper: str, now: int) -> Record | str:
        """The record of a match of the job with the ask, or why the rules refuse it."""
        terms = job.terms
        verifier = self.verifiers[terms.verifier]
        if job.state not in (NONE, OPEN):
            return "match: job is not open"
        if ask.provider in [exclusion.provider for exclusion in job.excluded]:
            return "match: provider is excluded"
        if job.state == NONE and now > terms.final_deadline:
            return "terms: deadline is over"
        if job.state == NONE and terms.epoch != self.epochs[terms.requester]:
            return "match: bid is revoked"
        if now > terms.final_deadline:
            return "match: job is over"
        if not verifier.policy.is_enabled:
            return "match: verifier is stopped"
        check = money.CheckPrice(
            levy=verifier.levy,
            lock_min=verifier.lock_factor * money.price_of(ask, terms.units),
            window=terms.settings & WINDOW,
            delay=terms.settings & WINDOW,
        )
        quote = money.quote(terms, ask, check, verifier.policy, now, job.declined_at)
        if not quote.fits:
            return "match: price above the ramp"
        return Record(
            requester=terms.requester,
            price=quote.price,
            no_show_bps=terms.no_show_bps,
            provider=ask.provider,
            lock=quote.lock,
            node=ask.node,
            max_attempts=terms.max_attempts,
            declines=job.declines,
            keeper=keeper,
            tip=quote.tip,
            charge_bps=verifier.policy.charge_bps,
            verifier=terms.verifier,
            settings=terms.settings,
            price_cap=terms.price_cap,
            levy=quote.levy,
            damage_cap=terms.damage_cap,
            keeper_fee=verifier.policy.keeper_fee,
            matched_at=now,
            final_deadline=terms.final_deadline,
            ack_seconds=terms.ack_seconds,
            operator=self.operators[ask.provider],
            window=terms.settings & WINDOW,
            excluded=words.excluded_hash(job.excluded),
        )

    def _why_not_engage(self, jobs: Sequence[Job], record: Record) -> str:
        if record.provider in self.leaving:
            return "registry: not active"
        if self.active(record.provider) + len(jobs) > self.capacity[record.provider]:
            return "registry: no place left"
        payer, held = record.requester, jobs[0].held
        payment = len(jobs) * job_money.total(record)
        if payment > held and payer in self.unauthorised:
            return "vault: payer not authorised"
        if self.free(payer) + held < payment:
            return "vault: not enough to pay"
        if record.provider in self.unauthorised:
            return "vault: locker not authorised"
        own = held - payment if payer == record.provider else 0
        if self.free(record.provider) + own < len(jobs) * record.lock:
            return "vault: not enough to lock"
        return ""

    def match(self, job: Job, record: Record) -> None:
        self.apply(job_money.matched(record, job.held))
        ends = record.matched_at + job.terms.attempt_seconds
        job.attempt, job.time, job.state = job.attempt + 1, ends, MATCHED
        job.record = record
        job.ruling = (0, 0, ZERO_ADDRESS)

    # -- the provider --

    def why_not_claim(self, job: Job, now: int) -> str:
        if job.state != MATCHED:
            return "escrow: job is not matched"
        return "" if now <= job.time else "claim: too late"

    def claim_bits(self, job: Job, record: Record, now: int) -> int:
        """The bits of `Skipped` for an item of `submit_claims`; 0 if it is claimed."""
        if job.state != MATCHED:
            return SKIP_STATE
        if job.record != record:
            return SKIP_RECORD
        return 0 if now <= job.time else SKIP_TIME

    def claim(self, job: Job, now: int) -> None:
        job.state, job.time = CLAIMED, now

    def why_not_decline(self, job: Job, now: int) -> str:
        if job.state != MATCHED:
            return "escrow: job is not matched"
        late = now > job.running.matched_at + job.running.ack_seconds
        return "decline: too late" if late else ""

    def decline(self, job: Job, now: int) -> None:
        record = job.running
        declines = record.declines + 1
        is_open = declines < MAX_DECLINES and now <= record.final_deadline
        self.apply(job_money.undone(record, is_open))
        self.record[record.provider][3] += 1
        job.attempt -= 1
        if is_open:
            self._open(job, declines | now << 2)
        else:
            self._close(job, CANCELLED)

    # -- anyone --

    def why_not_expire(self, job: Job, now: int) -> str:
        if job.state != MATCHED:
            return "escrow: job is not matched"
        return "" if now > job.time else "expire: attempt is running"

    def expire(self, job: Job, caller: str, now: int) -> None:
        record = job.running
        is_open = self._opens_again(job, now)
        self.apply(job_money.no_show(record, caller, is_open))
        self.record[record.provider][2] += 1
        self._end(job, EXPIRED, is_open)

    def why_not_contest(self, job: Job, now: int) -> str:
        if not job.is_claimed:
            return "escrow: no claim"
        if job.state == CLAIMED and now > job.time + job.running.window:
            return "contest: window is over"
        return ""

    def contest(self, job: Job) -> None:
        job.state = CONTESTED

    def verdict(self, job: Job) -> tuple[int, int]:
        """What a claim's verdict is, and until when it isn't good."""
        if not job.is_asked:
            return STANDS, job.time + job.running.window
        verdict, not_before, _ = job.ruling
        return verdict or PENDING, not_before

    def final_bits(self, job: Job, record: Record, now: int) -> int:
        """The bits of `Skipped` for an item of `finalise_batch`; 0 if it is final."""
        if not job.is_claimed:
            return SKIP_STATE
        if job.record != record:
            return SKIP_RECORD
        verdict, not_before = self.verdict(job)
        if verdict != STANDS:
            return SKIP_VERDICT
        return 0 if now > not_before else SKIP_TIME

    def why_not_finalise(self, job: Job, now: int) -> str:
        if not job.is_claimed:
            return "escrow: no claim"
        return {
            0: "",
            SKIP_VERDICT: "finalise: no such verdict",
            SKIP_TIME: "finalise: window is open",
        }[self.final_bits(job, job.running, now)]

    def finalise(self, job: Job) -> None:
        record = job.running
        payees = self.verifiers[record.verifier].payees if job.is_asked else []
        payout = self.payouts[record.provider]
        self.apply(job_money.final(record, payout, payees))
        self.record[record.provider][0] += 1
        self._close(job, FINAL)

    def why_not_refute(self, job: Job, _now: int) -> str:
        if not job.is_claimed:
            return "escrow: no claim"
        # A verifier may be asked whether a claim falls even if it let it stand so far.
        return "" if job.ruling[0] == FALLS else "refute: no such verdict"

    def refute(self, job: Job, now: int) -> None:
        record = job.running
        is_open = self._opens_again(job, now)
        payees = self.verifiers[record.verifier].payees
        self.apply(job_money.refuted(record, job.ruling[2], is_open, payees))
        self.record[record.provider][1] += 1
        self._end(job, REFUTED, is_open)

    def why_not_void(self, job: Job, now: int) -> str:
        if not job.is_claimed:
            return "escrow: no claim"
        if now <= job.time + self.delay_max + VOID_GRACE:
            return "void: too early"
        verdict, not_before = self.verdict(job)
        if not job.is_asked or verdict == FALLS or (verdict == STANDS and now > not_before):
            return "void: there is a verdict"
        return ""

    def void(self, job: Job) -> None:
        self.apply(job_money.undone(job.running))
        self._close(job, EXPIRED)

    # -- ends --

    def _opens_again(self, job: Job, now: int) -> bool:
        record = job.running
        return job.attempt < record.max_attempts and now <= record.final_deadline

    def _end(self, job: Job, state: int, is_open: bool) -> None:
        if is_open:
            self._open(job, job.running.declines)
        else:
            self._close(job, state)

    def _open(self, job: Job, opening: int) -> None:
        record = job.running
        exclusion = Exclusion(provider=record.provider, held=job_money.total(record))
        job.excluded = [*job.excluded, exclusion]
        job.state, job.time, job.record = OPEN, opening, None

    def _close(self, job: Job, state: int) -> None:
        job.state, job.time, job.record, job.excluded = state, 0, None, []

    def add(self, job: Job) -> Job:
        """A job whose terms have been made."""
        self.jobs.append(replace(job))
        return self.jobs[-1]
