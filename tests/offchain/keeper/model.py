"""The contracts as a small model in Python: what each call of a keeper does, or why it is refused.

Whether a pair may be matched it asks `market.matching.judge`, which the tests of the contracts hold
to MatchRules; jobs, money, places, claims and fees are its own (`ledger`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from headrace.chain.graph_rules import Node
from headrace.chain.jobs import Job
from headrace.chain.views import JobState, Verdict
from headrace.daemon.actions import Action
from headrace.keeper.decide import VOID_GRACE
from headrace.keeper.state import asks_verifier
from headrace.market.book import LiveAsk, OpenJob
from headrace.market.matching import judge
from headrace.terms import money
from headrace.terms.money import Quote
from headrace.terms.unmet import explain
from headrace.terms.words import (
    ZERO_HASH,
    Ask,
    Exclusion,
    Record,
    Terms,
    claim_id,
    runs_program,
)
from tests.offchain.daemon.histories import ESCROW, GRAPH, PROOF
from tests.offchain.keeper.ledger import Ledger, id_of, need, opened

MAX_ITEMS = 32


class Model(Ledger):
    """The chain at one moment, with what keepers can do to it."""

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
        after = self.clone()
        _CALLS[action.what](after, *action.args, keeper=keeper)
        need(after.total == self.total, "money came or went")
        need(all(amount >= 0 for amount in after.lanes.values()), "more than was put aside")
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(after, name))

    # ---- matches

    def match(
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

    def match_batch(
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

    def finalise(self, job_id: bytes, record: Record, commitment: bytes, *, keeper: str) -> None:
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

    def finalise_batch(
        self, record: Record, items: list[tuple[bytes, bytes]], *, keeper: str
    ) -> None:
        """Claims under one record. The contract skips what isn't due; here that is an error."""
        need(1 < len(items) <= MAX_ITEMS, "finalise: not that many")
        for job_id, commitment in items:
            self.finalise(job_id, record, commitment, keeper=keeper)

    def expire(self, job_id: bytes, record: Record, *, keeper: str) -> None:
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

    def refute(self, job_id: bytes, record: Record, commitment: bytes, *, keeper: str) -> None:
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

    def void_claim(self, job_id: bytes, record: Record, commitment: bytes, *, keeper: str) -> None:
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

    def cancel(self, terms: Terms, excluded: tuple[Exclusion, ...], *, keeper: str) -> None:
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

    # ---- what is left over

    def _has_ended(self, job_id: bytes, attempt: int) -> bool:
        job = self.jobs[job_id]
        return not (job.state.is_claimed and job.attempt == attempt)

    def settle_demand(self, job_id: bytes, record: Record, attempt: int, *, keeper: str) -> None:
        """The fee of a demand goes where it belongs."""
        need(self._has_ended(job_id, attempt), "proof: claim is open")
        claim = claim_id(job_id, attempt, record.provider)
        need(claim in self.cases and self.cases[claim].due, "dispute: no demand")
        need(not self.cases[claim].is_settled, "dispute: already settled")
        self.cases[claim] = replace(self.cases[claim], is_settled=True)
        self._log(PROOF, "DemandSettled", claim, keeper, 7)

    def settle_node(
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

    def sweep(self, provider: str, *, keeper: str) -> None:
        """What is kept for the sink goes there. The contract lets one sweep nothing."""
        need(self.kept[provider] > 0, "sweep: nothing is kept")
        self.sink += self.kept.pop(provider)


_CALLS: dict[str, Callable[..., None]] = {
    "JobEscrow.match": Model.match,
    "JobEscrow.match_batch": Model.match_batch,
    "JobEscrow.finalise": Model.finalise,
    "JobEscrow.finalise_batch": Model.finalise_batch,
    "JobEscrow.expire": Model.expire,
    "JobEscrow.refute": Model.refute,
    "JobEscrow.void_claim": Model.void_claim,
    "JobEscrow.cancel": Model.cancel,
    "FaultProof.settle_demand": Model.settle_demand,
    "GraphProof.settle_demand": Model.settle_node,
    "ProviderRegistry.sweep": Model.sweep,
}
