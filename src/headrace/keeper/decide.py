"""What the keeper does about a state: a pure function, the same state always giving the same moves.

Every move has a key that names the deed: `expire:<job>:<attempt>:<declines>`. A declined attempt
gives its number back, so both are needed to tell attempts apart. What a move spends of places and
balances is taken once within a plan (`market.engine`). Several keepers take turns (`keeper.rank`).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from eth_utils.crypto import keccak

from headrace.chain.jobs import Job
from headrace.chain.views import JobState, Outcome, Verdict
from headrace.daemon.actions import Action
from headrace.daemon.games import place_name
from headrace.keeper.rank import may_act
from headrace.keeper.state import State, asks_verifier
from headrace.market.engine import propose
from headrace.market.plan import Choice, Match, Report
from headrace.terms.words import Record

# A verifier that hasn't answered this long after the longest delay has failed (JobEscrow).
VOID_GRACE = 2 * 86_400
# The most claims that one transaction makes final.
MAX_BATCH = 32
# What a tip costs its keeper in gas, above what `make gas` prints for the match and for the payment
# later: other terms and other tokens may be dearer.
MATCH_GAS = 160_000
FINALISE_GAS = 80_000
_ETHER = 10**18


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    What a keeper is willing to do.

    A move that pays somebody else, or nobody, is left to others for `patience` seconds. What any
    keeper may do, the one whose turn it is by `keeper.rank` does at once, and each further one
    `stagger_blocks` blocks later. What is kept for the sink is sent on from `sweep_from` token
    units on.

    Matches, at most `most_matches` in a plan, are made for a tip of at least `min_tip` token units
    that is at least `margin` units above the gas it costs, where 10**18 wei are worth
    `token_per_ether` units (0: gas counts nothing). Moves that end something are made whatever
    they cost. `choice` is between offers that cost nearly the same.
    """

    patience: int = 15
    stagger_blocks: int = 3
    sweep_from: int = 1_000_000
    min_tip: int = 0
    margin: int = 0
    token_per_ether: int = 0
    most_matches: int = 64
    choice: Choice = field(default_factory=Choice)

    def gas_cost(self, gas: int, max_fee: int) -> int:
        """What `gas` at `max_fee` wei each comes to in token units, rounded up."""
        return -(-gas * max_fee * self.token_per_ether // _ETHER)


@dataclass(frozen=True, slots=True)
class Move(Action):
    """An action with what it is expected to bring its sender in token units, gas taken off."""

    est_gain: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """
    What is due now, the most urgent first, and what of it is left to others or not worth it:
    `withheld` has the reason by the action's key (turn, tip, margin, later); of the matches that
    come later it has as many as a plan may make, the next ones. `market` is the
    account of the jobs that no offer fits.
    """

    moves: tuple[Move, ...]
    withheld: Mapping[str, str]
    market: Report


def plan(state: State, now: int, me: str, policy: Policy) -> Planned:
    """
    What the keeper `me` does at chain time `now`, in seconds: verdicts, no-shows, matches,
    payments, leftovers. The same arguments always give the same plan. Every move can be made at
    `now`: it is not before its `not_before` and not after its `deadline`.
    """
    planner = _Planner(state, now, me, policy)
    moves = [
        *planner.refutes(),
        *planner.expiries(),
        *planner.matches(),
        *planner.payments(),
        *planner.voids(),
        *planner.cancels(),
        *planner.fees(),
        *planner.node_fees(),
        *planner.sweeps(),
    ]
    return Planned(
        moves=tuple(moves), withheld=MappingProxyType(planner.withheld), market=planner.report
    )


def name(job: Job) -> str:
    """A job and its attempt, as keys have them."""
    return f"{job.id.hex()}:{job.attempt}:{job.declines}"


def stands_since(job: Job, record: Record, outcome: Outcome | None) -> int | None:
    """The last second before a claim may be made final; None if it isn't known to stand."""
    if not asks_verifier(job):
        return job.claimed_at + record.window
    if outcome is None or outcome.verdict != Verdict.STANDS:
        return None
    return outcome.not_before


class _Planner:
    """One plan in the making."""

    def __init__(self, state: State, now: int, me: str, policy: Policy) -> None:
        self.state = state
        self.now = now
        self.me = me
        self.policy = policy
        self.stagger = policy.stagger_blocks * state.block_seconds
        self.withheld: dict[str, str] = {}
        found = propose(
            state.book,
            replace(state.snapshot, now=now, keeper=me),
            state.barred,
            policy.choice,
        )
        self.found = found.matches
        self.report = found.report

    def is_my_turn(self, key: str, subject: bytes, due_at: int) -> bool:
        """Whether a move that anybody may make since `due_at` is mine to make by now."""
        is_mine = may_act(subject, self.me, self.state.keepers, due_at, self.now, self.stagger)
        if not is_mine:
            self.withheld[key] = "turn"
        return is_mine

    def falls_to_me(self, key: str, subject: bytes, since: int, payee: str | None = None) -> bool:
        """The same for a move that was due after `since` and pays only `payee`."""
        if payee == self.me:
            return True
        return self.is_my_turn(key, subject, since + self.policy.patience + 1)

    # ---- claims

    def claimed(self) -> Iterator[tuple[Job, Record, bytes]]:
        for job in self.state.due:
            if job.state.is_claimed and job.record is not None and job.commitment is not None:
                yield job, job.record, job.commitment

    def refutes(self) -> Iterator[Move]:
        for job, record, commitment in self.claimed():
            outcome = self.state.outcomes.get(job.id)
            if outcome is None or outcome.verdict != Verdict.FALLS or self.now < job.claimed_at:
                continue
            key = f"refute:{name(job)}"
            if self.falls_to_me(key, job.id, job.claimed_at, record.keeper):
                yield Move(
                    key=key,
                    contract="JobEscrow",
                    function="refute",
                    args=(job.id, record, commitment),
                    note=f"the verifier says that the claim of {record.provider} falls",
                    not_before=job.claimed_at,
                )

    def payments(self) -> Iterator[Move]:
        together: defaultdict[Record, list[tuple[Job, bytes, int]]] = defaultdict(list)
        for job, record, commitment in self.claimed():
            since = stands_since(job, record, self.state.outcomes.get(job.id))
            if since is None or self.now <= since or job.id in self.state.busy:
                continue
            if self.falls_to_me(f"finalise:{name(job)}", job.id, since, record.keeper):
                together[record].append((job, commitment, since))
        for record, claims in together.items():
            for start in range(0, len(claims), MAX_BATCH):
                yield self.payment(record, claims[start : start + MAX_BATCH])

    def payment(self, record: Record, claims: Sequence[tuple[Job, bytes, int]]) -> Move:
        tips = record.tip * len(claims) if record.keeper == self.me else 0
        gas = FINALISE_GAS * len(claims)
        gain = tips - self.policy.gas_cost(gas, self.state.max_fee)
        not_before = max(since for *_, since in claims) + 1
        if len(claims) == 1:
            ((job, commitment, _),) = claims
            return Move(
                key=f"finalise:{name(job)}",
                contract="JobEscrow",
                function="finalise",
                args=(job.id, record, commitment),
                note=f"the claim of {record.provider} stands",
                not_before=not_before,
                est_gain=gain,
            )
        items = [(job.id, commitment) for job, commitment, _ in claims]
        names = " ".join(name(job) for job, *_ in claims)
        return Move(
            key=f"finalise_batch:{keccak(text=names).hex()}",
            contract="JobEscrow",
            function="finalise_batch",
            args=(record, items),
            note=f"{len(items)} claims of {record.provider} stand",
            not_before=not_before,
            est_gain=gain,
        )

    def voids(self) -> Iterator[Move]:
        for job, record, commitment in self.claimed():
            if not asks_verifier(job):
                continue
            since = job.claimed_at + self.state.snapshot.delay_max + VOID_GRACE
            if self.now <= since or self.has_verdict(self.state.outcomes.get(job.id)):
                continue
            key = f"void:{name(job)}"
            if self.falls_to_me(key, job.id, since, record.keeper):
                yield Move(
                    key=key,
                    contract="JobEscrow",
                    function="void_claim",
                    args=(job.id, record, commitment),
                    note=f"the verifier {record.verifier} has failed",
                    not_before=since + 1,
                )

    def has_verdict(self, outcome: Outcome | None) -> bool:
        if outcome is None:
            return False
        if outcome.verdict == Verdict.STANDS:
            return self.now > outcome.not_before
        return outcome.verdict == Verdict.FALLS

    # ---- attempts and open jobs

    def expiries(self) -> Iterator[Move]:
        for job in self.state.due:
            if job.state != JobState.MATCHED or job.record is None or self.now <= job.claim_until:
                continue
            key = f"expire:{name(job)}"
            # Its fee is for whoever does it.
            if self.is_my_turn(key, job.id, job.claim_until + 1):
                yield Move(
                    key=key,
                    contract="JobEscrow",
                    function="expire",
                    args=(job.id, job.record),
                    note=f"{job.record.provider} has not claimed in time",
                    not_before=job.claim_until + 1,
                )

    def cancels(self) -> Iterator[Move]:
        for job in self.state.overdue:
            deadline = job.terms.final_deadline
            key = f"cancel:{name(job)}"
            if self.now > deadline and self.falls_to_me(key, job.id, deadline):
                yield Move(
                    key=key,
                    contract="JobEscrow",
                    function="cancel",
                    args=(job.terms, job.excluded),
                    note=f"nobody took the job of {job.terms.requester} in time",
                    not_before=deadline + 1,
                )

    # ---- matches

    def matches(self) -> Iterator[Move]:
        """At most so many; more would not be sent at once, and by then all may be different."""
        policy, made, later = self.policy, 0, 0
        gas_cost = policy.gas_cost(MATCH_GAS + FINALISE_GAS, self.state.max_fee)
        for match in self.found:
            key = self.state.match_key(match.job_id)
            gain = match.tip - gas_cost
            if made >= policy.most_matches:
                # A large market may have a hundred thousand more: the next ones are enough.
                if later == policy.most_matches:
                    return
                later += 1
                self.withheld[key] = "later"
            elif match.tip < policy.min_tip:
                self.withheld[key] = "tip"
            elif policy.token_per_ether and gain < policy.margin:
                self.withheld[key] = "margin"
            elif self.is_my_turn(key, match.job_id, self.state.seen.get(key, self.now)):
                made += 1
                yield self.match(match, key, gain)

    def match(self, match: Match, key: str, gain: int) -> Move:
        job, offer = self.state.book.job(match.job_id), match.ask
        assert job is not None  # noqa: S101 - the plan is of this book
        terms = job.terms
        proof = offer.proof(terms.program)
        note = f"{offer.ask.provider} for {match.total}, tip {match.tip}"
        is_batch = bool(job.inputs)
        args: tuple[Any, ...] = (terms, job.signature, offer.ask, offer.signature, proof)
        if is_batch:
            inputs = self.state.batches[job.job_id]
            args = (terms, inputs, *args[1:])
            note = f"{job.count} jobs to {note}"
        return Move(
            key=key,
            contract="JobEscrow",
            function="match_batch" if is_batch else "match",
            args=args if is_batch else (*args, job.excluded),
            note=note,
            ground=offer.ask_hash,
            not_before=terms.valid_from,
            deadline=min(terms.final_deadline, offer.ask.expiry),
            est_gain=gain * job.count,
        )

    # ---- what is left over

    def fees(self) -> Iterator[Move]:
        for fee in self.state.fees:
            key = f"settle_demand:{fee.claim_id.hex()}"
            if self.falls_to_me(key, fee.claim_id, fee.since):
                yield Move(
                    key=key,
                    contract="FaultProof",
                    function="settle_demand",
                    args=(fee.job_id, fee.record, fee.attempt),
                    note="the fee of a demand whose claim has ended",
                )

    def node_fees(self) -> Iterator[Move]:
        for fee in self.state.node_fees:
            key = f"settle_demand:{fee.claim_id.hex()}:{place_name(fee.node)}"
            if self.falls_to_me(key, fee.claim_id, fee.since):
                yield Move(
                    key=key,
                    contract="GraphProof",
                    function="settle_demand",
                    args=(
                        fee.job_id,
                        fee.attempt,
                        fee.record.provider,
                        fee.node,
                        fee.demander,
                        fee.answerer,
                    ),
                    note="the fee of a node whose claim has ended",
                )

    def sweeps(self) -> Iterator[Move]:
        for kept in self.state.kept:
            if kept.amount >= max(self.policy.sweep_from, 1):
                yield Move(
                    key=f"sweep:{kept.provider}:{kept.completions}",
                    contract="ProviderRegistry",
                    function="sweep",
                    args=(kept.provider,),
                    note=f"{kept.amount} for the sink",
                )
