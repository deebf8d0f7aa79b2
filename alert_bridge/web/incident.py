"""The page behind the link in every message: what broke, where, the log at the failing line, who was told, and why."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from alert_bridge.incidents.storm import is_storm
from alert_bridge.model import Incident, Record, Severity, Span
from alert_bridge.silences import covering
from alert_bridge.store.interface import LogPage, Occurrence
from alert_bridge.web import stacktrace
from alert_bridge.web.bars import bars
from alert_bridge.web.loglines import log_lines, log_view
from alert_bridge.web.site import NotFound, Site
from alert_bridge.web.waterfall import stage_path, waterfall
from alert_bridge.web.wishes import HOURS
from alert_bridge.web.wording import TRACEBACK_START, bytes_in_words, duration, first_line, visible
from instrumentation import attributes as names

__all__ = ["incident_changed", "show_incident"]

LINES_BEFORE: Final = 500
LINES_AFTER: Final = 500
MAX_OCCURRENCES: Final = 50
DAYS: Final = 14
MAX_SPANS: Final = 80  # the log comes right after them; the run's page draws more
_PATH_BEGINS: Final = 2  # names of a long way that are shown: its first, and its last
_PATH_ENDS: Final = 6
_OPENING_RECORDS: Final = 20  # the manifest is among a run's first
_CLOSING_RECORDS: Final = 20  # the end is among its last
_FACT_CHARS: Final = 300
FOLD_WORDS: Final = {  # the rules of `alert_bridge.incidents.folding`, for a person
    "re-report": "the same cause, reported again further out",
    "raised": "raised right after the problem was logged",
    "echo": "says only that something beneath it failed",
    "consequence": "misses what a failed stage should have made",
    "end": "ended because of it",
    "unmet": "did not happen because of it",
    "later": "came before its cause was known",
}


@dataclass(frozen=True, slots=True)
class Focus:
    """The one record of the incident that the page looks at, and the steps to its neighbours."""

    uid: str
    time: int
    run_id: str
    trace_id: str
    span_id: str
    echoes: frozenset[str]  # spans of this run in which the incident was reported
    newer: str  # uid of the next newer occurrence, or empty
    older: str


def _focus(incident: Incident, occurrences: Sequence[Occurrence], wanted: str) -> Focus:
    """The wanted occurrence, else the latest record; occurrences come newest first."""
    ordered = sorted(occurrences, key=lambda each: each.time, reverse=True)
    at = next((index for index, each in enumerate(ordered) if each.record_uid == (wanted or incident.sample.uid)), -1)
    newer = ordered[at - 1].record_uid if at > 0 else ""
    older = ordered[at + 1].record_uid if 0 <= at < len(ordered) - 1 else ""
    here = ordered[at] if at >= 0 and wanted else None
    sample = incident.sample
    uid, time, run_id, trace_id = (
        (here.record_uid, here.time, here.run_id, here.trace_id)
        if here
        else (sample.uid, sample.time, sample.run_id, sample.trace_id)
    )
    echoes = frozenset(each.span_id for each in ordered if each.run_id == run_id and each.span_id)
    return Focus(uid, time, run_id, trace_id, here.span_id if here else sample.span_id, echoes, newer, older)


def _spans(site: Site, focus: Focus) -> Sequence[Span]:
    spans = site.telemetry.run_spans(focus.run_id) if focus.run_id else ()
    return spans or (site.telemetry.trace_spans(focus.trace_id) if focus.trace_id else ())


def _path(spans: Sequence[Span], span_id: str) -> list[str]:
    """The way to the span, by names; of a very long one the beginning and the end."""
    path = [visible(name) for name in stage_path(spans, span_id)]
    between = len(path) - _PATH_BEGINS - _PATH_ENDS
    if between > 1:
        path[_PATH_BEGINS:-_PATH_ENDS] = [f"… {between} between …"]
    return path


def _reason(record: Record, title: str) -> str:
    """What the record says beyond the title: its exception, else its own first line; empty if the title has it all."""
    kind, message = record.text(names.EXCEPTION_TYPE), first_line(record.text(names.EXCEPTION_MESSAGE))
    exception = ": ".join(part for part in (kind, message) if part)
    unqualified = ": ".join(part for part in (kind.rpartition(".")[2], message) if part)
    said = first_line(title)
    if exception and unqualified not in said and said not in exception:
        return visible(exception)
    body = first_line(record.body)
    return "" if body in said or said in body else visible(body)


def _trace(record: Record) -> str:
    """The record's stack trace: its own, or the text that is nothing else."""
    return record.text(names.EXCEPTION_STACKTRACE) or (record.body if record.body.startswith(TRACEBACK_START) else "")


def _in_words(occurrence: Occurrence, bodies: Mapping[str, str], title: str) -> Occurrence:
    """The occurrence with its whole text where the log has it: what is kept with it is only the beginning."""
    if occurrence.record_uid in bodies:
        return replace(occurrence, body=bodies[occurrence.record_uid])
    # The end of a traceback says what happened, and is not in its beginning.
    return replace(occurrence, body=title) if occurrence.body.startswith(TRACEBACK_START) else occurrence


def _run_facts(site: Site, focus: Focus, record: Record) -> list[tuple[str, str]]:
    """What this run was: when, how it ended, on which machine, from which code."""
    facts: list[tuple[str, str]] = []
    run = site.telemetry.run(focus.run_id) if focus.run_id else None
    if run is not None and run.ended:
        facts.append(("Lasted", duration(run.ended - run.started)))
    told: dict[str, str] = {}
    for each in (record, *_edges_of(site, focus.run_id)):
        for label, value in _record_facts(each):
            told.setdefault(label, value)
    return facts + list(told.items())


