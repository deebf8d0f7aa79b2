"""OpenTelemetry's own metrics on the program's W&B run: real offline runs, read back from the file that W&B wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest

from alert_bridge.exporters.wandb.rows import measured
from alert_bridge.model import MetricPoint
from instrumentation.wandb_metrics import key_of
from tests.servers import children
from tests.servers.wandb import OFFLINE, axes, history

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 120

SETUP = """
import sys
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, PeriodicExportingMetricReader
from instrumentation.wandb_metrics import WandbMetricExporter
exporter = WandbMetricExporter()
provider = MeterProvider([PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)])
meter = provider.get_meter("mine")
loss, rows = meter.create_gauge("loss"), meter.create_counter("rows.read")
batch = meter.create_histogram("batch_s", explicit_bucket_boundaries_advisory=[1, 2])
"""


def ran(folder: Path, source: str, **more: str) -> list[dict[str, Any]]:
    """The rows that the program's W&B run has at its end; none where there was no run."""
    script = f"import sys; sys.path.insert(0, {json.dumps(str(ROOT))})\n" + SETUP + textwrap.dedent(source)
    ended = children.run(script, cwd=folder, **{**OFFLINE, **more})
    assert ended.code == 0, ended.err.decode()
    return [row for path in run_files(folder) for row in history(path)]


def run_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("wandb/offline-run-*/*.wandb"))


def test_points_are_rows_on_the_axis_that_they_have(tmp_path: Path) -> None:
    rows = ran(
        tmp_path,
        """
        import wandb
        with wandb.init(project="orange"):
            for epoch in (3, 1, 2):
                loss.set(1 / epoch, {"pipeline.metric.step": epoch, "pipeline.model.name": "dry_river", "set": "val"})
            rows.add(5)
            provider.force_flush()
            rows.add(2)
            provider.force_flush()
            provider.force_flush()
        """,
    )

    (path,) = run_files(tmp_path)
    drawn_over = axes(path)
    losses = {row["step"]: row["dry_river/loss_val"] for row in rows if "dry_river/loss_val" in row}
    assert losses == {3: 1 / 3, 1: 1.0, 2: 0.5}
    assert [row["rows_read"] for row in rows if "rows_read" in row] == [5, 7]
    assert all(row["time_s"] > 1.7e9 for row in rows)
    assert (drawn_over["dry_river/loss_val"], drawn_over["rows_read"]) == ("step", "time_s")


def test_a_histogram_is_drawn_and_has_its_facts(tmp_path: Path) -> None:
    (row,) = ran(
        tmp_path,
        """
        import wandb
        with wandb.init(project="orange"):
            for value in (0.5, 1.5, 1.6, 9.0):
                batch.record(value)
            provider.force_flush()
        """,
    )

    drawn = {name: row[f"batch_s/{name}"] for name in ("_type", "values", "bins")}
    assert drawn == {"_type": "histogram", "values": [1, 2, 1], "bins": [0.5, 1, 2, 9.0]}
    assert [row[f"batch_s_{fact}"] for fact in ("count", "sum", "min", "max")] == [4, 12.6, 0.5, 9.0]


def test_a_program_that_counts_steps_itself_loses_none_of_its_rows(tmp_path: Path) -> None:
    rows = ran(
        tmp_path,
        """
        import wandb
        with wandb.init(project="orange") as run:
            for epoch in range(4):
                run.log({"early": epoch}, step=epoch)
                for more in range(3):
                    rows.add(1)
                    provider.force_flush()
                run.log({"late": epoch}, step=epoch)
        """,
    )

    assert [(row["_step"], row["early"], row["late"]) for row in rows] == [(n, n, n) for n in range(4)]
    assert [row["rows_read"] for row in rows] == [3, 6, 9, 12]


def test_without_a_run_or_after_it_nothing_happens(tmp_path: Path) -> None:
    rows = ran(
        tmp_path,
        """
        loss.set(1.0)
        provider.force_flush()
        assert "wandb" not in sys.modules
        import wandb
        with wandb.init(project="orange"):
            pass
        loss.set(2.0)
        provider.force_flush()
        provider.shutdown()
        """,
    )

    assert rows == []


def test_the_troubles_of_wandb_stay_its_own(tmp_path: Path) -> None:
    ran(
        tmp_path,
        """
        import types
        from opentelemetry.sdk.metrics.export import MetricExportResult
        def refuse(*_, **__):
            raise OSError("no space left")
        run = types.SimpleNamespace(id="x", log=refuse, define_metric=refuse)
        sys.modules["wandb"] = types.SimpleNamespace(run=run)
        reader = InMemoryMetricReader()
        other = MeterProvider([reader])
        other.get_meter("mine").create_counter("n").add(1)
        assert exporter.export(reader.get_metrics_data()) is MetricExportResult.FAILURE
        """,
    )


def test_no_line_of_code_is_needed_beside_opentelemetry_instrument(tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (exporter,) = project["entry-points"]["opentelemetry_metrics_exporter"].items()
    installed = tmp_path / "installed" / "as_if-1.dist-info"  # an environment says the same after an installation
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: as-if\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[opentelemetry_metrics_exporter]\n{} = {}\n".format(*exporter))
    (tmp_path / "program.py").write_text(
        "import wandb\nfrom opentelemetry import metrics\n"
        "with wandb.init(project='orange'):\n"
        "    metrics.get_meter('mine').create_counter('rows').add(5)\n"
        "    metrics.get_meter_provider().force_flush()\n"
    )
    environ = {**os.environ, **OFFLINE, "PYTHONPATH": f"{installed.parent}:{ROOT}"}
    command = ["opentelemetry-instrument", "--metrics_exporter", "wandb", "--traces_exporter", "none"]
    tool = Path(sys.executable).with_name(command[0])

    done = subprocess.run(
        [tool, *command[1:], "--logs_exporter", "none", sys.executable, "program.py"],
        env=environ, cwd=tmp_path, capture_output=True, timeout=TIMEOUT_S,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr.decode()
    (path,) = run_files(tmp_path)
    assert [row["rows"] for row in history(path)] == [5]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("loss", {}),
        ("loss", {"pipeline.model.name": "dry river", "cicd.pipeline.task.name": "train", "set": "val", "b": 2}),
        ("cicd.pipeline.task.duration", {"cicd.pipeline.task.name": "train", "pipeline.model.name": "dry_river"}),
        ("a.b/c", {"pipeline.metric.step": 3, "cicd.pipeline.task.run.result": "success"}),
        ("…", {}),
    ],
)
def test_a_series_has_the_name_that_it_has_in_the_bridges_runs(name: str, said: dict[str, Any]) -> None:
    point = MetricPoint(name=name, unit="", kind="gauge", time=1, value=1.0, attributes=said, resource={})

    assert key_of(name, said) == measured(point).key
