"""What happens to a new problem when an address has too many already: it is told in the message of a storm."""

from __future__ import annotations

from dataclasses import replace

from alert_bridge.fingerprint import Said, of
from alert_bridge.incidents import Case, Event
from alert_bridge.incidents.storm import STORM, may_be_gathered, of_storm
from alert_bridge.intake.desk import Desk
from alert_bridge.model import Recipient

__all__ = ["told_one_by_one"]


def told_one_by_one(event: Event, case: Case | None, desk: Desk) -> Event | None:
    """The event for those who can still be told of its problem by itself; None if nobody can, and it has no incident.

    Everybody else hears of it in the storm of its pipeline, where it is counted for them. ``case``: its incident, if
    there is one; whoever was told of that goes on hearing of it.
    """
    if not event.recipients or not may_be_gathered(event) or desk.is_silenced(event, case):
        return event
    known = {talk.key for talk in case.talks} if case else set()
    crowded = tuple(one for one in event.recipients if _key(one) not in known and desk.crowd(*_key(one)).is_full)
    if not crowded:
        return event
    _gather(event, crowded, desk)
    kept = tuple(one for one in event.recipients if one not in crowded)
    if case is not None or kept:
        return replace(event, recipients=kept)
    desk.count_issue(event)
    return None


def _gather(event: Event, crowded: tuple[Recipient, ...], desk: Desk) -> None:
    record = event.record
    storm = of_storm(event, crowded, of(Said(scope=f"{record.pipeline}/{record.environment}", own=STORM)))
    case = desk.case_of(storm) or desk.open_case(storm)
    heard = {talk.key for talk in case.talks}
    case = desk.count(case, storm)
    for talk in case.talks:
        if talk.key not in heard:
            channel, address = talk.key
            desk.decide(case.incident.id, "route", f"{channel} to {address}: too many new problems to tell one by one")
    desk.told_in(case.incident.id, STORM, event)
    desk.decide(record.uid, "storm", f"told as one of many in incident {case.incident.id}: they came too fast")


def _key(recipient: Recipient) -> tuple[str, str]:
    return recipient.channel, recipient.address
