"""What an SDK repeats for ever, or says oddly, on a real offline W&B run: each total once, and nothing infinite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.servers import children
from tests.servers.wandb import history

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
sys.path.insert(0, ROOT)
import math, os, wandb
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult
from opentelemetry.sdk.metrics.view import (
    ExplicitBucketHistogramAggregation, ExponentialBucketHistogramAggregation, View
)
from instrumentation import log_metrics, wandb as ours
from instrumentation.wandb_metrics import WandbMetricExporter

views = [
    View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation()),
    View(instrument_name="unbounded", aggregation=ExplicitBucketHistogramAggregation([1, 2], record_min_max=False)),
]
reader, exporter = InMemoryMetricReader(), WandbMetricExporter()
meter = MeterProvider([reader], views=views).get_meter("mine")
counter, loss = meter.create_counter("rows"), meter.create_gauge("loss")
exponential, unbounded = meter.create_histogram("exponential"), meter.create_histogram("unbounded")

def export():
    return exporter.export(reader.get_metrics_data()) is MetricExportResult.SUCCESS

run = wandb.init(project="orange", settings=wandb.Settings(mode="offline", silent=True))

exponential.record(3); unbounded.record(1); unbounded.record(5)
assert export() and export()

log = run.log
def refuse(*_, **__): raise OSError("no space left")
counter.add(5)
run.log = refuse
assert not export()
run.log = log
assert export() and export()

for step in (math.nan, math.inf, "x", True, 10**30):
    loss.set(1.0, {"pipeline.metric.step": step})
assert export()

ours.mirror()
log_metrics({"auc": 0.5}, step=1)
child = os.fork()
if not child:
    log_metrics({"auc": 0.25}, step=2)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
log_metrics({"auc": 0.125}, step=3)
run.finish()
log_metrics({"auc": 0.0625}, step=4)
assert not ours.write(run, {"late": 1}, None, 1.0)
"""


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What is on the run after the program, which succeeds and says nothing."""
    folder = tmp_path_factory.mktemp("program")
    ended = children.run(f"ROOT = {str(ROOT)!r}\n{PROGRAM}", cwd=folder, WANDB_ERROR_REPORTING="false")
    assert (ended.code, ended.out, ended.err) == (0, b"", b"")
    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    return history(path)


def test_totals_that_stay_where_they_are_are_written_once(rows: list[dict[str, Any]]) -> None:
    assert [row["exponential_max"] for row in rows if "exponential_count" in row] == [3]


def test_limits_that_a_histogram_has_not_are_not_written(rows: list[dict[str, Any]]) -> None:
    assert {name for row in rows for name in row if name.startswith("unbounded")} == {
        "unbounded_count", "unbounded_sum", "unbounded/_type", "unbounded/values", "unbounded/bins",
    }  # fmt: skip


def test_a_total_that_wandb_refused_is_written_when_it_takes_it_again(rows: list[dict[str, Any]]) -> None:
    assert [row["rows"] for row in rows if "rows" in row] == [5]


def test_a_step_that_is_none_costs_no_point(rows: list[dict[str, Any]]) -> None:
    assert {row.get("step"): row["loss"] for row in rows if "loss" in row} == {None: 1, 1: 1, 1e30: 1}


def test_mirrored_figures_of_a_fork_are_on_the_run_and_those_after_its_end_disturb_nobody(
    rows: list[dict[str, Any]],
) -> None:
    assert [(row["step"], row["auc"]) for row in rows if "auc" in row] == [(1, 0.5), (2, 0.25), (3, 0.125)]
