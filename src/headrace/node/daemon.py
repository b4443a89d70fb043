"""The node's rounds: look, decide, and do what is due for each of its jobs."""

import logging
from collections.abc import Iterable, Mapping

from headrace.chain.jobs import Job
from headrace.chain.views import ClaimRef, DisputeStatus, JobState, Provider
from headrace.daemon.actions import Action
from headrace.daemon.context import Context, View
from headrace.daemon.games import Game
from headrace.errors import HeadraceError
from headrace.graph.trace import Trace as SmallTrace
from headrace.graph2.model import MAX_LEVELS
from headrace.graph2.trace import Trace as GraphTrace
from headrace.node.answers import answers
from headrace.node.asks import Asks, Market
from headrace.node.config import NodeConfig
from headrace.node.decide import Held, Move, Step, decide
from headrace.node.record import AttemptKey, Contradiction, Entry, NodeRecord, Stage
from headrace.node.workshop import Workshop
from headrace.terms.requirement import ACTIVE
from headrace.terms.words import FaultProofSettings, record_hash

log = logging.getLogger(__name__)

# How long a trace is kept after a claim can't be disputed any more: what `void_claim` waits for.
_GRACE = 2 * 86_400
_PRUNE_EVERY = 3_600


class NodeDaemon:
    """One node. `tick` is all it does; whatever it has to remember is in its record."""

    def __init__(
        self,
        context: Context,
        config: NodeConfig,
        markets: Mapping[str, Market],
        record: NodeRecord,
        workshop: Workshop,
        *,
        heartbeat_ttl: int,
    ) -> None:
        """`heartbeat_ttl` is the Registry's, in seconds."""
        self._context = context
        self._config = config
        self._record = record
        self._workshop = workshop
        self._ttl = heartbeat_ttl
        self._asks = Asks(config, markets, context.key, context.board, record)
        # The attempts that are this node's, and of those the ones that nothing is due for until
        # something happens to them on chain.
        self._mine: dict[AttemptKey, Job] = {}
        self._quiet: set[AttemptKey] = set()
        self._has_begun = False
        self._pruned_at = 0

    def tick(self) -> None:
        """One round."""
        view = self._context.look()
        self._sort(view.jobs)
        self._wake(view.claims)
        self._workshop.collect(self._mine)
        actions = self._jobs_due(view.now)
        # Before they are made: one that fails in every round ends the round.
        if view.now - self._pruned_at >= _PRUNE_EVERY:
            self._pruned_at = view.now
            self._record.prune(view.now)
        self._perform(actions, view)

    def _perform(self, actions: list[Action], view: View) -> None:
        """The jobs' moves and, in a new block, what the provider needs."""
        standing: list[Action] = []
        if view.is_new:
            try:
                provider = self._context.registry.provider_of(self._config.provider, view.block)
                standing = self._standing(provider, view.now)
            except HeadraceError:
                # No job's move waits for it.
                self._context.perform(actions, view)
                raise
        # All at once, and in a new block even if it is nothing: the figures are those of a round.
        if actions or view.is_new:
            self._context.perform([*actions, *standing], view)

    # ---- the attempts that are ours

    def _sort(self, touched: Iterable[bytes]) -> None:
        """Take up what is ours of the jobs that were touched, and let go of what isn't any more."""
        touched = set(touched)
        for key in [key for key in self._mine if key[0] in touched]:
            del self._mine[key]
            self._quiet.discard(key)
        for job_id in touched:
            job = self._context.jobs.jobs.get(job_id)
            record = None if job is None else job.record
            if job is None or record is None or job.provider != self._config.provider:
                continue
            if record.node != self._config.index:
                continue
            key = (job.id, job.attempt)
            self._mine[key] = job
            self._see(key, job)
        self._workshop.keep_only(self._mine)

    def _wake(self, claims: Iterable[bytes]) -> None:
        """Look again at the attempts whose claims somebody has moved against."""
        touched = set(claims)
        self._quiet -= {key for key in self._quiet if self._mine[key].claim_id in touched}

    def _see(self, key: AttemptKey, job: Job) -> None:
        entry = self._record.entry(key)
        if entry is None:
            log.info(
                "matched",
                extra={"job": job.id, "attempt": job.attempt, "claim_until": job.claim_until},
            )
            self._record.see(key, keep_until=_keep_until(job))
        if job.state.is_claimed and job.commitment is not None:
            if entry is not None and entry.stage == Stage.CLAIMED:
                return
            try:
                self._record.claim(key, job.commitment)
            except Contradiction as error:
                # Another program claims with this key. The claim stands as it is.
                log.error("claimed by another", extra={"job": job.id, "why": str(error)})
            else:
                log.info("claimed", extra={"job": job.id, "root": job.commitment})

    def _jobs_due(self, now: int) -> list[Action]:
        """Do what is to be done here for each attempt; returns what is to be done on chain."""
        keys = [key for key in self._mine if key not in self._quiet]
        entries = self._record.entries(keys)
        held = [self._held(key, entries.get(key)) for key in keys]
        moves = decide(held, now)
        busy = {move.key for move in moves} | self._workshop.running
        for item in held:
            # A claim that nobody contests, or an attempt that has come to nothing, waits for an
            # event; everything else for the next round.
            is_due = item.state == JobState.MATCHED and now <= item.claim_until
            if item.key not in busy and not is_due and item.demand != DisputeStatus.DEMANDED:
                self._quiet.add(item.key)
        return [action for move in moves for action in self._do(move, now)]

    def _held(self, key: AttemptKey, entry: Entry | None) -> Held:
        job = self._mine[key]
        record = job.record
        matched_at = 0 if record is None else record.matched_at
        trouble = self._workshop.trouble(key)
        case = None if job.claim_id is None else self._context.disputes.cases.get(job.claim_id)
        is_demanded = case is not None and case.is_demanded
        due = case.due if case is not None and is_demanded else 0
        game = self._game(job)
        if game is not None and game.open_nodes:
            is_demanded = True
            due = min(state.due for state in game.open_nodes)
        root = job.commitment if job.state.is_claimed else None
        return Held(
            key=key,
            state=job.state,
            matched_at=matched_at,
            decline_until=job.decline_until,
            claim_until=job.claim_until,
            entry=entry,
            is_running=key in self._workshop.running,
            trouble=trouble.why,
            is_final=trouble.is_final,
            demand=DisputeStatus.DEMANDED if is_demanded else DisputeStatus.NONE,
            due=due,
            has_trace=root is None or self._record.trace(root) is not None,
        )

    def _game(self, job: Job) -> Game | None:
        """The game about the job's claim, if its verifier plays one."""
        return None if job.claim_id is None else self._context.games.games.get(job.claim_id)

    def _do(self, move: Move, now: int) -> list[Action]:
        job = self._mine[move.key]
        if move.step == Step.FETCH:
            self._workshop.fetch(move.key, job)
        elif move.step == Step.RECALL:
            self._workshop.recall(move.key, job)
        elif move.step == Step.PUBLISH:
            self._workshop.publish(move.key, job)
        elif move.step == Step.CLAIM:
            return _some(self._claim(move.key, job))
        elif move.step == Step.DECLINE:
            return _some(self._decline(move, job))
        elif move.step == Step.ANSWER:
            return self._answer(move.key, job, now)
        else:
            self._record.fail(move.key, move.reason)
            log.error("no claim", extra={"job": job.id, "why": move.reason})
        return []

    # ---- on chain

    def _claim(self, key: AttemptKey, job: Job) -> Action | None:
        entry = self._record.entry(key)
        if entry is None or entry.root is None or job.record is None:
            return None
        return Action(
            key=f"claim:{job.id.hex()}:{job.attempt}",
            contract="JobEscrow",
            function="submit_claim",
            args=(job.id, job.record, entry.root),
            note=f"root 0x{entry.root.hex()}",
            ground=record_hash(job.record),
            deadline=job.claim_until,
        )

    def _decline(self, move: Move, job: Job) -> Action | None:
        if job.record is None:
            return None
        entry = self._record.entry(move.key)
        if entry is None or entry.stage != Stage.DECLINED:
            # On record first: what is declined is not claimed, whatever comes between.
            self._record.decline(move.key, move.reason)
            log.warning("declining", extra={"job": job.id, "why": move.reason})
        return Action(
            key=f"decline:{job.id.hex()}:{job.attempt}",
            contract="JobEscrow",
            function="decline",
            args=(job.id, job.record),
            note=move.reason,
            ground=record_hash(job.record),
            deadline=job.decline_until,
        )

    def _answer(self, key: AttemptKey, job: Job, now: int) -> list[Action]:
        if job.record is None or job.commitment is None or job.claim_id is None:
            return []
        given = self._workshop.answer(job, job.commitment)
        game = self._game(job)
        if isinstance(given, GraphTrace) and game is not None:
            return answers(given, game, now)
        if not isinstance(given, SmallTrace):
            self._workshop.in_trouble(key, "the demanded trace can't be published", is_final=False)
            return []
        data = given.to_bytes()
        case = self._context.disputes.cases.get(job.claim_id)
        return [
            Action(
                key=f"answer:{job.claim_id.hex()}",
                contract="FaultProof",
                function="publish_trace",
                args=(ClaimRef(job.terms, job.record, job.commitment), data),
                note=f"job 0x{job.id.hex()}, {len(data)} bytes",
                deadline=None if case is None else case.due,
            )
        ]

    # ---- the provider

    def _standing(self, provider: Provider, now: int) -> list[Action]:
        """Offers, signs of life and availability, as they should be."""
        me = self._config.provider
        if self._record.is_draining:
            return self._drain(provider)
        self._asks.keep(provider, now)
        actions = []
        is_ours = provider.status == ACTIVE and provider.operator == self._context.address
        if is_ours and now >= provider.last_seen + self._ttl // 2:
            actions.append(
                Action(f"heartbeat:{provider.last_seen}", "ProviderRegistry", "heartbeat", (me,))
            )
        if is_ours and not self._has_begun and not provider.is_available:
            actions.append(Action("available", "ProviderRegistry", "set_available", (me, True)))
        self._has_begun = True
        return actions

    def _drain(self, provider: Provider) -> list[Action]:
        self._asks.take_down()
        # Until it is so on chain: a move that is put off is not asked for again by itself.
        if provider.is_available:
            me = self._config.provider
            return [Action("drain", "ProviderRegistry", "set_available", (me, False))]
        if not self._mine and not any(tx.is_pending for tx in self._context.outbox.unsettled()):
            self._record.set_draining(False)
            log.info("drained", extra={"provider": self._config.provider})
            self._context.stop.set()
        return []


def _keep_until(job: Job) -> int:
    record = job.record
    start = 0 if record is None else record.matched_at
    delay = FaultProofSettings.unpack(job.terms.settings).delay_over(MAX_LEVELS)
    return start + job.terms.attempt_seconds + delay + _GRACE


def _some(action: Action | None) -> list[Action]:
    return [] if action is None else [action]
