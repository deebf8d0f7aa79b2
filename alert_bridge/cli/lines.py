"""Records, spans and runs as lines on a terminal, and as JSON. No log line can move the cursor or hide others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from alert_bridge.model import Record, Severity, Span
from alert_bridge.store.interface import RunSummary
from alert_bridge.web.waterfall import Row
from alert_bridge.web.wording import clock_time, day_and_time, duration, iso, number, visible
from instrumentation import attributes as names

__all__ = ["as_document", "log_lines", "run_line", "span_lines"]

BODY_LINES_MOST = 30
TRACE_LINES_MOST = 40
_COLOURS = {Severity.WARNING: "yellow", Severity.ERROR: "red", Severity.CRITICAL: "red"}


def log_lines(record: Record, *, is_error: bool = False) -> Iterator[str]:
    """One record: time, level, logger, first line; then the rest of it, with its stack trace if it is the error."""
    first, *more = visible(record.body).splitlines() or [""]
    mark = "▶" if is_error else " "
    level = click.style(f"{record.severity.name:8}", fg=_COLOURS.get(record.severity), bold=is_error)
    yield f"{mark} {clock_time(record.time)} {level} {visible(record.scope or record.stage)}  {first}"
    for line in _tail(more, BODY_LINES_MOST):
        yield f"      {line}"
    trace = record.text(names.EXCEPTION_STACKTRACE)
    if is_error and trace and trace.strip() not in record.body:
        for line in _tail(visible(trace).splitlines(), TRACE_LINES_MOST):
            yield f"      {line}"


def span_lines(rows: tuple[Row, ...]) -> Iterator[str]:
    """The span tree: names by depth, how long, what failed, and where the error was logged."""
    width = max((2 * row.indent + len(row.name) for row in rows), default=0)
    for row in rows:
        name = "  " * row.indent + visible(row.name)
        said = click.style(f"  failed {row.message}".rstrip(), fg="red") if row.failed else ""
        here = click.style("  ◀ the error", bold=True) if row.is_focus else ""
        lost = "  (its parent span is missing)" if row.is_orphan else ""
        process = click.style(f"  {visible(row.process)}", dim=True) if row.process else ""
        yield f"  {name:{width}}  {row.length:>10}{process}{said}{here}{lost}"


def run_line(run: RunSummary) -> str:
    """One run in one line."""
    length = f" after {duration(run.ended - run.started)}" if run.ended else ""
    state = (visible(run.result) or "ended") + length if run.ended else "not ended"
    where = f" · {visible(run.environment)}" if run.environment else ""
    return (
        f"{visible(run.run_id)}  {visible(run.pipeline)}{where} · {day_and_time(run.started)} · {state} · "
        f"{number(run.records)} record{'' if run.records == 1 else 's'}, worst {run.worst.name}"
    )


def as_document(value: Record | Span | RunSummary | None) -> dict[str, Any] | None:
    """A JSON-able copy; times are ISO 8601 in UTC, null where there is none yet."""
    match value:
        case None:
            return None
        case Record():
            return {
                "uid": value.uid,
                "time": iso(value.time),
                "severity": value.severity.name,
                "severity_text": value.severity_text,
                "logger": value.scope,
                "stage": value.stage,
                "body": value.body,
                "event_name": value.event_name,
                "run_id": value.run_id,
                "trace_id": value.trace_id,
                "span_id": value.span_id,
                "attributes": _plain(value.attributes),
                "resource": _plain(value.resource),
            }
        case Span():
            return {
                "trace_id": value.trace_id,
                "span_id": value.span_id,
                "parent_id": value.parent_id,
                "name": value.name,
                "start": iso(value.start),
                "end": iso(value.end),
                "status": ("unset", "ok", "error")[value.status] if 0 <= value.status <= 2 else "unset",  # noqa: PLR2004
                "status_message": value.status_message,
                "attributes": _plain(value.attributes),
                "events": [_plain(event) for event in value.events],
            }
        case RunSummary():
            return {
                "run_id": value.run_id,
                "pipeline": value.pipeline,
                "environment": value.environment,
                "trace_id": value.trace_id,
                "started": iso(value.started),
                "ended": iso(value.ended) if value.ended else None,
                "result": value.result or None,
                "worst": value.worst.name,
                "records": value.records,
            }


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return dict(attributes)


def _tail(lines: list[str], most: int) -> list[str]:
    """The last lines, and how many came before: a trace's cause is at its end."""
    if len(lines) <= most:
        return lines
    return [f"… {len(lines) - most} lines left out", *lines[-most:]]
