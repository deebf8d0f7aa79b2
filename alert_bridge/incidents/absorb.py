"""Counting a record into its incident. The same records in any order and any batching give the same incident."""

from __future__ import annotations

from dataclasses import replace

from alert_bridge.incidents.case import Case, Event, Talk, TalkState
from alert_bridge.model import Duty, Incident, IncidentState, Recipient, Record
from instrumentation import attributes as names

__all__ = ["absorb", "open_case"]

MAX_RUNS_PER_INCIDENT = 200  # named in the incident; the store counts the rest
MAX_STAGES_PER_INCIDENT = 50
MAX_MODELS_PER_INCIDENT = 100


def open_case(event: Event, *, incident_id: str, seen_before: int, now: int) -> Case:
    """A new incident without its first record; `absorb` counts that."""
    record = event.record
    incident = Incident(
        id=incident_id,
        fingerprint=event.fingerprint.value,
        title=event.title,
        pipeline=record.pipeline,
        environment=record.environment,
        stage=record.stage,
        severity=event.severity,
        state=IncidentState.OPEN,
        opened_at=now,
        first_event=record.time,
        last_event=record.time,
        count=0,
        run_ids=(),
        sample=record,
        seen_before=seen_before,
    )
    return Case(incident, frozenset(), now)


def absorb(case: Case, event: Event, *, now: int) -> Case:
    """Count one record, which must not have been counted before.

    First seen is the earliest event even if it arrives late; the text is the latest event's; severity only grows; a
    recipient that nobody had in mind before joins with this record. A record of the run whose success ended the
    incident shows that it was not over: it is open again.
    """
    incident, record = case.incident, event.record
    latest = _order(record) >= _order(incident.sample)
    reopened = (
        incident.state is IncidentState.RESOLVED and case.closed_by_run != "" and record.run_id == case.closed_by_run
    )
    runs = incident.run_ids
    if record.run_id and record.run_id not in runs and len(runs) < MAX_RUNS_PER_INCIDENT:
        runs = tuple(sorted((*runs, record.run_id)))
    first = incident.count == 0
    absorbed = replace(
        incident,
        severity=max(incident.severity, event.severity),
        state=IncidentState.OPEN if reopened else incident.state,
        resolved_at=0 if reopened else incident.resolved_at,
        stage=record.stage if first else _earlier(incident, record),
        first_event=min(incident.first_event, record.time),
        last_event=max(incident.last_event, record.time),
        count=incident.count + 1,
        run_ids=runs,
        sample=record if latest else incident.sample,
        owner=(event.owner if latest or not incident.owner else incident.owner) or incident.owner,
        runbook=(event.runbook if latest or not incident.runbook else incident.runbook) or incident.runbook,
        effect=(event.effect if latest or not incident.effect else incident.effect) or incident.effect,
    )
    return replace(
        case,
        incident=absorbed,
        stages=_joined(case.stages, record.stage, MAX_STAGES_PER_INCIDENT),
        models=_joined(case.models, record.text(names.MODEL_NAME), MAX_MODELS_PER_INCIDENT) - {""},
        last_taken_at=max(case.last_taken_at, now),
        talks=_spread(case.talks, event, now),
        closed_event=0 if reopened else case.closed_event,
        closed_by_run="" if reopened else case.closed_by_run,
    )


def _joined(known: frozenset[str], name: str, most: int) -> frozenset[str]:
    return known if name in known or len(known) >= most else known | {name}


def _order(record: Record) -> tuple[int, str]:
    """Which text is the latest: by event time; equal times by identity, so that arrival does not matter."""
    return record.time, record.uid


def _earlier(incident: Incident, record: Record) -> str:
    """The stage of the earliest event; of several at one time the first by name, so that arrival does not matter."""
    if record.time == incident.first_event:
        return min(incident.stage, record.stage)
    return record.stage if record.time < incident.first_event else incident.stage


def _spread(talks: tuple[Talk, ...], event: Event, now: int) -> tuple[Talk, ...]:
    joined = {talk.key: talk for talk in talks}
    for recipient in event.recipients:
        key = recipient.channel, recipient.address
        talk = joined.get(key) or Talk(recipient, now, event.record.time)
        joined[key] = _count(talk, recipient, event.record.time, event.silent_until)
    return tuple(joined.values())


def _count(talk: Talk, recipient: Recipient, time: int, silent_until: int) -> Talk:
    known = talk.recipient
    silent = talk.state is TalkState.OPEN and silent_until > 0
    if recipient is not known and (recipient.audiences != known.audiences or recipient.duty is not known.duty):
        known = replace(
            known,
            audiences=tuple(sorted({*known.audiences, *recipient.audiences})),
            duty=Duty.ACT if Duty.ACT in (known.duty, recipient.duty) else Duty.INFORM,
        )
    return replace(
        talk,
        recipient=known,
        first_event=min(talk.first_event, time),
        matched=talk.matched + 1,
        queued=talk.queued + (talk.state is TalkState.OPEN and not silent),
        suppressed=talk.suppressed + (talk.state is TalkState.FOLDED or silent),
        silenced=talk.silenced + silent,
        silent_until=max(talk.silent_until, silent_until),
        dead=talk.dead + (talk.state is TalkState.DEAD),
    )
