"""A process below the program dies: it is told where it was in the run, so that its parents' words fold under it."""

from __future__ import annotations

import sys
from pathlib import Path

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.servers.receiver import Receiver
from tests.servers.shipping import environ_towards
from tests.servers.supervised import run_until_told

WARNING = 13  # severity number
DIED = "pipeline.process.died"

# A stage that starts a process by a shell, as ensembles do; the process ends itself the hard way.
PARENT = """
import logging, os, subprocess, sys, time
from instrumentation import stage
logging.basicConfig(level=logging.INFO)
with stage("train"):
    logging.info("in train")
    subprocess.run(["sh", "-c", '"$0" child.py; exit 0', sys.executable])
while not os.path.exists("told"): time.sleep(0.05)
"""
SPEAKING_CHILD = """
import logging, os, signal
from instrumentation import stage
logging.basicConfig(level=logging.INFO)
with stage("epoch", model="dry_river"):
    logging.info("epoch %d", 7)
    os.kill(os.getpid(), signal.SIGKILL)
"""
SILENT_CHILD = "import logging, os, signal; os.kill(os.getpid(), signal.SIGKILL)"


def run_parent_of(child: str, receiver: Receiver, folder: Path) -> None:
    (folder / "parent.py").write_text(PARENT)
    (folder / "child.py").write_text(child)
    environ = environ_towards(receiver, folder)
    run_until_told(
        environ,
        receiver,
        lambda record: record.event_name == "pipeline.process.died",
        "--",
        sys.executable,
        "parent.py",
    )


def the_one(receiver: Receiver, *, event: str = "", body: str = "") -> LogRecord:
    found = [
        record
        for record in receiver.records()
        if record.event_name == event and (not body or record.body.string_value == body)
    ]
    assert len(found) == 1
    return found[0]


def said(record: LogRecord, name: str) -> str:
    return next((pair.value.string_value for pair in record.attributes if pair.key == name), "")


def test_a_death_is_told_in_the_span_and_stage_of_the_last_record_of_the_process(
    receiver: Receiver, tmp_path: Path
) -> None:
    run_parent_of(SPEAKING_CHILD, receiver, tmp_path)

    died, last = the_one(receiver, event=DIED), the_one(receiver, body="epoch 7")
    assert (died.trace_id, died.span_id) == (last.trace_id, last.span_id)
    assert (said(died, "cicd.pipeline.task.name"), said(died, "pipeline.model.name")) == ("epoch", "dry_river")
    assert said(died, "pipeline.process.last_records").endswith("epoch 7")


def test_a_process_that_died_without_a_word_is_told_in_the_span_that_it_was_started_from(
    receiver: Receiver, tmp_path: Path
) -> None:
    run_parent_of(SILENT_CHILD, receiver, tmp_path)

    died, started_in = the_one(receiver, event=DIED), the_one(receiver, body="in train")
    assert (died.trace_id, died.span_id) == (started_in.trace_id, started_in.span_id)
    assert said(died, "cicd.pipeline.task.name") == "train"


def test_a_process_that_the_program_itself_kills_is_no_alarm(receiver: Receiver, tmp_path: Path) -> None:
    program = (
        "import os, subprocess, sys, time\n"
        "command = 'import logging, sys; print(flush=True); sys.stdin.read()'\n"
        "child = subprocess.Popen([sys.executable, '-c', command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "child.kill()\n"
        "child.wait()\n"
        "while not os.path.exists('told'): time.sleep(0.05)"
    )
    said = f"{Path(sys.executable).name} was ended by SIGKILL, which the program itself sent"

    run_until_told(
        environ_towards(receiver, tmp_path), receiver, lambda record: record.body.string_value == said,
        "--", sys.executable, "-c", program,
    )  # fmt: skip

    told = the_one(receiver, body=said)
    assert told.severity_number == WARNING
    assert max(record.severity_number for record in receiver.records()) == WARNING