def _edges_of(site: Site, run_id: str) -> list[Record]:
    if not run_id:
        return []
    first = list(islice(site.telemetry.run_records(run_id, least=Severity.INFO), _OPENING_RECORDS))
    last = site.telemetry.run_log(run_id, least=Severity.INFO, before=_CLOSING_RECORDS, after=0).records
    events = (names.EVENT_RUN_MANIFEST, names.EVENT_RUN_START, names.EVENT_RUN_END, names.EVENT_PROCESS_DIED)
    return [record for record in (*first, *last) if record.event_name in events]


def _record_facts(record: Record) -> list[tuple[str, str]]:
    memory = record.text(names.PEAK_MEMORY)
    labelled = (
        ("Exit code", record.text(names.EXIT_CODE)),
        ("Ended by signal", record.text(names.EXIT_SIGNAL)),
        ("Peak memory", bytes_in_words(float(memory)) if memory.isdecimal() else memory),
        ("Host", record.text(names.HOST_NAME)),
        ("Code revision", record.text(names.VCS_REVISION)),
        ("Version", record.text(names.SERVICE_VERSION)),
        ("Command", record.text(names.COMMAND)),
    )
    return [(label, visible(value[:_FACT_CHARS])) for label, value in labelled if value]


def _found(site: Site, request: Request) -> Incident:
    incident_id = request.path_params["incident_id"]
    incident = site.control.incident(incident_id)
    if incident is None:
        raise NotFound(
            f"There is no incident “{first_line(incident_id, 80)}”",
            "It may be older than the retention of this bridge, or the link belongs to another bridge. "
            "The list of incidents shows what is known here.",
        )
    return incident


def show_incident(site: Site, request: Request) -> Response:
    """One incident. `?at=UID` looks at another of its occurrences."""
    incident = _found(site, request)
    if incident.sample.event_name == names.EVENT_DIGEST:  # a message about several; each has a page of its own
        run_id = incident.sample.run_id
        return RedirectResponse(f"/runs/{quote(run_id, safe='')}" if run_id else "/", 303)
    occurrences = site.control.occurrences(incident.id, limit=MAX_OCCURRENCES)
    focus = _focus(incident, occurrences, request.query_params.get("at", ""))
    uids = {each.record_uid for each in occurrences}
    log = (
        site.telemetry.run_log(focus.run_id, around=focus.uid, before=LINES_BEFORE, after=LINES_AFTER)
        if focus.run_id
        else LogPage((), more_before=False, more_after=False)
    )
    record = next((each for each in log.records if each.uid == focus.uid), incident.sample)
    spans = _spans(site, focus)
    lines = log_lines(log.records, focus=focus.uid, occurrences=uids)
    bodies = {each.uid: each.body for each in log.records if each.uid in uids}
    related = [each for each in site.control.incidents_of_run(focus.run_id) if each.id != incident.id]
    decisions = (*site.control.decisions(focus.uid), *site.control.decisions(incident.id))
    trail = sorted(dict.fromkeys(decisions), key=lambda decision: decision.at)
    # A storm is about none of its records: only who asks for one sees what that says.
    about = incident.sample if is_storm(incident.sample) and "at" not in request.query_params else record
    where = about.text(names.CODE_FILE), about.text(names.CODE_LINE), about.text(names.CODE_FUNCTION)
    return site.page(
        request,
        "incident.html",
        incident=incident,
        focus=focus,
        record=record,
        reason=_reason(about, incident.title),
        wandb_run=about.text(names.WANDB_RUN_URL),
        code_place=visible(":".join(part for part in where[:2] if part) + (f" in {where[2]}" if where[2] else "")),
        path_names=_path(spans, focus.span_id),
        tree=waterfall(spans, focus=focus.span_id, echoes=focus.echoes, moment=focus.time, limit=MAX_SPANS),
        log=log_view(lines),
        page=log,
        has_focus_line=any(line.is_focus for line in lines),
        sample_line=log_lines([record], focus=record.uid),
        trace_parts=stacktrace.parts(_trace(about)) if _trace(about) else (),
        occurrences=[_in_words(each, bodies, incident.title) for each in occurrences],
        bars=bars(site.control.days(incident.fingerprint, last=DAYS)),
        deliveries=site.control.deliveries(incident.id),
        trail=trail,
        facts=_run_facts(site, focus, record),
        merges=site.control.merges_of(incident.fingerprint, now=site.now),
        root=site.control.incident(incident.root_id) if incident.root_id else None,
        folded=site.control.folded(incident.id),
        is_storm=is_storm(incident.sample),
        fold_words=FOLD_WORDS,
        related=[each for each in related if each.root_id != incident.id and each.id != incident.root_id],
        version=_version(incident),
        can_act=site.wishes is not None,
        silence=covering(site.wishes.silences(ended_since=site.now), incident, site.now) if site.wishes else None,
        hours=HOURS,
    )


def _version(incident: Incident) -> str:
    state = (
        incident.count,
        incident.severity,
        incident.state,
        incident.acknowledged_by,
        incident.assigned_to,
        incident.root_id,
    )
    return hashlib.sha256(repr(state).encode()).hexdigest()[:16]


def incident_changed(site: Site, request: Request) -> Response:
    """Whether the incident is still as the open page shows it."""
    incident = _found(site, request)
    events = "event" if incident.count == 1 else "events"
    text = f"This incident has changed: {incident.count:,} {events} by now, {incident.state.value}"
    return JSONResponse({"version": _version(incident), "text": text})
