"""A journal's line becomes a finished entry: formatted, redacted, encoded. Pure; one line in, one entry out.

The child writes the least it can (a template and plain arguments); everything that costs time happens here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from instrumentation import attributes as names
from instrumentation.redaction import scrub_attributes, scrub_new_text, scrub_text, scrub_value
from instrumentation.sender.encoding import (
    encode_log,
    encode_log_attributes,
    encode_metric,
    encode_resource,
    encode_severity,
    encode_span,
)

__all__ = ["Entry", "Source", "severity_number", "translate"]

LOG: Final = "log"
SPAN: Final = "span"
METRIC: Final = "metric"
MAX_TEXT_CHARACTERS: Final = 262_144  # of one body or stack trace; the middle of a longer one is left out
MAX_SITES_KNOWN: Final = 4096  # of one process
MAX_STAGES_KNOWN: Final = 10_000  # of one process
ERROR_LEVELNO: Final = 40
_SEVERITY: Final = dict(names.SEVERITY_OF_LEVEL)
_OF_A_SITE: Final = ("f", "o", "i", "h", "st", "n", "l", "g")
_LEVEL_TEXT: Final = {50: "CRITICAL", 40: "ERROR", 30: "WARNING", 20: "INFO", 10: "DEBUG"}


class Site(NamedTuple):
    """What all records of one call site share, made ready once: two thirds of a record."""

    attributes: Mapping[str, object]
    severity: bytes  # encoded
    encoded: bytes  # the attributes
    head: str  # of the line in the structured log: members of an object, with commas around
    json: str  # the attributes in it, with a comma before the first


@dataclass(frozen=True, slots=True)
class Source:
    """The process that wrote a line: what its uids begin with, and its encoded resource."""

    token: str
    pid: int
    resource: bytes
    resource_attributes: Mapping[str, object]
    sites: dict[tuple[object, ...], Site] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)  # of its stages: by span id, and by name; "" of the only one
    wandb_runs: list[str] = field(default_factory=list)  # the address of the W&B run that it opened last

    @classmethod
    def of(cls, run_resource: Mapping[str, object], token: str, pid: int) -> Source:
        """The run's resource with what only this process has."""
        attributes = {**run_resource, names.SERVICE_INSTANCE_ID: token, names.PROCESS_PID: pid}
        return cls(token, pid, encode_resource(attributes), attributes)


class Entry(NamedTuple):
    """One record, span or metric point, ready to go. ``log_line`` is what the structured log says of it."""

    kind: str
    time: int
    levelno: int
    is_urgent: bool
    scope: str
    message: bytes
    body: str
    event_name: str
    attributes: Mapping[str, object]
    trace_id: str = ""
    span_id: str = ""
    log_line: str = ""


