"""The first page: what is open, then what was resolved lately, and how the channels stand."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from alert_bridge.model import Incident, IncidentState
from alert_bridge.store.interface import Delivery
from alert_bridge.web.channels import channel_rows
from alert_bridge.web.site import Site
from alert_bridge.web.wording import delivery_state

__all__ = ["Told", "incidents_changed", "open_incidents", "told"]

MAX_OPEN: Final = 200
MAX_LATELY: Final = 60  # incidents of any state among which the resolved ones are looked for
MAX_RESOLVED: Final = 20


@dataclass(frozen=True, slots=True)
class Told:
    """How one channel stands with the people of one incident: who, and the state in shape and word."""

    channel: str
    who: str
    shape: str
    word: str
    css: str


@dataclass(frozen=True, slots=True)
class Line:
    """One incident in the list."""

    incident: Incident
    told: tuple[Told, ...]
    folded: int  # incidents folded under this one


def told(deliveries: Sequence[Delivery], names: dict[str, str]) -> tuple[Told, ...]:
    """Deliveries in short: one entry per channel and state, audiences by name."""
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for delivery in deliveries:
        recipient = delivery.conversation.recipient
        people = groups.setdefault((recipient.channel, *delivery_state(delivery)), [])
        people.extend(names.get(key, key) for key in recipient.audiences or (recipient.address,))
    return tuple(
        Told(channel, ", ".join(dict.fromkeys(people)), shape, word, css)
        for (channel, shape, word, css), people in groups.items()
    )


def _lines(site: Site, incidents: Sequence[Incident], shown: Sequence[Incident]) -> list[Line]:
    folded: dict[str, int] = {}
    for incident in incidents:
        if incident.root_id:
            folded[incident.root_id] = folded.get(incident.root_id, 0) + 1
    names = dict(site.settings.audiences)
    return [
        Line(incident, told(site.control.deliveries(incident.id), names), folded.get(incident.id, 0))
        for incident in shown
    ]


def open_incidents(site: Site, request: Request) -> Response:
    """Open incidents, the gravest and latest first; a folded one is found in its root, while that is open."""
    still_open = site.control.incidents(open_only=True, limit=MAX_OPEN)
    lately = site.control.incidents(open_only=False, limit=MAX_LATELY)
    resolved = [incident for incident in lately if incident.state is IncidentState.RESOLVED][:MAX_RESOLVED]
    ids = {incident.id for incident in still_open}
    roots = sorted(
        (incident for incident in still_open if incident.root_id not in ids),
        key=lambda incident: (-incident.severity, -incident.last_event),
    )
    return site.page(
        request,
        "overview.html",
        open_lines=_lines(site, lately, roots),
        resolved_lines=_lines(site, lately, resolved),
        channels=channel_rows(site),
        version=_version(still_open),
        first_audience=next(iter(site.settings.audiences), "infrastructure"),
        ever=bool(lately),
    )


def _version(incidents: Sequence[Incident]) -> str:
    state = [(each.id, each.count, each.severity, each.state, each.acknowledged_by) for each in incidents]
    return hashlib.sha256(repr(state).encode()).hexdigest()[:16]


def incidents_changed(site: Site, _request: Request) -> Response:
    """What an open page asks every few seconds: whether the list is still the one it shows, and what is newest.

    Polling rather than a held stream: a stream would keep the bridge from stopping when it is told to.
    """
    still_open = site.control.incidents(open_only=True, limit=MAX_OPEN)
    newest = max(still_open, key=lambda incident: incident.opened_at, default=None)
    text = f"{len(still_open)} open" if still_open else "Nothing is open"
    if newest is not None:
        text += f"; newest: {newest.severity.name} {newest.title}"
    return JSONResponse({"version": _version(still_open), "text": text})
