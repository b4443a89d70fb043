"""The watcher's rounds with claims on models of version 2: prove, or force out what is withheld."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from headrace.chain.contracts import Vault
from headrace.chain.graph_rules import GraphProof
from headrace.chain.jobs import Job
from headrace.daemon.actions import Action, Performed
from headrace.daemon.bench import Bench
from headrace.daemon.context import Context, View
from headrace.daemon.games import Game
from headrace.daemon.loop import PASSING
from headrace.graph2.faults import Fault
from headrace.terms.words import FaultProofSettings
from headrace.watch import large_moves
from headrace.watch.checks import Unchecked
from headrace.watch.decide import Verdict
from headrace.watch.endings import say_ended, unchecked
from headrace.watch.large import (
    Demand,
    LargeChecker,
    LargeReport,
    fault_in,
    learned,
    next_demand,
    overdue,
)
from headrace.watch.large_fees import fees
from headrace.watch.large_reports import LargeReports
from headrace.watch.pace import Pace
from headrace.watch.purse import Wish, granted
from headrace.watch.record import WatchRecord
from headrace.watch.rewards import (
    Standing,
    Step,
    can_claim,
    carries_out,
    is_falling,
    next_step,
)

log = logging.getLogger(__name__)

# Claims that are recomputed at once: each takes the machine's cores for itself.
PLACES = 1
# Seconds of chain time after which a check that came to nothing is tried again: doubling.
_FIRST_LAPSE = 1
_LONGEST_LAPSE = 30
# Blocks after which what couldn't be sent, or was refused, is tried again: proofs come before.
LET_BE_BLOCKS = 5


@dataclass(slots=True)
class _Open:
    """
    What is known of an open claim. `fault` is set once a proof is at hand; `levels` are its model's
    once it is known to be wrong; `looked_at` is how much of the game the last look knew.
    Before the block `put_off_until` there is no commitment, as one couldn't be sent; before
    `refused_until` no proof with one, as the chain refused it.
    """

    job: Job
    verdict: Verdict = Verdict.UNKNOWN
    levels: int = 0
    fault: Fault | None = None
    put_off_until: int = 0
    refused_until: int = 0
    demand: Demand | None = None
    looked_at: int = -1
    look_at: int = 0
    lapse: int = _FIRST_LAPSE
    said: set[str] = field(default_factory=set)


class LargeClaims:
    """Watches the claims that GraphProof judges."""

    def __init__(
        self,
        context: Context,
        record: WatchRecord,
        verifier: GraphProof,
        *,
        demand_fee: int,
        max_trace: int,
        commits_first: bool = True,
    ) -> None:
        """
        `demand_fee` is the verifier's, for a node, in token units; `max_trace` the bytes of the
        largest trace that is computed, and of all that are kept. `commits_first`: faults are
        committed to before they are proven.
        """
        self._context = context
        self._record = record
        self._verifier = verifier
        self._fee = demand_fee
        self._checker = LargeChecker(context.store, max_trace=max_trace)
        self._commits_first = commits_first
        self._pace = Pace(context.rpc)
        self._reports = LargeReports(max_trace)
        self._bench: Bench[bytes, LargeReport] = Bench(PLACES)
        self._open: dict[bytes, _Open] = {}
        self._block = 0

    def moves(self, view: View, others: Iterable[Action] = ()) -> list[Action]:
        """
        What is to be done on chain, at the block of `view`, whose jobs were taken, in a round with
        `others`. A node that can't say something leads to fewer commitments and demands only.
        """
        self._block = view.block
        self._collect()
        sure: list[Action] = []
        wishes: list[Wish] = []
        for claim_id in sorted(self._open, key=lambda id_: self._open[id_].job.claimed_at):
            for move in self._about(claim_id, self._open[claim_id], view):
                if isinstance(move, Wish):
                    wishes.append(move)
                else:
                    sure.append(move)
        sure += fees(self._context, self._record, self._open)
        return [*sure, *granted(self._context, wishes, [*others, *sure])]

    def performed(self, performed: Performed) -> None:
        """What became of the moves: no commitment may hold a proof up."""
        refused = {*performed.refused, *performed.held}
        until = self._block + 1 + LET_BE_BLOCKS
        for claim_id, known in self._open.items():
            if known.fault is None:
                continue
            key = large_moves.commit_key(claim_id, self._commitment(claim_id, known.fault))
            if key in refused or key in performed.deferred:
                known.put_off_until = until
                log.info("proves without a commitment", extra={"job": known.job.id})
            if large_moves.key_of("reward", claim_id) in refused:
                known.refused_until = until

    @property
    def unchecked(self) -> int:
        """How many open claims can't be checked, or not be acted against."""
        return unchecked(self._open.values())

    # ---- which claims

    def take(self, touched: Iterable[bytes]) -> None:
        """
        Take up the claims that are open now of the touched jobs; take leave of the others. Asks the
        node for nothing, so that no job of a view is lost.
        """
        touched = set(touched)
        before = {
            id_: self._open.pop(id_)
            for id_ in list(self._open)
            if self._open[id_].job.id in touched
        }
        for job_id in touched:
            job = self._context.jobs.jobs.get(job_id)
            if job is None or job.claim_id is None or job.commitment is None:
                continue
            if job.terms.verifier != self._verifier.address:
                continue
            known = before.pop(job.claim_id, None)
            if known is not None and known.job.commitment == job.commitment:
                known.job = job
            else:
                known = self._begin(job.claim_id, job)
            self._open[job.claim_id] = known
        for claim_id, known in before.items():
            self._reports.drop(claim_id)
            say_ended(
                claim_id,
                known.job,
                self._context.jobs.jobs.get(known.job.id),
                known.verdict,
                self._context.address,
            )

    def _begin(self, claim_id: bytes, job: Job) -> _Open:
        opened = _Open(job)
        terms = job.terms
        if self._record.answer(terms.program, terms.input_id, terms.units) == job.commitment:
            self._judge(claim_id, opened, Verdict.GOOD)
        return opened

    # ---- checks

    def _examine(self, claim_id: bytes, known: _Open, now: int) -> None:
        commitment, terms = known.job.commitment, known.job.terms
        if commitment is None or now < known.look_at:
            return
        is_bad = known.verdict == Verdict.BAD

        def work(commitment: bytes = commitment) -> LargeReport:
            return self._checker.check(terms, commitment, has_second=is_bad)

        if self._bench.start(claim_id, work):
            known.look_at = now + known.lapse
            known.lapse = min(2 * known.lapse, _LONGEST_LAPSE)

    def _collect(self) -> None:
        for done in self._bench.collect():
            known = self._open.get(done.key)
            if known is None:
                continue
            report, terms = done.value, known.job.terms
            if report is None:
                why = str(done.error) if isinstance(done.error, Unchecked) else repr(done.error)
                self._say(known, "can't check", why)
                continue
            self._record.keep_answer(terms.program, terms.input_id, terms.units, report.right_root)
            self._judge(done.key, known, Verdict.GOOD if report.is_good else Verdict.BAD)
            if not report.is_good:
                known.levels = report.right.model.levels
                known.look_at, known.lapse = 0, _FIRST_LAPSE
                self._reports.put(done.key, report)
                self._found(done.key, known, report.fault)

    def _judge(self, claim_id: bytes, known: _Open, verdict: Verdict) -> None:
        known.verdict = verdict
        if self._record.judge(claim_id, known.job.id, known.job.attempt, verdict):
            record = known.job.record
            provider = None if record is None else record.provider
            level = logging.INFO if verdict == Verdict.GOOD else logging.WARNING
            fields = {"job": known.job.id, "claim": claim_id, "provider": provider}
            log.log(level, f"claim is {verdict.value}", extra=fields)  # noqa: G004

    def _found(self, claim_id: bytes, known: _Open, fault: Fault | None) -> None:
        if fault is None or known.fault is not None:
            return
        known.fault = fault
        # The proof is all that is still needed.
        self._reports.drop(claim_id)
        log.warning(
            "fault found",
            extra={
                "job": known.job.id,
                "claim": claim_id,
                "kind": fault.kind.name.lower(),
                "operator": fault.op_index,
                "row": fault.row,
                "column": fault.column,
                "claimed": fault.claimed,
                "right": fault.right,
            },
        )

    # ---- on chain

    def _about(self, claim_id: bytes, known: _Open, view: View) -> Sequence[Action | Wish]:
        """What is to be done about a claim, whose check may not be done."""
        game = self._context.games.games.get(claim_id)
        if game is not None and is_falling(game):
            return self._falling(claim_id, known, game, view)
        if known.verdict == Verdict.UNKNOWN:
            # The game may be far below the first level when this process sees it first.
            if view.now <= self._edge(known, game) or (game is not None and game.promises):
                self._examine(claim_id, known, view.now)
            return self._called_out(known, game, view.now)
        return self._against(claim_id, known, game, view) if known.verdict == Verdict.BAD else []

    def _falling(
        self, claim_id: bytes, known: _Open, game: Game, view: View
    ) -> Sequence[Action | Wish]:
        """The claim is proven wrong: see that the reward goes to whoever had found it first."""
        if carries_out(game, self._context.address, view.block):
            return _some(large_moves.carry_out(claim_id, known.job))
        if not can_claim(game, view.block):
            return []
        if known.verdict == Verdict.UNKNOWN:
            self._examine(claim_id, known, view.now)
        if known.verdict != Verdict.BAD:
            return []
        return self._convict(claim_id, known, game, view)

    def _against(
        self, claim_id: bytes, known: _Open, game: Game | None, view: View
    ) -> Sequence[Action | Wish]:
        """What convicts a wrong claim: silence that is due, a proof, or the next demand."""
        if game is not None and (late := overdue(game, view.now)) is not None:
            return _some(large_moves.silence(known.job, game, late))
        is_late = view.now > self._edge(known, game)
        if is_late and (game is None or not game.promises):
            return []
        if (found := self._convict(claim_id, known, game, view)) or known.fault is not None:
            return found
        if is_late or known.demand is None or not self._can_pay(known, view):
            return []
        return _some(large_moves.demand(claim_id, known.job, known.demand, game))

    def _convict(
        self, claim_id: bytes, known: _Open, game: Game | None, view: View
    ) -> Sequence[Action | Wish]:
        """The next move with the fault, if it is known."""
        if known.fault is None:
            self._look(claim_id, known, game, view.now)
        fault, job = known.fault, known.job
        if fault is None:
            return []
        commitment = self._commitment(claim_id, fault)
        standing = self._standing(known, commitment, game, view)
        step = next_step(standing)
        proof = large_moves.prove(claim_id, job, fault, standing.until)
        if step == Step.COMMIT and proof is not None:
            made_first = large_moves.commit(claim_id, job, commitment, standing.edge)
            return [Wish(proof, made_first)]
        if step == Step.PROVE:
            return _some(proof)
        if step == Step.WAIT and standing.has_to_prove and proof is not None:
            return [Wish(proof, None)]
        if step == Step.CLAIM and standing.own is not None:
            made = standing.own, standing.proven_in, standing.until
            return _some(large_moves.claim_reward(claim_id, job, fault, commitment, *made))
        return []

    def _standing(
        self, known: _Open, commitment: large_moves.Commitment, game: Game | None, view: View
    ) -> Standing:
        settings = FaultProofSettings.unpack(known.job.terms.settings)
        game = game or Game(b"")
        own = game.promise_of(commitment.digest)
        return Standing(
            block=view.block,
            now=view.now,
            edge=self._edge(known, game),
            end=known.job.claimed_at + settings.delay_over(known.levels),
            pace=self._pace.at(view.head),
            promises=game.promises,
            own=own,
            may_commit=self._commits_first and view.block >= known.put_off_until,
            is_refused=view.block < known.refused_until,
            proven_in=game.proven_in,
            open_until=game.open_until,
            holds=game.refuter == self._context.address,
        )

    def _commitment(self, claim_id: bytes, fault: Fault) -> large_moves.Commitment:
        return large_moves.Commitment(self._record, claim_id, fault, self._context.address)

    def _look(self, claim_id: bytes, known: _Open, game: Game | None, now: int) -> None:
        """See what the game's answers have laid open, if there are new ones since the last look."""
        told = 0 if game is None else sum(not state.is_open for state in game.nodes)
        demanded = 0 if game is None else len(game.nodes)
        commitment = known.job.commitment
        if told + demanded == known.looked_at or commitment is None:
            return
        report = self._reports.get(claim_id)
        if report is None:
            # Its trace had to go for others.
            self._examine(claim_id, known, now)
            return
        known.looked_at = told + demanded
        knowledge = learned(report.right, commitment, game)
        self._found(claim_id, known, fault_in(report, knowledge))
        known.demand = None if known.fault is not None else next_demand(knowledge, game)

    def _edge(self, known: _Open, game: Game | None) -> int:
        """The last second of a proof, commitments left aside."""
        depth = 0 if game is None or not game.nodes else game.depth
        settings = FaultProofSettings.unpack(known.job.terms.settings)
        return known.job.claimed_at + settings.delay_over(depth)

    def _called_out(self, known: _Open, game: Game | None, now: int) -> list[Action]:
        """Silence of an own demand that is overdue: who has forgotten the claim needs no check."""
        late = None if game is None else overdue(game, now)
        if game is None or late is None or late.demander != self._context.address:
            return []
        return _some(large_moves.silence(known.job, game, late))

    def _can_pay(self, known: _Open, view: View) -> bool:
        try:
            account = self._context.vault.account_of(self._context.address, view.block)
        except PASSING as error:
            self._say(known, "can't demand the data now", str(error))
            return False
        lacks = []
        if not account.books >> Vault.GRAPH_PROOF_BOOK & 1:
            lacks.append("authorise the book GraphProof")
        if account.free < self._fee:
            lacks.append(f"deposit {self._fee - account.free} token units more")
        if lacks:
            why = f"{self._context.address} has to {' and '.join(lacks)} first"
            self._say(known, "can't demand the data", why)
        else:
            known.said.clear()
        return not lacks

    def _say(self, known: _Open, what: str, why: str) -> None:
        if why not in known.said:
            known.said.add(why)
            log.warning(what, extra={"job": known.job.id, "why": why})


def _some(action: Action | None) -> list[Action]:
    return [] if action is None else [action]
