"""Values of the model as rows, and back."""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from alert_bridge.model import AttributeValue, MetricPoint, Record, Severity, Span
from alert_bridge.store.interface import RunSummary
from instrumentation import attributes as names

__all__ = [
    "LOG_COLUMNS",
    "NO_STEP",
    "POINT_COLUMNS",
    "RUN_COLUMNS",
    "SPAN_COLUMNS",
    "digest_of",
    "point_of",
    "record_of",
    "span_of",
    "split_value",
    "summary_of",
    "to_json",
]

NO_STEP = -1
RESOURCES_REMEMBERED = 512

LOG_COLUMNS = (
    "logs.id, logs.uid, logs.time, logs.observed, logs.severity, logs.severity_text, logs.body, logs.event_name, "
    "logs.scope, logs.trace_id, logs.span_id, logs.attributes, resources.attributes AS resource_attributes"
)
SPAN_COLUMNS = (
    "spans.id, spans.trace_id, spans.span_id, spans.parent_id, spans.name, spans.kind, spans.start_time, "
    "spans.end_time, spans.status, spans.status_message, spans.scope, spans.attributes, spans.events, "
    "resources.attributes AS resource_attributes"
)
POINT_COLUMNS = (
    "points.id, points.time, points.step, points.value, points.histogram, series.name, series.unit, series.kind, "
    "series.attributes, resources.attributes AS resource_attributes"
)
RUN_COLUMNS = (
    "run_id, pipeline, environment, trace_id, first_seen, started, restarted, ended, result, span_ended, span_result, "
    "worst, records"
)


def to_json(value: object) -> str:
    """Compact JSON with readable non-ASCII; bytes, which a decoder never gives, as text all the same."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_last_resort)


def digest_of(value: object) -> str:
    """A SHA-256 (hex) of a value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=_last_resort).encode()).hexdigest()


def record_of(row: sqlite3.Row) -> Record:
    return Record(
        uid=row["uid"],
        time=row["time"],
        observed=row["observed"],
        severity=Severity.of(row["severity"]),
        severity_number=row["severity"],
        severity_text=row["severity_text"],
        body=row["body"],
        event_name=row["event_name"],
        attributes=json.loads(row["attributes"]),
        resource=_resource(row["resource_attributes"]),
        scope=row["scope"],
        trace_id=row["trace_id"],
        span_id=row["span_id"],
    )


def span_of(row: sqlite3.Row) -> Span:
    return Span(
        trace_id=row["trace_id"],
        span_id=row["span_id"],
        parent_id=row["parent_id"],
        name=row["name"],
        kind=row["kind"],
        start=row["start_time"],
        end=row["end_time"],
        status=row["status"],
        status_message=row["status_message"],
        attributes=json.loads(row["attributes"]),
        resource=_resource(row["resource_attributes"]),
        events=tuple(json.loads(row["events"])),
        scope=row["scope"],
    )


def point_of(row: sqlite3.Row) -> MetricPoint:
    attributes = json.loads(row["attributes"])
    if row["step"] != NO_STEP:
        attributes[names.METRIC_STEP] = row["step"]
    value: float | str = row["histogram"] or (math.nan if row["value"] is None else row["value"])
    return MetricPoint(
        name=row["name"],
        unit=row["unit"],
        kind=row["kind"],
        time=row["time"],
        value=value,
        attributes=attributes,
        resource=_resource(row["resource_attributes"]),
    )


def split_value(value: float | str) -> tuple[float | None, str | None]:
    """The columns `value` and `histogram`. SQLite has no NaN: NULL stands for it."""
    return (None, value) if isinstance(value, str) else (None if math.isnan(value) else value, None)


def summary_of(row: sqlite3.Row) -> RunSummary:
    """The run as people see it: lifecycle events say when it began and ended, without them its root spans do."""
    by_events = row["started"] or row["ended"]
    ended, result = (row["ended"], row["result"]) if by_events else (row["span_ended"], row["span_result"])
    going_on = row["restarted"] > ended
    return RunSummary(
        run_id=row["run_id"],
        pipeline=row["pipeline"],
        environment=row["environment"],
        trace_id=row["trace_id"],
        started=row["started"] or row["first_seen"],
        ended=0 if going_on else ended,
        result="" if going_on else result,
        worst=Severity.of(row["worst"]),
        records=row["records"],
    )


@lru_cache(RESOURCES_REMEMBERED)
def _resource(text: str) -> Mapping[str, AttributeValue]:
    found: dict[str, AttributeValue] = json.loads(text)
    return found


def _last_resort(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
