"""OpenTelemetry's histograms as bins with edges, which is what W&B draws. Pure."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

__all__ = ["BINS_MOST", "Bins", "bins_of"]

BINS_MOST = 512  # W&B draws no more


@dataclass(frozen=True, slots=True)
class Bins:
    """Counts, and one edge more than counts, ascending."""

    counts: tuple[int, ...]
    edges: tuple[float, ...]


def bins_of(histogram: Mapping[str, Any]) -> Bins | None:
    """The bins of a histogram point as the store keeps it (`otlp.decode_metrics`); None if it has no buckets.

    Buckets without an outer bound end at the smallest and the greatest value seen, where the point has them, else one
    bucket's width further out. They are left out when nothing is in them.
    """
    if "bounds" in histogram:
        return _explicit(histogram)
    if "scale" in histogram:
        return _exponential(histogram)
    return None


def _explicit(histogram: Mapping[str, Any]) -> Bins | None:
    counts = [int(count) for count in histogram.get("counts", ())]
    bounds = [float(bound) for bound in histogram["bounds"]]
    if len(counts) != len(bounds) + 1:
        return None
    least, most = _number(histogram.get("min")), _number(histogram.get("max"))
    if not bounds:
        if not counts[0]:
            return None
        middle = _number(histogram.get("sum"), 0.0) / counts[0]
        left, right = _number(least, middle - 0.5), _number(most, middle + 0.5)
        return Bins((counts[0],), (left, right if right > left else math.nextafter(left, math.inf)))
    first, last = bounds[0], bounds[-1]
    width_left = bounds[1] - first if len(bounds) > 1 else abs(first) or 1.0
    width_right = last - bounds[-2] if len(bounds) > 1 else abs(last) or 1.0
    left = least if least < first else first - width_left
    right = most if most > last else last + width_right
    return _bounded(counts, [left, *bounds, right])


def _exponential(histogram: Mapping[str, Any]) -> Bins | None:
    """Bucket i of an offset lies between base^(offset+i) and base^(offset+i+1), base = 2^(2^-scale) (OTLP metrics)."""
    scale = int(histogram["scale"])
    negative, positive = (_ladder(histogram.get(side), scale) for side in ("negative", "positive"))
    counts, edges = [], []
    if negative[0]:
        counts, edges = list(reversed(negative[0])), [-edge for edge in reversed(negative[1])]
    zeros = int(histogram.get("zero_count", 0))
    if negative[0] or positive[0]:
        inner = positive[1][0] if positive[0] else 0.0
        if not edges:
            edges = [0.0]
        if edges[-1] < inner:
            counts.append(zeros)
            edges.append(inner)
        elif zeros:
            counts[-1] += zeros
        counts += positive[0]
        edges += positive[1][1:]
    elif zeros:
        counts, edges = [zeros], [0.0, math.ulp(1.0)]
    return _bounded(counts, edges)


def _ladder(side: Sequence[Any] | None, scale: int) -> tuple[list[int], list[float]]:
    if not side or not any(side[1]):
        return [], []
    offset, counts = int(side[0]), [int(count) for count in side[1]]
    return counts, [_power((offset + index) * 2.0**-scale) for index in range(len(counts) + 1)]


def _power(exponent: float) -> float:
    try:
        return math.pow(2.0, exponent)
    except OverflowError:
        return sys.float_info.max


def _bounded(counts: list[int], edges: list[float]) -> Bins | None:
    """Empty outer bins cut off, neighbours joined until W&B can draw them, edges in ascending order."""
    while len(counts) > 1 and not counts[0]:
        counts, edges = counts[1:], edges[1:]
    while len(counts) > 1 and not counts[-1]:
        counts, edges = counts[:-1], edges[:-1]
    while len(counts) > BINS_MOST:
        if len(counts) % 2:
            counts, edges = [*counts, 0], [*edges, edges[-1] + (edges[-1] - edges[-2])]
        counts = [one + other for one, other in zip(counts[::2], counts[1::2], strict=True)]
        edges = edges[::2]
    if not counts or not all(math.isfinite(edge) for edge in edges) or any(a >= b for a, b in pairwise(edges)):
        return None
    return Bins(tuple(counts), tuple(edges))


def _number(value: object, default: float = math.nan) -> float:
    """The number, which JSON may hold as text (an infinity); the default where there is none."""
    number = float(value) if isinstance(value, int | float | str) else math.nan
    return default if math.isnan(number) else number
