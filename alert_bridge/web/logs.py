"""Logs: the whole log of a run, page by page or as a download, and a trace's log between its spans."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from alert_bridge.model import Record, Severity, Span
from alert_bridge.web.loglines import LogLine, log_lines
from alert_bridge.web.runs import found_run
from alert_bridge.web.site import NotFound, Site
from alert_bridge.web.waterfall import Row, Waterfall, waterfall
from alert_bridge.web.wording import first_line, iso

__all__ = ["download_log", "search", "show_log", "show_trace"]

LINES_BEFORE: Final = 500
LINES_AFTER: Final = 500
MAX_FOUND: Final = 100
MAX_TRACE_LINES: Final = 2000
MAX_TRACE_SPANS: Final = 2000
DOWNLOAD_CHUNK_BYTES: Final = 65_536
_TRACE_ID: Final = re.compile(r"(?:[0-9a-f]{2}-)?([0-9a-f]{32})(?:-[0-9a-f]{16}-[0-9a-f]{2})?", re.IGNORECASE)


def _least(request: Request) -> Severity:
    """The `least` of the address; anything that is no level means all of them."""
    return Severity.__members__.get(request.query_params.get("least", "").upper(), Severity.TRACE)


def show_log(site: Site, request: Request) -> Response:
    """A window of the run's log: `around=UID`, or `before=UID` and `after=UID` to page, else its end."""
    run = found_run(site, request)
    asked = request.query_params
    least = _least(request)
    if asked.get("before"):
        page = site.telemetry.run_log(
            run.run_id, around=asked["before"], least=least, before=LINES_BEFORE + LINES_AFTER, after=0
        )
    elif asked.get("after"):
        page = site.telemetry.run_log(
            run.run_id, around=asked["after"], least=least, before=0, after=LINES_BEFORE + LINES_AFTER
        )
    else:
        page = site.telemetry.run_log(
            run.run_id, around=asked.get("around", ""), least=least, before=LINES_BEFORE, after=LINES_AFTER
        )
    occurrences = {
        occurrence.record_uid
        for incident in site.control.incidents_of_run(run.run_id)
        for occurrence in site.control.occurrences(incident.id)
    }
    around = asked.get("around", "")
    lines = log_lines(page.records, focus=around, occurrences=occurrences)
    return site.page(
        request,
        "log.html",
        run=run,
        lines=lines,
        page=page,
        around=around,
        is_missing=bool(around) and not any(line.is_focus for line in lines),
        least=least,
        levels=[level for level in Severity if level is not Severity.TRACE],
        problems=[line for line in lines if line.css in ("critical", "error")],
    )


def _as_json(record: Record) -> str:
    return json.dumps(
        {
            "time": iso(record.time),
            "time_unix_nano": record.time,
            "severity": record.severity.name,
            "severity_number": int(record.severity),
            "body": record.body,
            "event_name": record.event_name,
            "trace_id": record.trace_id,
            "span_id": record.span_id,
            "scope": record.scope,
            "uid": record.uid,
            "attributes": dict(record.attributes),
            "resource": dict(record.resource),
        },
        default=lambda value: value.hex() if isinstance(value, bytes) else dict(value),
    )


def _chunks(records: Iterator[Record]) -> Iterator[bytes]:
    gathered = bytearray()
    for record in records:
        gathered += _as_json(record).encode() + b"\n"
        if len(gathered) >= DOWNLOAD_CHUNK_BYTES:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)


def download_log(site: Site, request: Request) -> Response:
    """All records of the run as stored, one JSON object a line, streamed."""
    run = found_run(site, request)
    records = site.telemetry.run_records(run.run_id, least=_least(request))
    first = next(records, None)  # a store that cannot be read is answered as such, not in the middle of a download
    everything = chain((first,), records) if first is not None else records
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", run.run_id)[:100].strip("._") or "run"
    return StreamingResponse(
        _chunks(everything),
        media_type="application/x-ndjson",
        headers={"Content-Disposition": f'attachment; filename="{name}.jsonl"'},
    )


def show_trace(site: Site, request: Request) -> Response:
    """A trace's spans as a waterfall, and below them spans and records in one list by time; `span=ID` is marked."""
    trace_id = request.path_params["trace_id"].lower()
    spans = site.telemetry.trace_spans(trace_id)
    log = site.telemetry.trace_log(trace_id, least=_least(request), limit=MAX_TRACE_LINES)
    if not spans and not log.records:
        raise NotFound(
            f"There is no trace “{first_line(trace_id, 80)}”",
            "Spans arrive when they end, and are kept as long as the retention says. A trace id has 32 hex digits.",
        )
    tree = waterfall(spans, focus=request.query_params.get("span", ""), limit=MAX_TRACE_SPANS)
    return site.page(
        request,
        "trace.html",
        trace_id=trace_id,
        run_id=next((record.run_id for record in log.records), ""),
        tree=tree,
        moments=_by_time(spans, tree, log.records),
        page=log,
    )


def _by_time(spans: Sequence[Span], tree: Waterfall, records: Sequence[Record]) -> list[tuple[str, Row | LogLine]]:
    """Spans as they begin, and records, in one list; a span comes with its time, a record's line has it."""
    rows = {row.span_id: row for row in tree.rows}
    moments: list[tuple[int, bool, Row | LogLine]] = [
        *((span.start, True, rows[span.span_id]) for span in spans if span.span_id in rows),
        *((record.time, False, line) for record, line in zip(records, log_lines(records), strict=True)),
    ]
    moments.sort(key=lambda moment: moment[0])
    return [(iso(at) if begins else "", entry) for at, begins, entry in moments]


def search(site: Site, request: Request) -> Response:
    """`q`: an incident's, run's or trace's id or a traceparent opens it; other words are looked for in the records."""
    words = request.query_params.get("q", "").strip()
    run_id = request.query_params.get("run", "")
    if words and not run_id:
        address = _address_of(site, words)
        if address:
            return RedirectResponse(address, 303)
    found = site.telemetry.search(words, run_id=run_id, limit=MAX_FOUND) if words else ()
    return site.page(
        request,
        "search.html",
        words=words,
        run_id=run_id,
        found=list(zip(found, log_lines(found), strict=True)),
        limit=MAX_FOUND,
    )


def _address_of(site: Site, words: str) -> str:
    if site.control.incident(words) is not None:
        return f"/incidents/{quote(words, safe='')}"
    trace = _TRACE_ID.fullmatch(words)
    if trace:
        return f"/traces/{trace[1].lower()}"
    return f"/runs/{quote(words, safe='')}" if site.telemetry.run(words) is not None else ""
