"""A job's way is one trace, whichever daemons saw it, and its stages are those of the chain."""

import logging
import sys

import pytest

from headrace.chain.abi import Log
from headrace.chain.contracts import JobEscrow
from headrace.chain.follower import Step
from headrace.chain.rpc import Header
from headrace.ops import tracing
from headrace.ops.tracing import JobTracer, ids_of, open_tracer
from tests.offchain.ops.test_observer import tx

pytest.importorskip("opentelemetry.sdk", reason="the extra `telemetry` is not installed")

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
    InMemorySpanExporter,
)

JOB = bytes(range(1, 33))
OTHER = bytes(range(101, 133))


class Chain:
    """Events of jobs, told step by step to a tracer."""

    def __init__(self) -> None:
        self.logs: list[Log] = []
        self.live: set[bytes] = set()
        self.exporter = InMemorySpanExporter()
        self.tracer = JobTracer("keeper", self.exporter, batch=False)

    def event(self, name: str, block: int, job: bytes = JOB) -> Log:
        topics = (JobEscrow.abi().events[name].topic, job)
        return Log(block, len(self.logs), bytes(32), bytes([block]) * 32, "0x", topics, b"", block)

    def step(self, *events: tuple[str, int], job: bytes = JOB, head: int = 0) -> None:
        added = []
        for name, block in events:
            added.append(self.event(name, block, job))
            self.logs.append(added[-1])
        at = head or added[-1].block_number
        step = Step(Header(at, bytes(32), bytes(32), at, 1), at, added=tuple(added))
        if added[-1].topics[0] == JobEscrow.abi().events["Finalised"].topic:
            self.live.discard(job)
        else:
            self.live.add(job)
        self.tracer.followed(step, self.live, self)

    def logs_about(self, subjects: list[bytes]) -> list[Log]:
        return [log for log in self.logs if log.topics[1] in subjects]

    def spans(self) -> list[tuple[str, int, int]]:
        second = 10**9
        return [
            (span.name, span.start_time // second, span.end_time // second)
            for span in self.exporter.get_finished_spans()
        ]


@pytest.fixture
def story() -> Chain:
    return Chain()


def test_each_stage_of_a_job_is_a_span_in_chain_time(story: Chain):
    story.step(("Posted", 10))
    assert story.spans() == []
    story.step(("Matched", 13))
    story.step(("Claimed", 20))
    story.step(("Finalised", 50))
    assert story.spans() == [
        ("open", 10, 13),
        ("matched", 13, 20),
        ("claimed", 20, 50),
        ("job", 10, 50),
    ]


def test_events_of_one_step_are_told_in_their_order(story: Chain):
    story.step(("Posted", 10), ("Matched", 10), ("Claimed", 11), ("Finalised", 30))
    assert story.spans() == [
        ("open", 10, 10),
        ("matched", 10, 11),
        ("claimed", 11, 30),
        ("job", 10, 30),
    ]


def test_an_attempt_that_failed_opens_the_job_again(story: Chain):
    story.step(("Posted", 1), ("Matched", 2), ("Expired", 40), ("Matched", 45))
    story.step(("Claimed", 50))
    assert story.spans() == [
        ("open", 1, 2),
        ("matched", 2, 40),
        ("open", 40, 45),
        ("matched", 45, 50),
    ]


def test_all_spans_of_a_job_are_in_one_trace_under_its_outermost(story: Chain):
    story.step(("Posted", 10), ("Matched", 13), ("Claimed", 20), ("Finalised", 50))
    trace, outermost = ids_of(JOB)
    *stages, job = story.exporter.get_finished_spans()
    assert (job.context.trace_id, job.context.span_id, job.parent) == (trace, outermost, None)
    for span in stages:
        assert span.context.trace_id == trace
        assert span.parent.span_id == outermost
        assert span.context.span_id != outermost
        assert span.attributes["headrace.job"] == "0x" + JOB.hex()
        assert span.attributes["headrace.tx"] == "0x" + bytes([span.end_time // 10**9] * 32).hex()
        assert span.resource.attributes["service.name"] == "headrace-keeper"


def test_two_daemons_tell_of_the_same_trace():
    keeper, watcher = Chain(), Chain()
    keeper.step(("Posted", 1), ("Matched", 2))
    watcher.step(("Posted", 1), ("Matched", 2))
    (one,) = keeper.exporter.get_finished_spans()
    (two,) = watcher.exporter.get_finished_spans()
    assert one.context.trace_id == two.context.trace_id
    assert one.parent.span_id == two.parent.span_id
    assert one.context.span_id != two.context.span_id


def test_jobs_have_traces_of_their_own(story: Chain):
    story.step(("Posted", 1))
    story.step(("Posted", 2), job=OTHER)
    story.step(("Matched", 5))
    story.step(("Matched", 6), job=OTHER)
    one, two = story.exporter.get_finished_spans()
    assert one.context.trace_id == ids_of(JOB)[0]
    assert two.context.trace_id == ids_of(OTHER)[0]
    assert story.spans() == [("open", 1, 5), ("open", 2, 6)]


@pytest.mark.parametrize(("behind", "count"), [(64, 1), (65, 0)])
def test_history_is_not_traced(story: Chain, behind: int, count: int):
    story.step(("Posted", 10))
    story.step(("Matched", 20), head=20 + behind)
    assert len(story.spans()) == count


def test_after_a_restart_a_stage_still_begins_where_it_began(story: Chain):
    story.step(("Posted", 10), ("Matched", 13))
    story.exporter.clear()
    # A new process, which has the file of the old one.
    story.tracer = JobTracer("keeper", story.exporter, batch=False)
    story.step(("Claimed", 20))
    assert story.spans() == [("matched", 13, 20)]


def test_other_events_are_no_stages(story: Chain):
    story.step(("Posted", 1), ("PolicyEnacted", 2), ("Matched", 3))
    assert story.spans() == [("open", 1, 3)]


# ---- what a daemon sent


def test_what_was_sent_for_a_job_is_a_span_of_its_trace(story: Chain):
    key = f"match:{JOB.hex()}:0:0"
    story.tracer.sent([tx(1, action=key)])
    story.tracer.settled([tx(1, "mined", action=key, mined_tx=bytes(32))])
    (span,) = story.exporter.get_finished_spans()
    assert span.name == "JobEscrow.match"
    assert span.context.trace_id == ids_of(JOB)[0]
    assert span.attributes["headrace.action"] == key
    assert span.attributes["headrace.outcome"] == "mined"
    # Its end is told once.
    story.tracer.settled([tx(1, "done", action=key)])
    assert len(story.exporter.get_finished_spans()) == 1


@pytest.mark.parametrize("key", ["sweep:0xab", "heartbeat", "match:beef:1", f"x{JOB.hex()}"])
def test_what_is_about_no_job_has_no_trace(story: Chain, key: str):
    story.tracer.sent([tx(1, action=key)])
    story.tracer.settled([tx(1, "done", action=key)])
    assert not story.exporter.get_finished_spans()


def test_what_was_sent_by_an_earlier_process_has_no_beginning_and_so_no_span(story: Chain):
    key = f"match:{JOB.hex()}:0:0"
    story.tracer.settled([tx(1, "done", action=key)])
    assert not story.exporter.get_finished_spans()


# ---- whether there is a tracer

COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1/k3y"}


def test_without_a_collector_nothing_is_traced():
    assert open_tracer("keeper", {}) is None
    assert open_tracer("keeper", {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}) is None


def test_without_the_extra_it_is_said_and_nothing_is_traced(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(tracing, "find_spec", lambda name: None)
    assert open_tracer("keeper", COLLECTOR) is None
    assert [record.message for record in caplog.records] == ["no traces"]


def test_a_daemon_does_not_import_the_extra_unless_it_traces():
    import subprocess

    code = (
        "import sys, headrace.daemon.program; "
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Hanging(SpanExporter):
    """A collector that takes everything and never answers."""

    def export(self, spans: object) -> SpanExportResult:
        import time

        time.sleep(60)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


def test_a_collector_that_hangs_does_not_hold_the_stop_up(monkeypatch: pytest.MonkeyPatch):
    import time

    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    monkeypatch.setattr(tracing, "_FLUSH", 0.2)
    story = Chain()
    story.tracer = JobTracer("keeper", Hanging())
    story.step(("Posted", 1), ("Matched", 2))
    begun = time.monotonic()
    story.tracer.close()
    assert time.monotonic() - begun < 10
