"""A journal's line becomes a finished entry: spans and metric points here, records in `records`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from instrumentation import attributes as names
from instrumentation.redaction import scrub_attributes, scrub_text, scrub_value
from instrumentation.sender.encoding import encode_metric, encode_span
from instrumentation.sender.entry import LOG, METRIC, SPAN, Entry
from instrumentation.sender.records import entry_of, in_our_form, take_apart
from instrumentation.sender.sources import Source

__all__ = ["translate"]


def translate(line: Mapping[str, Any], source: Source, *, with_log_line: bool = True) -> Entry:
    """The entry of a parsed line.

    Raises:
        KeyError, TypeError, ValueError: the line is not what a journal holds; the caller keeps it aside.
    """
    kind = line["k"]
    if kind == LOG:
        return entry_of(take_apart(in_our_form(line), source), source, with_log_line)
    if kind == SPAN:
        return _span(line, source)
    if kind == METRIC:
        return _metric(line, source)
    raise ValueError(f"a line of the unknown kind {kind!r}")


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
