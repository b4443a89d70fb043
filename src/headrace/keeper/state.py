"""One picture of all that the keeper decides on, read at one block.

The fold of the events says where to look; what counts is what the contracts answer at that block.
A job whose slot doesn't say what the fold says is left out until it does.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from headrace.chain.contract import Query, read_many, try_many
from headrace.chain.contracts import Vault
from headrace.chain.jobs import Job
from headrace.chain.rules import FaultProof
from headrace.chain.views import (
    Account,
    Dispute,
    DisputeStatus,
    JobState,
    Outcome,
    Provider,
    Slot,
    Verdict,
)
from headrace.daemon.context import Context, View
from headrace.keeper.offers import Offers
from headrace.keeper.verifiers import NodeFee, Verifiers
from headrace.market.book import Book, LiveAsk, OpenJob
from headrace.market.snapshot import NodeState, ProviderState, Snapshot
from headrace.terms import eip712
from headrace.terms.compact import final_deadline_of
from headrace.terms.requirement import ProviderRecord
from headrace.terms.words import (
    Node,
    Record,
    claim_digest,
    claim_id,
    excluded_hash,
    record_hash,
)

log = logging.getLogger(__name__)

# The hook by which a verifier wants to be asked for the outcome of every claim (IVerifier.vyi).
_ASK_ALWAYS = 1 << 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Fee:
    """The fee of a demand whose claim has ended; `since` is when it could be foreseen at least."""

    claim_id: bytes
    job_id: bytes
    record: Record
    attempt: int
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the Registry's book keeps for the sink of a provider's final jobs."""

    provider: str
    amount: int
    completions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """
    What is decided on, all at one block.

    `book` and `snapshot` are the market. `attempted` are the open jobs that somebody has tried,
    `overdue` the open ones whose deadline is over, `due` those whose attempt may have run out or
    whose claim may have its verdict. `outcomes` has the verifier's answer for each claim that it
    has to be asked about, None where it gave none. `batches` are all inputs of each signed batch by
    its digest. `busy` are jobs with a `finalise` of ours in no block yet. `keepers` are those one
    takes turns with, `seen` says since when a match could be made, by its key, in seconds of chain
    time; `max_fee` is what a unit of gas may cost now, in wei.
    """

    book: Book
    snapshot: Snapshot
    attempted: Mapping[bytes, Job] = field(default_factory=dict)
    overdue: tuple[Job, ...] = ()
    due: tuple[Job, ...] = ()
    outcomes: Mapping[bytes, Outcome | None] = field(default_factory=dict)
    batches: Mapping[bytes, tuple[bytes, ...]] = field(default_factory=dict)
    fees: tuple[Fee, ...] = ()
    node_fees: tuple[NodeFee, ...] = ()
    kept: tuple[Kept, ...] = ()
    busy: frozenset[bytes] = frozenset()
    barred: frozenset[tuple[bytes, bytes]] = frozenset()
    keepers: tuple[str, ...] = ()
    seen: Mapping[str, int] = field(default_factory=dict)
    max_fee: int = 0

    def match_key(self, job_id: bytes) -> str:
        """The key of a match of this job, or of this signed batch."""
        if job_id in self.batches:
            return f"match_batch:{job_id.hex()}"
        job = self.attempted.get(job_id)
        attempt, declines = (0, 0) if job is None else (job.attempt, job.declines)
        return f"match:{job_id.hex()}:{attempt}:{declines}"


def asks_verifier(job: Job) -> bool:
    """Whether a claimed job's end depends on what its verifier answers."""
    record = job.record
    return job.state == JobState.CONTESTED or (
        record is not None and record.settings & _ASK_ALWAYS != 0
    )


def may_be_due(job: Job, now: int) -> bool:
    """Whether somebody may have to end the job's attempt at `now`."""
    record = job.record
    if record is None:
        return False
    if job.state == JobState.MATCHED:
        return now > job.claim_until
    if job.state.is_claimed:
        return asks_verifier(job) or now > job.claimed_at + record.window
    return False


