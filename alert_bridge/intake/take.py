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
    resolve,
    success_of,
)
from alert_bridge.incidents.folding import fold_under, stands_alone, trouble_of
from alert_bridge.intake.desk import DECIDED_RECORDS_PER_INCIDENT, Desk
from alert_bridge.intake.gathering import told_one_by_one
from alert_bridge.intake.sifting import Sifted
from alert_bridge.model import Record
from alert_bridge.outbox.planning import Rules
from alert_bridge.store.control.database import Book
from instrumentation import attributes as names

__all__ = ["Tally", "take"]


_ENDS = (Ending.DIED, Ending.STAGE, Ending.RUN, Ending.STOPPED, Ending.UNMET)  # say that, not why
_CAUSES = (None, Ending.UNCAUGHT, Ending.SILENT)


class Tally(Counter[str]):
    """What one transaction did, by name: taken, duplicates, incidents, demoted …"""


def take(
    book: Book, sifted: Sequence[Sifted], rules: Rules, *, now: int, new_id: Callable[[], str]
) -> tuple[Tally, set[str]]:
    """Count these records; returns the tally and the channels that have something new to say."""
    tally = Tally()
    fresh = book.new_uids([item.record.uid for item in sifted], now=now)
    desk = Desk(book, rules, now=now, new_id=new_id)
    book.look_for_undone_merges()
    for item in sorted(sifted, key=lambda item: (item.record.time, item.record.uid)):
        if item.record.uid not in fresh:
            tally["duplicates"] += 1
            continue
        fresh.discard(item.record.uid)  # a second copy in the same request
        tally["taken"] += 1
        if item.lifecycle:
            book.note_lifecycle(item.record)
            desk.note_stage(item.record)
            success = success_of(item.record)
            if success is not None:
                _resolve_by(success, desk)
        if item.event is None:
            continue
        event = desk.merged(item.event)
        if item.tells:
            _tell(item, event, desk, tally)
        else:
            tally["demoted"] += 1
            desk.count_issue(event)
            desk.decide(item.record.uid, "rule", "; ".join((*item.trail, "counted with its issue, nobody is told")))
    desk.flush()
    return tally, desk.channels


def _tell(item: Sifted, event: Event, desk: Desk, tally: Tally) -> None:
    record, ending = event.record, ending_of(event.record)
    if ending is not None and _is_end_of_told(event, ending, desk, tally):
        return
    case = desk.case_of(event) or desk.flapping_case(event)
    if case is None and _is_folded(event, ending, desk, tally):
        return
    one_by_one = told_one_by_one(event, case, desk)
    if one_by_one is None:
        tally["gathered"] += 1
        return
    event = one_by_one
    is_new = case is None
    case = case or desk.open_case(event)
    new_run = is_new or record.run_id not in case.incident.run_ids
    known = {talk.key for talk in case.talks}
    case = desk.count(case, event)
    if ending in _CAUSES:
        desk.sight(case, event)
    _explain(item, case, desk, [talk for talk in case.talks if talk.key not in known])
    if is_new:
        tally["incidents"] += 1
        earlier = desk.book.success_after(case)
        if earlier is not None:
            case = desk.put(resolve(case, earlier, now=desk.now))
            desk.decide(case.incident.id, "resolve", f"run {earlier.run_id} succeeded after it, as was known before")
    if ending is not None:
        desk.note_ending(record, ending, case.incident.id)
    if record.run_id and (new_run or ending is Ending.UNCAUGHT) and ending in _CAUSES:
        _gather_ends(record, ending, case.incident.id, desk, tally)
        if is_new:
            _gather_echoes(record, case.incident.id, desk, tally)


def _is_end_of_told(event: Event, ending: Ending, desk: Desk, tally: Tally) -> bool:
    """Count an end with the incident that tells its cause."""
    cause = desk.cause_of(event.record, ending) if ending in _ENDS else None
    if cause is None or not cause.talks:
        return False
    _count_under(cause, event, desk, tally, f"its cause is incident {cause.incident.id}, which is told")
    desk.told_in(cause.incident.id, "unmet" if ending is Ending.UNMET else "end", event)
    if event.record.attributes.get(names.UNCAUGHT):  # then the death of its process is explained, too
        desk.note_ending(event.record, Ending.UNCAUGHT, cause.incident.id)
    return True


def _is_folded(event: Event, ending: Ending | None, desk: Desk, tally: Tally) -> bool:
    """Count an error that is only the echo or the consequence of another of its run with that one."""
    record = event.record
    if not record.run_id or ending not in (None, Ending.UNCAUGHT) or record.event_name:
        return False
    run = desk.kinship(record.run_id).lineage
    trouble = trouble_of(record, event.fingerprint, event.severity)
    alone = desk.book.stood_alone_before(trouble.problem, record.run_id)
    found = fold_under(trouble, run, stood_alone_before=alone)
    cause = desk.case(found.incident_id) if found else None
    if found is None or cause is None:
        if stands_alone(trouble, run):
            desk.book.note_loner(trouble.problem, record.run_id)
        return False
    why = f"{found.rule} of incident {cause.incident.id}, which is told: {found.why}"
    _count_under(cause, event, desk, tally, why)
    desk.told_in(cause.incident.id, found.rule, event)
    desk.sight(cause, event)
    if ending is not None:
        desk.note_ending(record, ending, cause.incident.id)
        _gather_ends(record, ending, cause.incident.id, desk, tally)
    return True


def _count_under(cause: Case, event: Event, desk: Desk, tally: Tally, why: str) -> None:
    """Count a record with its cause, for those who hear of the cause; nobody else hears of what follows from it."""
    heard = {talk.key for talk in cause.talks}
    kept = tuple(one for one in event.recipients if (one.channel, one.address) in heard)
    event = replace(event, recipients=kept)
    tally["folded"] += 1
    desk.count_issue(event)
    desk.match(event)
    desk.put(consequence(cause, event, now=desk.now))
    desk.decide(event.record.uid, "fold", why)


def _gather_ends(record: Record, ending: Ending | None, root_id: str, desk: Desk, tally: Tally) -> None:
    """Fold what only said that something ended, now that it is known why."""
    for incident_id in desk.unexplained_ends(record, ending, root_id):
        _fold_under(root_id, incident_id, record.run_id, desk, tally)


def _gather_echoes(record: Record, root_id: str, desk: Desk, tally: Tally) -> None:
    """Fold what came before its cause did: echoes and consequences in the same run."""
    kin = desk.kinship(record.run_id)
    root = kin.known(root_id)
    if root is None:
        return
    for incident_id, trouble in kin.firsts_but(root_id):
        if fold_under(trouble, kin.lineage_of(root), stood_alone_before=False) is None:
            continue
        alone = desk.book.stood_alone_before(trouble.problem, record.run_id)
        found = fold_under(trouble, kin.lineage, stood_alone_before=alone)
        if found is not None and found.incident_id == root_id and found.rule != "re-report":
            _fold_under(root_id, incident_id, record.run_id, desk, tally)


def _fold_under(root_id: str, incident_id: str, run_id: str, desk: Desk, tally: Tally) -> None:
    """Fold an incident that only said that something ended, if it is about this run alone."""
    root, end = desk.case(root_id), desk.case(incident_id)
    if root is None or end is None or end.incident.run_ids != (run_id,):
        return
    tally["folded"] += 1
    desk.put(replace(root, folded=root.folded + end.incident.count))
    desk.fold_case(end, root_id)
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
