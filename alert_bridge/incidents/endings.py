"""How a process, a stage or a run ended, as a record says it, and which other record already told the cause.

An uncaught exception, the death of its process as the supervisor saw it, and the failed end of its stage and run are
one problem: the first is told, the others are counted with it. A death by signal has its cause outside, so it is told
beside them; only where a run's program passes it on are the two one (`alert_bridge.incidents.passing`).
"""

from __future__ import annotations

import enum
from dataclasses import replace

from alert_bridge.incidents.absorb import absorb
from alert_bridge.incidents.case import Case, Event, Talk, TalkState
from alert_bridge.incidents.talk import resume, suppress
from alert_bridge.model import Record
from instrumentation import attributes as names

__all__ = [
    "Ending",
    "consequence",
    "ending_of",
    "explains",
    "fold",
    "no_longer_explains",
    "reclaimed",
    "unfold",
]


class Ending(enum.StrEnum):
    """What a record tells about an end, by how much it knows of the cause."""

    UNCAUGHT = "uncaught"  # the exception itself
    KILLED = "killed"  # the supervisor's word for a process that a signal ended: a problem of its own
    DIED = "died"  # its word for one that ended badly otherwise, or nobody knows how
    STAGE = "stage"  # a stage that failed
    RUN = "run"  # a run that failed
    SILENT = "silent"  # a run that may hang: a problem of its own, and the cause of what ends it
    STOPPED = "stopped"  # it took too long, and the supervisor ended it
    UNMET = "unmet"  # what a run should have made is not there


_PREFECT_LOGGERS = {"prefect.task_runs": Ending.STAGE, "prefect.flow_runs": Ending.RUN}
_RAISED_BY_TASKS = ('/prefect/task_engine.py"', '/prefect/states.py"')  # an exception that comes out of a task


def ending_of(record: Record) -> Ending | None:
    """Which end this record tells of; None for every other record."""
    match record.event_name:
        case names.EVENT_PROCESS_DIED if record.text(names.RUN_RESULT) == names.RESULT_TIMEOUT:
            return Ending.STOPPED
        case names.EVENT_PROCESS_DIED:
            by_signal = record.attributes.get(names.EXIT_SIGNAL) or record.attributes.get(names.OOM_KILLED)
            return Ending.KILLED if by_signal else Ending.DIED
        case names.EVENT_STAGE_END:
            return Ending.STAGE
        case names.EVENT_RUN_END:
            return Ending.RUN
        case names.EVENT_RUN_SILENT:
            return Ending.SILENT
        case names.EVENT_EXPECTATION_MISSED if record.run_id:
            return Ending.UNMET
        case _:
            of_prefect = _ending_of_prefect(record)
            return Ending.UNCAUGHT if record.attributes.get(names.UNCAUGHT) and of_prefect is None else of_prefect


def _ending_of_prefect(record: Record) -> Ending | None:
    """What Prefect says again of a failed task: by its state, by the flow, and by the exception that leaves the flow.

    Spans do not tell that these belong together: a process pool starts a new trace for each task.
    """
    if record.scope in _PREFECT_LOGGERS and record.body.startswith("Finished in state "):
        return _PREFECT_LOGGERS[record.scope]
    if record.scope == "prefect.flow_runs" or record.attributes.get(names.UNCAUGHT):
        trace = record.text(names.EXCEPTION_STACKTRACE).replace("\\", "/")
        return Ending.RUN if any(place in trace for place in _RAISED_BY_TASKS) else None
    return None


def fold(case: Case, root_id: str) -> Case:
    """The incident as a part of ``root_id``: what was not told yet is not told here any more."""
    return replace(
        case,
        incident=replace(case.incident, root_id=root_id),
        talks=tuple(suppress(talk) for talk in case.talks),
    )


def unfold(case: Case) -> Case:
    """The incident by itself again: one of its records cannot be part of what it was folded under."""
    talks = tuple(resume(talk) for talk in case.talks)
    return replace(case, incident=replace(case.incident, root_id=""), talks=talks)


def explains(case: Case, folded: Case) -> Case:
    """The incident, after another that had been told by itself was folded under it.

    What is part of an incident makes it as grave; but how grave an end is, is our word and not the program's.
    """
    incident, part = case.incident, folded.incident
    severity = incident.severity if ending_of(part.sample) else max(incident.severity, part.severity)
    return replace(case, incident=replace(incident, severity=severity), folded=case.folded + part.count)


def no_longer_explains(case: Case, events: int) -> Case:
    """The incident without so many records of another problem, which stands for itself from now on."""
    return replace(case, folded=case.folded - events)


def reclaimed(case: Case, events: int, *, since: int) -> Case:
    """The incident with so many records, the first at ``since``, that were told as part of another before."""
    incident = case.incident
    incident = replace(incident, count=incident.count + events, first_event=min(incident.first_event, since))
    return replace(case, incident=incident)


def consequence(case: Case, event: Event, *, now: int) -> Case:
    """Count a record as a consequence of the incident, not as the problem itself.

    Whoever hears of the incident anyway is not told again; whoever would have heard only of the consequence now hears
    of the cause.
    """
    known = {talk.key for talk in case.talks}
    joined = absorb(case, replace(event, silent_until=0), now=now)  # what is said of the cause decides, not of this
    talks = tuple(
        replace(talk, queued=talk.queued - 1, suppressed=talk.suppressed + 1)
        if talk.key in known and _matched(event, talk) and talk.state is TalkState.OPEN
        else talk
        for talk in joined.talks
    )
    # How grave an end is, is our word and not the program's: nobody is told a second time because of it.
    severity = case.incident.severity if ending_of(event.record) else max(case.incident.severity, event.severity)
    incident = replace(case.incident, severity=severity)
    return replace(case, incident=incident, talks=talks, folded=case.folded + 1, last_taken_at=joined.last_taken_at)


def _matched(event: Event, talk: Talk) -> bool:
    return any((recipient.channel, recipient.address) == talk.key for recipient in event.recipients)
