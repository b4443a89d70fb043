"""Who has what in a market of the tests: jobs, money, places, claims, fees; and what others than
keepers do in it. Every log that the contracts would write is noted.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Self

from eth_utils.crypto import keccak

from headrace.chain.graph_rules import Node
from headrace.chain.jobs import Attempt, Job
from headrace.chain.views import JobState, Outcome, Verdict
from headrace.daemon.disputes import Case
from headrace.daemon.games import Game, NodeState
from headrace.market.book import LiveAsk, OpenJob
from headrace.terms import eip712, money
from headrace.terms.words import (
    ZERO_ADDRESS,
    Record,
    Terms,
    excluded_hash,
)
from headrace.terms.words import Node as NodeWord
from tests.offchain.daemon.histories import ESCROW, GRAPH, PROOF
from tests.offchain.market.worlds import World

DOMAIN = eip712.Domain(1, ESCROW)
PENDING = Outcome(Verdict.PENDING, 0, ZERO_ADDRESS, ())
MAX_DECLINES = 3
# An event by its contract, its name and its values; which call has written it, and when.
Entry = tuple[str, str, tuple[Any, ...], int, int]


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
class Ledger:
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
        return f"{type(self).__name__}(now={self.now}, jobs=[{jobs}], bids={len(self.bids)})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The same where Hypothesis prints it."""
        printer.text(repr(self))

    @property
    def now(self) -> int:
        """The time of the block that a call would be in."""
        return self.world.now

    def clone(self) -> Self:
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

    def _log(self, where: str, name: str, *values: Any) -> None:
        self.logs.append((where, name, values, self._calls, self.now))

    # ---- money

    def _move(self, amount: int, of: str, to: str) -> None:
        """From what is put aside of one account to what is free of another."""
        self.lanes[of] -= amount
        self.world.free[to] = self.world.free.get(to, 0) + amount

    def _put_aside(self, amount: int, of: str) -> None:
        need(self.world.free.get(of, -1) >= amount, "vault: not enough free")
        self.world.free[of] -= amount
        self.lanes[of] += amount

    # ---- jobs and places

    def members_left(self, signed: OpenJob) -> dict[bytes, bytes]:
        """The ids and inputs of a batch's members that aren't on record."""
        ids = {
            id_of(replace(signed.terms, input_id=input_id)): input_id for input_id in signed.inputs
        }
        return {job_id: input_id for job_id, input_id in ids.items() if job_id not in self.jobs}

    def outcome(self, job: Job) -> Outcome | None:
        """What the verifier answers about a claim."""
        assert job.claim_id is not None
        return self.outcomes.get(job.claim_id, PENDING)

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
        need(0 <= active <= NodeWord.unpack(node.word).capacity, "registry: no place left")
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
