"""The keeper's loop: look, take a picture, decide, ask `unmet`, send.

Several keepers may run at once, each with a key of its own. Whoever is first earns; for the others
the simulation shows that the deed is done, and nothing is sent.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from headrace.chain.abi import decode_values
from headrace.chain.contract import try_many
from headrace.chain.contracts import JobEscrow
from headrace.chain.outbox import Outbox
from headrace.daemon.actions import OF_ONE_CALL, Action, Performed
from headrace.daemon.context import Context, View
from headrace.daemon.loop import Stop
from headrace.daemon.program import serve
from headrace.errors import HeadraceError
from headrace.keeper.decide import Planned, Policy, plan
from headrace.keeper.offers import Offers
from headrace.keeper.reading import Reader
from headrace.keeper.roster import Roster
from headrace.keeper.terms import policy_of, rivals_of
from headrace.settings import Settings
from headrace.terms.unmet import explain
from headrace.terms.words import Ask, Exclusion, Terms

log = logging.getLogger(__name__)

NAME = "keeper"
# Seconds of chain time between two looks at what is kept for the sink.
SWEEP_EVERY = 600
# Seconds of chain time for which a pair that the chain refused is not proposed again.
BAR_FOR = 30

Pair = tuple[bytes, bytes]  # job id (or a batch's digest), ask hash


class Keeper:
    """One keeper on its open context; `tick` is one round."""

    def __init__(self, context: Context, policy: Policy, *, keepers: Iterable[str] = ()) -> None:
        """
        Reads what never changes. `keepers` are others that it takes turns with, seen or not.
        Unreachable and RetryLater if it can't be done now.
        """
        self._context = context
        self._policy = policy
        self._offers = Offers(context.board, context.token.address, context.domain)
        self._reader = Reader(context, self._offers)
        self._roster = Roster(context.address, keepers)
        self._see(context.jobs.jobs)
        context.jobs.keeps_ended = False
        self._barred: dict[Pair, int] = {}
        # Since when a match could be made, by its key.
        self._seen: dict[str, int] = {}
        self._account: tuple[Any, ...] = ()
        self._sweep_at = 0
        self._is_settled = False
        self._is_first = True

    def tick(self) -> None:
        """One round; does nothing if neither the chain nor the board has anything new."""
        view = self._context.look()
        # The view's jobs come once: they are taken before anything that may fail.
        self._log_moves(view)
        self._see(view.jobs)
        self._reader.take(view.jobs)
        # What fails half-way is done again, with or without a new block.
        is_settled, self._is_settled = self._is_settled, False
        is_new = self._offers.refresh(view.now) or view.is_new or bool(view.jobs)
        if is_settled and not is_new:
            self._is_settled = True
            return
        actions = self.plan(view)
        try:
            self._perform(actions, view)
        except OF_ONE_CALL:
            # It may go on for long, and the rest was done.
            self._reader.check()
            raise
        # Last: nothing that is due waits for it. What was wrong may have led to a wrong plan.
        self._is_settled = True
        self._is_settled = self._reader.check()

    def plan(self, view: View) -> list[Action]:
        """What is due at `view` and not under way."""
        pending = {tx.action for tx in self._context.outbox.unsettled()}
        self._barred = {pair: until for pair, until in self._barred.items() if view.now < until}
        is_time = view.now >= self._sweep_at
        state = self._reader.read(
            view,
            with_kept=is_time,
            busy=finalising(self._context.outbox),
            barred=self._barred,
            keepers=self._roster.keepers(view.now),
            seen=self._seen,
            max_fee=min(2 * view.head.base_fee, self._context.settings.max_fee),
            block_seconds=self._context.block_seconds,
        )
        if is_time:
            self._sweep_at = view.now + SWEEP_EVERY
        planned = plan(state, view.now, self._context.address, self._policy)
        possible = {move.key for move in planned.moves} | planned.withheld.keys()
        self._seen = {
            key: self._seen.get(key, view.now) for key in possible if key.startswith("match")
        }
        self._log_market(planned)
        return [move for move in planned.moves if move.key not in pending]

    def _see(self, job_ids: Iterable[bytes]) -> None:
        """Note who keeps: whoever has matched."""
        for job_id in job_ids:
            job = self._context.jobs.jobs.get(job_id)
            if job is not None and job.record is not None:
                self._roster.saw(job.record.keeper, job.record.matched_at)

    def _log_market(self, planned: Planned) -> None:
        """One line when the account of the unmatched jobs changes, and one for each new reason."""
        market = planned.market
        reasons = {
            found.job_id: (found.refusal, tuple(found.dropped.items()))
            for found in market.shortfalls
        }
        before = dict(self._account)
        self._context.observer.market(market.unmatched, market.dropped())
        for found in market.shortfalls:
            if before.get(found.job_id) != reasons[found.job_id]:
                fields = {
                    "job": found.job_id,
                    "considered": found.considered,
                    "refusal": found.refusal,
                    "dropped": dict(found.dropped),
                    "fits_at": found.at,
                }
                log.info("no offer fits", extra=fields)
        if reasons != before:
            log.info(
                "market",
                extra={
                    "jobs": market.jobs,
                    "unmatched": market.unmatched,
                    "barred": dict(market.barred),
                    "dropped": market.dropped(),
                    "not_accounted": market.not_accounted,
                    "withheld": dict(Counter(planned.withheld.values())),
                },
            )
        self._account = tuple(reasons.items())

    def _perform(self, actions: Sequence[Action], view: View) -> None:
        pairs = {action.key: pair_of(action) for action in actions}

        def after(performed: Performed) -> None:
            for key in performed.refused:
                self._bar(pairs.get(key), view.now)

        try:
            allowed = self._allowed(actions, view)
        except HeadraceError:
            # No other move waits for an answer about a match.
            matches = [a for a in actions if pairs[a.key] is not None]
            others = [a for a in actions if pairs[a.key] is None]
            self._context.perform(others, view, left=matches)
            raise
        self._context.perform(allowed, view, after=after)

    def _allowed(self, actions: Iterable[Action], view: View) -> list[Action]:
        """`actions` without the matches that the chain's own rules have something against."""
        actions = list(actions)
        matches = [action for action in actions if pair_of(action) is not None]
        queries = [
            self._context.rules.query("unmet", *sides_of(action), self._context.address)
            for action in matches
        ]
        answers = try_many(self._context.rpc, queries, view.block)
        against = set()
        for action, answer in zip(matches, answers, strict=True):
            if answer == (0, 0):
                continue
            reasons = explain(*answer) if answer is not None else []
            log.warning(
                "match left out",
                extra={"action": action.key, "why": [r.name for r in reasons] or "refused"},
            )
            self._bar(pair_of(action), view.now)
            against.add(action.key)
        return [action for action in actions if action.key not in against]

    def _bar(self, pair: Pair | None, now: int) -> None:
        if pair is not None:
            self._barred[pair] = now + BAR_FOR

    def _log_moves(self, view: View) -> None:
        # The first view has everything that is live, changed or not.
        changed = () if self._is_first else sorted(view.jobs)
        self._is_first = False
        for job_id in changed:
            job = self._context.jobs.jobs.get(job_id)
            if job is not None:
                tx = job.attempts[-1].txs[-1] if job.attempts else None
                fields = {"job": job_id, "state": job.state.name, "attempt": job.attempt, "tx": tx}
                log.info("job", extra=fields)