def severity_number(levelno: int) -> int:
    """The OpenTelemetry severity number of a Python level, custom levels included."""
    floor = min(levelno // 10 * 10, 50)
    return _SEVERITY.get(floor, 1)


def translate(line: Mapping[str, Any], source: Source, *, with_log_line: bool = True) -> Entry:
    """The entry of a parsed line.

    Raises:
        KeyError, TypeError, ValueError: the line is not what a journal holds; the caller keeps it aside.
    """
    kind = line["k"]
    if kind == LOG:
        return _log(line, source, with_log_line=with_log_line)
    if kind == SPAN:
        return _span(line, source)
    if kind == METRIC:
        return _metric(line, source)
    raise ValueError(f"a line of the unknown kind {kind!r}")


def _log(line: Mapping[str, Any], source: Source, *, with_log_line: bool) -> Entry:
    site = _site_of(line, source)
    uid = f"{source.token}-{line['u']}"
    own: dict[str, object] = {}
    body = _body(line, own)
    if "p" in line and line["p"] != source.pid:
        own[names.PROCESS_PID] = line["p"]
    if "e" in line:
        _failure(line["e"], own)
    if "d" in line:
        for name, value in scrub_attributes(line["d"]).items():
            if name not in site.attributes:
                own.setdefault(name, value)
    event_name = line.get("ev", "")
    if event_name or source.models:
        _model(line, source, event_name, own)
    if names.WANDB_RUN_URL in own:
        source.wandb_runs[:] = [str(own[names.WANDB_RUN_URL])]
    elif source.wandb_runs:
        own[names.WANDB_RUN_URL] = source.wandb_runs[0]
    levelno = int(line["n"])
    moment = int(line["t"])
    scope = line.get("g", "")
    trace_id, span_id = line.get("tr", ""), line.get("sp", "")
    message = encode_log(
        time=moment,
        observed=time.time_ns(),
        severity=site.severity,
        body=body,
        uid=uid,
        attributes=own,
        fixed=site.encoded,
        trace_id=trace_id,
        span_id=span_id,
        event_name=event_name,
    )
    return Entry(
        LOG,
        moment,
        levelno,
        levelno >= ERROR_LEVELNO or bool(event_name),
        scope,
        message,
        body,
        event_name,
        {**site.attributes, **own} if own else site.attributes,
        trace_id,
        span_id,
        _log_line(moment, uid, body, line, source, site, own) if with_log_line else "",
    )


def _site_of(line: Mapping[str, Any], source: Source) -> Site:
    arguments = line.get("a")
    template = line["m"] if arguments else line.get("mt")
    key = (template, *map(line.get, _OF_A_SITE))
    known = source.sites.get(key)
    if known is not None:
        return known
    attributes: dict[str, object] = {}
    if template is not None:
        attributes[names.TEMPLATE] = scrub_text(_shorten(template))
    if "f" in line:
        attributes[names.CODE_FILE] = scrub_text(line["f"])
        attributes[names.CODE_FUNCTION] = line.get("o", "")
        attributes[names.CODE_LINE] = line.get("i", 0)
    if "h" in line:
        attributes[names.THREAD_NAME] = scrub_text(line["h"])
    if "st" in line:
        attributes[names.STAGE] = line["st"]
    levelno = int(line["n"])
    level = line.get("l") or _LEVEL_TEXT.get(levelno, str(levelno))
    shown = _encode_json(attributes)[1:-1]
    site = Site(
        attributes,
        encode_severity(severity_number(levelno), level),
        encode_log_attributes(attributes),
        f',"level":{_encode_json(level)},"logger":{_encode_json(line.get("g", ""))},"message":',
        f",{shown}" if shown else "",
    )
    if len(source.sites) >= MAX_SITES_KNOWN:
        source.sites.clear()
    source.sites[key] = site
    return site


def _body(line: Mapping[str, Any], attributes: dict[str, object]) -> str:
    """The formatted message; a call whose arguments do not fit says so and keeps both."""
    template = line["m"]
    arguments = line.get("a")
    if not arguments:
        body = scrub_text(_shorten(template))
        if "mt" not in line:
            attributes[names.TEMPLATE] = body
        return body
    try:
        return scrub_new_text(_shorten(template % tuple(arguments)))
    except (TypeError, ValueError, KeyError, OverflowError):
        shown = scrub_text(_shorten(json.dumps(arguments, ensure_ascii=False)))
        attributes[names.TEMPLATE_ARGS] = shown
        return f"{scrub_text(template)} [malformed logging call: its arguments do not fit: {shown}]"


def _model(line: Mapping[str, Any], source: Source, event_name: str, attributes: dict[str, object]) -> None:
    """Records in a stage of a model carry its name, and so does everything in a process that knows only one."""
    models = source.models
    given = attributes.get(names.MODEL_NAME)
    if event_name == names.EVENT_STAGE_START and isinstance(given, str):
        models[""] = given if models.get("", given) == given else ""
        models[line.get("st", "")] = given
        if len(models) < MAX_STAGES_KNOWN:
            models[line.get("sp", "")] = given
    elif models and given is None:
        model = models.get(line.get("sp", "-")) or models.get(line.get("st", "-")) or models.get("")
        if model:
            attributes[names.MODEL_NAME] = model


def _failure(failure: Mapping[str, str], attributes: dict[str, object]) -> None:
    attributes[names.EXCEPTION_TYPE] = failure.get("t", "")
    attributes[names.EXCEPTION_MESSAGE] = scrub_text(_shorten(failure.get("m", "")))
    if failure.get("s"):
        attributes[names.EXCEPTION_STACKTRACE] = scrub_text(_shorten(failure["s"]))


def _log_line(
    moment: int,
    uid: str,
    body: str,
    line: Mapping[str, Any],
    source: Source,
    site: Site,
    own: Mapping[str, object],
) -> str:
    seconds, rest = divmod(moment, 1_000_000_000)
    record: dict[str, object] = {}
    if "ev" in line:
        record["event"] = line["ev"]
    if "tr" in line:
        record["trace_id"], record["span_id"] = line["tr"], line.get("sp", "")
    if own:
        record.update(own)
        if record.get(names.TEMPLATE) == body:
            del record[names.TEMPLATE]
    more = f",{_encode_json(record)[1:-1]}" if record else ""
    return (
        f'{{"time":"{_clock(seconds)}.{rest // 1000:06d}Z"{site.head}{_quote(body)},"pid":{line.get("p", source.pid)}'
        f',"{names.RECORD_UID}":"{uid}"{more}{site.json}}}'
    )


_quote: Final = json.encoder.encode_basestring_ascii
_encode_json: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=str).encode
_last_second: list[tuple[int, str]] = [(0, "1970-01-01T00:00:00")]


