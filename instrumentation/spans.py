"""OpenTelemetry spans into the journal, where the SDK can be imported and the program set no provider of its own."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from instrumentation import attributes as names
from instrumentation import events
from instrumentation.child._pipeline_alerts_child.context import parse_traceparent
from instrumentation.child._pipeline_alerts_child.names import ENV_TRACEPARENT
from instrumentation.running import journal as open_journal

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["install"]

_OTLP_KIND_OFFSET: Final = 1  # the SDK numbers span kinds from 0, OTLP from 1
_STATUS_ERROR: Final = 2
_PREFECT: Final = "prefect"  # the scope of its own spans, and the beginning of their attributes


def install() -> bool:
    """Sets a tracer provider whose spans are journal lines; says whether it did. An existing provider is left alone."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return False

    run_trace, run_span = parse_traceparent(os.environ.get(ENV_TRACEPARENT, ""))

    class InTheRun(RandomIdGenerator):
        """A span without a parent is part of the run, not the beginning of another trace."""

        def generate_trace_id(self) -> int:
            return int(run_trace, 16) if run_trace else super().generate_trace_id()

    class JournalExporter(SpanExporter):
        """Appends each span as it ends: a write costs less than a queue, and survives a kill."""

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            journal = open_journal()
            if journal is not None:
                with contextlib.suppress(Exception):  # a span that cannot be told must not stop the program
                    for span in spans:
                        journal.owns(None)
                        journal.append(line_of(span, journal.next_number(), run_span))
            return SpanExportResult.SUCCESS

        def shutdown(self) -> None:
            pass

        def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the interface's
            return True

    provider = TracerProvider(
        shutdown_on_exit=False, id_generator=InTheRun()
    )  # nothing is buffered, so nothing waits at exit
    provider.add_span_processor(SimpleSpanProcessor(JournalExporter()))
    trace.set_tracer_provider(provider)
    return True


def line_of(span: ReadableSpan, number: int, around: str = "") -> str:
    """A finished SDK span as a line of the journal; ``around`` is the parent of one that has none."""
    context, parent = span.context, span.parent
    return events.span_line(
        number,
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        parent_id=f"{parent.span_id:016x}" if parent else around,
        name=span.name,
        kind=span.kind.value + _OTLP_KIND_OFFSET,
        start_ns=span.start_time or 0,
        end_ns=span.end_time or 0,
        is_error=span.status.status_code.value == _STATUS_ERROR,
        status_message=span.status.description or "",
        attributes=_with_stage(span),
        events=[(event.timestamp, event.name, dict(event.attributes or {})) for event in span.events],
    )


def _with_stage(span: ReadableSpan) -> dict[str, object]:
    """The span's attributes; of a flow or task of Prefect's also its name, where the span has only its run's name."""
    attributes: dict[str, object] = dict(span.attributes or {})
    if span.instrumentation_scope and span.instrumentation_scope.name == _PREFECT:
        kind, run = attributes.get("prefect.run.type"), attributes.get("prefect.run.id")
        with contextlib.suppress(Exception):  # another version than those we know
            name = _name_in_prefect(str(kind), str(run))
            attributes.setdefault(names.STAGE, name or span.name)
    return attributes


def _name_in_prefect(kind: str, run_id: str) -> str:
    """What the flow or task is called whose run ends now; empty if it is not the one that runs here."""
    context = sys.modules.get("prefect.context")
    if context is None:
        return ""
    running = (context.TaskRunContext if kind == "task" else context.FlowRunContext).get()
    run = getattr(running, f"{kind}_run", None)
    return str(getattr(running, kind).name) if run is not None and str(run.id) == run_id else ""