def pair_of(action: Action) -> Pair | None:
    """Which job and ask an action matches; None if it is no match."""
    if action.function not in ("match", "match_batch"):
        return None
    return bytes.fromhex(action.key.split(":")[1]), bytes(action.ground)  # type: ignore[call-overload]


def sides_of(action: Action) -> tuple[Terms, Ask, Sequence[bytes], Sequence[Exclusion]]:
    """What `unmet` wants to know of a match: terms, ask, the program's proof, the exclusions."""
    if action.function == "match_batch":
        terms, _, _, ask, _, proof = action.args
        return terms, ask, proof, ()
    terms, _, ask, _, proof, excluded = action.args
    return terms, ask, proof, list(excluded)


def finalising(outbox: Outbox) -> set[bytes]:
    """The jobs that a payment of ours, in no block yet, makes final."""
    jobs: set[bytes] = set()
    functions = JobEscrow.abi().functions
    for tx in outbox.unsettled():
        _, _, name = tx.what.partition(".")
        if not tx.is_pending or name not in ("finalise", "finalise_batch"):
            continue
        values = decode_values(functions[name].inputs, tx.data[4:], tx.what)
        jobs |= {values[0]} if name == "finalise" else {job_id for job_id, _ in values[1]}
    return jobs


def make(context: Context) -> Callable[[], None]:
    """For `serve`: the tick of a keeper that works for what the settings say."""
    policy = policy_of(context.settings, context.token.money())
    return Keeper(context, policy, keepers=rivals_of(context.settings)).tick


def run(settings: Settings, *, stop: Stop | None = None) -> None:
    """Run a keeper until SIGTERM or SIGINT, or until `stop`. HeadraceError as `serve`."""
    serve(NAME, settings, make, stop=stop)
