"""What a message is composed from: a failed fetch of the monthly run, its incident, and the story for one audience."""

from __future__ import annotations

from alert_bridge.model import Audience, Duty, Incident, IncidentState, Reason, Record, Severity, Story
from instrumentation import attributes as names

NS = 10**9
T = 1_795_604_780 * NS  # 2026-11-25 11:06:20 UTC
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEBACK = """Traceback (most recent call last):
  File "/srv/models/secret_layout/fetch.py", line 42, in fetch
    raise ConnectionError("VPN is down")
requests.exceptions.ConnectionError: VPN is down
"""
FAILED = {
    names.EXCEPTION_TYPE: "requests.exceptions.ConnectionError",
    names.EXCEPTION_MESSAGE: "VPN is down",
    names.EXCEPTION_STACKTRACE: TRACEBACK,
    names.CODE_FILE: "/srv/models/secret_layout/fetch.py",
    names.CODE_LINE: 42,
    names.CODE_FUNCTION: "fetch",
}


def record(body="Error fetching data", *, severity=Severity.ERROR, event_name="", uid="tok-17", **attributes):
    known = {
        names.PIPELINE_NAME: "monthly_run",
        names.RUN_ID: "fatalities_003_559_a",
        names.STAGE: "fetch_data",
        names.DEPLOYMENT_ENVIRONMENT: "prod",
    }
    return Record(
        uid=uid,
        time=T,
        observed=T,
        severity=severity,
        severity_text="",
        body=body,
        event_name=event_name,
        attributes={**known, **attributes},
        scope="monthly_run.model",
        trace_id=TRACE,
        span_id=SPAN,
    )


def incident(sample, **changes):
    fields = {
        "id": "inc-1",
        "fingerprint": "f",
        "title": "ConnectionError: VPN is down",
        "pipeline": sample.pipeline,
        "environment": sample.environment,
        "stage": sample.stage,
        "severity": sample.severity,
        "state": IncidentState.OPEN,
        "opened_at": sample.time,
        "first_event": sample.time,
        "last_event": sample.time,
        "count": 1,
        "run_ids": (sample.run_id,),
        "sample": sample,
    }
    return Incident(**{**fields, **changes})


def story(sample=None, *, duty=Duty.ACT, reason=Reason.OPENED, now=None, about=None, **changes):
    sample = record(**FAILED) if sample is None else sample
    fields = {
        "incident": incident(sample, **(about or {})),
        "audience": Audience("mdd", "MD&D", duty),
        "reason": reason,
        "now": sample.time + NS if now is None else now,
        "public_url": "https://alerts.example.org",
        "count": 1,
        "notice_key": "inc-1-7",
    }
    return Story(**{**fields, **changes})


def everything(message):
    """All words of a message except its links."""
    parts = [message.headline, *message.facts, message.subject, message.late, message.note, message.log_title]
    parts += [text for pair in (*message.paragraphs, *message.closing) for text in pair]
    return "\n".join([*parts, *message.log_tail, message.stacktrace])
