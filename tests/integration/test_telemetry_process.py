"""The telemetry process as a real process: what it answers, and what it keeps through a kill."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from http.client import HTTPException
from queue import Empty, Queue

import pytest

from alert_bridge.otlp.limits import DEFAULT as LIMITS
from tests.servers.bridge import START_WITHIN_S, wait_for
from tests.servers.otlp_client import (
    JSON,
    PROTOBUF,
    as_json,
    gauge,
    logs_request,
    metrics_request,
    new_trace_id,
    record,
    span,
    spans_request,
)
from tests.servers.telemetry_process import POLICY, TelemetryProcess


@pytest.fixture
def process(tmp_path):
    with TelemetryProcess(tmp_path) as process:
        yield process


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One process for the tests that only ask and read."""
    with TelemetryProcess(tmp_path_factory.mktemp("shared")) as process:
        yield process.start()


def test_every_signal_in_every_form_is_kept_when_it_is_answered(shared):
    trace, resource = new_trace_id(), {"cicd.pipeline.run.id": "every-signal"}

    answers = [
        shared.send(logs_request(record("one", 9, trace_id=trace), resource=resource)),
        shared.send(as_json("logs", logs_request(record("two", 9), resource=resource)), content_type=JSON),
        shared.send(logs_request(record("three", 9), resource=resource), compress=True),
        shared.send(spans_request(span("train", trace_id=trace), resource=resource), "traces"),
        shared.send(metrics_request(gauge("loss", 0.5), resource=resource), "metrics"),
    ]

    assert [(answer.status, answer.body) for answer in answers] == [
        (200, b""), (200, b'{"partialSuccess": {}}'), (200, b""), (200, b""), (200, b"")
    ]  # fmt: skip
    assert sorted(kept.body for kept in shared.reader.run_log("every-signal").records) == ["one", "three", "two"]
    assert [kept.name for kept in shared.reader.run_spans("every-signal")] == ["train"]
    assert [(point.name, point.value) for point in shared.reader.run_points("every-signal")] == [("loss", 0.5)]


def test_secrets_do_not_reach_the_disk(process):
    process.start()

    process.send(logs_request(record("login with password=hunter2hunter2", 9, uid="u1", **{"db.password": "hunter2"})))

    assert process.end() == 0
    assert "[redacted]" in process.reader.record("u1").body
    assert all(b"hunter2" not in file.read_bytes() for file in process.state.iterdir() if file.is_file())


@pytest.mark.parametrize(
    ("body", "more"),
    [
        (b"\xff\xff\xff", {}),
        (logs_request(record("x")), {"content_type": "text/plain"}),
        (logs_request(record("x")), {"headers": {"content-encoding": "br"}}),
        (b"{", {"content_type": JSON}),
        (b"0" * (LIMITS.body_bytes + 1), {}),
    ],
)
def test_what_is_not_otlp_is_answered_400_with_the_reason(shared, body, more):
    answer = shared.send(body, **more)

    assert answer.status == 400
    assert len(answer.body) > 10
    uid = new_trace_id()
    assert shared.send(logs_request(record("fine", 9, uid=uid))).status == 200
    assert shared.reader.record(uid) is not None


def test_a_partly_bad_request_keeps_the_good_and_says_how_much_was_not(shared):
    document = json.loads(as_json("logs", logs_request(record("good", 9, uid="good"))))
    document["resourceLogs"][0]["scopeLogs"][0]["logRecords"].append({"body": "password=hunter2hunter2"})

    answer = shared.send(json.dumps(document).encode(), content_type=JSON)

    assert answer.status == 200
    assert json.loads(answer.body)["partialSuccess"]["rejectedLogRecords"] == "1"
    assert shared.reader.record("good").body == "good"
    with closing(sqlite3.connect(shared.state / "telemetry.db")) as connection:
        ((reason, excerpt),) = connection.execute("SELECT reason, excerpt FROM rejects").fetchall()
    assert "must be an object" in reason
    assert "hunter2" not in excerpt


