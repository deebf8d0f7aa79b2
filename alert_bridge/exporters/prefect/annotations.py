"""Incidents on a run in Prefect, mirrored or its own: an event in its feed, an artifact with the summary."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from alert_bridge.errors import Permanent
from alert_bridge.exporters.prefect.api import Api, Rejected
from alert_bridge.exporters.prefect.mirror import Mirror
from alert_bridge.exporters.prefect.payloads import event_id, iso, related, stage_of, task_run_id
from alert_bridge.exporters.prefect.runs import Run, native_flow_run
from alert_bridge.exporters.prefect.texts import incident_markdown, slug, standing, summary_markdown
from alert_bridge.messages.cause import sentence
from alert_bridge.model import Incident, IncidentState, Severity

__all__ = ["Annotations", "summary_key"]

EVENT_PREFIX = "pipeline-alerts.incident."
NS = 1_000_000_000
LOOK_AFTER_S = 10.0  # a busy server takes seconds to record events
RESENDS_MOST = 2
EVENTS_AT_ONCE = 50  # as many as Prefect answers with

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in Prefect an incident is shown."""

    flow_run: str
    task_run: str


class Annotations:
    """Writes about incidents and runs. ``public_url``: where our pages are, without a trailing slash."""

    def __init__(self, api: Api, mirror: Mirror, public_url: str) -> None:
        self._api = api
        self._mirror = mirror
        self._public_url = public_url

    def tell_incident(self, run: Run, incident: Incident, *, now: int) -> None:
        """Bring Prefect up to date about one incident on one run. Consequences are told by their cause."""
        told, stands = run.incidents.get(incident.id, ""), standing(incident)
        if told == stands or (incident.root_id and not told):
            return
        place = _place(run, incident)
        events = [self._event(run, incident, kind, place) for kind in _news(told, incident)]
        if events:
            self._api.post("events", events)
            run.unseen |= {str(event["id"]): event for event in events}
            run.look_at, run.unseen_resent = now + int(LOOK_AFTER_S * NS), 0
        text = incident_markdown(incident, run.key, self._public_url)
        self._mirror.put_artifact(
            run, place.flow_run, f"alert-{slug(incident.id)}", "markdown", text, task_run=place.task_run
        )
        run.incidents[incident.id] = stands
        if incident.severity >= Severity.ERROR and not incident.root_id:
            run.troubles[incident.id] = f"{incident.severity.name}: {sentence(incident)}"
        else:
            run.troubles.pop(incident.id, None)

    def look(self, run: Run, *, now: int) -> None:
        """Read events back: Prefect confirms them seconds before they are on its disk, and a kill loses those."""
        if not run.unseen or now < run.look_at:
            return
        for event in self._recorded(list(run.unseen)):
            run.unseen.pop(event, None)
        if run.unseen and run.unseen_resent < RESENDS_MOST:
            log.info("%d events of run %s are not in Prefect yet; they are sent again", len(run.unseen), run.key)
            self._api.post("events", list(run.unseen.values()))
            run.look_at, run.unseen_resent = now + int(LOOK_AFTER_S * NS), run.unseen_resent + 1
        else:
            run.unseen.clear()  # the artifact and the state's message say the same

    def _recorded(self, ids: list[str]) -> list[str]:
        """Which of these events Prefect has; all, where it does not let us ask."""
        found: list[str] = []
        try:
            for start in range(0, len(ids), EVENTS_AT_ONCE):
                some = {"filter": {"id": {"id": ids[start : start + EVENTS_AT_ONCE]}}, "limit": EVENTS_AT_ONCE}
                found += [event["id"] for event in self._api.post("events/filter", some)["events"]]
        except (Permanent, Rejected) as error:
            log.info("Events cannot be read back from Prefect: %s", error)
            return ids
        return found

    def tell_run(self, run: Run) -> None:
        """What there is to say of the run as a whole: its summary, or for a Prefect flow where the rest is found."""
        flow_run = run.flow_runs[0] if run.is_native else run.flow_run
        text = summary_markdown(run, list(run.troubles.items()), self._public_url)
        self._mirror.put_artifact(run, flow_run, summary_key(run), "markdown", text)

    def _event(self, run: Run, incident: Incident, kind: str, place: _Place) -> dict[str, object]:
        about = {
            "prefect.resource.id": f"pipeline-alerts.incident.{incident.id}",
            "prefect.resource.name": sentence(incident)[:200],
            "severity": incident.severity.name,
            "pipeline": incident.pipeline,
            "stage": incident.stage,
        }
        at = {"opened": incident.first_event, "resolved": incident.resolved_at}.get(kind, incident.last_event)
        return {
            "id": event_id(run.key, incident.id, kind),
            "event": EVENT_PREFIX + kind,
            "occurred": iso(at),
            "resource": {name: value for name, value in about.items() if value},
            "related": related(place.flow_run, place.task_run, mirrored=not run.is_native),
            "payload": {
                "severity": incident.severity.name,
                "title": sentence(incident),
                "count": incident.count,
                "run": run.key,
                "incident_url": f"{self._public_url}/incidents/{incident.id}",
                "trace_id": incident.sample.trace_id,
            },
        }


def summary_key(run: Run) -> str:
    """The artifact that sums up runs of this pipeline: Prefect shows its versions one below the other."""
    return f"run-{slug(run.pipeline)}"


def _place(run: Run, incident: Incident) -> _Place:
    record = incident.sample
    if run.is_native:
        flow_run = native_flow_run(record)
        return _Place(flow_run if flow_run in run.flow_runs else run.flow_runs[0], record.text("task_run_id"))
    stage = stage_of(run, record) if record.run_id == run.key or record.trace_id == run.trace_id else None
    return _Place(run.flow_run, task_run_id(run, stage) if stage else "")


def _news(told: str, incident: Incident) -> list[str]:
    """Which events the change is worth: the beginning, each rise in severity, the end."""
    kinds = []
    if not told:
        kinds.append("opened")
    elif Severity[told.split(maxsplit=1)[0]] < incident.severity:
        kinds.append(f"escalated-to-{incident.severity.name.lower()}")
    if incident.state is IncidentState.RESOLVED and f" {IncidentState.RESOLVED.value} " not in told:
        kinds.append("resolved")
    return kinds
