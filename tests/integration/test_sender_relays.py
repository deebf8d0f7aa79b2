"""Records that reach `logging` twice, by a queue to another process or by a second SDK, are delivered once."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from instrumentation.sender.relays import Relays
from instrumentation.supervisor.launch import would_tell_twice
from tests.servers.receiver import Receiver
from tests.servers.shipping import environ_towards, wait_until_shipped

ROOT = Path(__file__).resolve().parent.parent.parent
RUN = (sys.executable, "-m", "alert_bridge.cli", "run", "--pipeline", "p", "--")
INSTRUMENT = str(Path(sys.executable).parent / "opentelemetry-instrument")
TIMEOUT_S = 120
OURS = "http://127.0.0.1:4318"

# The logging cookbook's "logging to a single file from multiple processes".
COOKBOOK = """
import logging, logging.handlers, multiprocessing, threading

def listen(queue):
    while (record := queue.get()) is not None:
        logging.getLogger(record.name).handle(record)

def work(queue, number):
    logging.getLogger().handlers[:] = [logging.handlers.QueueHandler(queue)]
    for step in range(20):
        logging.getLogger("work").warning("worker %d step %d", number, step)

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    listener = threading.Thread(target=listen, args=(queue,))
    listener.start()
    workers = [context.Process(target=work, args=(queue, number)) for number in range(2)]
    [one.start() for one in workers]
    [one.join() for one in workers]
    queue.put(None)
    listener.join()
"""
PLAIN = "import logging; logging.basicConfig(level=20); logging.getLogger('app').error('once, please')"


def run(receiver: Receiver, folder: Path, *command: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    """Runs it to its end, until all that it left is at the receiver."""
    environ = environ_towards(receiver, folder / "state", **more)
    done = subprocess.run(command, env=environ, cwd=folder, timeout=TIMEOUT_S, check=False, capture_output=True)
    wait_until_shipped(environ)
    return done


def test_a_record_that_a_queue_brought_to_another_process_counts_once(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "cookbook.py").write_text(COOKBOOK)

    done = run(receiver, tmp_path, *RUN, sys.executable, "cookbook.py")

    assert done.returncode == 0
    counted = Counter(one.body.string_value for one in receiver.records() if one.body.string_value.startswith("worker"))
    assert counted == {f"worker {number} step {step}": 1 for number in range(2) for step in range(20)}


def test_a_relayed_record_whose_own_process_has_no_journal_here_is_kept(tmp_path: Path) -> None:
    line = {"k": "log", "p": 7, "t": 1, "g": "app", "i": 3, "h": "MainThread"}

    assert not Relays(tmp_path).is_copy(line)


def test_a_record_that_another_machine_made_is_not_taken_for_one_of_the_same_process_number(tmp_path: Path) -> None:
    (tmp_path / "7-aa.jsonl").write_text(
        '{"k":"proc","u":"aa","p":7}\n{"k":"log","u":1,"t":1,"g":"app","i":3,"h":"MainThread","m":"x"}\n'
    )
    brought = {"k": "log", "p": 7, "t": 1, "g": "app", "i": 3, "h": "MainThread"}

    relays = Relays(tmp_path)

    assert relays.is_copy(brought)
    assert not relays.is_copy({**brought, "t": 2})


@pytest.mark.parametrize("is_in_front", [True, False], ids=["in front of us", "behind us"])
def test_beside_opentelemetry_instrument_a_record_is_delivered_once(
    receiver: Receiver, tmp_path: Path, *, is_in_front: bool
) -> None:
    theirs = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
    stock = [INSTRUMENT, "--traces_exporter", "none", "--metrics_exporter", "none"]
    program = [sys.executable, "-c", PLAIN]
    command = [*stock, *RUN, *program] if is_in_front else [*RUN, *stock, *program]

    done = run(receiver, tmp_path, *command, **theirs)

    assert done.returncode == 0
    assert [one.body.string_value for one in receiver.records()].count("once, please") == 1


@pytest.mark.parametrize(
    ("environ", "is_twice"),
    [
        ({}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": f"{OURS}/"}, True),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"{OURS}/v1/logs"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://otel.example.org"}, False),
        ({"OTEL_LOGS_EXPORTER": "otlp"}, False),
    ],
)
def test_what_a_user_chose_for_opentelemetry_stays(environ: dict[str, str], *, is_twice: bool) -> None:
    assert would_tell_twice(environ, OURS) is is_twice
