"""Stages that the program did not write: Prefect's own spans; and stages in threads that it did not start itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.servers.receiver import Receiver

ROOT = Path(__file__).resolve().parent.parent.parent
RUN = (sys.executable, "-m", "alert_bridge.cli", "run", "--pipeline", "p", "--")
TIMEOUT_S = 120

# What Prefect's engine does for a task, without the server that it would report to.
TASK = """
import logging
from opentelemetry import trace
from prefect import task
from prefect.client.schemas.objects import TaskRun
from prefect.context import TaskRunContext
from prefect.telemetry.run_telemetry import RunTelemetry
@task(name="fetch rows")
def fetch(): ...
run = TaskRun(name="fetch-559", task_key="fetch", dynamic_key="0")
telemetry = RunTelemetry(_enabled=True)
telemetry.start_span(run, client=None)
with trace.use_span(telemetry.span), TaskRunContext.model_construct(task=fetch, task_run=run):
    logging.getLogger("mine").error("in the task")
    telemetry.end_span_on_success()
"""
POOL = """
import logging
from concurrent.futures import ThreadPoolExecutor
from instrumentation import stage
logging.basicConfig(level=20)
with ThreadPoolExecutor(1) as pool:
    for name in ("fetch", "train"):
        with stage(name):
            pool.submit(logging.info, "in %s", name).result()
    pool.submit(logging.info, "outside").result()
"""


def run(source: str, folder: Path, receiver: Receiver) -> None:
    (folder / "program.py").write_text(source)
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PIPELINE_ALERTS_", "OTEL_", "PREFECT_", "TRACEPARENT"))
    }
    environ = {
        **clean,
        "XDG_STATE_HOME": str(folder / "state"),
        "PYTHONPATH": str(ROOT),
        "PIPELINE_ALERTS_ENDPOINT": receiver.url,
        "PIPELINE_ALERTS_LINGER_SECONDS": "0",
        "PREFECT_HOME": str(folder / "prefect"),
    }
    done = subprocess.run(
        [*RUN, sys.executable, "program.py"], env=environ, cwd=folder, timeout=TIMEOUT_S, capture_output=True
    )
    assert done.returncode == 0, done.stderr


def test_a_span_of_prefects_own_carries_the_name_of_the_task_as_its_stage(tmp_path: Path) -> None:
    with Receiver() as receiver:
        run(TASK, tmp_path, receiver)

        (span,) = [one for one in receiver.spans() if one.name == "fetch-559"]
        (record,) = [one for one in receiver.records() if one.body.string_value == "in the task"]
    stages = [pair.value.string_value for pair in span.attributes if pair.key == "cicd.pipeline.task.name"]
    assert stages == ["fetch rows"]
    assert record.span_id == span.span_id


def test_a_thread_of_an_executor_is_in_the_stage_that_gave_it_its_work(tmp_path: Path) -> None:
    with Receiver() as receiver:
        run(POOL, tmp_path, receiver)

        stages = {
            record.body.string_value: pair.value.string_value
            for record in receiver.records()
            for pair in record.attributes
            if pair.key == "cicd.pipeline.task.name" and not record.event_name
        }
    assert stages == {"in fetch": "fetch", "in train": "train"}
