"""Metric points and stages as rows of W&B's history: keys, axes, values. Pure.

A row is what was measured at one time and one step. Its `time_s` and, where the program gave one, its `step` are
columns like any other: W&B's own `_step` only counts rows, and refuses to go back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from alert_bridge.exporters.wandb.histograms import Bins, bins_of
from alert_bridge.model import MetricPoint, Span
from instrumentation import attributes as names

__all__ = ["STEP", "TIME", "Cell", "Measured", "Row", "measured", "rows", "stage_measured"]

TIME, STEP = "time_s", "step"  # the axes: seconds since the epoch; what the program counts (epoch, month …)
NS_PER_S = 1e9
KEY_CHARACTERS = 200
Cell = float | Bins

_PLAIN_NAMES = {
    names.RUN_DURATION: "run/duration_s",
    names.PROCESS_PEAK_MEMORY: "process/peak_memory_bytes",
    names.PROCESS_CPU_TIME: "process/cpu_time_s",
}
_STAGE_KEY = "stage/{}/duration_s"
# What tells where and when, not which of several series it is.
_NOT_IN_KEYS = frozenset(
    {
        names.RECORD_UID, names.METRIC_STEP, names.RUN_ID, names.PIPELINE_NAME, names.STAGE, names.MODEL_NAME,
        names.STAGE_RESULT, names.WANDB_MIRRORED, names.WANDB_RUN_URL, names.PROCESS_PID,
    }
)  # fmt: skip
_NOT_IN_WORDS = re.compile(r"[^A-Za-z0-9_-]+")
_HISTOGRAM_FACTS = ("count", "sum", "min", "max")


@dataclass(frozen=True, slots=True)
class Measured:
    """What one point says: cells by key, when, and at which step if it has one. Time in ns."""

    key: str
    time: int
    step: int | None
    cells: Mapping[str, Cell]


@dataclass(slots=True)
class Row:
    """One row; times in ns."""

    time: int
    step: int | None
    cells: dict[str, Cell]

    @property
    def axis(self) -> str:
        return TIME if self.step is None else STEP


def measured(point: MetricPoint) -> Measured:
    """A point under its key. Every number of it is a cell: NaN and the infinities too."""
    key = _key(point.name, point.attributes)
    step = point.attributes.get(names.METRIC_STEP)
    cells: dict[str, Cell] = {}
    if isinstance(point.value, str):
        cells = _distribution(key, json.loads(point.value))
    else:
        cells[key] = point.value
    return Measured(key, point.time, step if isinstance(step, int) and not isinstance(step, bool) else None, cells)


def stage_measured(span: Span) -> Measured | None:
    """How long a stage took, of a program that is not instrumented by us; None if the span is no such stage.

    Our own stages come with a metric point that says the same.
    """
    stage = span.attributes.get(names.STAGE)
    if not stage or span.scope == "instrumentation":
        return None
    key = _key(names.STAGE_DURATION, span.attributes)
    return Measured(key, span.end, None, {key: (span.end - span.start) / NS_PER_S})


def rows(values: Iterable[Measured]) -> list[Row]:
    """Rows in the order in which their first value came; a second value of a key opens another row."""
    found: list[Row] = []
    open_rows: dict[tuple[int, int | None], Row] = {}
    for value in values:
        row = open_rows.get((value.time, value.step))
        if row is None or not row.cells.keys().isdisjoint(value.cells):
            row = open_rows[value.time, value.step] = Row(value.time, value.step, {})
            found.append(row)
        row.cells.update(value.cells)
    return found


def _key(name: str, said: Mapping[str, object]) -> str:
    """Model and stage first, because W&B makes a section of each; then the name and what else tells series apart."""
    stage, model = str(said.get(names.STAGE) or ""), str(said.get(names.MODEL_NAME) or "")
    if name == names.STAGE_DURATION:
        parts = [_STAGE_KEY.format(_word("_".join(filter(None, (model, stage)))))]
    else:
        parts = [_word(model), _word(stage), _PLAIN_NAMES.get(name) or "/".join(map(_word, name.split("/")))]
    others = [_word(str(value)) for attribute, value in sorted(said.items()) if attribute not in _NOT_IN_KEYS]
    return "_".join(filter(None, ["/".join(filter(None, parts)), *others]))[:KEY_CHARACTERS] or "unnamed"


def _word(text: str) -> str:
    """Dots mean nesting to W&B, and a slash a section."""
    return _NOT_IN_WORDS.sub("_", text).strip("_") if text else ""


def _distribution(key: str, said: Mapping[str, object]) -> dict[str, Cell]:
    cells: dict[str, Cell] = {}
    bins = bins_of(said)
    if bins is not None:
        cells[key] = bins
    for fact in _HISTOGRAM_FACTS:
        value = said.get(fact)
        if isinstance(value, int | float | str):
            cells[f"{key}_{fact}"] = float(value)
    quantiles = said.get("quantiles")
    for at, value in quantiles if isinstance(quantiles, list) else ():
        cells[f"{key}_p{float(at) * 100:g}".replace(".", "_")] = float(value)
    return cells
