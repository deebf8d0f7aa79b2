"""A program under `run`, the bridge, W&B: its figures are in a W&B run with the right axes, each once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.servers.bridge import BridgeProcess, wait_for
from tests.servers.wandb import has_ended, history, records

ROOT = Path(__file__).resolve().parents[2]
RUN_ID = "fatalities_003_559_a"
POLICY = """\
version: 1
audiences: {mdd: {name: MD&D, slack: "#mdd"}}
routes:
  - {channel: slack, min_severity: ERROR, audiences: [mdd]}
  - {channel: wandb, audiences: [mdd]}
"""
PROGRAM = """
import logging, math, sys
from instrumentation import log_metrics, stage

logging.basicConfig(level=logging.INFO)
with stage("fetch"):
    log_metrics({"rows": 191})
for model in ("orange_pasta", "purple_alien"):
    with stage("train", model=model):
        for epoch in (2, 0, 1):
            log_metrics({"loss": 1 / (1 + epoch), "odd": math.nan}, step=epoch)
logging.error("upload was refused")
sys.exit(3)
"""


def test_figures_of_a_program_under_run_are_in_w_and_b(tmp_path):
    (tmp_path / "main.py").write_text(PROGRAM)
    with BridgeProcess(tmp_path / "bridge", policy=POLICY, environ={"WANDB_MODE": "offline"}) as bridge:
        bridge.wait_until_ready()
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "WANDB_"))}
        ours = {
            "PIPELINE_ALERTS_ENDPOINT": bridge.url,
            "PIPELINE_ALERTS_RUN_ID": RUN_ID,
            "XDG_STATE_HOME": str(tmp_path / "home"),
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-m", "alert_bridge.cli", "run", "--pipeline", "monthly_run", "--", sys.executable]
        done = subprocess.run([*command, "main.py"], cwd=tmp_path, env=clean | ours, capture_output=True, timeout=60)
        folder = bridge.state / "wandb" / "wandb"

        def finished() -> bool:
            (path, *_) = [*folder.glob(f"offline-run-*-{RUN_ID}-otel/*.wandb"), None]
            return path is not None and has_ended(path)

        wait_for(finished, 60.0, lambda: bridge.log.read_text()[-2_000:])
        (path,) = folder.glob(f"offline-run-*-{RUN_ID}-otel/*.wandb")

    rows = history(path)
    axes = {each.metric.name: each.metric.step_metric for each in records(path) if each.HasField("metric")}
    assert done.returncode == 3
    for model in ("orange_pasta", "purple_alien"):
        key = f"{model}/train/loss"
        assert sorted((row["step"], row[key]) for row in rows if key in row) == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
        assert axes[key] == "step"
        assert [repr(row[f"{model}/train/odd"]) for row in rows if f"{model}/train/odd" in row] == ["nan"] * 3
    assert [row["fetch/rows"] for row in rows if "fetch/rows" in row] == [191]
    durations = sorted(key for row in rows for key in row if key.endswith("/duration_s"))
    assert durations == [
        "run/duration_s",
        "stage/fetch/duration_s",
        "stage/orange_pasta_train/duration_s",
        "stage/purple_alien_train/duration_s",
    ]
    assert max(row["alerts/ERROR"] for row in rows if "alerts/ERROR" in row) == 2
    (ended,) = [each.exit for each in records(path) if each.HasField("exit")]
    assert ended.exit_code == 3
