"""How many metric points a second the exporter brings from the store into an offline W&B run.

    python -m tests.benchmarks.wandb_points [POINTS]

Points come as pipelines make them: a training step logs some figures at a time. The peer in the same run is W&B itself,
given the same rows by a bare script.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from alert_bridge.model import MetricPoint
from alert_bridge.store.exports import export_states
from alert_bridge.store.telemetry import TelemetryStore
from instrumentation import attributes as names
from tests.servers.exporters import ExportersProcess
from tests.servers.pipeline import StoredPipeline

POINTS = 40_000
FIGURES = ("loss", "accuracy", "val_loss", "val_accuracy")  # of one step
RESOURCE = {names.SERVICE_NAME: "bench", names.PIPELINE_NAME: "bench", names.RUN_ID: "bench-run"}
PEER = """
import sys, time
import wandb
settings = wandb.Settings(silent=True, console="off", x_disable_stats=True, x_transaction_log_flush_interval=1)
run = wandb.init(mode="offline", dir=sys.argv[1], project="bench", settings=settings)
began = time.monotonic()
for step in range(int(sys.argv[2])):
    run.log({**dict.fromkeys(sys.argv[3:], 1 / (1 + step)), "step": step, "time_s": 1.0})
run.finish()
print(time.monotonic() - began)
"""


def points_of(steps: range, figures: tuple[str, ...]) -> list[MetricPoint]:
    now = time.time_ns()
    return [
        MetricPoint(name, "1", "gauge", now + step, 1 / (1 + step), {names.METRIC_STEP: step}, RESOURCE)
        for step in steps
        for name in figures
    ]


def sent(state: Path) -> int:
    return sum(book.sent for each in export_states(state) for book in each.books if book.signal == "points")


def fill(store: TelemetryStore, steps: range, figures: tuple[str, ...], at_once: int = 500) -> None:
    for first in range(steps.start, steps.stop, at_once):
        store.append_metrics(points_of(range(first, min(first + at_once, steps.stop)), figures))


def measure(figures: tuple[str, ...], count: int) -> None:
    """A backlog, and the peer."""
    steps = count // len(figures)
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        with StoredPipeline(state) as stored, ExportersProcess(state, {"WANDB_MODE": "offline"}) as exporters:
            fill(stored.store, range(1), figures)  # what is loaded late is loaded now
            exporters.until(lambda: sent(state) == len(figures))
            fill(stored.store, range(1, steps + 1), figures)
            began, before = time.monotonic(), sent(state)
            exporters.until(lambda: sent(state) == (steps + 1) * len(figures), within_s=300)
            ours = (sent(state) - before) / (time.monotonic() - began)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
        command = [sys.executable, "-c", PEER, folder, str(steps), *figures]
        done = subprocess.run(command, env=clean, capture_output=True, text=True, check=True)
        peer = steps * len(figures) / float(done.stdout)
    print(
        f"{len(figures)} figures a step: exporter, from the store, {ours:,.0f} points/s;"
        f" W&B alone {peer:,.0f} points/s; ratio {ours / peer:.2f}"
    )


def main(count: int = POINTS) -> None:
    """Steps of four figures, and of one, for which W&B needs a row each."""
    measure(FIGURES, count)
    measure(FIGURES[:1], count // 2)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else POINTS)
