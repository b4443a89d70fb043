"""The watcher's rounds: look, recompute what is claimed, convict what is wrong."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from headrace.chain.contracts import Vault
from headrace.chain.jobs import Job
from headrace.chain.views import ClaimRef, DisputeStatus
from headrace.daemon.actions import Action, Performed
from headrace.daemon.bench import Bench
from headrace.daemon.context import Context, View
from headrace.daemon.disputes import Case
from headrace.daemon.loop import PASSING
from headrace.graph.faults import Fault
from headrace.graph.trace import Trace
from headrace.terms.words import claim_id as claim_id_of
from headrace.watch.checks import Checker, Report, Unchecked
from headrace.watch.decide import Move, Step, Verdict, Watched, decide
from headrace.watch.endings import say_ended, unchecked
from headrace.watch.large_claims import LargeClaims
from headrace.watch.published import published_trace
from headrace.watch.record import WatchRecord

log = logging.getLogger(__name__)

# Claims that are recomputed at once.
PLACES = 2
# Seconds of chain time after which a check that came to nothing is tried again: doubling.
_FIRST_LAPSE = 1
_LONGEST_LAPSE = 30


@dataclass(slots=True)
class _Open:
    """
    What is known of an open claim. `published` is its trace, if it was read from the chain;
    `read_at` and `look_at` are when to read it and to check the claim again, unix seconds.
    """

    job: Job
    verdict: Verdict = Verdict.UNKNOWN
    fault: Fault | None = None
    published: Trace | None = None
    has_read: bool = False
    read_at: int = 0
    look_at: int = 0
    lapse: int = _FIRST_LAPSE
    said: set[str] = field(default_factory=set)


class WatchDaemon:
    """Watches every claim whose model and input the store has."""

    def __init__(
        self,
        context: Context,
        record: WatchRecord,
        *,
        demand_fee: int,
        large: LargeClaims | None = None,
    ) -> None:
        """`demand_fee` is FaultProof's, in token units; `large` watches what GraphProof judges."""
        self._context = context
        self._record = record
        self._fee = demand_fee
        self._large = large
        self._checker = Checker(context.store)
        self._bench: Bench[bytes, Report] = Bench(PLACES)
        self._open: dict[bytes, _Open] = {}

    def tick(self) -> None:
        """One round."""
        view = self._context.look()
        # The view's jobs come once: both parts take theirs before anybody asks the node.
        self._sort(view.jobs)
        if self._large is not None:
            self._large.take(view.jobs)
        self._collect(view.now)
        actions, failure = self._moves(view)
        actions += self._fees()
        if self._large is not None:
            actions += self._large.moves(view, actions)
        # Without any too: the figures say then that nothing is due any more.
        self._context.perform(actions, view, after=self._note)
        if failure is not None:
            raise failure

    def _note(self, performed: Performed) -> None:
        """What became of a round's moves, whether or not an error follows."""
        if self._large is not None:
            self._large.performed(performed)
        large = 0 if self._large is None else self._large.unchecked
        self._context.observer.watching(large + unchecked(self._open.values()))

    def _moves(self, view: View) -> tuple[list[Action], Exception | None]:
        """What is due about the claims, and the first error: no claim waits for another's."""
        actions: list[Action] = []
        failure: Exception | None = None
        for move in decide([self._watched(claim_id) for claim_id in self._open], view.now):
            try:
                action = self._do(move, view)
            except PASSING as error:
                failure = failure or error
            else:
                actions += [] if action is None else [action]
        return actions, failure

    # ---- which claims

    def _sort(self, touched: Iterable[bytes]) -> None:
        """Take up the claims that are open now of the jobs that were touched."""
        touched = set(touched)
        before = {id_: self._open.pop(id_) for id_ in list(self._open) if self._of(id_, touched)}
        for job_id in touched:
            job = self._context.jobs.jobs.get(job_id)
            if job is None or job.claim_id is None or job.commitment is None:
                continue
            if job.terms.verifier != self._context.fault_proof.address:
                continue
            known = before.pop(job.claim_id, None)
            if known is not None and known.job.commitment == job.commitment:
                known.job = job
                self._open[job.claim_id] = known
            else:
                self._open[job.claim_id] = self._begin(job, job.claim_id, job.commitment)
        for claim_id, known in before.items():
            job = self._context.jobs.jobs.get(known.job.id)
            say_ended(claim_id, known.job, job, known.verdict, self._context.address)

    def _of(self, claim_id: bytes, jobs: set[bytes]) -> bool:
        return self._open[claim_id].job.id in jobs

    def _begin(self, job: Job, claim_id: bytes, commitment: bytes) -> _Open:
        opened = _Open(job)
        terms = job.terms
        answer = self._record.answer(terms.program, terms.input_id, terms.units)
        if answer == commitment:
            self._judge(claim_id, opened, Verdict.GOOD)
        return opened

    def _watched(self, claim_id: bytes) -> Watched:
        known = self._open[claim_id]
        case = self._context.disputes.cases.get(claim_id)
        return Watched(
            claim_id=claim_id,
            claimed_at=known.job.claimed_at,
            settings=known.job.terms.settings,
            verdict=known.verdict,
            has_fault=known.fault is not None,
            has_read=known.has_read,
            is_running=claim_id in self._bench.running,
            status=_status(case),
            due=0 if case is None else case.due,
            is_mine=case is not None and case.demander == self._context.address,
        )

    # ---- checks

    def _do(self, move: Move, view: View) -> Action | None:
        known = self._open[move.claim_id]
        if move.step == Step.EXAMINE:
            self._examine(move.claim_id, known, view.now)
            return None
        if move.step == Step.READ:
            self._read(move.claim_id, known, view.now)
            return None
        if move.step == Step.DEMAND:
            return self._demand(move, known, view)
        if move.step == Step.PROVE:
            return self._prove(move, known)
        return self._action("silence", move.claim_id, known, "silence")

    def _examine(self, claim_id: bytes, known: _Open, now: int) -> None:
        if now < known.look_at:
            return
        terms, commitment, published = known.job.terms, known.job.commitment, known.published
        if commitment is None:
            return

        def work(commitment: bytes = commitment) -> Report:
            return self._checker.check(terms, commitment, published)

        if self._bench.start(claim_id, work):
            known.look_at = now + known.lapse
            known.lapse = min(2 * known.lapse, _LONGEST_LAPSE)

    def _collect(self, now: int) -> None:
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
            if report.is_good:
                self._judge(done.key, known, Verdict.GOOD)
                continue
            self._judge(done.key, known, Verdict.BAD)
            if known.fault is None and report.fault is not None:
                known.fault = report.fault
                log.warning("fault found", extra=_described(done.key, known.job, report.fault))
            if known.published is not None and known.fault is None:
                self._say(known, "no proof", "the published trace has no fault that can be proven")

    def _judge(self, claim_id: bytes, known: _Open, verdict: Verdict) -> None:
        known.verdict = verdict
        if self._record.judge(claim_id, known.job.id, known.job.attempt, verdict):
            record = known.job.record
            provider = None if record is None else record.provider
            level = logging.INFO if verdict == Verdict.GOOD else logging.WARNING
            fields = {"job": known.job.id, "claim": claim_id, "provider": provider}
            log.log(level, f"claim is {verdict.value}", extra=fields)  # noqa: G004

    def _read(self, claim_id: bytes, known: _Open, now: int) -> None:
        case = self._context.disputes.cases.get(claim_id)
        commitment = known.job.commitment
        if case is None or case.published_in is None or commitment is None or now < known.read_at:
            return
        known.read_at = now + _LONGEST_LAPSE
        try:
            model = self._checker.model(known.job.terms.program)
        except Unchecked as error:
            self._say(known, "can't check", str(error))
            return
        known.published = published_trace(
            self._context.rpc,
            self._context.fault_proof.address,
            case.published_in,
            model,
            known.job.terms.units,
            commitment,
        )
        known.has_read = known.published is not None
        if known.published is None:
            self._say(known, "no proof", "the published trace is not in its transaction's calls")
        else:
            log.info("trace read", extra={"job": known.job.id, "tx": case.published_in})
            known.look_at, known.lapse = 0, _FIRST_LAPSE
            self._examine(claim_id, known, now)

    # ---- on chain

    def _prove(self, move: Move, known: _Open) -> Action | None:
        fault = known.fault
        if fault is None:
            return None
        note = f"operator {fault.op_index} row {fault.row} column {fault.column}"
        function, arguments = fault.function, fault.arguments
        return self._action(
            *("prove", move.claim_id, known, function, *arguments), note=note, deadline=move.until
        )

    def _demand(self, move: Move, known: _Open, view: View) -> Action | None:
        account = self._context.vault.account_of(self._context.address, view.block)
        lacks = []
        if not account.books >> Vault.FAULT_PROOF_BOOK & 1:
            lacks.append("authorise the book FaultProof")
        if account.free < self._fee:
            lacks.append(f"deposit {self._fee - account.free} token units more")
        if lacks:
            why = f"{self._context.address} has to {' and '.join(lacks)} first"
            self._say(known, "can't demand the trace", why)
            return None
        known.said.clear()
        return self._action("demand", move.claim_id, known, "demand_trace", deadline=move.until)

    def _action(
        self,
        kind: str,
        claim_id: bytes,
        known: _Open,
        function: str,
        *args: object,
        note: str = "",
        deadline: int | None = None,
    ) -> Action | None:
        job = known.job
        if job.record is None or job.commitment is None:
            return None
        return Action(
            key=f"{kind}:{claim_id.hex()}",
            contract="FaultProof",
            function=function,
            args=(ClaimRef(job.terms, job.record, job.commitment), *args),
            note=note,
            ground=(job.commitment, job.record),
            deadline=deadline,
        )

    def _fees(self) -> list[Action]:
        """Have the fees of own demands sent on, once their claims have ended."""
        actions = []
        for claim_id in self._context.disputes.unsettled:
            case = self._context.disputes.cases[claim_id]
            place = self._record.place(claim_id)
            if claim_id in self._open or case.demander != self._context.address or place is None:
                continue
            job_id, number = place
            job = self._context.jobs.jobs.get(job_id)
            for attempt in () if job is None else job.attempts:
                if claim_id_of(job_id, number, attempt.record.provider) == claim_id:
                    args = (job_id, attempt.record, number)
                    key = f"settle:{claim_id.hex()}"
                    actions.append(Action(key, "FaultProof", "settle_demand", args))
                    break
        return actions

    def _say(self, known: _Open, what: str, why: str) -> None:
        if why not in known.said:
            known.said.add(why)
            log.warning(what, extra={"job": known.job.id, "why": why})


def _status(case: Case | None) -> DisputeStatus:
    if case is None:
        return DisputeStatus.NONE
    if case.refuter is not None:
        return DisputeStatus.REFUTED
    if case.publisher is not None:
        return DisputeStatus.PUBLISHED
    return DisputeStatus.DEMANDED if case.due else DisputeStatus.NONE


def _described(claim_id: bytes, job: Job, fault: Fault) -> dict[str, object]:
    return {
        "job": job.id,
        "claim": claim_id,
        "kind": fault.kind.name.lower(),
        "operator": fault.op_index,
        "row": fault.row,
        "column": fault.column,
        "claimed": fault.claimed,
        "right": fault.right,
    }
