"""What the README tells people to add to their own pipeline does what it says, in real processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.otlp_sink import LOGS_PATH, OtlpSink
from tests.servers.shipping import wait_until_shipped

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 120
CONSOLE = "version: 1\nhandlers:\n  console: {class: logging.StreamHandler}\n"
BY_LOGGING_YAML = """
import logging, logging.config, sys, yaml
logging.config.dictConfig(yaml.safe_load(open(sys.argv[1])))
logging.info("not at this level of the root logger")
logging.error("the store is down")
"""


@pytest.fixture
def sink() -> Iterator[OtlpSink]:
    with OtlpSink() as started:
        yield started


def block(language: str) -> str:
    """The one block of this language in the README."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return found


def run(tmp_path: Path, sink: OtlpSink, *command: str) -> subprocess.CompletedProcess[str]:
    ours = ("PIPELINE_ALERTS_", "OTEL_", "TRACEPARENT")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environ |= {
        "PIPELINE_ALERTS_ENDPOINT": sink.url,
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    wait_until_shipped(environ)
    return done


def test_the_four_lines_for_a_logging_yaml_send_what_the_console_shows(tmp_path, sink):
    lines = block("yaml")
    assert len(lines.splitlines()) == 4
    (tmp_path / "logging.yaml").write_text(CONSOLE + lines.replace("handlers:\n", "", 1))

    done = run(tmp_path, sink, sys.executable, "-c", BY_LOGGING_YAML, "logging.yaml")

    assert (done.returncode, done.stderr) == (0, "the store is down\n")
    assert "the store is down" in sink.bodies(LOGS_PATH)


def test_named_steps_cost_nothing_alone_and_are_seen_under_the_supervisor(tmp_path, sink):
    (tmp_path / "main.py").write_text(block("python") + "\n\ntrain([0.5, 0.25])\nprint('trained')\n")

    alone = run(tmp_path, sink, sys.executable, "main.py")
    sent_alone = len(sink.requests(LOGS_PATH))
    supervised = run(
        tmp_path, sink, sys.executable, "-m", "alert_bridge.cli", "run", "--pipeline", "monthly_run", "--",
        sys.executable, "main.py",
    )  # fmt: skip

    assert [(done.returncode, done.stdout, done.stderr) for done in (alone, supervised)] == [(0, "trained\n", "")] * 2
    assert sent_alone == 0
    events = {record.event_name for request in sink.requests(LOGS_PATH) for record in request.records()}
    assert {"pipeline.run.start", "pipeline.stage.start", "pipeline.stage.end", "pipeline.run.end"} <= events
    assert "train" in {span.name for span in sink.spans()}
    assert "train/loss" in sink.metric_names()
