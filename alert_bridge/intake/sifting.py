"""What one record is to the bridge: the event of an incident, a fact about a run, or nothing it must remember. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

from alert_bridge.fingerprint import fingerprint
from alert_bridge.incidents import Event
from alert_bridge.messages.cause import title_of
from alert_bridge.model import AttributeValue, Record, Severity
from alert_bridge.policy.model import Policy
from alert_bridge.routing import Judgement, judge, recipients
from instrumentation import attributes as names
from instrumentation.redaction import scrub_attributes, scrub_text

__all__ = ["Sifted", "sift"]

TITLE_CHARACTERS = 160
# What a Collector logs (its own code) when it could not report on itself. It comes by the way that it complains about,
# so once it is here it is over; that a Collector says nothing is noticed by its silence.
_MOOT_SCOPE, _MOOT_BODY = "go.opentelemetry.io/collector/service", "OpenTelemetry internal telemetry error"


@dataclass(frozen=True, slots=True)
class Sifted:
    """One record that matters, redacted.

    ``event``: what the policy made of it; ``tells``: whether it makes an incident, or is only counted with its issue.
    """

    record: Record
    lifecycle: bool
    event: Event | None
    tells: bool
    trail: tuple[str, ...]


def sift(record: Record, policy: Policy, now: int) -> Sifted | None:
    """Judge one record; None if it is neither an error, nor promoted to one, nor a lifecycle event.

    An incident is what the policy holds for an ERROR or worse, and whatever somebody is to be told of. An ERROR that a
    rule demoted or dropped is counted with its issue, and nothing more.
    """
    if record.scope == _MOOT_SCOPE and record.body == _MOOT_BODY:
        return None
    judgement = judge(record, policy)
    lifecycle = record.event_name.startswith(names.EVENT_PREFIX)
    told_to = recipients(judgement, record, policy, now)
    tells = not judgement.dropped and (judgement.severity >= Severity.ERROR or bool(told_to))
    if not (tells or lifecycle or record.severity >= Severity.ERROR):
        return None
    clean = redacted(record)
    counted = tells or record.severity >= Severity.ERROR
    event = _event(clean, judgement) if counted else None
    if event is not None and tells:
        event = replace(event, recipients=told_to)
    return Sifted(clean, lifecycle, event, tells, _trail(judgement))


def redacted(record: Record) -> Record:
    """The record without secrets and home folders. Before anything of it is kept, whoever should have done it."""
    return replace(
        record,
        body=scrub_text(record.body),
        attributes=cast("dict[str, AttributeValue]", _tuples(scrub_attributes(record.attributes))),
        resource=cast("dict[str, AttributeValue]", _tuples(scrub_attributes(record.resource))),
    )


def _event(record: Record, judgement: Judgement) -> Event:
    subject = record
    if judgement.fingerprint:
        subject = replace(record, attributes={**record.attributes, names.FINGERPRINT: judgement.fingerprint})
    return Event(
        record=record,
        severity=judgement.severity,
        fingerprint=fingerprint(subject),
        title=title_of(record)[:TITLE_CHARACTERS],
        owner=judgement.owner,
        runbook=judgement.runbook,
        effect=judgement.effect,
    )


def _trail(judgement: Judgement) -> tuple[str, ...]:
    return tuple(f"line {line}: {what}" if line else f"the record {what}" for line, what in judgement.trail)


def _tuples(value: object) -> object:
    """Lists as the tuples that the model holds."""
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value
