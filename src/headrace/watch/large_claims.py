"""The watcher's rounds with claims on models of version 2: prove, or force out what is withheld."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from headrace.chain.contracts import Vault
from headrace.chain.graph_rules import GraphProof
from headrace.chain.jobs import Job
from headrace.chain.views import ClaimRef
from headrace.daemon.actions import Action
from headrace.daemon.bench import Bench
from headrace.daemon.context import Context, View
from headrace.daemon.games import Game, NodeState, place_name
from headrace.graph2.faults import Fault
from headrace.terms.words import FaultProofSettings
from headrace.terms.words import claim_id as claim_id_of
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
from headrace.watch.record import WatchRecord

log = logging.getLogger(__name__)

# Claims that are recomputed at once: each takes the machine's cores for itself.
PLACES = 1
# Seconds of chain time after which a check that came to nothing is tried again: doubling.
_FIRST_LAPSE = 1
_LONGEST_LAPSE = 30


@dataclass(slots=True)
class _Open:
    """
    What is known of an open claim. `report` is kept of wrong ones; `fault` once a proof is at hand;
    `looked_at` is how much of the game the last look knew.
    """

    job: Job
    verdict: Verdict = Verdict.UNKNOWN
    report: LargeReport | None = None
    fault: Fault | None = None
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
    ) -> None:
        """
        `demand_fee` is the verifier's, for a node, in token units; `max_trace` the bytes of the
        largest trace that is computed.
        """
        self._context = context
        self._record = record
        self._verifier = verifier
        self._fee = demand_fee
        self._checker = LargeChecker(context.store, max_trace=max_trace)
        self._bench: Bench[bytes, LargeReport] = Bench(PLACES)
        self._open: dict[bytes, _Open] = {}

    def moves(self, view: View) -> list[Action]:
        """What is to be done on chain, at the block of `view`."""
        self._sort(view.jobs)
        self._collect()
        actions: list[Action] = []
        for claim_id in sorted(self._open, key=lambda id_: self._open[id_].job.claimed_at):
            known = self._open[claim_id]
            game = self._context.games.games.get(claim_id)
            if game is not None and game.refuter is not None:
                continue
            if known.verdict == Verdict.UNKNOWN:
                self._examine(claim_id, known, game, view.now)
                actions += self._called_out(known, game, view.now)
            elif known.verdict == Verdict.BAD:
                actions += self._against(claim_id, known, game, view)
        return [*actions, *self._fees()]

    @property
    def unchecked(self) -> int:
        """How many open claims can't be checked, or not be acted against."""
        return unchecked(self._open.values())

    # ---- which claims

    def _sort(self, touched: Iterable[bytes]) -> None:
        """Take up the claims that are open now of the touched jobs; take leave of the others."""
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

    def _examine(self, claim_id: bytes, known: _Open, game: Game | None, now: int) -> None:
        commitment, terms = known.job.commitment, known.job.terms
        # The game may be far below the first level when this process sees it for the first time.
        if commitment is None or now < known.look_at or now > self._edge(known, game):
            return

        def work(commitment: bytes = commitment) -> LargeReport:
            return self._checker.check(terms, commitment)

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
                known.report = report
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

    def _against(
        self, claim_id: bytes, known: _Open, game: Game | None, view: View
    ) -> list[Action]:
        """What convicts a wrong claim: silence that is due, a proof, or the next demand."""
        if game is not None and (late := overdue(game, view.now)) is not None:
            return self._silence(known, game, late)
        if view.now > self._edge(known, game):
            return []
        if known.fault is None:
            self._look(claim_id, known, game)
        if known.fault is not None:
            return self._prove(claim_id, known, known.fault)
        return self._demand(claim_id, known, game, view)

    def _look(self, claim_id: bytes, known: _Open, game: Game | None) -> None:
        """See what the game's answers have laid open, if there are new ones since the last look."""
        told = 0 if game is None else sum(not state.is_open for state in game.nodes)
        demanded = 0 if game is None else len(game.nodes)
        commitment, report = known.job.commitment, known.report
        if told + demanded == known.looked_at or report is None or commitment is None:
            return
        known.looked_at = told + demanded
        knowledge = learned(report.right, commitment, game)
        self._found(claim_id, known, fault_in(report, knowledge))
        known.demand = None if known.fault is not None else next_demand(knowledge, game)

    def _edge(self, known: _Open, game: Game | None) -> int:
        """The last second of a proof."""
        depth = 0 if game is None or not game.nodes else game.depth
        settings = FaultProofSettings.unpack(known.job.terms.settings)
        return known.job.claimed_at + settings.delay_over(depth)

    def _prove(self, claim_id: bytes, known: _Open, fault: Fault) -> list[Action]:
        note = f"operator {fault.op_index} row {fault.row} column {fault.column}"
        return self._action(
            f"prove:{claim_id.hex()}", known, fault.function, *fault.arguments, note=note
        )

    def _demand(self, claim_id: bytes, known: _Open, game: Game | None, view: View) -> list[Action]:
        demand = known.demand
        if demand is None or not self._can_pay(known, view):
            return []
        key = f"demand:{claim_id.hex()}:{place_name(demand.node)}"
        if demand.parent is None:
            args = (demand.operator, list(demand.operator_proof))
            return self._action(key, known, "open", *args, note="the commitment's children")
        if game is None or game.case is None:
            return []
        return [
            Action(
                key=key,
                contract=GraphProof.ARTIFACT,
                function="demand",
                args=(
                    game.case,
                    demand.parent,
                    demand.index,
                    demand.node.node_hash,
                    list(demand.siblings),
                    demand.operator,
                    list(demand.operator_proof),
                ),
                note=f"level {demand.node.level}, operator {demand.node.operator}",
                ground=known.job.commitment,
            )
        ]

    def _called_out(self, known: _Open, game: Game | None, now: int) -> list[Action]:
        """Silence of an own demand that is overdue: who has forgotten the claim needs no check."""
        late = None if game is None else overdue(game, now)
        if game is None or late is None or late.demander != self._context.address:
            return []
        return self._silence(known, game, late)

    def _silence(self, known: _Open, game: Game, late: NodeState) -> list[Action]:
        if game.case is None or known.job.record is None:
            return []
        return [
            Action(
                key=f"silence:{game.claim_id.hex()}",
                contract=GraphProof.ARTIFACT,
                function="silence",
                args=(game.case, late.node, known.job.record),
                note=f"level {late.node.level}, operator {late.node.operator}",
                ground=known.job.commitment,
            )
        ]

    def _can_pay(self, known: _Open, view: View) -> bool:
        account = self._context.vault.account_of(self._context.address, view.block)
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

    def _action(
        self, key: str, known: _Open, function: str, *args: object, note: str = ""
    ) -> list[Action]:
        job = known.job
        if job.record is None or job.commitment is None:
            return []
        claim = ClaimRef(job.terms, job.record, job.commitment)
        return [
            Action(
                key=key,
                contract=GraphProof.ARTIFACT,
                function=function,
                args=(claim, *args),
                note=note,
                ground=(job.commitment, job.record),
            )
        ]

    def _fees(self) -> list[Action]:
        """Have the fees of own demands sent on, once their claims have ended."""
        actions = []
        for claim_id in self._context.games.unsettled:
            game, place = self._context.games.games[claim_id], self._record.place(claim_id)
            if claim_id in self._open or place is None:
                continue
            job_id, number = place
            job = self._context.jobs.jobs.get(job_id)
            for attempt in () if job is None else job.attempts:
                provider = attempt.record.provider
                if claim_id_of(job_id, number, provider) == claim_id:
                    actions += [
                        self._settle(job_id, number, provider, claim_id, state)
                        for state in game.nodes
                        if state.demander == self._context.address
                    ]
                    break
        return actions

    def _settle(
        self, job_id: bytes, number: int, provider: str, claim_id: bytes, state: NodeState
    ) -> Action:
        return Action(
            key=f"settle:{claim_id.hex()}:{place_name(state.node)}",
            contract=GraphProof.ARTIFACT,
            function="settle_demand",
            args=(
                job_id,
                number,
                provider,
                state.node,
                state.demander,
                state.answerer or state.demander,
            ),
        )

    def _say(self, known: _Open, what: str, why: str) -> None:
        if why not in known.said:
            known.said.add(why)
            log.warning(what, extra={"job": known.job.id, "why": why})
