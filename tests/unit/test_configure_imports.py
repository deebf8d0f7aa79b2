"""What an import loads, and what it must not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
HEAVY = ("prefect", "wandb", "numpy", "pandas", "torch", "requests", "httpx", "pydantic", "starlette", "alert_bridge")


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize(
    "statement",
    [
        "import instrumentation",
        "from instrumentation import stage, log_metrics, configure, PipelineHandler",
        "import instrumentation.supervisor.supervision, instrumentation.sender.sender",
    ],
)
def test_the_pipeline_side_loads_neither_heavy_libraries_nor_the_bridge(statement: str) -> None:
    assert loaded_by(statement) & set(HEAVY) == set()


def test_stages_need_no_opentelemetry() -> None:
    assert "opentelemetry" not in loaded_by("from instrumentation import stage, log_metrics")


def test_the_command_line_loads_no_server_and_no_exporter() -> None:
    statement = (
        "from alert_bridge.cli import root\nfrom click.testing import CliRunner\nCliRunner().invoke(root, ['--help'])"
    )

    assert loaded_by(statement) & (set(HEAVY) - {"alert_bridge"}) == set()


def test_run_loads_nothing_of_the_bridge_but_its_command() -> None:
    code = "import alert_bridge.cli.run, instrumentation.supervisor.command, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    ours = {name for name in done.stdout.split() if name.startswith("alert_bridge")}
    assert ours == {"alert_bridge", "alert_bridge.cli", "alert_bridge.cli.run", "alert_bridge.cli.durations"}