def _clock(seconds: int) -> str:
    known, text = _last_second[0]
    if known != seconds:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        _last_second[0] = (seconds, text)
    return text


def _span(line: Mapping[str, Any], source: Source) -> Entry:
    attributes = scrub_attributes(line.get("d") or {})
    name = scrub_text(line["na"])
    return Entry(
        kind=SPAN,
        time=int(line["te"]),
        levelno=0,
        is_urgent=False,
        scope=line.get("g", "instrumentation"),
        message=encode_span(
            trace_id=line["tr"],
            span_id=line["sp"],
            parent_id=line.get("pa", ""),
            name=name,
            kind=int(line.get("ki", 1)),
            start=int(line["t"]),
            end=int(line["te"]),
            attributes={**attributes, names.RECORD_UID: f"{source.token}-{line['u']}"},
            events=[
                (int(when), scrub_text(event), scrub_attributes(of_event or {}))
                for when, event, of_event in line.get("ve") or ()
            ],
            status=int(line.get("sc", 0)),
            status_message=scrub_text(line.get("sm", "")),
        ),
        body=name,
        event_name="",
        attributes=attributes,
        trace_id=line["tr"],
    )


def _metric(line: Mapping[str, Any], source: Source) -> Entry:
    value = line["va"]
    if isinstance(value, str):  # NaN and the infinities have no JSON form
        value = float(value)
    attributes = dict(scrub_attributes(line.get("d") or {}))
    if "st" in line:
        attributes.setdefault(names.STAGE, line["st"])
    attributes[names.RECORD_UID] = f"{source.token}-{line['u']}"
    name = str(scrub_value(line["na"]))
    message = encode_metric(
        name=name, unit=line.get("un", ""), kind=line.get("mk", "gauge"), time=int(line["t"]), value=value,
        attributes=attributes,
    )  # fmt: skip
    return Entry(METRIC, int(line["t"]), 0, is_urgent=False, scope="instrumentation", message=message, body=name,
                 event_name="", attributes=attributes)  # fmt: skip


def _shorten(text: str) -> str:
    if len(text) <= MAX_TEXT_CHARACTERS:
        return text
    half = MAX_TEXT_CHARACTERS // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
