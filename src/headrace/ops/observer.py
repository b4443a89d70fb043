"""Turns what a daemon does into figures. It only watches: nothing it does can stop a round.

The context of a daemon calls it at the places where something happens: a step of the follower, the
outbox looked after, a round's actions made. All times but `lag_seconds` are chain time.
"""

import time
from collections import Counter as Tally
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fractions import Fraction

from headrace.chain.abi import Log
from headrace.chain.contracts import JobEscrow, ProviderRegistry, Vault
from headrace.chain.follower import Counters, Step
from headrace.chain.graph_rules import GraphModels, GraphProof
from headrace.chain.outbox import Outbox
from headrace.chain.outbox_rows import Tx
from headrace.chain.rules import FaultProof
from headrace.daemon.actions import Action, Performed
from headrace.ops.health import LOOP, Health
from headrace.ops.metrics import Metrics
from headrace.ops.tracing import History, JobTracer
from headrace.ops.waiting import Waiting


def event_names() -> Mapping[bytes, str]:
    """The names of all events that a daemon may read, by their topics."""
    followed = (JobEscrow, FaultProof, GraphProof, GraphModels, ProviderRegistry, Vault)
    kinds = [contract.abi() for contract in followed]
    return {event.topic: name for abi in kinds for name, event in abi.events.items()}


class Observer:
    """Watches one daemon. One thread."""

    def __init__(
        self,
        metrics: Metrics | None = None,
        health: Health | None = None,
        *,
        tracer: JobTracer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without `metrics` and `health` it has its own, which nobody reads."""
        self.metrics = metrics or Metrics("none")
        self.health = health or Health()
        self._tracer = tracer
        self._clock = clock
        self._names = event_names()
        # A series that begins at 1 has not increased: what an alert counts has to begin at 0.
        self.metrics.events.labels("unknown")
        self._cursor: int | None = None
        self._mismatches = 0
        self._attempts: dict[int, int] = {}
        self._waiting = Waiting()
        self._head_at = clock()
        self.metrics.lag_seconds.set_function(lambda: self._clock() - self._head_at)

    # ---- the chain

    def stepped(self, step: Step, final: int, counters: Counters, source: str) -> None:
        """
        The follower has read on, or gone back; what is up to block `final` is final. `source` is
        the host of the node that told of the head.
        """
        metrics = self.metrics
        # Far behind, one round takes many steps: each of them shows that the loop lives.
        self.health.beat(LOOP)
        if self._cursor is not None and step.cursor < self._cursor:
            metrics.reorgs.inc()
            metrics.reorg_depth.set(self._cursor - step.cursor)
        self._cursor = step.cursor
        metrics.head_block.labels(source).set(step.head.number)
        metrics.cursor_block.set(step.cursor)
        metrics.lag_blocks.set(max(0, step.head.number - step.cursor))
        metrics.finalized_block.set(max(0, final))
        if counters.audit_mismatches > self._mismatches:
            metrics.audit_mismatches.inc(counters.audit_mismatches - self._mismatches)
            self._mismatches = counters.audit_mismatches
        for name, count in self._counted(step.added).items():
            metrics.events.labels(name).inc(count)

    def _counted(self, logs: Iterable[Log]) -> Tally[str]:
        return Tally(
            self._names.get(log.topics[0], "unknown") if log.topics else "unknown" for log in logs
        )

    def folded(self, step: Step, live: Collection[bytes], history: History) -> None:
        """The jobs of a step were folded; `live` are those in which somebody has a move."""
        if self._tracer is not None:
            self._tracer.followed(step, live, history)

    def at_head(
        self, timestamp: int, block_seconds: Fraction, made_at: Callable[[int], int]
    ) -> None:
        """
        All that the node knows has been read; `timestamp` is the head's, `block_seconds` what a
        block takes, and `made_at` says when a block was made.
        """
        self._head_at = self._clock()
        self.metrics.block_seconds.set(float(block_seconds))
        # Also in a round that decides nothing, or fails before it does: time runs out all the same.
        self._waiting.at(timestamp, made_at)
        self._show_waiting(timestamp)
        # The wall clock shows a chain that stands still; nothing is decided by it.
        self.metrics.head_age_seconds.set(time.time() - timestamp)
        self.health.report("lag", True, "at the head")

    # ---- transactions

    def settled(self, changed: Sequence[Tx], outbox: Outbox) -> None:
        """The outbox was looked after: `changed` are in another state than before."""
        metrics = self.metrics
        for tx in changed:
            if tx.state not in ("open", "mined"):
                metrics.tx.labels(tx.what, "reverted")
                metrics.tx.labels(tx.what, tx.state).inc()
                metrics.gas_spent.labels(tx.what).inc(tx.fee)
        pending = [tx for tx in outbox.unsettled() if tx.is_pending]
        if self._tracer is not None:
            self._tracer.settled(changed)
            self._tracer.sent(pending)
        metrics.tx_inflight.set(len(pending))
        attempts = {tx.id: outbox.attempts(tx.id) for tx in pending}
        self._waiting.signed(pending, [id_ for id_, made in attempts.items() if made[-1].is_empty])
        counts = {id_: len(made) for id_, made in attempts.items()}
        for tx_id, count in counts.items():
            more = count - self._attempts.get(tx_id, 1)
            if more > 0:
                metrics.tx_bumps.inc(more)
        self._attempts = counts

    def nonces(self, chain_nonce: int, open_now: Iterable[Tx]) -> None:
        """`chain_nonce` transactions of the key are in blocks."""
        taken = {tx.nonce for tx in open_now if tx.nonce >= chain_nonce}
        gap = max(taken) + 1 - chain_nonce - len(taken) if taken else 0
        self.metrics.nonce_gap.set(gap)

    # ---- actions

    def market(self, unmatched: int, dropped: Mapping[str, int]) -> None:
        """A keeper's round left `unmatched` jobs open; `dropped` are pairs by filter."""
        self.metrics.jobs_unmatched.set(unmatched)
        self.metrics.offers_dropped.clear()
        for name, count in dropped.items():
            self.metrics.offers_dropped.labels(name).set(count)

    def watching(self, unchecked: int) -> None:
        """A watcher's round left so many open claims that it can't check, or can't act against."""
        self.metrics.claims_unchecked.set(unchecked)

    def performed(self, actions: Sequence[Action], performed: Performed, now: int) -> None:
        """A round has decided `actions` at chain time `now`, and this became of them."""
        states = dict.fromkeys((tx.action for tx in performed.sent), "sent")
        states |= dict.fromkeys(performed.done, "done")
        states |= dict.fromkeys(performed.refused, "refused")
        states |= dict.fromkeys(performed.held, "held")
        states |= dict.fromkeys(performed.deferred, "deferred")
        counts = Tally((action.what, states.get(action.key, "planned")) for action in actions)
        gauge = self.metrics.actions
        gauge.clear()
        for (what, state), count in counts.items():
            gauge.labels(what, state).set(count)
        if self._tracer is not None:
            self._tracer.sent(performed.sent)
        left = [action for action in actions if states.get(action.key) != "done"]
        self._waiting.decided(left, performed.sent, now)
        self._show_waiting(now)

    def _show_waiting(self, now: int) -> None:
        self.metrics.action_age_seconds.set(self._waiting.age(now))
        slack = self._waiting.slack(now)
        if slack is None:
            self.metrics.deadline_slack_seconds.forget()
        else:
            self.metrics.deadline_slack_seconds.set(slack)
