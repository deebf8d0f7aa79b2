"""Metric points: OTLP bytes → `MetricPoint`."""

from __future__ import annotations

import json
import math
from typing import Any

from alert_bridge.model import MetricPoint
from alert_bridge.otlp.limits import DEFAULT, Limits
from alert_bridge.otlp.requests import METRICS, Group, open_request
from alert_bridge.otlp.result import Decoded, Rejected, rejected
from alert_bridge.otlp.values import attributes_of, clean, number_text, time_of

__all__ = ["decode_metrics"]

NO_RECORDED_VALUE = 1  # a point's flag: the series ended, there is no value
_KINDS = {
    "gauge": "gauge",
    "sum": "sum",
    "histogram": "histogram",
    "exponential_histogram": "histogram",
    "summary": "summary",
}


def decode_metrics(
    body: bytes, *, content_type: str, content_encoding: str = "", limits: Limits = DEFAULT
) -> Decoded[MetricPoint]:
    """The points of one `ExportMetricsServiceRequest`, in protobuf or JSON, in their order.

    ``value`` is the number (NaN and infinities included: a loss that became NaN is news), or for histograms and
    summaries their JSON: `count`, `sum`, `min`, `max` and `bounds` with `counts`, or `quantiles`.

    Raises:
        Undecodable: not an OTLP metrics request, an unknown content type or encoding.
        TooLarge: over a limit of the request.
    """
    bad: list[Rejected] = []
    groups = open_request(
        METRICS, body, content_type=content_type, content_encoding=content_encoding, limits=limits, bad=bad
    )
    points: list[MetricPoint] = []
    surplus = 0
    for group in groups:
        for point in _points(group, limits, bad):
            if len(points) < limits.records:
                points.append(point)
            else:
                surplus += 1
    if surplus:
        bad.append(Rejected(f"beyond {limits.records:,} points in one request", count=surplus))
    return Decoded(tuple(points), tuple(bad))


def _points(group: Group, limits: Limits, bad: list[Rejected]) -> list[MetricPoint]:
    resource = attributes_of(group.resource.attributes, limits)
    points = []
    for metric in group.items:
        data = metric.WhichOneof("data")
        if data not in _KINDS or not metric.name:
            bad.append(rejected("a metric without a name or without data", metric.name, limits.excerpt_chars))
            continue
        name = clean(metric.name[: limits.name_chars], limits)
        unit = clean(metric.unit[: limits.name_chars], limits)
        points += [
            MetricPoint(
                name=name,
                unit=unit,
                kind=_KINDS[data],
                time=time_of(point.time_unix_nano),
                value=_value(data, point),
                attributes=attributes_of(point.attributes, limits),
                resource=resource,
            )
            for point in getattr(metric, data).data_points
            if not point.flags & NO_RECORDED_VALUE
        ]
    return points


def _value(data: str, point: Any) -> float | str:
    if data in {"gauge", "sum"}:
        return float(point.as_int) if point.WhichOneof("value") == "as_int" else point.as_double
    summed: dict[str, object] = {"count": point.count}
    for name in ("sum", "min", "max"):
        if name in point.DESCRIPTOR.fields_by_name and (data == "summary" or point.HasField(name)):
            summed[name] = _finite(getattr(point, name))
    match data:
        case "histogram":
            summed["bounds"] = [_finite(bound) for bound in point.explicit_bounds]
            summed["counts"] = list(point.bucket_counts)
        case "exponential_histogram":
            summed["scale"] = point.scale
            summed["zero_count"] = point.zero_count
            summed["positive"] = [point.positive.offset, list(point.positive.bucket_counts)]
            summed["negative"] = [point.negative.offset, list(point.negative.bucket_counts)]
        case _:
            summed["quantiles"] = [[_finite(at.quantile), _finite(at.value)] for at in point.quantile_values]
    return json.dumps(summed, separators=(",", ":"))


def _finite(number: float) -> float | str:
    return number if math.isfinite(number) else number_text(number)
