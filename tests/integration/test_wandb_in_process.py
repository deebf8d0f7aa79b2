"""Our metrics on the program's own W&B run: there once, and not written to W&B a second time by the bridge."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

from instrumentation import attributes as names
from tests.servers import children
from tests.servers.wandb import OFFLINE, axes, history

ROOT = Path(__file__).resolve().parents[2]

MIRRORED = """
import wandb
from instrumentation import log_metrics, stage
from instrumentation.wandb import mirror

log_metrics({"before": 1.0})
mirror()
log_metrics({"no_run_yet": 1.0})
with wandb.init(project="orange") as run:
    with stage("train"):
        for epoch in (3, 1, 2):
            log_metrics({"loss": 1 / epoch, "name": "not a number"}, step=epoch)
            run.log({"own": epoch})
    mirror(on=False)
    log_metrics({"after": 1.0})
"""


def test_figures_are_in_the_programs_own_run_whatever_the_order_of_their_steps(tmp_path: Path) -> None:
    lines = run_mirrored(tmp_path)

    (path,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    rows = history(path)
    drawn_over = axes(path)
    assert [(row["step"], row["loss"]) for row in rows if "loss" in row] == [(3, 1 / 3), (1, 1.0), (2, 0.5)]
    assert [row["own"] for row in rows if "own" in row] == [3, 1, 2]
    assert len([row for row in rows if "stage/train/duration_s" in row]) == 1
    assert not [row for row in rows if {"before", "no_run_yet", "after", "name"} & row.keys()]
    assert (drawn_over["loss"], drawn_over["stage/train/duration_s"]) == ("step", "time_s")
    mirrored = {(line["na"], line["d"].get(names.WANDB_MIRRORED, False)) for line in lines if line["k"] == "metric"}
    assert mirrored == {
        ("before", False),
        ("no_run_yet", False),
        ("loss", True),
        (names.STAGE_DURATION, True),
        ("after", False),
    }


def run_mirrored(folder: Path, source: str = MIRRORED) -> list[dict]:
    """Run it as `run` does, with our own package on its path; what its journal holds."""
    script = f"import sys; sys.path.insert(0, {json.dumps(str(ROOT))})\n" + textwrap.dedent(source)
    ended = children.run(script, folder / "run", cwd=folder, **OFFLINE)
    assert ended.code == 0, ended.err.decode()
    return children.kept(folder / "run").lines


COUNTING = """
import wandb
from instrumentation import log_metrics
from instrumentation.wandb import mirror

mirror()
with wandb.init(project="orange") as run:
    for epoch in range(3):
        run.log({"early": epoch}, step=epoch)
        for batch in range(4):
            log_metrics({"loss": epoch + batch / 10}, step=10 * epoch + batch)
        run.log({"late": epoch}, step=epoch)
"""


def test_a_program_that_counts_steps_itself_keeps_its_rows_and_no_point_is_lost(tmp_path: Path) -> None:
    lines = run_mirrored(tmp_path, COUNTING)

    (path,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    rows = [(row["_step"], row["early"], row["late"], row["loss"]) for row in history(path)]
    points = [line for line in lines if line["k"] == "metric" and line["na"] == "loss"]
    assert rows == [(epoch, epoch, epoch, epoch + 0.3) for epoch in range(3)]  # the latest of ours
    assert len(points) == 12
    assert not [line for line in points if names.WANDB_MIRRORED in line["d"]]  # so the bridge writes each
