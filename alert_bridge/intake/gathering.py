"""What happens to a new problem when an address has too many already: it is told in the message of a storm."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from alert_bridge.fingerprint import Said, of
from alert_bridge.incidents import Case, Event
from alert_bridge.incidents.storm import STORM, as_kept, may_be_gathered, of_everywhere, of_storm
from alert_bridge.intake.desk import NOBODY, Desk
from alert_bridge.model import Fingerprint, Recipient

__all__ = ["told_one_by_one"]

STORMS_REMEMBERED = 256  # pipelines and environments at one time


def told_one_by_one(event: Event, case: Case | None, desk: Desk) -> Event | None:
    """The event for those who can still be told of its problem by itself; None if nobody can, and it has no incident.

    Everybody else hears of it in the storm of its pipeline, where it is counted for them. ``case``: its incident, if
    there is one; whoever was told of that goes on hearing of it.
    """
    if not may_be_gathered(event):
        return event
    if not event.recipients:
        # Nobody is told, but somebody looks at the list of incidents: it must not grow without an end either.
        if case is not None or not _is_crowded(NOBODY, event, desk):
            return event
        _gather(event, (), desk)
        return None
    known = {talk.key for talk in case.talks} if case else set()
    crowded = tuple(one for one in event.recipients if _key(one) not in known and _is_crowded(_key(one), event, desk))
    if not crowded:
        return event
    kept = tuple(one for one in event.recipients if one not in crowded)
    alone = case is not None or bool(kept)
    _gather(event, crowded, desk, has_incident=alone)
    return replace(event, recipients=kept) if alone else None


def _gather(event: Event, crowded: tuple[Recipient, ...], desk: Desk, *, has_incident: bool = False) -> None:
    record = event.record
    silent = desk.under_silence(event)
    storm = of_storm(silent, crowded, _storm_of(record.pipeline, record.environment))
    case = desk.case_of(storm)
    keys = [_key(one) for one in crowded] or [NOBODY]
    if case is None and any(desk.crowd(*key).is_overrun(event.severity) for key in keys):
        storm = of_everywhere(storm, _storm_of("", ""))
        case = desk.case_of(storm)
    case = case or desk.open_case(storm)
    heard = {talk.key for talk in case.talks}
    case = desk.count(case, storm)
    for talk in case.talks:
        if talk.key not in heard:
            channel, address = talk.key
            desk.decide(case.incident.id, "route", f"{channel} to {address}: too many new problems to tell one by one")
    kept = as_kept(event, desk.place_in_storm(case.incident.id, event))
    desk.told_in(case.incident.id, STORM, kept)
    if kept.title:
        desk.decide(record.uid, "storm", f"told as one of many in incident {case.incident.id}: they came too fast")
        if not has_incident:
            desk.count_issue(event)


@lru_cache(maxsize=STORMS_REMEMBERED)
def _storm_of(pipeline: str, environment: str) -> Fingerprint:
    return of(Said(scope=f"{pipeline}/{environment}", own=STORM))


def _is_crowded(key: tuple[str, str], event: Event, desk: Desk) -> bool:
    return desk.crowd(*key).is_full_for(event.severity, event.record.pipeline)


def _key(recipient: Recipient) -> tuple[str, str]:
    return recipient.channel, recipient.address
