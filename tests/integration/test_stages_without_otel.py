"""Records and stages where OpenTelemetry is not there, or is not what we know."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.servers.receiver import Receiver
from tests.servers.shipping import environ_towards, wait_until_shipped

ROOT = Path(__file__).resolve().parent.parent.parent
TIMEOUT_S = 120

PROGRAM = """
import concurrent.futures, logging, subprocess, sys
try:
    import opentelemetry.trace, opentelemetry.context
except ImportError:
    pass
from instrumentation import log_metrics, stage
logging.getLogger().addHandler(logging.NullHandler())
def fetch():
    logging.error("in fetch")
def main():
    fetch()
    with stage("train", model="heron"):
        log_metrics({"loss": 0.5}, step=1)
        with stage("epoch"), concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(logging.error, "in epoch").result()
        subprocess.run([sys.executable, "-c", "import logging; logging.error('in train')"], stderr=subprocess.DEVNULL)
    logging.error("in nothing")
main()
"""
# What is importable as OpenTelemetry's API, if anything is.
APIS = {
    "absent": None,
    "another thing of that name": "",
    "one that lacks what we use": "def get_current_span():\n    return object()\n",
    "one that fails": "class SpanContext:\n    def __init__(self, **_): raise TypeError('other arguments')\n",
}


@pytest.mark.parametrize("api", APIS)
def test_records_and_stages_need_no_opentelemetry_in_the_program(tmp_path: Path, api: str) -> None:
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    (tmp_path / "program.py").write_text(PROGRAM)
    source = APIS[api]
    if source is not None:
        for name in ("trace", "context"):
            package = tmp_path / "opentelemetry" / name
            package.mkdir(parents=True)
            (package / "__init__.py").write_text(source)
    with Receiver() as receiver:
        environ = environ_towards(receiver, tmp_path / "state", PYTHONPATH=f"{tmp_path}:{ROOT}")
        supervisor = {**environ, "PYTHONPATH": str(ROOT)}
        command = [
            sys.executable,
            "-m",
            "alert_bridge.cli",
            "run",
            "--pipeline",
            "p",
            "--stage",
            "__main__:fetch",
            "--",
        ]
        program = ["env", f"PYTHONPATH={ROOT}/instrumentation/child:{environ['PYTHONPATH']}", "bare/bin/python"]

        done = subprocess.run(
            [*command, *program, "program.py"], env=supervisor, cwd=tmp_path, capture_output=True, timeout=TIMEOUT_S
        )
        wait_until_shipped(environ)

        spans = {span.name: span for span in receiver.spans()}
        records = [one for one in receiver.records() if one.body.string_value.startswith("in ")]
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert set(spans) == {"RUN p", "fetch", "train", "epoch"}
    assert spans["epoch"].parent_span_id == spans["train"].span_id
    assert spans["train"].parent_span_id == spans["RUN p"].span_id
    in_stages = {
        one.body.string_value.removeprefix("in "): next(
            (pair.value.string_value for pair in one.attributes if pair.key == "cicd.pipeline.task.name"), "nothing"
        )
        for one in records
    }
    assert in_stages == {name: name for name in ("fetch", "epoch", "train", "nothing")}
