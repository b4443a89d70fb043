"""The contracts as a small model in Python: whose money and places are where, and what each call
does to them. It refuses what they would refuse, with a reason.

Whether a pair may be matched it asks `market.matching.judge`, which the tests of the contracts hold
to MatchRules; jobs, money, places, claims and fees are its own. Every log that the contracts would
write is noted, so that the folds of the daemons can be fed with it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from eth_utils.crypto import keccak

from headrace.chain.graph_rules import Node
from headrace.chain.jobs import Attempt, Job
from headrace.chain.views import JobState, Outcome, Verdict
from headrace.daemon.actions import Action
from headrace.daemon.disputes import Case
from headrace.daemon.games import Game, NodeState
from headrace.keeper.decide import VOID_GRACE
from headrace.keeper.state import asks_verifier
from headrace.market.book import LiveAsk, OpenJob
from headrace.market.matching import judge
from headrace.terms import eip712, money
from headrace.terms.money import Quote
from headrace.terms.unmet import explain
from headrace.terms.words import (
    ZERO_ADDRESS,
    ZERO_HASH,
    Ask,
    Exclusion,
    Record,
    Terms,
    claim_id,
    excluded_hash,
    runs_program,
)
from tests.offchain.daemon.histories import ESCROW, GRAPH, PROOF
from tests.offchain.market.worlds import World

DOMAIN = eip712.Domain(1, ESCROW)
PENDING = Outcome(Verdict.PENDING, 0, ZERO_ADDRESS, ())
MAX_DECLINES = 3
MAX_ITEMS = 32
# An event by its contract, its name and its values, and which call has written it.
Entry = tuple[str, str, tuple[Any, ...], int]


class Refused(Exception):
    """A call that reverts, or that is wasted because it changes nothing."""


def need(holds: object, reason: str) -> None:
    """Refused unless it `holds`."""
    if not holds:
        raise Refused(reason)


@lru_cache(10_000)
def id_of(terms: Terms, inputs: tuple[bytes, ...] = ()) -> bytes:
    """The digest that is signed for a job, or for a batch of several."""
    return eip712.batch_id(terms, inputs, DOMAIN) if inputs else eip712.job_id(terms, DOMAIN)


@dataclass(repr=False)
class Model:
    """
    The chain at one moment, and the board beside it. `world` has the offers, nodes and what is free
    of each account; `bids` are signed jobs and batches by digest. `lanes` is what JobEscrow has put
    aside of an account's money, `kept` what the Registry keeps for the sink of each provider's.
    """

    world: World
    bids: dict[bytes, OpenJob] = field(default_factory=dict)
    jobs: dict[bytes, Job] = field(default_factory=dict)
    lanes: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    completions: Counter[str] = field(default_factory=Counter)
    sink: int = 0
    outcomes: dict[bytes, Outcome | None] = field(default_factory=dict)
    cases: dict[bytes, Case] = field(default_factory=dict)
    games: dict[bytes, Game] = field(default_factory=dict)
    settled_nodes: set[tuple[bytes, Node]] = field(default_factory=set)
    paid: Counter[bytes] = field(default_factory=Counter)
    done: set[str] = field(default_factory=set)
    logs: list[Entry] = field(default_factory=list)
    _calls: int = 0

    def __repr__(self) -> str:
        jobs = ", ".join(f"{job.id.hex()[:8]} {job.state.name}" for job in self.jobs.values())
        return f"Model(now={self.now}, jobs=[{jobs}], bids={len(self.bids)})"

    @property
    def now(self) -> int:
        """The time of the block that a call would be in."""
        return self.world.now

    def clone(self) -> "Model":
        """Another chain, with the same board: what is done to the one isn't done to the other."""
        world = replace(
            self.world, providers=dict(self.world.providers), free=dict(self.world.free)
        )
        copies = {
            name: getattr(self, name).copy()
            for name in self.__dataclass_fields__
            if name not in ("world", "bids", "sink", "_calls")
        }
        return replace(self, world=world, **copies)

    @property
    def total(self) -> int:
        """All money there is: no call makes any, or loses any."""
        parts = (self.world.free, self.lanes, self.kept)
        return self.sink + sum(sum(part.values()) for part in parts)

    # ---- moves of a plan

    def apply(self, actions: Iterable[Action], keeper: str) -> None:
        """Carry out `actions` of `keeper` one after another; Refused at the first that fails."""
        for action in actions:
            need(action.key not in self.done, f"{action.key} twice")
            need(action.is_good(self.now), f"{action.key} not now")
            self.call(action, keeper)
            self.done.add(action.key)

    def call(self, action: Action, keeper: str) -> None:
        """One transaction of `keeper`: all of it happens, or nothing."""
        self._calls += 1
        took = getattr(self, "do_" + action.what.replace(".", "_"))
        after = self.clone()
        getattr(after, took.__name__)(*action.args, keeper=keeper)
        need(after.total == self.total, "money came or went")
        need(all(amount >= 0 for amount in after.lanes.values()), "more than was put aside")
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(after, name))

    def _log(self, where: str, name: str, *values: Any) -> None:
        self.logs.append((where, name, values, self._calls))

    # ---- money

    def _move(self, amount: int, of: str, to: str) -> None:
        """From what is put aside of one account to what is free of another."""
        self.lanes[of] -= amount
        self.world.free[to] = self.world.free.get(to, 0) + amount

    def _put_aside(self, amount: int, of: str) -> None:
        need(self.world.free.get(of, -1) >= amount, "vault: not enough free")
        self.world.free[of] -= amount
        self.lanes[of] += amount

    # ---- matches

    def do_JobEscrow_match(  # noqa: N802 - the contract's name and the function's
        self,
        terms: Terms,
        bid: bytes,
        ask: Ask,
        signature: bytes,
        proof: Sequence[bytes],
        excluded: tuple[Exclusion, ...],
        *,
        keeper: str,
    ) -> None:
        """A posted job, or one that is only signed."""
        job_id = id_of(terms)
        job = self.jobs.get(job_id)
        if job is None:
            wanted = self.bids.get(job_id)
            need(wanted is not None and wanted.signature == bid, "match: wrong signature")
            need(not excluded, "match: provider is excluded")
            assert wanted is not None
        else:
            need(job.state == JobState.OPEN, "match: job is not open")
            need(excluded == job.excluded and not bid, "match: wrong exclusions")
            wanted = opened(job)
        live, record = self._agree(wanted, ask, signature, proof, keeper)
        name, words = ("BidMatched", (terms, record)) if job is None else ("Matched", (record,))
        self._log(ESCROW, name, job_id, ask.provider, live.ask_hash, *words)
        held = 0 if job is None else money.held_for(terms, job.excluded)
        self._bind(record, held, 1)
        before = job or Job(id=job_id, terms=terms, posted_in=0)
        self._begin(before, record, live)

    def do_JobEscrow_match_batch(  # noqa: N802
        self,
        terms: Terms,
        inputs: Sequence[bytes],
        bid: bytes,
        ask: Ask,
        signature: bytes,
        proof: Sequence[bytes],
        *,
        keeper: str,
    ) -> None:
        """All members of a signed batch that aren't on record."""
        need(terms.input_id == ZERO_HASH, "match: batch has an input")
        batch_id = id_of(terms, tuple(inputs))
        signed = self.bids.get(batch_id)
        need(signed is not None and signed.signature == bid, "match: wrong signature")
        assert signed is not None
        left = self.members_left(signed)
        need(left, "match: nothing to match")
        wanted = replace(signed, inputs=tuple(left.values()))
        live, record = self._agree(wanted, ask, signature, proof, keeper)
        self._log(ESCROW, "BatchMatched", batch_id, ask.provider, live.ask_hash, terms, record)
        for job_id, input_id in left.items():
            self._log(ESCROW, "MemberMatched", job_id, batch_id, input_id)
            member = replace(terms, input_id=input_id)
            self._begin(Job(job_id, member, posted_in=0, batch_id=batch_id), record, live)
        self._bind(record, 0, len(left))

    def members_left(self, signed: OpenJob) -> dict[bytes, bytes]:
        """The ids and inputs of a batch's members that aren't on record."""
        ids = {
            id_of(replace(signed.terms, input_id=input_id)): input_id for input_id in signed.inputs
        }
        return {job_id: input_id for job_id, input_id in ids.items() if job_id not in self.jobs}

    def _agree(
        self, wanted: OpenJob, ask: Ask, signature: bytes, proof: Sequence[bytes], keeper: str
    ) -> tuple[LiveAsk, Record]:
        """MatchRules.agree and the Registry: whether the pair fits now, and what is agreed."""
        live = next((a for a in self.world.book.asks() if a.ask == ask), None)
        need(live is not None and live.signature == signature, "match: wrong ask signature")
        assert live is not None
        terms = wanted.terms
        need(runs_program(ask.programs, terms.program, proof), "match: program isn't listed")
        verdict = judge(wanted, live, replace(self.world.snapshot, keeper=keeper))
        against = explain(verdict.requester_bits, verdict.provider_bits)
        need(verdict.fits, " ".join(reason.name for reason in against))
        return live, self._record(wanted, live, verdict.quote, keeper)

    def _record(self, wanted: OpenJob, live: LiveAsk, quote: Quote, keeper: str) -> Record:
        terms, policy = wanted.terms, self.world.snapshot.verifiers[wanted.terms.verifier].policy
        check = self.world.snapshot.verifiers[terms.verifier].quote(terms, quote.price)
        job = self.jobs.get(wanted.job_id)
        assert check is not None
        return Record(
            requester=terms.requester,
            price=quote.price,
            no_show_bps=terms.no_show_bps,
            provider=live.ask.provider,
            lock=quote.lock,
            node=live.ask.node,
            max_attempts=terms.max_attempts,
            declines=job.declines if job else 0,
            keeper=keeper,
            tip=quote.tip,
            charge_bps=policy.charge_bps,
            verifier=terms.verifier,
            settings=terms.settings,
            price_cap=terms.price_cap,
            levy=quote.levy,
            damage_cap=terms.damage_cap,
            keeper_fee=policy.keeper_fee,
            matched_at=self.now,
            final_deadline=terms.final_deadline,
            ack_seconds=terms.ack_seconds,
            operator=live.signer,
            window=check.window,
            excluded=wanted.digest,
        )

    def _bind(self, record: Record, held: int, count: int) -> None:
        """Both sides' money is put aside, and the places are taken."""
        total = money.total_of(record)
        self._move(held, record.requester, record.requester)
        self._put_aside(total * count, record.requester)
        self.lanes[record.requester] -= total * count
        self.lanes[record.provider] += total * count
        self._put_aside(record.lock * count, record.provider)
        self._places(record, count)

    def _places(self, record: Record, count: int) -> None:
        state = self.world.providers[record.provider]
        node = state.nodes[record.node]
        active = node.active + count
        need(0 <= active <= node.word >> 200 & 0xFF, "registry: no place left")
        nodes = {**state.nodes, record.node: replace(node, active=active)}
        self.world.providers[record.provider] = replace(state, nodes=nodes)

    def _begin(self, job: Job, record: Record, live: LiveAsk) -> None:
        self.jobs[job.id] = replace(
            job,
            state=JobState.MATCHED,
            attempt=job.attempt + 1,
            declined_at=0,
            attempts=(*job.attempts, Attempt(record, live.ask_hash)),
        )

    # ---- endings

    def _running(self, job_id: bytes, record: Record) -> Job:
        job = self.jobs[job_id]
        need(job.state == JobState.MATCHED, "escrow: job is not matched")
        need(job.record == record, "escrow: wrong match record")
        return job

    def _claimed(self, job_id: bytes, record: Record, commitment: bytes) -> Job:
        job = self.jobs[job_id]
        need(job.state.is_claimed, "escrow: no claim")
        need((job.record, job.commitment) == (record, commitment), "escrow: wrong record")
        return job

    def outcome(self, job: Job) -> Outcome | None:
        """What the verifier answers about a claim."""
        assert job.claim_id is not None
        return self.outcomes.get(job.claim_id, PENDING)

    def do_JobEscrow_finalise(  # noqa: N802
        self, job_id: bytes, record: Record, commitment: bytes, *, keeper: str
    ) -> None:
        """A claim that stands is paid, once."""
        job = self._claimed(job_id, record, commitment)
        if asks_verifier(job):
            outcome = self.outcome(job)
            need(outcome and outcome.verdict == Verdict.STANDS, "finalise: no such verdict")
            assert outcome is not None
            need(self.now > outcome.not_before, "finalise: window is open")
        else:
            need(self.now > job.claimed_at + record.window, "finalise: window is open")
        self.paid[job_id] += 1
        need(self.paid[job_id] == 1, "paid twice")
        self._log(ESCROW, "Finalised", job_id, record.provider, record.price)
        charge = money.share(record.price, record.charge_bps)
        self._move(record.lock + record.price, record.provider, record.provider)
        self._move(record.tip, record.provider, record.keeper)
        self.lanes[record.provider] -= charge + record.levy
        self.kept[record.provider] += charge + record.levy
        self.completions[record.provider] += 1
        self._places(record, -1)
        self._close(job, JobState.FINAL, outcome="final")

    def do_JobEscrow_finalise_batch(  # noqa: N802
        self, record: Record, items: list[tuple[bytes, bytes]], *, keeper: str
    ) -> None:
        """Claims under one record. The contract skips what isn't due; here that is an error."""
        need(1 < len(items) <= MAX_ITEMS, "finalise: not that many")
        for job_id, commitment in items:
            self.do_JobEscrow_finalise(job_id, record, commitment, keeper=keeper)

    def do_JobEscrow_expire(self, job_id: bytes, record: Record, *, keeper: str) -> None:  # noqa: N802
        """Nobody has claimed in time."""
        job = self._running(job_id, record)
        need(self.now > job.claim_until, "escrow: attempt is running")
        slash = money.no_show_slash(
            record.lock, record.price, record.no_show_bps, record.keeper_fee
        )
        split = money.split_no_show(slash, record.keeper_fee)
        is_open = self._may_reopen(job)
        parts = (slash, split.to_requester, split.to_keeper, split.to_sink)
        self._log(ESCROW, "Expired", job_id, record.provider, keeper, *parts, is_open)
        self._move(split.to_requester, record.provider, record.requester)
        self._move(split.to_keeper, record.provider, keeper)
        self._give_back(record, record.lock - slash, split.to_sink, is_open=is_open)
        self._close(
            job,
            JobState.OPEN if is_open else JobState.EXPIRED,
            outcome="expired",
            keeper=keeper,
            slash=slash,
            to_requester=split.to_requester,
            to_keeper=split.to_keeper,
            to_sink=split.to_sink,
        )

    def do_JobEscrow_refute(  # noqa: N802
        self, job_id: bytes, record: Record, commitment: bytes, *, keeper: str
    ) -> None:
        """A claim falls."""
        job = self._claimed(job_id, record, commitment)
        outcome = self.outcome(job)
        need(outcome and outcome.verdict == Verdict.FALLS, "refute: no such verdict")
        assert outcome is not None
        split = money.split_refuted(record.lock, record.damage_cap, record.keeper_fee)
        is_open = self._may_reopen(job)
        amounts = {
            "slash": record.lock,
            "to_requester": split.to_requester,
            "to_refuter": split.to_refuter,
            "to_keeper": split.to_keeper,
            "to_sink": split.to_sink,
        }
        who = (job_id, record.provider, outcome.refuter)
        self._log(ESCROW, "Refuted", *who, *amounts.values(), is_open)
        self._move(split.to_requester, record.provider, record.requester)
        self._move(split.to_refuter, record.provider, outcome.refuter)
        self._move(split.to_keeper, record.provider, record.keeper)
        self._give_back(record, 0, split.to_sink, is_open=is_open)
        state = JobState.OPEN if is_open else JobState.REFUTED
        self._close(job, state, outcome="refuted", refuter=outcome.refuter, **amounts)

    def do_JobEscrow_void_claim(  # noqa: N802
        self, job_id: bytes, record: Record, commitment: bytes, *, keeper: str
    ) -> None:
        """The verifier has failed."""
        job = self._claimed(job_id, record, commitment)
        late = job.claimed_at + self.world.snapshot.delay_max + VOID_GRACE
        need(self.now > late, "void: too early")
        outcome = self.outcome(job)
        is_known = outcome is not None and (
            outcome.verdict == Verdict.FALLS
            or (outcome.verdict == Verdict.STANDS and self.now > outcome.not_before)
        )
        need(asks_verifier(job) and not is_known, "void: there is a verdict")
        self._log(ESCROW, "Voided", job_id, record.provider)
        self._give_back(record, record.lock, 0, is_open=False)
        self._close(job, JobState.EXPIRED, outcome="voided")

    def do_JobEscrow_cancel(  # noqa: N802
        self, terms: Terms, excluded: tuple[Exclusion, ...], *, keeper: str
    ) -> None:
        """Nobody took a posted job in time, or its requester gives it up."""
        job = self.jobs.get(id_of(terms))
        need(job is not None and job.state == JobState.OPEN, "escrow: job is not open")
        assert job is not None
        need(job.excluded == excluded, "escrow: wrong exclusions")
        is_late = self.now > terms.final_deadline
        need(is_late or keeper == terms.requester, "escrow: before final deadline")
        self._log(ESCROW, "Cancelled", job.id, terms.requester)
        self._move(money.held_for(terms, excluded), terms.requester, terms.requester)
        self.jobs[job.id] = replace(job, state=JobState.CANCELLED)

    def _may_reopen(self, job: Job) -> bool:
        in_time = self.now <= job.terms.final_deadline
        return job.attempt < job.terms.max_attempts and in_time

    def _give_back(self, record: Record, lock: int, sunk: int, *, is_open: bool) -> None:
        """The payment goes back to the requester, free or held; so much of the lock goes back."""
        total = money.total_of(record)
        self._places(record, -1)
        self._move(lock, record.provider, record.provider)
        self.lanes[record.provider] -= sunk
        self.sink += sunk
        self._move(total, record.provider, record.requester)
        if is_open:
            self._put_aside(total, record.requester)

    def _close(self, job: Job, state: JobState, **changes: Any) -> None:
        last = replace(job.attempts[-1], **changes)
        excluded = job.excluded
        if state == JobState.OPEN:
            excluded = (*excluded, money.exclusion_after(last.record))
        attempts = (*job.attempts[:-1], last)
        self.jobs[job.id] = replace(job, state=state, attempts=attempts, excluded=excluded)

    # ---- what is left over

    def _has_ended(self, job_id: bytes, attempt: int) -> bool:
        job = self.jobs[job_id]
        return not (job.state.is_claimed and job.attempt == attempt)

    def do_FaultProof_settle_demand(  # noqa: N802
        self, job_id: bytes, record: Record, attempt: int, *, keeper: str
    ) -> None:
        """The fee of a demand goes where it belongs."""
        need(self._has_ended(job_id, attempt), "proof: claim is open")
        claim = claim_id(job_id, attempt, record.provider)
        need(claim in self.cases and self.cases[claim].due, "dispute: no demand")
        need(not self.cases[claim].is_settled, "dispute: already settled")
        self.cases[claim] = replace(self.cases[claim], is_settled=True)
        self._log(PROOF, "DemandSettled", claim, keeper, 7)

    def do_GraphProof_settle_demand(  # noqa: N802
        self,
        job_id: bytes,
        attempt: int,
        provider: str,
        node: Node,
        demander: str,
        answerer: str,
        *,
        keeper: str,
    ) -> None:
        """The same for one node."""
        need(self._has_ended(job_id, attempt), "game: claim is open")
        claim = claim_id(job_id, attempt, provider)
        game = self.games.get(claim)
        state = game.state_of(node) if game else None
        need(state and (claim, node) not in self.settled_nodes, "game: no fee to settle")
        assert state is not None
        assert game is not None
        if state.answerer is not None:
            need((demander, answerer) == (state.demander, state.answerer), "game: wrong parties")
        self.settled_nodes.add((claim, node))
        self.games[claim] = replace(game, settled=game.settled + 1)
        self._log(GRAPH, "DemandSettled", claim, demander, 7)

    def do_ProviderRegistry_sweep(self, provider: str, *, keeper: str) -> None:  # noqa: N802
        """What is kept for the sink goes there. The contract lets one sweep nothing."""
        need(self.kept[provider] > 0, "sweep: nothing is kept")
        self.sink += self.kept.pop(provider)

    # ---- what others do

    def post(self, terms: Terms) -> None:
        """A job is posted and its cap put aside."""
        job_id = id_of(terms)
        need(job_id not in self.jobs, "escrow: job exists")
        self._put_aside(terms.price_cap, terms.requester)
        self._log(ESCROW, "Posted", job_id, terms.requester, terms)
        self.jobs[job_id] = Job(job_id, terms, posted_in=0)

    def sign(self, terms: Terms, inputs: tuple[bytes, ...] = ()) -> None:
        """A job or a batch is signed and on the board; the chain knows nothing of it."""
        digest = id_of(terms, inputs)
        self.bids[digest] = OpenJob(
            job_id=digest, terms=terms, state=0, signature=digest + b"\x1b" * 33, inputs=inputs
        )

    def claim(self, job: Job) -> None:
        """The provider claims."""
        need(job.state == JobState.MATCHED and self.now <= job.claim_until, "claim: too late")
        assert job.record is not None
        commitment = keccak(job.id)
        self._log(ESCROW, "Claimed", job.id, job.record.provider, commitment)
        changes = {"outcome": "claimed", "commitment": commitment, "claimed_at": self.now}
        self._close(job, JobState.CLAIMED, **changes)

    def contest(self, job: Job) -> None:
        """The verifier wants to be asked."""
        need(job.state == JobState.CLAIMED, "escrow: no claim")
        assert job.record is not None
        need(self.now <= job.claimed_at + job.record.window, "contest: window is over")
        self._log(ESCROW, "Contested", job.id, job.record.provider)
        self._close(job, JobState.CONTESTED)

    def decline(self, job: Job) -> None:
        """The provider steps back: its attempt counts for nothing."""
        need(job.state == JobState.MATCHED and self.now <= job.decline_until, "decline: too late")
        record = job.record
        assert record is not None
        in_time = self.now <= record.final_deadline
        is_open = record.declines + 1 < MAX_DECLINES and in_time
        self._log(ESCROW, "Declined", job.id, record.provider, is_open)
        self._give_back(record, record.lock, 0, is_open=is_open)
        back = replace(job, attempt=job.attempt - 1, declines=job.declines + 1)
        self._close(back, JobState.OPEN if is_open else JobState.CANCELLED, outcome="declined")
        if is_open:
            self.jobs[job.id] = replace(self.jobs[job.id], declined_at=self.now)

    def rule(self, job: Job, outcome: Outcome | None) -> None:
        """The verifier makes up its mind, or fails to answer; a verdict stays."""
        need(job.claim_id is not None and self.outcome(job) in (None, PENDING), "ruled")
        assert job.claim_id is not None
        self.outcomes[job.claim_id] = outcome

    def demand(self, job: Job, who: str) -> None:
        """Somebody demands the trace of a claim, once."""
        claim = job.claim_id
        need(claim is not None and claim not in self.cases, "dispute: already disputed")
        assert claim is not None
        due = self.now + 500
        self._log(PROOF, "TraceDemanded", claim, who, due)
        self.cases[claim] = Case(claim, demander=who, due=due)

    def demand_node(self, job: Job, who: str) -> None:
        """Somebody demands one more node of a claim's trace."""
        claim = job.claim_id
        need(claim is not None, "escrow: no claim")
        assert claim is not None
        game = self.games.get(claim, Game(claim))
        node, due = Node(0, 1, len(game.nodes), 2, 9, 32, bytes(32)), self.now + 500
        self._log(GRAPH, "NodeDemanded", claim, who, tuple(node), due)
        self.games[claim] = replace(game, nodes=(*game.nodes, NodeState(node, who, due)))

    def answer_node(self, job: Job, who: str) -> None:
        """Somebody answers the first demand that waits for it."""
        game = self.games.get(job.claim_id or b"")
        need(game is not None and game.open_nodes, "game: no open demand")
        assert game is not None
        first, kids = game.open_nodes[0], (b"\x07" * 32,) * 16
        words = (game.claim_id, who, first.demander, tuple(first.node), list(kids))
        self._log(GRAPH, "NodeAnswered", *words)
        nodes = tuple(
            replace(state, answerer=who, kids=kids) if state == first else state
            for state in game.nodes
        )
        self.games[game.claim_id] = replace(game, nodes=nodes)


def opened(job: Job) -> OpenJob:
    """An open job as it can be matched."""
    return OpenJob(
        job_id=job.id,
        terms=job.terms,
        digest=excluded_hash(job.excluded),
        declined_at=job.declined_at,
        excluded=job.excluded,
    )
