"""Lines of our own records, spans and metric points, in the journal's format (`instrumentation.journal`). Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

__all__ = ["log_line", "metric_line", "span_line"]

_NAMES_OF_LEVELS: Final = {50: "CRITICAL", 40: "ERROR", 30: "WARNING", 20: "INFO", 10: "DEBUG"}
OWN_LOGGER: Final = "pipeline_alerts"
# Made once: `json.dumps` makes one for each call where it is asked for anything but its defaults.
_json: Final = json.JSONEncoder(separators=(",", ":")).encode
_json_of_any: Final = json.JSONEncoder(separators=(",", ":"), default=str).encode


def log_line(
    number: int,
    time_ns: int,
    *,
    level: int,
    template: str,
    arguments: Sequence[str | float] = (),
    event: str = "",
    logger: str = OWN_LOGGER,
    attributes: Mapping[str, object] | None = None,
    trace_id: str = "",
    span_id: str = "",
    stage: str = "",
    failure: tuple[str, str, str] | None = None,
) -> str:
    """A record. Its template names the kind of thing that happened, its arguments this one; both group it.

    ``failure`` is an exception's type, message and stack trace.
    """
    line: dict[str, object] = {
        "k": "log",
        "u": number,
        "t": time_ns,
        "n": level,
        "l": _NAMES_OF_LEVELS[level],
        "g": logger,
        "m": template,
    }
    if arguments:
        line["a"] = list(arguments)
    if trace_id:
        line["tr"], line["sp"] = trace_id, span_id
    if stage:
        line["st"] = stage
    if event:
        line["ev"] = event
    if failure:
        line["e"] = dict(zip("tms", failure, strict=True))
    if attributes:
        line["d"] = {name: value for name, value in attributes.items() if value not in (None, "")}
    return _json(line)


def span_line(
    number: int,
    *,
    trace_id: str,
    span_id: str,
    parent_id: str,
    name: str,
    kind: int,
    start_ns: int,
    end_ns: int,
    is_error: bool,
    status_message: str = "",
    attributes: Mapping[str, object] | None = None,
    events: Sequence[tuple[int, str, Mapping[str, object]]] = (),
) -> str:
    """A span. ``kind`` as OTLP numbers it: 1 internal, 2 server."""
    line: dict[str, object] = {
        "k": "span",
        "u": number,
        "tr": trace_id,
        "sp": span_id,
        "pa": parent_id,
        "na": name,
        "ki": kind,
        "t": start_ns,
        "te": end_ns,
        "sc": 2 if is_error else 0,
        "sm": status_message,
        "d": dict(attributes or {}),
    }
    if events:
        line["ve"] = events
    return _json_of_any(line)


def metric_line(
    number: int,
    time_ns: int,
    *,
    name: str,
    unit: str,
    value: float,
    kind: str = "gauge",
    attributes: Mapping[str, object] | None = None,
    stage: str = "",
) -> str:
    """A metric point. NaN and the infinities go as text, because JSON has no form for them."""
    number_value: float | str = value
    if isinstance(value, float) and not -float("inf") < value < float("inf"):
        number_value = str(value)
    line: dict[str, object] = {"k": "metric", "u": number, "t": time_ns, "na": name, "un": unit, "mk": kind}
    line |= {"va": number_value, "d": dict(attributes or {})}
    if stage:
        line["st"] = stage
    return _json(line)
