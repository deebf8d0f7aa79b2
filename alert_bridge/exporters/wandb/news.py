"""What one batch brings, sorted by pipeline run. Pure: it changes copies, which count when W&B has taken them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from alert_bridge.exporters.base import Batch, Signal, Tally
from alert_bridge.exporters.wandb.rows import Measured, measured, stage_measured
from alert_bridge.exporters.wandb.runs import Run, fold_incident, fold_record
from alert_bridge.model import Incident, MetricPoint, Record, Severity, Span
from instrumentation import attributes as names

__all__ = ["News", "kept_of"]

RUNS_OF_INCIDENT = 5  # the newest
_NOT_COUNTED = frozenset({names.EVENT_RUN_HEARTBEAT, names.EVENT_DIGEST})


class News:
    """One batch.

    Args:
        batch: what came.
        runs: as they are known; never changed here.
        least: records and incidents below this severity are not counted.

    Attributes:
        runs: copies of those that the batch concerns.
        wanted: the keys of those whose W&B run has to be open, in the order of their coming.
        values: by run, what is to be written.
        incidents: by run, those that are new or changed.
        tallies: what became of each signal.
    """

    def __init__(self, batch: Batch, runs: Mapping[str, Run], least: Severity) -> None:
        self._known = runs
        self._least = least
        self._now = batch.now
        self.runs: dict[str, Run] = {}
        self.wanted: dict[str, None] = {}
        self.values: defaultdict[str, list[Measured]] = defaultdict(list)
        self.incidents: defaultdict[str, list[Incident]] = defaultdict(list)
        used = {
            Signal.LOGS: (len(batch.logs), sum(map(self._record, batch.logs))),
            Signal.SPANS: (len(batch.spans), sum(map(self._span, batch.spans))),
            Signal.POINTS: (len(batch.points), sum(map(self._point, batch.points))),
            Signal.INCIDENTS: (len(batch.incidents), sum(map(self._incident, batch.incidents))),
        }
        self.tallies = {signal: Tally(sent=sent, skipped=size - sent) for signal, (size, sent) in used.items()}

    def run(self, key: str) -> Run:
        """The run, to be changed."""
        run = self.runs.get(key)
        if run is None:
            known = self._known.get(key)
            run = self.runs[key] = known.copy() if known is not None else Run(key)
        return run

    def _heard(self, key: str, pipeline: str = "") -> Run:
        """The same, of which there is something new."""
        run = self.run(key)
        run.seen_at = self._now
        run.pipeline = run.pipeline or pipeline
        return run

    def _record(self, record: Record) -> bool:
        key = record.text(names.RUN_ID)
        is_counted = record.event_name not in _NOT_COUNTED
        if not key or not (is_counted or key in self._known):
            return False
        run = self._heard(key)
        if not is_counted or (record.severity < self._least and not record.event_name):
            return False
        if fold_record(run, record) or run.is_done:
            self.wanted[key] = None
        return True

    def _span(self, span: Span) -> bool:
        key = _run_of(span)
        value = stage_measured(span) if key else None
        if value is None:
            return False
        self._write(key, value, span)
        return True

    def _point(self, point: MetricPoint) -> bool:
        key = _run_of(point)
        if not key or _is_mirrored(point):
            return False
        self._write(key, measured(point), point)
        return True

    def _incident(self, incident: Incident) -> bool:
        if incident.severity < self._least:
            return False
        for key in incident.run_ids[-RUNS_OF_INCIDENT:]:
            is_known = key in self._known or key in self.runs
            if not is_known and key == incident.sample.text(names.RUN_ID):  # the fast lane knows of it before we do
                self._heard(key, incident.pipeline)
                is_known = True
            if is_known and fold_incident(self.run(key), incident):
                self.incidents[key].append(incident)
                self.wanted[key] = None
        return True

    def _write(self, key: str, value: Measured, source: Span | MetricPoint) -> None:
        self._heard(key, _pipeline_of(source))
        self.values[key].append(value)
        self.wanted[key] = None


def kept_of(spans: Iterable[Span], points: Iterable[MetricPoint]) -> Iterator[Measured]:
    """What W&B is to be given of what the store has."""
    for span in spans:
        value = stage_measured(span)
        if value is not None:
            yield value
    for point in points:
        if not _is_mirrored(point):
            yield measured(point)


def _run_of(item: Span | MetricPoint) -> str:
    return str(item.attributes.get(names.RUN_ID) or item.resource.get(names.RUN_ID) or "")


def _pipeline_of(item: Span | MetricPoint) -> str:
    return str(item.resource.get(names.PIPELINE_NAME) or item.resource.get(names.SERVICE_NAME) or "unknown")


def _is_mirrored(point: MetricPoint) -> bool:
    """Whether the program wrote it to a W&B run of its own."""
    return point.attributes.get(names.WANDB_MIRRORED) is True
