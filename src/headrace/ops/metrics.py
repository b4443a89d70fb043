"""The figures of one daemon for Prometheus, in a registry of their own.

Names begin with `headrace_`. Money is in wei, times in seconds. A figure that nobody has measured
yet is absent instead of zero where a zero would mean something (a balance, a block number).
"""

import platform
from collections.abc import Callable, Iterable
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric

from headrace import __version__

# When a counter was made is nobody's question here, and doubles what is scraped.
disable_created_metrics()  # type: ignore[no-untyped-call]

# From a local node's answer to one that is about to time out.
_RPC_BUCKETS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_TICK_BUCKETS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)
PREFIX = "headrace_"
_ENDINGS = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}


T = TypeVar("T", bound=MetricWrapperBase)


class Measured(Gauge):
    """A gauge without labels that is absent until it is set, and once it is forgotten."""

    _is_known = False

    def collect(self) -> Iterable[Metric]:
        """Nothing while there is no value."""
        return super().collect() if self._is_known else ()

    def set(self, value: float) -> None:
        """The value from now on."""
        super().set(value)
        self._is_known = True

    def set_function(self, f: Callable[[], float]) -> None:
        """The value is what `f` says whenever it is read."""
        super().set_function(f)
        self._is_known = True

    def forget(self) -> None:
        """There is no value any more."""
        self._is_known = False


class Metrics:
    """Every figure as an attribute; safe to set in one thread and to read in another."""

    def __init__(self, daemon: str) -> None:
        """`daemon` is the daemon's name, which becomes the label `daemon` of `build_info`."""
        self.registry = CollectorRegistry()
        self._collectors: list[MetricWrapperBase] = []
        ProcessCollector(registry=self.registry)
        self._chain()
        self._transactions()
        self._actions()
        self._process(daemon)

    def _value(self, name: str, text: str) -> Measured:
        return self._kept(Measured(PREFIX + name, text, registry=self.registry))

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return self._kept(Gauge(PREFIX + name, text, labels, registry=self.registry))

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return self._kept(Counter(PREFIX + name, text, labels, registry=self.registry))

    def _histogram(self, name: str, text: str, label: str, buckets: tuple[float, ...]) -> Histogram:
        made = Histogram(PREFIX + name, text, (label,), buckets=buckets, registry=self.registry)
        return self._kept(made)

    def _kept(self, made: T) -> T:
        self._collectors.append(made)
        return made

    def _chain(self) -> None:
        self.head_block = self._gauge(
            "head_block", "Latest block that a node has told of", "source"
        )
        self.cursor_block = self._value("cursor_block", "Last block whose events are stored")
        self.finalized_block = self._value("finalized_block", "Latest final block")
        self.lag_blocks = self._value("lag_blocks", "Blocks between the head and the cursor")
        self.lag_seconds = self._value("lag_seconds", "Seconds since the head was last reached")
        self.head_age_seconds = self._value(
            "head_age_seconds", "This machine's clock less the time of the latest block"
        )
        self.block_seconds = self._value(
            "block_seconds", "Chain time from a block to the next, over the latest 64 or so"
        )
        self.reorgs = self._counter("reorgs_total", "Reorganisations that undid stored blocks")
        self.reorg_depth = self._value("reorg_depth", "Blocks that the last reorganisation undid")
        self.events = self._counter("events_total", "Events stored, by name", "kind")
        self.rpc_requests = self._counter(
            "rpc_requests_total", "Requests to a node, by how they ended", "host", "method", "code"
        )
        self.rpc_seconds = self._histogram(
            "rpc_seconds", "Seconds a node took for a request or a batch", "host", _RPC_BUCKETS
        )
        self.audit_mismatches = self._counter(
            "audit_mismatch_total", "Final ranges that read differently the second time"
        )
        self.known_mismatches = self._counter(
            "known_mismatch_total", "Words that a keeper knew otherwise than the chain has them"
        )
        self.finality_violated = self._value(
            "finality_violated", "1 while a rewritten final block holds the daemon up"
        )

    def _transactions(self) -> None:
        self.tx_inflight = self._value("tx_inflight", "Transactions that are in no block yet")
        self.tx_bumps = self._counter("tx_bumps_total", "Transactions sent again at a higher fee")
        self.tx = self._counter("tx_total", "Transactions that have ended", "kind", "outcome")
        self.gas_spent = self._counter(
            "gas_spent_wei_total", "Paid for gas by transactions that have ended, in wei", "kind"
        )
        self.nonce_gap = self._value(
            "nonce_gap", "Nonces below the newest open transaction that nothing holds"
        )
        self.foreign_nonce = self._value(
            "foreign_nonce", "1 while another program is known to send with this key"
        )
        self.key_balance = self._value("key_balance_wei", "What the key can pay gas with, in wei")
        self.key_reserve = self._value(
            "key_reserve_wei", "Balance under which the daemon isn't ready, in wei"
        )

    def _actions(self) -> None:
        self.actions = self._gauge("actions", "Actions of the last round", "kind", "state")
        self.action_age_seconds = self._value(
            "action_age_seconds", "Chain time for which the oldest action in no block has been due"
        )
        self.deadline_slack_seconds = self._value(
            "deadline_slack_seconds", "Chain time left to the action in no block that has the least"
        )
        self.jobs = self._gauge("jobs", "Jobs that the daemon follows, by state", "state")
        self.jobs_unmatched = self._value("jobs_unmatched", "Open jobs that no offer fits")
        self.claims_unchecked = self._value(
            "claims_unchecked", "Open claims that the watcher can't check, or can't act against"
        )
        self.offers_dropped = self._gauge(
            "offers_dropped",
            "Pairs of a job and an offer, by the filter that dropped them",
            "filter",
        )

    def _process(self, daemon: str) -> None:
        self.loop_last_ok = self._gauge(
            "loop_last_ok_timestamp", "When a loop last ended a round well, unix seconds", "loop"
        )
        self.loop_failures = self._counter(
            "loop_failures_total", "Rounds that ended with an error that passes", "loop", "error"
        )
        self.tick_seconds = self._histogram(
            "tick_seconds", "Seconds a round took", "loop", _TICK_BUCKETS
        )
        self.standby = self._value(
            "standby", "1 while it waits for another process to give its key's lease back"
        )
        self.ready = self._gauge("ready", "1 if a check of readiness holds", "check")
        build = self._gauge("build_info", "1; what runs", "version", "python", "daemon")
        build.labels(__version__, platform.python_version(), daemon).set(1)

    def text(self) -> bytes:
        """All figures as Prometheus reads them."""
        return generate_latest(self.registry)

    def names(self) -> frozenset[str]:
        """The name of every sample that may ever be exported, for alerts and dashboards."""
        found = set()
        for collector in self._collectors:
            for metric in collector.describe():
                endings = _ENDINGS.get(metric.type, ("",))
                found |= {metric.name + ending for ending in endings}
        return frozenset(found)
