"""Records, lifecycle events and spans as telemetry.db takes them, from two runs' worth of one pipeline."""

from __future__ import annotations

from dataclasses import replace

from alert_bridge.model import Record, Severity, Span

START = 1_800_000_000_000_000_000
SECOND = 1_000_000_000
TRACE = "ab" * 16


def a_record(uid, *, at=0, run="run-1", trace=TRACE, severity=Severity.INFO, body="", resource=None, **attributes):
    who = {"service.name": "monthly_run", "service.instance.id": "i-1", "deployment.environment.name": "test"}
    if run:
        who["cicd.pipeline.run.id"] = run
    return Record(
        uid=uid,
        time=START + at,
        observed=START + at,
        severity=severity,
        severity_number=int(severity),
        severity_text=severity.name,
        body=body or f"line {uid}",
        attributes=attributes,
        resource=who | (resource or {}),
        scope="models.lavender",
        trace_id=trace,
        span_id="cd" * 8,
    )


def an_event(name, uid, *, at=0, run="run-1", **attributes):
    return replace(a_record(uid, at=at, run=run, **attributes), event_name=name)


def a_span(span_id, *, at=0, end=None, parent="", run="run-1", trace=TRACE, status=0):
    return Span(
        trace_id=trace,
        span_id=span_id,
        parent_id=parent,
        name=f"stage {span_id[:2]}",
        kind=1,
        start=START + at,
        end=START + (at + SECOND if end is None else end),
        status=status,
        attributes={"rows": 3},
        resource={"service.name": "monthly_run", **({"cicd.pipeline.run.id": run} if run else {})},
        events=({"name": "exception", "time": START, "attributes": {"exception.type": "KeyError"}},),
    )


def uids(records):
    return [record.uid for record in records]
