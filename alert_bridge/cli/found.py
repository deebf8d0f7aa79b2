"""From any identifier that a person has at hand to the error behind it: its run, its trace, its place in the log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from alert_bridge.cli.stores import Stores
from alert_bridge.errors import UsageError
from alert_bridge.model import Incident, Record, Severity, Span
from alert_bridge.store.interface import LogPage, RunSummary

__all__ = ["Found", "find"]

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_STATUS_ERROR = 2


@dataclass(frozen=True, slots=True)
class Found:
    """What an identifier stands for. ``error`` is the record to look at: the given one, else the first error."""

    run: RunSummary | None
    trace_id: str
    span_id: str  # where the error was logged, else the failing span that is deepest in the tree, else empty
    spans: tuple[Span, ...]
    error: Record | None
    log: LogPage
    incident: Incident | None = None


def find(stores: Stores, text: str, *, before: int, after: int) -> Found:
    """The error behind an incident's id, a trace id, a `traceparent`, a run's id or a record's uid.

    Raises:
        UsageError: the stores know nothing by this name.
    """
    text = text.strip()
    incident = stores.control.incident(text) if stores.control is not None else None
    if incident is not None:
        return _around(stores, incident.sample, incident=incident, before=before, after=after)
    traceparent = _TRACEPARENT.fullmatch(text.lower())
    trace_id, span_id = traceparent.groups() if traceparent else (text.lower(), "")
    record = stores.telemetry.record(text)
    if record is not None:
        return _around(stores, record, before=before, after=after)
    run = stores.telemetry.run(text) or stores.telemetry.run(trace_id)
    spans = tuple(stores.telemetry.trace_spans(trace_id))
    if run is None and not spans:
        raise UsageError(
            f"{text!r} is no incident, trace, run or record in {stores.state}: `pipeline-alerts runs` lists the runs"
        )
    return _of_run(stores, run, trace_id if spans else "", span_id, before=before, after=after)


def _around(stores: Stores, record: Record, *, before: int, after: int, incident: Incident | None = None) -> Found:
    run = stores.telemetry.run(record.run_id) if record.run_id else None
    log = stores.telemetry.run_log(record.run_id, around=record.uid, before=before, after=after)
    spans = stores.telemetry.trace_spans(record.trace_id) if record.trace_id else ()
    if not spans and run is not None:
        spans = stores.telemetry.run_spans(run.run_id)
    # The stored copy, if there is one, is the one that stands in the log.
    kept = next((line for line in log.records if line.uid == record.uid), record)
    return Found(run, record.trace_id, record.span_id, tuple(spans), kept, log, incident)


def _of_run(stores: Stores, run: RunSummary | None, trace_id: str, span_id: str, *, before: int, after: int) -> Found:
    telemetry = stores.telemetry
    run_id = run.run_id if run is not None else trace_id
    if trace_id:
        errors = [*telemetry.trace_log(trace_id, least=Severity.ERROR, limit=200).records]
        spans = telemetry.trace_spans(trace_id)
    else:
        errors = [*telemetry.run_log(run_id, least=Severity.ERROR, before=200).records]
        spans = telemetry.run_spans(run_id)
    in_span = [record for record in errors if record.span_id == span_id] if span_id else errors
    error = next(iter(in_span or errors), None)
    log = telemetry.run_log(run_id, around=error.uid if error else "", before=before, after=after)
    focus = span_id or (error.span_id if error else "") or _deepest_failure(spans)
    return Found(run, trace_id or (run.trace_id if run else ""), focus, tuple(spans), error, log)


def _deepest_failure(spans: Sequence[Span]) -> str:
    """The first failing span below which nothing failed: where it broke, rather than what it took down."""
    failed = [span for span in spans if span.status == _STATUS_ERROR]
    parents = {span.parent_id for span in failed}
    leaves = [span for span in failed if span.span_id not in parents]
    return leaves[0].span_id if leaves else ""
