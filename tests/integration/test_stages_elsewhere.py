"""Stages that the program did not write: runs of Prefect's tasks; and stages in threads that it did not start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from instrumentation import attributes as names
from tests.servers.receiver import Receiver
from tests.servers.shipping import wait_until_shipped

ROOT = Path(__file__).resolve().parent.parent.parent
RUN = (sys.executable, "-m", "alert_bridge.cli", "run", "--pipeline", "p", "--")
TIMEOUT_S = 120

# What Prefect's engine does for a task, without the server that it would report to.
TASK = """
import logging
from opentelemetry import trace
from prefect import task
from prefect.client.schemas.objects import TaskRun
from prefect.task_engine import SyncTaskRunEngine
%s
@task(name="fetch rows")
def fetch(): ...
run = TaskRun(name="fetch-559", task_key="fetch", dynamic_key="0")
telemetry = SyncTaskRunEngine(task=fetch)._telemetry
telemetry.start_span(run, client=None)
with trace.use_span(telemetry.span):
    logging.getLogger("mine").error("in the task")
    with trace.get_tracer("of a library").start_as_current_span("select"):
        logging.getLogger("mine").error("in a library")
    telemetry.end_span_on_success()
    logging.getLogger("mine").error("in a hook of the task")
"""
OWN_PROVIDER = """
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
trace.set_tracer_provider(provider)
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


def run(source: str, folder: Path, receiver: Receiver, **more: str) -> subprocess.CompletedProcess[bytes]:
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
        "PIPELINE_ALERTS_LINGER_SECONDS": "60",
        "PREFECT_HOME": str(folder / "prefect"),
        **more,
    }
    done = subprocess.run(
        [*RUN, sys.executable, "program.py"], env=environ, cwd=folder, timeout=TIMEOUT_S, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    wait_until_shipped(environ)
    return done


def said(record: Any) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in record.attributes}


def test_a_run_of_a_prefect_task_is_a_stage_in_the_trace_of_the_run(tmp_path: Path) -> None:
    with Receiver() as receiver:
        run(TASK % "", tmp_path, receiver)

        spans = {span.name: span for span in receiver.spans()}
        records = {record.body.string_value: record for record in receiver.records()}
    task, whole = spans["fetch-559"], spans["RUN p"]
    assert (task.trace_id, task.parent_span_id) == (whole.trace_id, whole.span_id)
    assert said(task)[names.STAGE] == "fetch rows"
    assert set(spans) == {"fetch-559", "RUN p"}  # the library's tracer has no provider
    for text in (
        "fetch rows started",
        "in the task",
        "in a library",
        "in a hook of the task",
        "fetch rows ended: success",
    ):
        assert (records[text].span_id, said(records[text])[names.STAGE]) == (task.span_id, "fetch rows")


def test_a_program_whose_own_provider_tells_of_prefect_keeps_it(tmp_path: Path) -> None:
    with Receiver() as receiver:
        done = run(TASK % OWN_PROVIDER, tmp_path, receiver)

        spans = [span.name for span in receiver.spans()]
        (record,) = [one for one in receiver.records() if one.body.string_value == "in the task"]
        (ended,) = [one for one in receiver.records() if one.event_name == names.EVENT_STAGE_END]
    (library, task) = json.loads("[" + done.stdout.decode().replace("}\n{", "},{") + "]")
    assert b"Overriding" not in done.stderr  # as OpenTelemetry says of a second provider
    assert [library["name"], task["name"], task["parent_id"]] == ["select", "fetch-559", None]
    assert set(task["attributes"]) == {"prefect.run.name", "prefect.run.type", "prefect.run.id", "prefect.tags"}
    assert spans == ["RUN p"]
    assert record.span_id.hex() == ended.span_id.hex() == task["context"]["span_id"].removeprefix("0x")
    assert said(ended)[names.STAGE] == said(record)[names.STAGE] == "fetch rows"


@pytest.mark.parametrize(
    ("state", "result"), [("Failed", "failure"), ("Crashed", "error"), ("Cancelled", "cancellation")]
)
def test_a_stage_of_prefects_ends_as_its_last_state_says_whatever_its_span_does(
    tmp_path: Path, state: str, result: str
) -> None:
    told = f"    from prefect.states import {state}\n    telemetry.update_state({state}(message='as it is'))\n"
    program = (TASK % "").replace("    telemetry.end_span", told + "    telemetry.end_span")
    with Receiver() as receiver:
        run(program, tmp_path, receiver)

        (ended,) = [one for one in receiver.records() if one.event_name == names.EVENT_STAGE_END]
        (span,) = [one for one in receiver.spans() if one.name == "fetch-559"]
    assert said(ended)[names.STAGE_RESULT] == said(span)[names.STAGE_RESULT] == result
    assert [(event.name, said(event)["prefect.state.message"]) for event in span.events] == [(state, "as it is")]


def test_who_switches_prefects_telemetry_off_has_no_stages_of_it(tmp_path: Path) -> None:
    program = (TASK % "").replace("use_span(telemetry.span)", "use_span(trace.INVALID_SPAN)")
    with Receiver() as receiver:
        run(program, tmp_path, receiver, PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY="false")

        (record,) = [one for one in receiver.records() if one.body.string_value == "in the task"]
        spans = [span.name for span in receiver.spans()]
    assert spans == ["RUN p"]
    assert names.STAGE not in said(record)


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