def test_a_locked_database_is_our_trouble_and_heals(process):
    process.start()
    with closing(sqlite3.connect(process.state / "telemetry.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refused = process.send(logs_request(record("x", 9, uid="u1")))
        other.execute("ROLLBACK")

    again = process.send(logs_request(record("x", 9, uid="u1")))

    assert refused.status == 503
    assert int(refused.headers["retry-after"]) > 0
    assert (again.status, process.reader.run("run-1").records) == (200, 1)


def test_a_kill_at_any_moment_loses_nothing_that_was_answered_and_doubles_nothing(process):
    requests = {
        number: logs_request(*[record("x", 9, uid=f"{number}-{part}") for part in range(10)]) for number in range(200)
    }
    waiting, acknowledged = Queue(), []
    for number in requests:
        waiting.put(number)

    def sender():
        with contextlib.suppress(Empty):
            while True:
                number = waiting.get_nowait()
                try:
                    if process.send(requests[number]).status == 200:
                        acknowledged.append(number)
                        continue
                except (OSError, HTTPException):
                    time.sleep(0.01)
                waiting.put(number)

    process.start()
    senders = [threading.Thread(target=sender, daemon=True) for _ in range(4)]
    for thread in senders:
        thread.start()
    for goal in (30, 70, 110):
        wait_for(lambda goal=goal: len(acknowledged) >= goal, START_WITHIN_S)
        process.end(signal.SIGKILL)
        kept = {record.uid for record in process.reader.run_records("run-1")}
        assert {f"{number}-0" for number in list(acknowledged)} <= kept
        process.start()
    for thread in senders:
        thread.join()

    again = [process.send(requests[number]).status for number in range(50)]

    assert again == [200] * 50
    uids = [record.uid for record in process.reader.run_records("run-1")]
    assert (len(uids), len(set(uids)), process.reader.run("run-1").records) == (2_000, 2_000, 2_000)


def test_sigterm_ends_it_after_what_was_taken(process):
    process.start()
    process.send(logs_request(record("x", 9, uid="u1")))

    code = process.end()

    assert (code, process.socket.exists()) == (0, False)
    assert process.reader.record("u1") is not None


EARLY = """
import os, signal, sys
from pathlib import Path
from alert_bridge.service import telemetry
from alert_bridge.service.settings import ServiceSettings

bind = telemetry._bind

def bind_late(path):
    os.kill(os.getpid(), signal.SIGTERM)
    return bind(path)

telemetry._bind = bind_late
policy, state = map(Path, sys.argv[1:])
settings = ServiceSettings(policy=policy, state=state, host="127.0.0.1", port=1, public_url="")
telemetry.run(settings, settings.telemetry_socket)
"""


def test_sigterm_before_it_listens_ends_it_too(tmp_path):
    policy = tmp_path / "alerting.yaml"
    policy.write_text(POLICY, encoding="utf-8")

    ended = subprocess.run([sys.executable, "-c", EARLY, policy, tmp_path / "state"], timeout=START_WITHIN_S)

    assert ended.returncode == 0


def test_it_starts_over_the_socket_of_one_that_was_killed(process):
    process.start().end(signal.SIGKILL)

    assert process.socket.exists()
    assert process.start().send(logs_request(record("x", 9))).status == 200


def test_another_process_reads_while_this_one_writes(process):
    process.start()
    stop = threading.Event()
    numbers = iter(range(10_000))

    def writer():
        while not stop.is_set():
            number = next(numbers)
            process.send(logs_request(*[record("x", 9, uid=f"{number}-{part}") for part in range(50)]))

    thread = threading.Thread(target=writer)
    thread.start()
    seen = []

    def has_seen_it_grow() -> bool:
        run = process.reader.run("run-1")
        if run is not None:
            seen.append((run.records, len(process.reader.run_log("run-1", before=run.records).records)))
        return len({counted for counted, _ in seen}) >= 5

    try:
        wait_for(has_seen_it_grow, START_WITHIN_S)
    finally:
        stop.set()
        thread.join()

    assert [(counted, read) for counted, read in seen if read < counted] == [], "less than what was counted before"
    assert [counted for counted, _ in seen if counted % 50] == [], "half a request"


def test_protobuf_is_answered_in_protobuf(shared):
    assert shared.send(b"\xff").headers["content-type"] == PROTOBUF
