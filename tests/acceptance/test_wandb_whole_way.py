"""A program under `run`, the bridge, W&B: its figures are in a W&B run with the right axes, each once."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from alert_bridge.store.exports import export_states
from tests.servers.bridge import BridgeProcess, wait_for
from tests.servers.exporters import POLICY
from tests.servers.shipping import wait_until_shipped
from tests.servers.wandb import axes, file_of_run, has_ended, history, records

ROOT = Path(__file__).resolve().parents[2]
RUN_ID = "fatalities_003_559_a"
PROGRAM_WITHIN_S = 240.0
WRITTEN_WITHIN_S = 240.0
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


def run_under_a_bridge(folder: Path, program: str, *, alerts: int = 0, **more: str) -> tuple[int, Path]:
    """Run a program under `run`, reporting to a bridge with W&B; its exit code, and the file that the bridge wrote.

    In which so many alerts are told of: the bridge hears of an incident by another way than of the rest.
    """
    (folder / "main.py").write_text(program)
    with BridgeProcess(folder / "bridge", policy=POLICY, environ={"WANDB_MODE": "offline"}) as bridge:
        bridge.wait_until_ready()
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "WANDB_"))}
        ours = {
            "PIPELINE_ALERTS_ENDPOINT": bridge.url,
            "PIPELINE_ALERTS_RUN_ID": RUN_ID,
            "XDG_STATE_HOME": str(folder / "home"),
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-m", "alert_bridge.cli", "run", "--pipeline", "monthly_run", "--", sys.executable]
        done = subprocess.run(
            [*command, "main.py"], cwd=folder, env=clean | ours | more, capture_output=True, timeout=PROGRAM_WITHIN_S
        )
        written, name = bridge.state / "wandb" / "wandb", f"offline-run-*-{RUN_ID}-otel"

        wait_until_shipped(ours)

        def finished() -> bool:
            """With all that was stored: what comes after an end is written anew, and ended again."""
            states = export_states(bridge.state)
            path = file_of_run(written, name)
            is_all_there = bool(states) and all(book.waiting == 0 for state in states for book in state.books)
            if not is_all_there or path is None:
                return False
            with suppress(FileNotFoundError):  # it is written anew just now
                return has_ended(path) and alerts_in(history(path)) == alerts
            return False

        wait_for(finished, WRITTEN_WITHIN_S, lambda: bridge.log.read_text()[-2_000:])
        path = file_of_run(written, name)
    assert path is not None
    return done.returncode, path


def alerts_in(rows: list[dict[str, Any]]) -> float:
    return max((row["alerts/ERROR"] for row in rows if "alerts/ERROR" in row), default=0)


def test_figures_of_a_program_under_run_are_in_w_and_b(tmp_path):
    code, path = run_under_a_bridge(tmp_path, PROGRAM, alerts=1)  # the error, which its exit code only repeats

    rows = history(path)
    drawn_over = axes(path)
    assert code == 3
    for model in ("orange_pasta", "purple_alien"):
        key = f"{model}/train/loss"
        assert sorted((row["step"], row[key]) for row in rows if key in row) == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
        assert drawn_over[key] == "step"
        assert [repr(row[f"{model}/train/odd"]) for row in rows if f"{model}/train/odd" in row] == ["nan"] * 3
    assert [row["fetch/rows"] for row in rows if "fetch/rows" in row] == [191]
    durations = sorted(key for row in rows for key in row if key.endswith("/duration_s"))
    assert durations == [
        "run/duration_s",
        "stage/fetch/duration_s",
        "stage/orange_pasta_train/duration_s",
        "stage/purple_alien_train/duration_s",
    ]
    (ended,) = [each.exit for each in records(path) if each.HasField("exit")]
    assert ended.exit_code == 3


OWN_RUN = """
import wandb
from instrumentation import log_metrics, stage
from instrumentation.wandb import mirror

mirror()
with wandb.init(project="orange", job_type="train"), stage("fit"):
    for epoch in (2, 0, 1):
        log_metrics({"loss": 1 / (1 + epoch)}, step=epoch)
log_metrics({"rows": 191})
"""


def test_figures_that_the_programs_own_w_and_b_run_has_are_not_written_a_second_time(tmp_path):
    code, path = run_under_a_bridge(tmp_path, OWN_RUN, WANDB_MODE="offline", WANDB_ERROR_REPORTING="false")

    (own,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    own_rows, rows = history(own), history(path)
    assert code == 0
    assert sorted((row["step"], row["loss"]) for row in own_rows if "loss" in row) == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    assert len([row for row in own_rows if "stage/fit/duration_s" in row]) == 1
    keys = {key for row in rows for key in row if key[0] != "_"} - {"time_s"}
    assert keys == {"rows", "run/duration_s", "process/peak_memory_bytes", "process/cpu_time_s", *TRAIN}


TRAIN = {"stage/train/duration_s"}  # told when the W&B run is over, which takes no more rows then
