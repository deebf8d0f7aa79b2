"""Decoded values without secrets and home folders, whoever should have taken them out before.

A resource is scrubbed once per request, because its records share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import cast

from alert_bridge.model import AttributeValue, MetricPoint, Record, Span
from instrumentation.redaction import scrub_attributes, scrub_text

__all__ = ["scrub_points", "scrub_records", "scrub_spans"]

_Attributes = Mapping[str, AttributeValue]


def scrub_records(records: Iterable[Record]) -> list[Record]:
    """Log records, redacted in body, attributes and resource. Identities stay what they were."""
    resource = _once_per_object()
    return [
        replace(
            record,
            body=scrub_text(record.body),
            attributes=_scrubbed(record.attributes),
            resource=resource(record.resource),
        )
        for record in records
    ]


def scrub_spans(spans: Iterable[Span]) -> list[Span]:
    """Spans, redacted in name, status, attributes, events and resource."""
    resource = _once_per_object()
    return [
        replace(
            span,
            name=scrub_text(span.name),
            status_message=scrub_text(span.status_message),
            attributes=_scrubbed(span.attributes),
            events=tuple(_scrubbed(event) for event in span.events),
            resource=resource(span.resource),
        )
        for span in spans
    ]


def scrub_points(points: Iterable[MetricPoint]) -> list[MetricPoint]:
    """Metric points, redacted in attributes and resource."""
    resource = _once_per_object()
    return [
        replace(point, attributes=_scrubbed(point.attributes), resource=resource(point.resource)) for point in points
    ]


def _scrubbed(attributes: _Attributes) -> _Attributes:
    return cast("_Attributes", scrub_attributes(attributes))


def _once_per_object() -> Callable[[_Attributes], _Attributes]:
    """Scrubs a resource the first time that it is seen; only while its records are held by the caller."""
    seen: dict[int, _Attributes] = {}

    def scrubbed(resource: _Attributes) -> _Attributes:
        key = id(resource)
        if key not in seen:
            seen[key] = _scrubbed(resource)
        return seen[key]

    return scrubbed
