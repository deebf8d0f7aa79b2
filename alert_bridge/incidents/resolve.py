"""When an incident is over: by the next success of its stage in a later run, or by time; never by silence alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

from alert_bridge.incidents.case import Case
from alert_bridge.incidents.flapping import FLAP_CALM_S
from alert_bridge.incidents.storm import STORM, STORM_OVER_AFTER_S, is_storm
from alert_bridge.model import IncidentState, Record
from instrumentation import attributes as names

__all__ = ["Success", "closes", "expire", "expires", "resolve", "success_of"]

NS = 1_000_000_000
CLOSED_BY_THE_WATCH = ("expectation", "late", STORM)  # a good end of a run does not make up for them
TEST_RESOLVES_AFTER_S = 600.0  # a test alert is over by itself, and nobody is told so
REFUSED_RESOLVES_AFTER_S = 7_200.0  # no wrong token for this long, reported at most hourly: the sender was mended
OWN_INTAKE_TROUBLE = "intake/"


@dataclass(frozen=True, slots=True)
class Success:
    """A stage (or, with an empty ``stage``, a whole run) that ended well."""

    pipeline: str
    environment: str
    run_id: str
    stage: str
    time: int


def success_of(record: Record) -> Success | None:
    """The success that a lifecycle event tells of, if it does."""
    if record.event_name == names.EVENT_STAGE_END and record.stage:
        result, stage = record.text(names.STAGE_RESULT), record.stage
    elif record.event_name == names.EVENT_RUN_END:
        result, stage = record.text(names.RUN_RESULT), ""
    else:
        return None
    if result != names.RESULT_SUCCESS or not record.run_id:
        return None
    return Success(record.pipeline, record.environment, record.run_id, stage, record.time)


def closes(success: Success, case: Case) -> bool:
    """Whether this success shows that the incident is over.

    It must come after the last event, from a run that the incident does not touch: a run that logs an error and still
    ends well has not shown anything. An incident of several stages, or of none, needs the success of a whole run.
    """
    incident = case.incident
    return (
        incident.state is IncidentState.OPEN
        and case.closed_event == 0
        and incident.sample.text(names.WATCHED) not in CLOSED_BY_THE_WATCH
        and success.pipeline == incident.pipeline
        and success.environment == incident.environment
        and success.time > incident.last_event
        and success.run_id not in incident.run_ids
        and (success.stage == "" or case.stages == {success.stage})
    )


def resolve(case: Case, success: Success, *, now: int) -> Case:
    """The incident, over; one that flaps is over only if it stays calm after this."""
    over = replace(case.incident, state=IncidentState.RESOLVED, resolved_at=now)
    return replace(
        case,
        incident=case.incident if case.incident.flaps else over,
        closed_event=success.time,
        closed_by_run=success.run_id,
    )


def expires(case: Case, *, resolve_after: float | None, now: int) -> bool:
    """Whether the policy's time-out, counted from the last record that we took, has passed."""
    if case.incident.state is not IncidentState.OPEN:
        return False
    limit = _limit(case, resolve_after)
    return limit is not None and now - case.last_taken_at >= int(limit * NS)


def _limit(case: Case, resolve_after: float | None) -> float | None:
    if is_storm(case.incident.sample):
        return STORM_OVER_AFTER_S
    if case.incident.flaps and case.closed_event:
        return FLAP_CALM_S
    said = case.incident.sample.attributes
    if said.get(names.TEST_ALERT):
        return TEST_RESOLVES_AFTER_S
    if str(said.get(names.OWN_TROUBLE, "")).startswith(OWN_INTAKE_TROUBLE):
        return REFUSED_RESOLVES_AFTER_S
    return resolve_after


def expire(case: Case, *, now: int) -> Case:
    """The incident, over by time. A test alert ends without a word; so do consequences of another incident."""
    quiet = bool(case.incident.sample.attributes.get(names.TEST_ALERT))
    talks = tuple(replace(talk, told_resolved=True) if quiet else talk for talk in case.talks)
    return replace(
        case,
        incident=replace(case.incident, state=IncidentState.RESOLVED, resolved_at=now),
        talks=talks,
        closed_event=max(now, case.incident.last_event),
        closed_by_run="",
    )
