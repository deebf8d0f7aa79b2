"""Spans: OTLP bytes → `Span`."""

from __future__ import annotations

from typing import Any

from alert_bridge.model import AttributeValue, Span
from alert_bridge.otlp.limits import DEFAULT, Limits
from alert_bridge.otlp.logs import NO_SPAN, NO_TRACE
from alert_bridge.otlp.requests import TRACES, Group, open_request
from alert_bridge.otlp.result import Decoded, Rejected, rejected
from alert_bridge.otlp.values import attributes_of, clean, time_of
from instrumentation import attributes as names

__all__ = ["decode_spans"]


def decode_spans(
    body: bytes, *, content_type: str, content_encoding: str = "", limits: Limits = DEFAULT
) -> Decoded[Span]:
    """The spans of one `ExportTraceServiceRequest`, in protobuf or JSON, in their order.

    A span without a trace id or a span id is rejected: nothing could ever find it. Each event is a mapping with
    `name` (str), `time` (ns) and `attributes`.

    Raises:
        Undecodable: not an OTLP trace request, an unknown content type or encoding.
        TooLarge: over a limit of the request.
    """
    bad: list[Rejected] = []
    groups = open_request(
        TRACES, body, content_type=content_type, content_encoding=content_encoding, limits=limits, bad=bad
    )
    spans = [span for group in groups for span in _spans(group, limits, bad)]
    return Decoded(tuple(spans), tuple(bad))


def _spans(group: Group, limits: Limits, bad: list[Rejected]) -> list[Span]:
    resource = attributes_of(group.resource.attributes, limits)
    scope = clean(group.scope.name, limits)
    spans = []
    for item in group.items:
        if not _is_id(item.trace_id, NO_TRACE) or not _is_id(item.span_id, NO_SPAN):
            bad.append(rejected("a span without a valid trace id and span id", item.name, limits.excerpt_chars))
            continue
        fitting = limits if item.ByteSize() <= limits.record_bytes else limits.harder()
        start = time_of(item.start_time_unix_nano)
        spans.append(
            Span(
                trace_id=item.trace_id.hex(),
                span_id=item.span_id.hex(),
                parent_id=item.parent_span_id.hex() if _is_id(item.parent_span_id, NO_SPAN) else "",
                name=clean(item.name, fitting),
                kind=item.kind,
                start=start,
                end=max(time_of(item.end_time_unix_nano), start),
                status=item.status.code,
                status_message=clean(item.status.message, fitting),
                attributes=attributes_of(item.attributes, fitting),
                resource=resource,
                events=_events(item.events, fitting),
                scope=scope,
            )
        )
    return spans


def _events(events: Any, limits: Limits) -> tuple[dict[str, AttributeValue], ...]:
    """The earliest and the latest of too many: a failing span's exception is its last event."""
    surplus = len(events) - limits.span_events
    if surplus > 0:
        half = limits.span_events // 2
        events = [*events[:half], *events[-half:]]
    found: list[dict[str, AttributeValue]] = [
        {
            "name": clean(event.name, limits),
            "time": time_of(event.time_unix_nano),
            "attributes": attributes_of(event.attributes, limits),
        }
        for event in events
    ]
    if surplus > 0:
        found[half]["attributes"] = {names.DROPPED_EVENTS: surplus, **found[half]["attributes"]}  # type: ignore[dict-item]
    return tuple(found)


def _is_id(identifier: bytes, none: bytes) -> bool:
    return len(identifier) == len(none) and identifier != none
