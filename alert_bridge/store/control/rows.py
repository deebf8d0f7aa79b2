"""Values of the engine as rows of control.db, and back. Nothing else knows the columns' forms."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from alert_bridge.incidents import Case, Talk, TalkState
from alert_bridge.model import (
    AttributeValue,
    Conversation,
    Duty,
    Incident,
    IncidentState,
    Recipient,
    Record,
    Severity,
)

__all__ = [
    "case_of",
    "conversation_of",
    "incident_of",
    "incident_values",
    "pairs",
    "record_from",
    "record_text",
    "talk_of",
    "talk_values",
    "text_list",
]

_BYTES = "$bytes"


def record_text(record: Record) -> str:
    """The record as JSON."""
    return json.dumps(
        {
            "uid": record.uid,
            "time": record.time,
            "observed": record.observed,
            "severity": int(record.severity),
            "severity_text": record.severity_text,
            "severity_number": record.severity_number,
            "body": record.body,
            "event_name": record.event_name,
            "attributes": {key: _plain(value) for key, value in record.attributes.items()},
            "resource": {key: _plain(value) for key, value in record.resource.items()},
            "scope": record.scope,
            "trace_id": record.trace_id,
            "span_id": record.span_id,
        },
        separators=(",", ":"),
    )


def record_from(text: str) -> Record:
    """The record that `record_text` wrote."""
    raw = json.loads(text)
    return Record(
        **{
            **raw,
            "severity": Severity(raw["severity"]),
            "attributes": {key: _value(value) for key, value in raw["attributes"].items()},
            "resource": {key: _value(value) for key, value in raw["resource"].items()},
        }
    )


def incident_values(case: Case) -> dict[str, Any]:
    """The columns of one row in `incidents`."""
    incident = case.incident
    return {
        "id": incident.id,
        "fingerprint": incident.fingerprint,
        "title": incident.title,
        "pipeline": incident.pipeline,
        "environment": incident.environment,
        "stage": incident.stage,
        "stages": json.dumps(sorted(case.stages)),
        "models": json.dumps(sorted(case.models)),
        "severity": int(incident.severity),
        "state": incident.state.value,
        "opened_at": incident.opened_at,
        "first_event": incident.first_event,
        "last_event": incident.last_event,
        "last_taken_at": case.last_taken_at,
        "count": incident.count,
        "folded": case.folded,
        "sample": record_text(incident.sample),
        "owner": incident.owner,
        "runbook": incident.runbook,
        "effect": incident.effect,
        "acknowledged_by": incident.acknowledged_by,
        "acknowledged_at": incident.acknowledged_at,
        "assigned_to": incident.assigned_to,
        "root_id": incident.root_id,
        "resolved_at": incident.resolved_at,
        "closed_event": case.closed_event,
        "closed_by_run": case.closed_by_run,
        "seen_before": incident.seen_before,
        "flaps": incident.flaps,
    }


def incident_of(row: sqlite3.Row, run_ids: tuple[str, ...]) -> Incident:
    """The incident of a row; its runs lie in a table of their own."""
    return Incident(
        id=row["id"],
        fingerprint=row["fingerprint"],
        title=row["title"],
        pipeline=row["pipeline"],
        environment=row["environment"],
        stage=row["stage"],
        severity=Severity(row["severity"]),
        state=IncidentState(row["state"]),
        opened_at=row["opened_at"],
        first_event=row["first_event"],
        last_event=row["last_event"],
        count=row["count"],
        run_ids=run_ids,
        sample=record_from(row["sample"]),
        owner=row["owner"],
        runbook=row["runbook"],
        effect=row["effect"],
        acknowledged_by=row["acknowledged_by"],
        acknowledged_at=row["acknowledged_at"],
        assigned_to=row["assigned_to"],
        root_id=row["root_id"],
        resolved_at=row["resolved_at"],
        seen_before=row["seen_before"],
        flaps=row["flaps"],
    )


def case_of(row: sqlite3.Row, run_ids: tuple[str, ...], talks: tuple[Talk, ...]) -> Case:
    """The incident with its conversations."""
    return Case(
        incident=incident_of(row, run_ids),
        stages=frozenset(json.loads(row["stages"])),
        last_taken_at=row["last_taken_at"],
        talks=talks,
        models=frozenset(json.loads(row["models"])),
        folded=row["folded"],
        closed_event=row["closed_event"],
        closed_by_run=row["closed_by_run"],
    )


def talk_values(incident_id: str, talk: Talk) -> dict[str, Any]:
    """The columns of one row in `conversations`, without its id."""
    return {
        "incident_id": incident_id,
        "channel": talk.recipient.channel,
        "address": talk.recipient.address,
        "audiences": json.dumps(talk.recipient.audiences),
        "duty": talk.recipient.duty.value,
        "why": talk.recipient.why,
        "state": talk.state.value,
        "opened_at": talk.opened_at,
        "first_event": talk.first_event,
        "matched": talk.matched,
        "told": talk.told,
        "queued": talk.queued,
        "suppressed": talk.suppressed,
        "dead": talk.dead,
        "reference": talk.reference,
        "first_told_at": talk.first_told_at,
        "last_told_at": talk.last_told_at,
        "last_post_at": talk.last_post_at,
        "posted": talk.posted,
        "told_severity": int(talk.told_severity),
        "told_resolved": int(talk.told_resolved),
        "reminders": talk.reminders,
        "stands_in_for": talk.stands_in_for,
        "silenced": talk.silenced,
        "silent_until": talk.silent_until,
        "retell_at": talk.retell_at,
        "quiet_until": talk.quiet_until,
        "told_folded": int(talk.told_folded),
    }


def recipient_of(row: sqlite3.Row) -> Recipient:
    """Whom a row of `conversations` speaks to."""
    return Recipient(row["channel"], row["address"], tuple(json.loads(row["audiences"])), Duty(row["duty"]), row["why"])


def talk_of(row: sqlite3.Row) -> Talk:
    """The conversation of a row, for the engine."""
    return Talk(
        recipient=recipient_of(row),
        opened_at=row["opened_at"],
        first_event=row["first_event"],
        id=row["id"],
        state=TalkState(row["state"]),
        matched=row["matched"],
        told=row["told"],
        queued=row["queued"],
        suppressed=row["suppressed"],
        dead=row["dead"],
        reference=row["reference"],
        first_told_at=row["first_told_at"],
        last_told_at=row["last_told_at"],
        last_post_at=row["last_post_at"],
        posted=row["posted"],
        told_severity=row["told_severity"],
        told_resolved=bool(row["told_resolved"]),
        reminders=row["reminders"],
        stands_in_for=row["stands_in_for"],
        silenced=row["silenced"],
        silent_until=row["silent_until"],
        retell_at=row["retell_at"],
        quiet_until=row["quiet_until"],
        told_folded=bool(row["told_folded"]),
    )


def conversation_of(row: sqlite3.Row) -> Conversation:
    """The conversation of a row, for people."""
    return Conversation(
        id=row["id"],
        incident_id=row["incident_id"],
        recipient=recipient_of(row),
        matched=row["matched"],
        told=row["told"],
        suppressed=row["suppressed"],
        dead=row["dead"],
        reference=row["reference"],
        first_told_at=row["first_told_at"],
        last_told_at=row["last_told_at"],
    )


def pairs(values: tuple[tuple[str, str], ...]) -> str:
    """Pairs of texts as JSON."""
    return json.dumps([list(pair) for pair in values])


def text_list(text: str) -> tuple[str, ...]:
    """A JSON list of texts."""
    return tuple(json.loads(text))


def _plain(value: AttributeValue) -> Any:
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _value(raw: Any) -> AttributeValue:
    if isinstance(raw, list):
        return tuple(_value(item) for item in raw)
    if isinstance(raw, dict):
        if raw.keys() == {_BYTES}:
            return base64.b64decode(raw[_BYTES])
        return {key: _value(item) for key, item in raw.items()}
    plain: AttributeValue = raw
    return plain
