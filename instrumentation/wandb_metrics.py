"""OpenTelemetry metrics on the user's own W&B run: a metric exporter. Optional, and nothing without an open run.

    from instrumentation.wandb_metrics import WandbMetricExporter
    MeterProvider(metric_readers=[PeriodicExportingMetricReader(WandbMetricExporter())])

or, without code, `OTEL_METRICS_EXPORTER=wandb` (beside others, separated by commas). W&B is looked at, never imported,
and no run is started or finished here. Keys and axes are those of the runs that the bridge writes.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from opentelemetry.sdk.metrics.export import (
    ExponentialHistogram,
    Histogram,
    HistogramDataPoint,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    Sum,
)

from instrumentation import attributes as names
from instrumentation import wandb

__all__ = ["WandbMetricExporter"]

KEY_CHARACTERS: Final = 200
_NS_PER_S: Final = 1e9
_TOTALS: Final = (Sum, Histogram, ExponentialHistogram)  # what an SDK repeats for ever
_NOT_IN_WORDS: Final = re.compile(r"[^A-Za-z0-9_-]+")
# What tells where and when, not which of several series it is.
_NOT_IN_KEYS: Final = frozenset({names.METRIC_STEP, names.STAGE, names.MODEL_NAME, names.STAGE_RESULT})


@dataclass(frozen=True, slots=True)
class _Row:
    """What was measured at one step, or in one look where nothing counts steps. Time in seconds since the epoch."""

    step: int | None
    time: float
    cells: dict[str, Any] = field(default_factory=dict)
    totals: dict[str, tuple[str, float]] = field(default_factory=dict)  # by key: the run, and how far it has got


class WandbMetricExporter(MetricExporter):
    """Writes each export as rows of the run that is open in this process. Never raises, never waits for a network.

    Points with the attribute `pipeline.metric.step` are rows on the axis `step`, all others one row on the axis
    `time_s`. Counters and histograms, which an SDK repeats for ever, are written when they changed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._written: dict[str, tuple[str, float]] = {}  # totals that W&B took
        wandb.watch_steps()

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> MetricExportResult:  # noqa: ARG002 - the interface's
        """Writes them; a failure is W&B's refusal. Without an open run there is nothing to do."""
        run = wandb.active_run()
        if run is None:
            return MetricExportResult.SUCCESS
        try:
            rows = self._rows(metrics_data, str(getattr(run, "id", "")))
            refused = [row for row in rows if not self._write(run, row)]
        except Exception:  # noqa: BLE001 - the SDK would log it, and a figure must not disturb the program
            return MetricExportResult.FAILURE
        return MetricExportResult.FAILURE if refused else MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - the interface's
        """Nothing is held back here."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """The run is its owner's to finish."""

    def _rows(self, data: MetricsData, run_id: str) -> Iterable[_Row]:
        rows: dict[int | None, _Row] = {}
        for resource in data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        said = dict(point.attributes or {})
                        key = key_of(metric.name, said)
                        totals = {}
                        if isinstance(metric.data, _TOTALS):
                            totals[key] = run_id, float(getattr(point, "count", getattr(point, "value", 0.0)))
                            if self._written.get(key) == totals[key]:
                                continue
                        step = _step(said.get(names.METRIC_STEP))
                        row = rows.setdefault(step, _Row(step, point.time_unix_nano / _NS_PER_S))
                        row.cells.update(_cells(key, point))
                        row.totals.update(totals)
        return rows.values()

    def _write(self, run: Any, row: _Row) -> bool:
        is_written = wandb.write(run, row.cells, row.step, row.time)
        if is_written:
            self._written |= row.totals
        return is_written


def key_of(name: str, said: Mapping[str, object]) -> str:
    """Model and stage first, because W&B makes a section of each; then the name and what else tells series apart."""
    model, stage = (_word(str(said.get(one) or "")) for one in (names.MODEL_NAME, names.STAGE))
    parts = [model, stage, "/".join(map(_word, name.split("/")))]
    if name == names.STAGE_DURATION:
        parts = ["stage", "_".join(filter(None, (model, stage))), "duration_s"]
    others = [_word(str(value)) for attribute, value in sorted(said.items()) if attribute not in _NOT_IN_KEYS]
    return "_".join(filter(None, ["/".join(filter(None, parts)), *others]))[:KEY_CHARACTERS] or "unnamed"


def _step(step: object) -> int | None:
    return int(step) if isinstance(step, (int, float)) and math.isfinite(step) else None


def _word(text: str) -> str:
    """Dots mean nesting to W&B, and a slash a section."""
    return _NOT_IN_WORDS.sub("_", text).strip("_")


def _cells(key: str, point: Any) -> dict[str, Any]:
    if isinstance(point, NumberDataPoint):
        return {key: point.value}
    cells: dict[str, Any] = {}
    for fact in ("count", "sum", "min", "max"):
        value = getattr(point, fact, None)
        if isinstance(value, (int, float)) and math.isfinite(value):  # without a least value, it is infinite
            cells[f"{key}_{fact}"] = value
    if isinstance(point, HistogramDataPoint) and point.count:
        cells[key] = _drawn(point)
    return cells


def _drawn(point: HistogramDataPoint) -> Any:
    """The buckets as W&B draws them; the outer ones end at the smallest and the greatest value seen."""
    counts, bounds = list(point.bucket_counts), list(point.explicit_bounds)
    edges = [min([point.min, *bounds[:1]]), *bounds, max([point.max, *bounds[-1:]])]
    while len(counts) > 1 and not counts[-1]:
        counts.pop()
        edges.pop()
    while len(counts) > 1 and not counts[0]:
        del counts[0], edges[0]
    if len(edges) == 2 and edges[0] == edges[1]:  # noqa: PLR2004 - one bucket, in which all values are the same
        edges[1] = math.nextafter(edges[0], math.inf)
    return sys.modules["wandb"].Histogram(np_histogram=(counts, edges))
