"""A journal's line becomes a finished entry: formatted, redacted, encoded. Pure; one line in, one entry out.

The child writes the least it can (a template and plain arguments); everything that costs time happens here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from instrumentation import attributes as names
from instrumentation.redaction import scrub_attributes, scrub_text, scrub_value
from instrumentation.sender.encoding import encode_log, encode_metric, encode_resource, encode_span

__all__ = ["Entry", "Source", "severity_number", "translate"]

LOG: Final = "log"
SPAN: Final = "span"
METRIC: Final = "metric"
MAX_TEXT_CHARACTERS: Final = 262_144  # of one body or stack trace; the middle of a longer one is left out
MAX_STAGES_KNOWN: Final = 10_000  # of one process
ERROR_LEVELNO: Final = 40
_SEVERITY: Final = dict(names.SEVERITY_OF_LEVEL)
_LEVEL_TEXT: Final = {50: "CRITICAL", 40: "ERROR", 30: "WARNING", 20: "INFO", 10: "DEBUG"}


@dataclass(frozen=True, slots=True)
class Source:
    """The process that wrote a line: what its uids begin with, and its encoded resource."""

    token: str
    pid: int
    resource: bytes
    resource_attributes: Mapping[str, object]
    models: dict[str, str] = field(default_factory=dict)  # of its stages: by span id, and by name; "" of the only one

    @classmethod
    def of(cls, run_resource: Mapping[str, object], token: str, pid: int) -> Source:
        """The run's resource with what only this process has."""
        attributes = {**run_resource, names.SERVICE_INSTANCE_ID: token, names.PROCESS_PID: pid}
        return cls(token, pid, encode_resource(attributes), attributes)


@dataclass(frozen=True, slots=True)
class Entry:
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
    attributes: dict[str, object] = {names.RECORD_UID: f"{source.token}-{line['u']}"}
    body = _body(line, attributes)
    _place(line, source, attributes)
    if "e" in line:
        _failure(line["e"], attributes)
    if "d" in line:
        for name, value in scrub_attributes(line["d"]).items():
            attributes.setdefault(name, value)
    event_name = line.get("ev", "")
    _model(line, source, event_name, attributes)
    levelno = int(line["n"])
    moment = int(line["t"])
    scope = line.get("g", "")
    level = line.get("l") or _LEVEL_TEXT.get(levelno, str(levelno))
    return Entry(
        kind=LOG,
        time=moment,
        levelno=levelno,
        is_urgent=levelno >= ERROR_LEVELNO or bool(event_name),
        scope=scope,
        message=encode_log(
            time=moment,
            observed=time.time_ns(),
            severity=severity_number(levelno),
            severity_text=level,
            body=body,
            attributes=attributes,
            trace_id=line.get("tr", ""),
            span_id=line.get("sp", ""),
            event_name=event_name,
        ),
        body=body,
        event_name=event_name,
        attributes=attributes,
        trace_id=line.get("tr", ""),
        log_line=_log_line(moment, level, scope, body, line, source, attributes) if with_log_line else "",
    )


def _body(line: Mapping[str, Any], attributes: dict[str, object]) -> str:
    """The formatted message; a call whose arguments do not fit says so and keeps both."""
    template = line["m"]
    arguments = line.get("a")
    if not arguments:
        body = scrub_text(_shorten(template))
        attributes[names.TEMPLATE] = scrub_text(_shorten(line["mt"])) if "mt" in line else body
        return body
    attributes[names.TEMPLATE] = scrub_text(_shorten(template))
    try:
        return scrub_text(_shorten(template % tuple(arguments)))
    except (TypeError, ValueError, KeyError, OverflowError):
        shown = scrub_text(_shorten(json.dumps(arguments, ensure_ascii=False)))
        attributes[names.TEMPLATE_ARGS] = shown
        return f"{attributes[names.TEMPLATE]} [malformed logging call: its arguments do not fit: {shown}]"


def _place(line: Mapping[str, Any], source: Source, attributes: dict[str, object]) -> None:
    if "f" in line:
        attributes[names.CODE_FILE] = scrub_text(line["f"])
        attributes[names.CODE_FUNCTION] = line.get("o", "")
        attributes[names.CODE_LINE] = line.get("i", 0)
    if "h" in line:
        attributes[names.THREAD_NAME] = scrub_text(line["h"])
    if "st" in line:
        attributes[names.STAGE] = line["st"]
    if "p" in line and line["p"] != source.pid:
        attributes[names.PROCESS_PID] = line["p"]


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
    level: str,
    scope: str,
    body: str,
    line: Mapping[str, Any],
    source: Source,
    attributes: Mapping[str, object],
) -> str:
    seconds, rest = divmod(moment, 1_000_000_000)
    record: dict[str, object] = {
        "time": f"{_clock(seconds)}.{rest // 1000:06d}Z",
        "level": level,
        "logger": scope,
        "message": body,
        "pid": line.get("p", source.pid),
    }
    if "ev" in line:
        record["event"] = line["ev"]
    if "tr" in line:
        record["trace_id"], record["span_id"] = line["tr"], line.get("sp", "")
    record.update(item for item in attributes.items() if item != (names.TEMPLATE, body))
    return _encode_json(record)


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