def agrees(job: Job, slot: Slot) -> bool:
    """Whether the contract has on record what the fold says."""
    if (slot.state, slot.attempt) != (job.state, job.attempt):
        return False
    if job.state == JobState.OPEN:
        return slot.digest == excluded_hash(job.excluded)
    if job.record is None:
        return False
    if job.state == JobState.MATCHED:
        return slot.digest == record_hash(job.record)
    return job.commitment is not None and slot.digest == claim_digest(job.record, job.commitment)


def claims_of(job: Job) -> Iterable[tuple[bytes, int, Record]]:
    """Every claim that was made for a job: its id, the attempt's number, and the record."""
    number = 0
    for attempt in job.attempts:
        # A declined attempt gives its number back.
        if attempt.outcome != "declined":
            number += 1
        if attempt.commitment is not None:
            yield claim_id(job.id, number, attempt.record.provider), number, attempt.record


@dataclass(frozen=True, slots=True)
class Constants:
    """What a deployment never changes."""

    heartbeat_ttl: int
    attempt_max: int
    delay_max: int


class Reader:
    """Takes pictures."""

    def __init__(self, context: Context, offers: Offers) -> None:
        """Reads what never changes. Unreachable and RetryLater if that can't be done now."""
        self._context = context
        self._offers = offers
        self._constants = _constants(context)
        self._verifiers = Verifiers(context)
        self._claims: dict[bytes, tuple[bytes, int, Record]] = {}
        self._members: dict[bytes, dict[bytes, bytes]] = {}
        self._paid: set[str] = set()
        self._index(context.jobs.jobs)

    def _index(self, job_ids: Iterable[bytes]) -> None:
        """
        Note the claims of jobs, and whom final jobs were done by. Of jobs that are over only the
        claims stay for which a fee is to be sent on.
        """
        unsettled = self._context.disputes.unsettled | self._context.games.unsettled
        for job_id in job_ids:
            job = self._context.jobs.jobs.get(job_id)
            if job is None:
                continue
            for claim, number, record in claims_of(job):
                if job.state.is_live or claim in unsettled:
                    self._claims[claim] = (job_id, number, record)
                else:
                    self._claims.pop(claim, None)
            if job.state == JobState.FINAL and job.record is not None:
                self._paid.add(job.record.provider)

    def read(
        self,
        view: View,
        *,
        with_kept: bool = False,
        busy: Iterable[bytes] = (),
        barred: Iterable[tuple[bytes, bytes]] = (),
        keepers: Iterable[str] = (),
        seen: Mapping[str, int] | None = None,
        max_fee: int = 0,
    ) -> State:
        """
        The picture at the end of `view`'s block; what is kept for the sink only on demand. Jobs
        that nobody has tried are taken from the events as they are: they are too many to ask for
        each, and a match of one is asked for before it is sent.
        """
        self._index(view.jobs)
        table = self._context.jobs.jobs
        posted = {
            job_id: packed
            for job_id, packed in table.untried()
            if view.now <= final_deadline_of(packed)
        }
        jobs = [table[job_id] for job_id in sorted(self._context.jobs.live) if job_id not in posted]
        wanted = [job for job in jobs if job.state == JobState.OPEN or may_be_due(job, view.now)]
        slots = self._context.escrow.jobs([job.id for job in wanted], view.block)
        sure = [(job, slot) for job, slot in zip(wanted, slots, strict=True) if agrees(job, slot)]
        due = tuple(job for job, _ in sure if job.state != JobState.OPEN)
        book, batches = self._book(view, sure, posted)
        return State(
            book=book,
            snapshot=self._snapshot(view, book),
            attempted={job.id: job for job, _ in sure if job.attempts},
            overdue=tuple(
                job
                for job, _ in sure
                if job.state == JobState.OPEN and view.now > job.terms.final_deadline
            ),
            due=due,
            outcomes=self._outcomes(view, [job for job in due if job.state.is_claimed]),
            batches=batches,
            fees=self._fees(view),
            node_fees=self._verifiers.node_fees(view, self._claims),
            kept=self._kept(view) if with_kept else (),
            busy=frozenset(busy),
            barred=frozenset(barred),
            keepers=tuple(keepers),
            seen=dict(seen or {}),
            max_fee=max_fee,
        )

    # ---- the market

    def _book(
        self,
        view: View,
        sure: Iterable[tuple[Job, Slot]],
        posted: Mapping[bytes, bytes],
    ) -> tuple[Book, dict[bytes, tuple[bytes, ...]]]:
        book = Book(asks=self._offers.asks)
        batches: dict[bytes, tuple[bytes, ...]] = {}
        known = self._on_record(view)
        for bid in self._offers.bids:
            if not bid.inputs:
                if bid.job_id not in known:
                    book.add_job(bid)
                continue
            left = tuple(
                input_id for input_id, job_id in self._job_ids(bid).items() if job_id not in known
            )
            if left:
                book.add_job(replace(bid, inputs=left))
                batches[bid.job_id] = bid.inputs
        book.prune(view.now)
        for job_id, packed in posted.items():
            book.add_posted(job_id, packed)
        for job, slot in sure:
            if job.state == JobState.OPEN and view.now <= job.terms.final_deadline:
                book.add_job(
                    OpenJob(
                        job_id=job.id,
                        terms=job.terms,
                        digest=slot.digest,
                        declined_at=slot.time >> 2,
                        excluded=job.excluded,
                    )
                )
        return book, batches

    def _on_record(self, view: View) -> set[bytes]:
        """Which of the signed jobs on the board are on record, live or over, or revoked."""
        wanted: list[bytes] = []
        for bid in self._offers.bids:
            wanted += self._job_ids(bid).values() if bid.inputs else [bid.job_id]
        jobs = self._context.jobs
        found = {job_id for job_id in wanted if job_id in jobs.jobs or job_id in jobs.revoked}
        # What has ended is no longer among the jobs.
        unsure = [job_id for job_id in wanted if job_id not in found]
        slots = self._context.escrow.jobs(unsure, view.block)
        return found | {
            job_id
            for job_id, slot in zip(unsure, slots, strict=True)
            if slot.state != JobState.NONE
        }

    def _job_ids(self, batch: OpenJob) -> dict[bytes, bytes]:
        """The job id of each of a batch's inputs."""
        if batch.job_id not in self._members:
            self._members[batch.job_id] = {
                input_id: eip712.job_id(
                    replace(batch.terms, input_id=input_id), self._context.domain
                )
                for input_id in batch.inputs
            }
        return self._members[batch.job_id]

    def _snapshot(self, view: View, book: Book) -> Snapshot:
        parties = book.parties()
        programs = sorted({program for program, _ in parties})
        asks = {ask.ask_hash: ask for program in programs for ask in book.asks_for(program)}
        requesters = sorted({requester for _, requester in parties if asks})
        providers = self._providers(view, asks.values())
        people = sorted({*requesters, *providers})
        context = self._context
        accounts = [
            Account(*found)
            for found in read_many(
                context.rpc,
                [context.vault.query("account_of", person) for person in people],
                view.block,
            )
        ]
        epochs = read_many(
            context.rpc,
            [context.escrow.query("bid_epoch", requester) for requester in requesters],
            view.block,
        )
        escrow_book = 1 << Vault.ESCROW_BOOK
        return Snapshot(
            now=view.now,
            keeper=context.address,
            providers=providers,
            verifiers=self._verifiers.read(view, programs) if asks else {},
            free={
                person: account.free
                for person, account in zip(people, accounts, strict=True)
                if account.books & escrow_book
            },
            bid_epochs=dict(zip(requesters, map(int, epochs), strict=True)),
            attempt_max=self._constants.attempt_max,
            delay_max=self._constants.delay_max,
        )

    def _providers(self, view: View, asks: Iterable[LiveAsk]) -> dict[str, ProviderState]:
        nodes = sorted({(ask.ask.provider, ask.ask.node) for ask in asks})
        names = sorted({provider for provider, _ in nodes})
        registry = self._context.registry
        queries: list[Query[Any]] = [registry.query("provider_of", name) for name in names]
        for provider, node in nodes:
            queries.append(registry.query("node_of", provider, node))
            queries.append(registry.query("places", provider, node))
        answers = read_many(self._context.rpc, queries, view.block)
        places = iter(answers[len(names) :])
        found: dict[str, dict[int, NodeState]] = {name: {} for name in names}
        for (provider, node), word, left in zip(nodes, places, places, strict=True):
            active = Node.unpack(word).capacity - left if word else 0
            found[provider][node] = NodeState(word=word, active=active)
        return {
            name: self._provider(Provider(*answer), found[name])
            for name, answer in zip(names, answers, strict=False)
        }

    def _provider(self, read: Provider, nodes: Mapping[int, NodeState]) -> ProviderState:
        return ProviderState(
            record=ProviderRecord(
                status=read.status,
                is_available=read.is_available,
                last_seen=read.last_seen,
                heartbeat_ttl=self._constants.heartbeat_ttl,
                active=read.active,
                completions=read.completions,
                good_weight=read.good_weight,
                bad_weight=read.bad_weight,
            ),
            operator=read.operator,
            epoch=read.epoch,
            revoked_lanes=read.revoked_lanes,
            nodes=nodes,
        )

    # ---- what is due

    def _outcomes(self, view: View, claimed: Iterable[Job]) -> dict[bytes, Outcome | None]:
        asked = [job for job in claimed if asks_verifier(job)]
        queries = []
        for job in asked:
            record = job.record
            assert record is not None  # noqa: S101 - a claimed job has one
            verifier = FaultProof(self._context.rpc, record.verifier)
            queries.append(verifier.query("outcome", job.claim_id, job.claimed_at, record.settings))
        answers = try_many(self._context.rpc, queries, view.block)
        return {
            job.id: None if answer is None else _outcome(answer)
            for job, answer in zip(asked, answers, strict=True)
        }

    def _fees(self, view: View) -> tuple[Fee, ...]:
        cases = [
            self._context.disputes.cases[claim]
            for claim in sorted(self._context.disputes.unsettled)
            if claim in self._claims
        ]
        ended = []
        for case in cases:
            job_id, number, record = self._claims[case.claim_id]
            job = self._context.jobs.jobs.get(job_id)
            # A job that is over may be forgotten.
            if job is None or not (job.state.is_claimed and job.attempt == number):
                ended.append((case, job_id, number, record))
        verifier = self._context.fault_proof
        answers = read_many(
            self._context.rpc,
            [verifier.query("dispute_of", case.claim_id) for case, *_ in ended],
            view.block,
        )
        fees = []
        for (case, job_id, number, record), answer in zip(ended, answers, strict=True):
            dispute = Dispute(DisputeStatus(answer[0]), *answer[1:])
            if dispute.status != DisputeStatus.SETTLED and dispute.due:
                fees.append(
                    Fee(
                        claim_id=case.claim_id,
                        job_id=job_id,
                        record=record,
                        attempt=number,
                        since=dispute.due,
                    )
                )
        return tuple(fees)

    def _kept(self, view: View) -> tuple[Kept, ...]:
        names = sorted(self._paid)
        context = self._context
        queries = [context.registry.query("provider_of", name) for name in names]
        queries += [context.vault.query("account_of", name) for name in names]
        answers = read_many(context.rpc, queries, view.block)
        kept = []
        for name, provider, account in zip(names, answers, answers[len(names) :], strict=False):
            record, lanes = Provider(*provider), Account(*account)
            amount = lanes.reserved_registry - record.bond
            kept.append(Kept(provider=name, amount=amount, completions=record.completions))
        return tuple(kept)


def _outcome(answer: tuple[Any, ...]) -> Outcome | None:
    verdict, not_before, refuter, payouts = answer
    try:
        return Outcome(Verdict(verdict), not_before, refuter, tuple(map(tuple, payouts)))
    except ValueError:
        return None


def _constants(context: Context) -> Constants:
    queries = [
        context.registry.query("HEARTBEAT_TTL"),
        context.rules.query("ATTEMPT_MAX"),
        context.escrow.query("DELAY_MAX"),
    ]
    ttl, attempt_max, delay_max = read_many(context.rpc, queries)
    return Constants(heartbeat_ttl=ttl, attempt_max=attempt_max, delay_max=delay_max)
