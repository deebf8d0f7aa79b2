"""OpenTelemetry spans into the journal, where the SDK can be imported and the program set no provider of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from instrumentation import events
from instrumentation.running import journal as open_journal

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["install"]

_OTLP_KIND_OFFSET: Final = 1  # the SDK numbers span kinds from 0, OTLP from 1
_STATUS_ERROR: Final = 2


def install() -> bool:
    """Sets a tracer provider whose spans are journal lines; says whether it did. An existing provider is left alone."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return False

    class JournalExporter(SpanExporter):
        """Appends each span as it ends: a write costs less than a queue, and survives a kill."""

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            journal = open_journal()
            if journal is not None:
                with contextlib.suppress(Exception):  # a span that cannot be told must not stop the program
                    for span in spans:
                        journal.owns(None)
                        journal.append(line_of(span, journal.next_number()))
            return SpanExportResult.SUCCESS

        def shutdown(self) -> None:
            pass

        def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the interface's
            return True

    provider = TracerProvider(shutdown_on_exit=False)  # nothing is buffered, so nothing waits at exit
    provider.add_span_processor(SimpleSpanProcessor(JournalExporter()))
    trace.set_tracer_provider(provider)
    return True


def line_of(span: ReadableSpan, number: int) -> str:
    """A finished SDK span as a line of the journal."""
    context, parent = span.context, span.parent
    return events.span_line(
        number,
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        parent_id=f"{parent.span_id:016x}" if parent else "",
        name=span.name,
        kind=span.kind.value + _OTLP_KIND_OFFSET,
        start_ns=span.start_time or 0,
        end_ns=span.end_time or 0,
        is_error=span.status.status_code.value == _STATUS_ERROR,
        status_message=span.status.description or "",
        attributes=dict(span.attributes or {}),
        events=[(event.timestamp, event.name, dict(event.attributes or {})) for event in span.events],
    )
