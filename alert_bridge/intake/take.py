"""The one transaction of a request: every record once, into its incident, to its recipients, with the reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from alert_bridge.incidents import (
    Case,
    Ending,
    Event,
    Success,
    Talk,
    closes,
    consequence,
    ending_of,
    fold,
    resolve,
    success_of,
)
from alert_bridge.intake.desk import DECIDED_RECORDS_PER_INCIDENT, Desk
from alert_bridge.intake.sifting import Sifted
from alert_bridge.outbox.planning import Rules
from alert_bridge.store.control.database import Book

__all__ = ["Tally", "take"]


class Tally(Counter[str]):
    """What one transaction did, by name: taken, duplicates, incidents, demoted …"""


def take(
    book: Book, sifted: Sequence[Sifted], rules: Rules, *, now: int, new_id: Callable[[], str]
) -> tuple[Tally, set[str]]:
    """Count these records; returns the tally and the channels that have something new to say."""
    tally = Tally()
    fresh = book.new_uids([item.record.uid for item in sifted], now=now)
    desk = Desk(book, rules, now=now, new_id=new_id)
    for item in sorted(sifted, key=lambda item: item.record.time):
        if item.record.uid not in fresh:
            tally["duplicates"] += 1
            continue
        fresh.discard(item.record.uid)  # a second copy in the same request
        tally["taken"] += 1
        if item.lifecycle:
            book.note_lifecycle(item.record)
            success = success_of(item.record)
            if success is not None:
                _resolve_by(success, desk)
        if item.event is None:
            continue
        if item.tells:
            _tell(item, item.event, desk, tally)
        else:
            tally["demoted"] += 1
            desk.count_issue(item.event)
            desk.decide(item.record.uid, "rule", "; ".join((*item.trail, "counted with its issue, nobody is told")))
    desk.flush()
    return tally, desk.channels


def _tell(item: Sifted, event: Event, desk: Desk, tally: Tally) -> None:
    record, ending = event.record, ending_of(event.record)
    if ending in (Ending.DIED, Ending.STAGE, Ending.RUN):
        cause = desk.cause_of(record, ending)
        if cause is not None:
            tally["folded"] += 1
            desk.count_issue(event)
            desk.match(event)
            desk.put(consequence(cause, event, now=desk.now))
            desk.decide(record.uid, "fold", f"its cause is incident {cause.incident.id}, which is told")
            return
    case, is_new = desk.case_for(event)
    new_run = is_new or record.run_id not in case.incident.run_ids
    known = {talk.key for talk in case.talks}
    case = desk.count(case, event)
    _explain(item, case, desk, [talk for talk in case.talks if talk.key not in known])
    if is_new:
        tally["incidents"] += 1
        earlier = desk.book.success_after(case)
        if earlier is not None:
            case = desk.put(resolve(case, earlier, now=desk.now))
            desk.decide(case.incident.id, "resolve", f"run {earlier.run_id} succeeded after it, as was known before")
    if ending is not None:
        desk.note_ending(record, ending, case.incident.id)
    if record.run_id and (new_run or ending is Ending.UNCAUGHT) and ending in (None, Ending.UNCAUGHT):
        for incident_id in desk.unexplained_ends(record, ending, case.incident.id):
            _fold_under(case.incident.id, incident_id, record.run_id, desk, tally)


def _fold_under(root_id: str, incident_id: str, run_id: str, desk: Desk, tally: Tally) -> None:
    """Fold an incident that only said that something ended, if it is about this run alone."""
    root, end = desk.case(root_id), desk.case(incident_id)
    if root is None or end is None or end.incident.run_ids != (run_id,):
        return
    tally["folded"] += 1
    heard = {talk.key for talk in root.talks}
    joining = [talk for talk in end.talks if talk.key not in heard and talk.queued]
    desk.matched.update(talk.recipient.channel for talk in joining)
    moved = tuple(Talk(talk.recipient, desk.now, talk.first_event, matched=1, queued=1) for talk in joining)
    desk.put(replace(root, talks=root.talks + moved, folded=root.folded + end.incident.count))
    desk.put(fold(end, root_id))
    desk.decide(incident_id, "fold", f"incident {root_id} says why it ended")


def _resolve_by(success: Success, desk: Desk) -> None:
    desk.flush()
    for case in desk.book.open_cases(success.pipeline, success.environment):
        if closes(success, case):
            desk.put(resolve(case, success, now=desk.now))
            what = f"stage {success.stage}" if success.stage else "the run"
            desk.decide(case.incident.id, "resolve", f"{what} succeeded in run {success.run_id}")


def _explain(item: Sifted, case: Case, desk: Desk, joined: Sequence[Talk]) -> None:
    incident = case.incident
    for talk in joined:
        audiences = ", ".join(talk.recipient.audiences)
        desk.decide(
            incident.id,
            "route",
            f"{audiences} by {talk.recipient.channel} to {talk.recipient.address}: {talk.recipient.why}",
        )
    if incident.count == 1 and not case.talks:
        desk.decide(incident.id, "route", "no route of the policy leads to anybody: recorded, not told")
    if incident.count > DECIDED_RECORDS_PER_INCIDENT:
        return
    for text in item.trail:
        desk.decide(item.record.uid, "rule", text)
    desk.decide(item.record.uid, "incident", f"number {incident.count} of incident {incident.id}")
