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


def test_stages_and_metrics_load_no_event_loop_and_no_sockets() -> None:
    loaded = loaded_by("from instrumentation import stage, log_metrics")

    assert loaded & {"asyncio", "ssl", "socket", "hashlib", "logging"} == set()


def test_the_command_line_loads_no_server_and_no_exporter() -> None:
    statement = (
        "from alert_bridge.cli import root\nfrom click.testing import CliRunner\nCliRunner().invoke(root, ['--help'])"
    )

    assert loaded_by(statement) & (set(HEAVY) - {"alert_bridge"}) == set()


def test_the_program_waits_for_no_part_of_the_bridge_and_for_nothing_that_only_its_end_needs() -> None:
    code = (
        "import instrumentation.supervisor.launch as launch, sys\n"
        "def of(*_, **__):\n    print(*sys.modules); raise SystemExit\n"
        "launch.Launch.of = of\n"
        "from alert_bridge.cli import main\nmain(['run', '--', 'true'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    loaded = set(done.stdout.split())
    assert {name for name in loaded if name.startswith("alert_bridge")} == {
        "alert_bridge",
        "alert_bridge.cli",
        "alert_bridge.cli.direct",
    }
    assert loaded & {"click", "http.client", "subprocess", "tempfile", "instrumentation.sender.sender"} == set()
