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


_ENDS = (Ending.KILLED, Ending.DIED, Ending.STAGE, Ending.RUN, Ending.STOPPED, Ending.UNMET)  # say that, not why
_CAUSES = (None, Ending.UNCAUGHT, Ending.KILLED, Ending.SILENT)
_EACH_BY_ITSELF = (Ending.UNCAUGHT, Ending.KILLED)  # every one is of a process, however many make one incident


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
            if desk.note_stage(item.record):
                _fold_what_is_explained(item.record.run_id, desk, tally)
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
    if case is not None and case.incident.root_id and not _may_be_part(event, ending, desk):
        desk.decide(case.incident.id, "fold", "told by itself again: it also shows where nothing else explains it")
        case = desk.unfold_case(case)
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
    news = ending in _CAUSES and desk.sight(case, event)
    _explain(item, case, desk, [talk for talk in case.talks if talk.key not in known])
    if is_new:
        tally["incidents"] += 1
        earlier = desk.book.success_after(case)
        if earlier is not None:
            case = desk.put(resolve(case, earlier, now=desk.now))
            desk.decide(case.incident.id, "resolve", f"run {earlier.run_id} succeeded after it, as was known before")
    if ending is not None:
        desk.note_ending(record, ending, case.incident.id)
    if record.run_id and (new_run or ending in _EACH_BY_ITSELF) and ending in _CAUSES:
        case = desk.reclaim(case, record.run_id)
        _gather_ends(record, ending, case.incident.root_id or case.incident.id, desk, tally)
    if news:
        _fold_what_is_explained(record.run_id, desk, tally, by=case.incident.root_id or case.incident.id)


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
    if not _can_be_folded(record, ending):
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
    cause = _count_under(cause, event, desk, tally, why)
    desk.told_in(cause.incident.id, found.rule, event)
    news = desk.sight(cause, event)
    if ending is not None:
        desk.note_ending(record, ending, cause.incident.id)
        _gather_ends(record, ending, cause.incident.id, desk, tally)
    if news:
        _fold_what_is_explained(record.run_id, desk, tally, by=cause.incident.id)
    return True


def _can_be_folded(record: Record, ending: Ending | None) -> bool:
    return bool(record.run_id) and ending in (None, Ending.UNCAUGHT) and not record.event_name


def _may_be_part(event: Event, ending: Ending | None, desk: Desk) -> bool:
    """Whether a record of a problem that is told as part of another belongs there, too."""
    record = event.record
    if not _can_be_folded(record, ending):
        return True
    trouble = trouble_of(record, event.fingerprint, event.severity)
    alone = desk.book.stood_alone_before(trouble.problem, record.run_id)
    return fold_under(trouble, desk.kinship(record.run_id).lineage, stood_alone_before=alone) is not None


def _count_under(cause: Case, event: Event, desk: Desk, tally: Tally, why: str) -> Case:
    """Count a record with its cause, for those who hear of the cause; nobody else hears of what follows from it."""
    heard = {talk.key for talk in cause.talks}
    kept = tuple(one for one in event.recipients if (one.channel, one.address) in heard)
    event = replace(event, recipients=kept)
    tally["folded"] += 1
    desk.count_issue(event)
    desk.match(event)
    desk.decide(event.record.uid, "fold", why)
    return desk.put(consequence(cause, event, now=desk.now))


def _gather_ends(record: Record, ending: Ending | None, root_id: str, desk: Desk, tally: Tally) -> None:
    """Fold what only said that something ended, now that it is known why."""
    for incident_id in desk.unexplained_ends(record, ending, root_id):
        _fold_under(root_id, incident_id, record.run_id, desk, tally, "says why it ended")


def _fold_what_is_explained(run_id: str, desk: Desk, tally: Tally, *, by: str = "") -> None:
    """Fold what was told by itself before its cause came, or before it was known how the run's stages hang together.

    ``by``: only what this incident may have caused; else whatever any of the run may have.
    """
    kin = desk.kinship(run_id)
    for incident_id, said in kin.latest_first():
        if incident_id == by:
            continue
        alone_with = kin.lineage_of(by)
        if by and not any(fold_under(one, alone_with, stood_alone_before=False) for one in said):
            continue
        alone = desk.book.stood_alone_before(said[0].problem, run_id)
        run = kin.lineage
        found = [fold_under(one, run, stood_alone_before=alone) for one in said]
        first = found[0]
        if first is not None and all(found):
            _fold_under(first.incident_id, incident_id, run_id, desk, tally, f"tells it: {first.why}")


def _fold_under(root_id: str, incident_id: str, run_id: str, desk: Desk, tally: Tally, why: str) -> None:
    """Fold an incident under another of its run, if it is about this run alone."""
    root, part = desk.case(root_id), desk.case(incident_id)
    if root is None or part is None or part.incident.run_ids != (run_id,):
        return
    tally["folded"] += 1
    desk.fold_case(part, root)
    desk.decide(incident_id, "fold", f"incident {root_id} {why}")


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
