"""A job's way through the daemons as a trace of OpenTelemetry, where the extra is installed.

All daemons draw the trace's id from the job's, so that what keeper, node and watcher saw of one job
is one trace without any of them telling another. Its stages (open, matched, claimed, contested) are
told by the chain's events and in chain time; what a daemon sent for the job is in its own time.
A stage is exported when it ends. What a reorganisation takes back stays exported, and is exported
again as it came to be.

Where spans go is said by OpenTelemetry's own variables: OTEL_EXPORTER_OTLP_ENDPOINT and its kind.
Without one of them, or without the extra `telemetry`, nothing is traced.
"""

import logging
import os
import re
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from headrace.chain.abi import Log
from headrace.chain.contracts import JobEscrow
from headrace.chain.follower import Step
from headrace.chain.outbox_rows import Tx

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.util.types import Attributes

log = logging.getLogger(__name__)

# The stage that a job is in after each event.
STAGES: Mapping[str, str] = MappingProxyType(
    {
        "Posted": "open",
        "BidMatched": "matched",
        "Matched": "matched",
        "MemberMatched": "matched",
        "Claimed": "claimed",
        "Contested": "contested",
        "Declined": "open",
        "Expired": "open",
        "Refuted": "open",
        "Voided": "open",
        "Finalised": "final",
        "Cancelled": "cancelled",
    }
)
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
# Blocks from the head beyond which events are history that is caught up with, not worth a trace.
_NEAR = 64
_SECOND = 10**9
# Seconds that the last spans may take to leave when the daemon stops.
_FLUSH = 1.5
_JOB_IN_KEY = re.compile(r"^[a-z_]+:([0-9a-f]{64})(?::|$)")


class History(Protocol):
    """What is asked of a ChainDb."""

    def logs_about(self, subjects: Iterable[bytes]) -> list[Log]:
        """The logs about some jobs, in the chain's order."""


class JobTracer:
    """Exports the traces of one daemon. One thread."""

    def __init__(self, daemon: str, exporter: "SpanExporter", *, batch: bool = True) -> None:
        """Spans go to `exporter`; one by one if not `batch`, for whoever reads them at once."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

        from headrace.ops.trace_ids import ChosenIds

        self._ids = ChosenIds()
        self._provider: TracerProvider = TracerProvider(
            resource=Resource.create({"service.name": f"headrace-{daemon}"}),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        kind = BatchSpanProcessor if batch else SimpleSpanProcessor
        self._provider.add_span_processor(kind(exporter))
        self._tracer = self._provider.get_tracer("headrace")
        self._names = {event.topic: name for name, event in JobEscrow.abi().events.items()}
        self._sent: dict[int, int] = {}

    # ---- what the chain tells

    def followed(self, step: Step, live: Collection[bytes], history: History) -> None:
        """A step was read and folded; `live` are the jobs in which somebody still has a move."""
        for entry in step.added:
            stage = self._stage(entry)
            if stage is None or step.head.number - entry.block_number > _NEAR:
                continue
            job = entry.topics[1]
            place = (entry.block_number, entry.log_index)
            told = [
                before
                for before in history.logs_about([job])
                if self._stage(before) and (before.block_number, before.log_index) < place
            ]
            if told:
                self._stage_ended(job, told[-1], entry)
            is_last = place == max(
                (one.block_number, one.log_index)
                for one in (*told, entry, *step.added)
                if one.topics[1:2] == (job,) and self._stage(one)
            )
            if is_last and job not in live:
                self._job_ended(job, (told or [entry])[0], entry)

    def _stage(self, entry: Log) -> str | None:
        if len(entry.topics) < 2:
            return None
        return STAGES.get(self._names.get(entry.topics[0], ""))

    def _stage_ended(self, job: bytes, begun: Log, ended: Log) -> None:
        attributes = _attributes(job, ended) | {"headrace.event": self._names[ended.topics[0]]}
        name = self._stage(begun) or "unknown"
        self._export(name, job, begun.timestamp * _SECOND, ended.timestamp * _SECOND, attributes)

    def _job_ended(self, job: bytes, begun: Log, ended: Log) -> None:
        attributes = _attributes(job, ended) | {"headrace.outcome": self._names[ended.topics[0]]}
        with self._ids.chosen(*ids_of(job)):
            span = self._tracer.start_span(
                "job", start_time=begun.timestamp * _SECOND, attributes=attributes
            )
        span.end(ended.timestamp * _SECOND)

    # ---- what the daemon does

    def sent(self, txs: Iterable[Tx]) -> None:
        """These are in no block yet, or were not when they were sent."""
        now = time.time_ns()
        for tx in txs:
            if tx.is_pending:
                self._sent.setdefault(tx.id, now)

    def settled(self, changed: Iterable[Tx]) -> None:
        """Its transactions were looked after: these are in another state than before."""
        now = time.time_ns()
        for tx in changed:
            begun = self._sent.pop(tx.id, None)
            found = _JOB_IN_KEY.match(tx.action)
            if begun is None or found is None or tx.is_pending:
                continue
            job = bytes.fromhex(found[1])
            attributes = {
                "headrace.job": "0x" + job.hex(),
                "headrace.action": tx.action,
                "headrace.outcome": tx.state,
                "headrace.tx": "0x" + (tx.mined_tx or b"").hex(),
            }
            self._export(tx.what, job, begun, now, attributes)

    def _export(
        self, name: str, job: bytes, begun: int, ended: int, attributes: "Attributes"
    ) -> None:
        from headrace.ops.trace_ids import parent

        span = self._tracer.start_span(
            name, context=parent(*ids_of(job)), start_time=begun, attributes=attributes
        )
        span.end(max(begun, ended))

    def close(self) -> None:
        """Let the last spans leave, but not for long: a collector may be away."""
        flusher = threading.Thread(target=self._provider.shutdown, daemon=True)
        flusher.start()
        flusher.join(_FLUSH)


def ids_of(job: bytes) -> tuple[int, int]:
    """The ids of a job's trace and of its outermost span, the same for every daemon."""
    return int.from_bytes(job[:16]) or 1, int.from_bytes(job[16:24]) or 1


def _attributes(job: bytes, entry: Log) -> dict[str, str | int]:
    return {
        "headrace.job": "0x" + job.hex(),
        "headrace.block": entry.block_number,
        "headrace.tx": "0x" + entry.tx_hash.hex(),
    }


def open_tracer(daemon: str, environment: Mapping[str, str] = os.environ) -> JobTracer | None:
    """The tracer of a daemon, if `environment` names a collector and the extra is installed."""
    if not any(environment.get(name) for name in _ENDPOINTS):
        return None
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        log.warning("no traces", extra={"why": "the extra `telemetry` is not installed"})
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    log.info("traces", extra={"daemon": daemon})
    return JobTracer(daemon, OTLPSpanExporter(timeout=_FLUSH))
