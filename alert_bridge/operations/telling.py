"""The bridge's own digests as incidents that are told and are none: over from the start, one message each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from alert_bridge.fingerprint import fingerprint
from alert_bridge.incidents import Event, absorb, open_case
from alert_bridge.model import AttributeValue, IncidentState, Recipient, Record, Severity
from alert_bridge.outbox import Rules, replan
from alert_bridge.store.control.cases import day_of
from alert_bridge.store.control.database import Book
from instrumentation import attributes as names

__all__ = ["digest_record", "tell_digest"]


def digest_record(
    kind: str,
    title: str,
    content: Mapping[str, AttributeValue],
    *,
    uid: str,
    resource: Mapping[str, AttributeValue],
    severity: Severity = Severity.INFO,
    now: int,
) -> Record:
    """The record that carries a digest; ``uid`` makes it the only one of its kind."""
    pipeline = str(resource.get(names.PIPELINE_NAME, ""))
    return Record(
        uid=uid,
        time=now,
        observed=now,
        severity=severity,
        severity_text=severity.name,
        body=title,
        event_name=names.EVENT_DIGEST,
        attributes={
            names.DIGEST: kind,
            names.DIGEST_CONTENT: content,
            names.FINGERPRINT: f"digest/{kind}/{pipeline}",
        },
        resource=resource,
        scope="alert_bridge",
    )


def tell_digest(
    book: Book,
    rules: Rules,
    record: Record,
    recipients: tuple[Recipient, ...],
    *,
    now: int,
    new_id: Callable[[], str],
) -> set[str]:
    """Promise the digest to its recipients, once for ever; returns the channels that carry it."""
    if not recipients or not book.new_uids([record.uid], now=now):
        return set()
    event = Event(record, record.severity, fingerprint(record), record.body, recipients)
    book.save_issue(event, events=1, days=[(day_of(now), 1)], span=(now, now))
    case = absorb(open_case(event, incident_id=new_id(), seen_before=0, now=now), event, now=now)
    over = replace(case.incident, state=IncidentState.RESOLVED, resolved_at=now)
    saved = book.save_case(replace(case, incident=over, closed_event=now))
    book.mark_digest(saved.incident.id)
    book.enter(Counter(recipient.channel for recipient in recipients))
    for talk in saved.talks:
        recipient = talk.recipient
        book.decide(now, saved.incident.id, "route", f"{recipient.channel} to {recipient.address}: {recipient.why}")
        replan(book, saved, talk, rules, now=now)
    return {talk.recipient.channel for talk in saved.talks}
