"""Ids of spans that are chosen instead of drawn; needs the extra `telemetry`."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context


class ChosenIds(RandomIdGenerator):
    """Random ids, but for the span that is started inside `chosen`."""

    def __init__(self) -> None:
        """All are random for now."""
        self._chosen: tuple[int, int] | None = None

    @contextmanager
    def chosen(self, trace_id: int, span_id: int) -> Iterator[None]:
        """A span without a parent that is started in here gets these ids."""
        self._chosen = (trace_id, span_id)
        try:
            yield
        finally:
            self._chosen = None

    def generate_trace_id(self) -> int:
        """An id of 16 bytes."""
        return self._chosen[0] if self._chosen is not None else super().generate_trace_id()

    def generate_span_id(self) -> int:
        """An id of 8 bytes."""
        return self._chosen[1] if self._chosen is not None else super().generate_span_id()


def parent(trace_id: int, span_id: int) -> Context:
    """The context of a span that another process has, or will have, exported."""
    flags = TraceFlags(TraceFlags.SAMPLED)
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(context), Context())
