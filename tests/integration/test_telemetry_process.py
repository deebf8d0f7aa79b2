"""The telemetry process as a real process: what it answers, what it keeps through a kill, and what it hands over."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import pytest

from alert_bridge.store.control import open_reader
from alert_bridge.store.telemetry import Telemetry
from collector.sink import Answer
from tests.servers.otlp_client import (
    JSON,
    PROTOBUF,
    as_json,
    gauge,
    logs_request,
    metrics_request,
    new_trace_id,
    post,
    record,
    span,
    spans_request,
)
from tests.servers.otlp_sink import ALERTS_PATH, OtlpSink

START_WITHIN_S = 120.0
LANE = {"x-pipeline-alerts-lane": "bulk"}
PROCESS = """
import json, logging, socket, sys
from pathlib import Path
from alert_bridge.service import telemetry
from alert_bridge.service.settings import ServiceSettings
logging.basicConfig(level=logging.WARNING)
told = json.loads(sys.argv[1])
listening = socket.create_server(("127.0.0.1", 0))
state = Path(told["state"])
(state / "port").write_text(str(listening.getsockname()[1]))
settings = ServiceSettings(
    policy=Path(told["policy"]), state=state, host="127.0.0.1", port=0, public_url="", tokens=tuple(told["tokens"])
)
telemetry.run(settings, settings.telemetry_socket, alerts_url=told["alerts"], listening=listening)
"""
POLICY = """
version: 1
audiences:
  mdd: {name: MDD, slack: "#alerts-mdd"}
routes:
  - {channel: slack, min_severity: ERROR, audiences: [mdd]}
rules:
  - {match: {body: "*falls back to*"}, set: {severity: ERROR}}
"""


@dataclass
class Process:
    state: Path
    alerts: str = "http://127.0.0.1:9"
    tokens: tuple[str, ...] = ()
    running: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.state / "telemetry.sock"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{(self.state / 'port').read_text()}"

    def start(self):
        policy = self.state / "alerting.yaml"
        if not policy.exists():
            policy.write_text(POLICY)
        told = {"state": str(self.state), "policy": str(policy), "alerts": self.alerts, "tokens": self.tokens}
        self.running = subprocess.Popen([sys.executable, "-c", PROCESS, json.dumps(told)])
        deadline = time.monotonic() + START_WITHIN_S
        while not self.is_up():
            assert self.running.poll() is None, "the process ended"
            assert time.monotonic() < deadline, "the process does not answer"
            time.sleep(0.02)
        return self

    def is_up(self) -> bool:
        try:
            return self.send(b"").status == 200
        except (OSError, HTTPException):
            return False

    def send(self, body, signal_name="logs", **more):
        return post(f"http://telemetry/v1/{signal_name}", body, socket=self.socket, **more)

    def end(self, number=signal.SIGTERM) -> int:
        if self.running is None:
            return 0
        self.running.send_signal(number)
        code, self.running = self.running.wait(timeout=60), None
        return code


@pytest.fixture
def process(tmp_path):
    process = Process(tmp_path)
    yield process
    process.end(signal.SIGKILL)


@pytest.fixture
def reader(tmp_path):
    opened = Telemetry(tmp_path)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One process for the tests that only ask and read."""
    process = Process(tmp_path_factory.mktemp("shared")).start()
    yield process
    process.end(signal.SIGKILL)


@pytest.fixture
def shared_reader(shared):
    opened = Telemetry(shared.state)
    yield opened
    opened.close()


def test_every_signal_in_every_form_is_kept_when_it_is_answered(shared, shared_reader):
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
    assert sorted(kept.body for kept in shared_reader.run_log("every-signal").records) == ["one", "three", "two"]
    assert [kept.name for kept in shared_reader.run_spans("every-signal")] == ["train"]
    assert [(point.name, point.value) for point in shared_reader.run_points("every-signal")] == [("loss", 0.5)]


def test_secrets_do_not_reach_the_disk(process, reader):
    process.start()

    process.send(logs_request(record("login with password=hunter2hunter2", 9, uid="u1", **{"db.password": "hunter2"})))

    assert process.end() == 0
    assert "[redacted]" in reader.record("u1").body
    assert all(b"hunter2" not in file.read_bytes() for file in process.state.iterdir() if file.is_file())


@pytest.mark.parametrize(
    ("body", "more"),
    [
        (b"\xff\xff\xff", {}),
        (logs_request(record("x")), {"content_type": "text/plain"}),
        (logs_request(record("x")), {"headers": {"content-encoding": "br"}}),
        (b"{", {"content_type": JSON}),
        (b"0" * (21 * 1024 * 1024), {}),
    ],
)
def test_what_is_not_otlp_is_answered_400_with_the_reason(shared, shared_reader, body, more):

    answer = shared.send(body, **more)

    assert answer.status == 400
    assert len(answer.body) > 10
    assert shared.send(logs_request(record("fine", 9, uid="after"))).status == 200
    assert shared_reader.record("after") is not None


def test_a_partly_bad_request_keeps_the_good_and_says_how_much_was_not(shared, shared_reader):
    document = json.loads(as_json("logs", logs_request(record("good", 9, uid="good"))))
    document["resourceLogs"][0]["scopeLogs"][0]["logRecords"].append({"body": "password=hunter2hunter2"})

    answer = shared.send(json.dumps(document).encode(), content_type=JSON)

    assert answer.status == 200
    assert json.loads(answer.body)["partialSuccess"]["rejectedLogRecords"] == "1"
    assert shared_reader.record("good").body == "good"
    with closing(sqlite3.connect(shared.state / "telemetry.db")) as connection:
        ((reason, excerpt),) = connection.execute("SELECT reason, excerpt FROM rejects").fetchall()
    assert "must be an object" in reason
    assert "hunter2" not in excerpt


def test_a_locked_database_is_our_trouble_and_heals(process, reader):
    process.start()
    with closing(sqlite3.connect(process.state / "telemetry.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refused = process.send(logs_request(record("x", 9, uid="u1")))
        other.execute("ROLLBACK")

    again = process.send(logs_request(record("x", 9, uid="u1")))

    assert refused.status == 503
    assert int(refused.headers["retry-after"]) > 0
    assert (again.status, reader.run("run-1").records) == (200, 1)


def test_a_kill_at_any_moment_loses_nothing_that_was_answered_and_doubles_nothing(process, reader):
    requests = [
        (number, logs_request(*[record("x", 9, uid=f"{number}-{part}") for part in range(10)])) for number in range(200)
    ]
    waiting, acknowledged = list(requests), []

    def sender():
        while waiting:
            number, body = waiting.pop(0)
            try:
                if process.send(body).status == 200:
                    acknowledged.append(number)
                    continue
            except (OSError, HTTPException):
                time.sleep(0.01)
            waiting.append((number, body))

    process.start()
    senders = [threading.Thread(target=sender) for _ in range(4)]
    for thread in senders:
        thread.start()
    for goal in (30, 70, 110):
        while len(acknowledged) < goal:
            time.sleep(0.005)
        process.end(signal.SIGKILL)
        kept = {record.uid for record in reader.run_records("run-1")}
        assert {f"{number}-0" for number in list(acknowledged)} <= kept
        process.start()
    for thread in senders:
        thread.join()

    again = [process.send(body).status for _, body in requests[:50]]

    assert again == [200] * 50
    uids = [record.uid for record in reader.run_records("run-1")]
    assert (len(uids), len(set(uids)), reader.run("run-1").records) == (2_000, 2_000, 2_000)


def test_sigterm_ends_it_after_what_was_taken(process, reader):
    process.start()
    process.send(logs_request(record("x", 9, uid="u1")))

    code = process.end()

    assert (code, process.socket.exists()) == (0, False)
    assert reader.record("u1") is not None


def test_it_starts_over_the_socket_of_one_that_was_killed(process):
    process.start().end(signal.SIGKILL)

    assert process.socket.exists()
    assert process.start().send(logs_request(record("x", 9))).status == 200


def test_another_process_reads_while_this_one_writes(process, reader):
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
    deadline = time.monotonic() + START_WITHIN_S
    while len(set(seen)) < 5 and time.monotonic() < deadline:
        run = reader.run("run-1")
        if run is not None:
            page = reader.run_log("run-1", before=10_000)
            assert len(page.records) >= run.records  # never less than what was counted a moment ago
            seen.append(run.records)
    stop.set()
    thread.join()

    assert len(set(seen)) >= 5
    assert all(number % 50 == 0 for number in seen)  # never half a request


def test_what_a_rule_promotes_is_with_the_alerts_process_before_the_answer(process):
    with OtlpSink() as alerts:
        process.alerts = alerts.url
        process.start()

        answer = process.send(
            logs_request(
                record("Model falls back to last month", 13, uid="lifted", at=5, observed=6, **{"code.line.number": 7}),
                record("harmless", 9),
                record("an error, which the alert lane brings", 17),
            )
        )

        assert answer.status == 200
        (request,) = alerts.requests(ALERTS_PATH)
        (told,) = request.records()
        assert (told.body.string_value, told.severity_number, told.time_unix_nano) == (
            "Model falls back to last month", 13, 5
        )  # fmt: skip
        assert {pair.key for pair in told.attributes} == {"log.record.uid", "code.line.number"}


def test_a_promoted_record_is_not_acknowledged_before_the_alerts_process_has_it(process, reader):
    body = logs_request(record("Model falls back to last month", 13, uid="lifted"))
    with OtlpSink() as alerts:
        process.alerts = alerts.url
        process.start()
        alerts.script(ALERTS_PATH, Answer(503))

        first, second, third = process.send(body), process.send(body), process.send(body)

        # Known to the store since the first time, and still handed over until it is taken.
        assert (first.status, second.status, third.status) == (503, 200, 200)
        assert alerts.bodies(ALERTS_PATH) == ["Model falls back to last month"] * 2
        assert reader.run("run-1").records == 1


def test_an_alerts_process_that_is_away_is_our_trouble(process):
    process.start()

    promoted = process.send(logs_request(record("falls back to x", 13)))
    other = process.send(logs_request(record("harmless", 9)))

    assert (promoted.status, other.status) == (503, 200)


def test_a_refusal_by_the_alerts_process_does_not_hold_up_the_bulk_for_ever(process):
    with OtlpSink() as alerts:
        process.alerts = alerts.url
        process.start()
        alerts.always(ALERTS_PATH, Answer(400))

        assert process.send(logs_request(record("falls back to x", 13))).status == 200


def test_a_new_policy_rules_after_sighup_and_a_broken_one_changes_nothing(process):
    with OtlpSink() as alerts:
        process.alerts = alerts.url
        process.start()
        policy = process.state / "alerting.yaml"

        policy.write_text(POLICY.replace("*falls back to*", "*drifts*"))
        process.running.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + START_WITHIN_S
        while not alerts.bodies(ALERTS_PATH):
            assert time.monotonic() < deadline
            process.send(logs_request(record("the map drifts", 13)))
        policy.write_text("nonsense: [")
        process.running.send_signal(signal.SIGHUP)
        process.send(logs_request(record("falls back to x", 13)))
        process.send(logs_request(record("drifts again", 13)))

        assert alerts.bodies(ALERTS_PATH)[-1] == "drifts again"
        assert "falls back to x" not in alerts.bodies(ALERTS_PATH)


def test_a_collector_may_come_directly_and_without_an_alert_lane_errors_are_handed_over(process, reader):
    with OtlpSink() as alerts:
        process.alerts, process.tokens = alerts.url, ("right", "older")
        process.start()
        body = logs_request(
            record("boom", 17, uid="u1"), record("fine", 9), record("s", 9, event_name="pipeline.run.start")
        )
        url = f"{process.address}/v1/logs"

        refused = [post(url, body).status, post(url, body, token="wrong").status]
        kept = reader.record("u1") if (process.state / "telemetry.db").exists() else None
        with_lane = post(url, body, token="older", headers=LANE).status
        handed_over_with_lane = alerts.bodies(ALERTS_PATH)
        without_lane = post(url, body, token="right").status

        assert (refused, kept) == ([503, 503], None)
        assert (with_lane, handed_over_with_lane) == (200, [])
        assert (without_lane, alerts.bodies(ALERTS_PATH)) == (200, ["boom", "s"])
        assert alerts.requests(ALERTS_PATH)[0].headers["authorization"] == "Bearer right"


def test_through_the_whole_bridge_a_promoted_warning_becomes_one_incident(tmp_path):
    policy = tmp_path / "alerting.yaml"
    policy.write_text(POLICY)
    state = tmp_path / "state"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLACK_", "SMTP_"))}
    bridge = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "alert_bridge.cli",
            "serve",
            "--policy",
            policy,
            "--state",
            state,
            "--listen",
            "127.0.0.1:0",
        ],
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    try:
        address = bridge.stdout.readline().split()[1]
        body = logs_request(record("Model falls back to last month", 13, uid="lifted"), record("harmless", 9))
        deadline = time.monotonic() + START_WITHIN_S
        while (answer := post(f"{address}/v1/logs", body, headers=LANE)).status != 200:
            assert answer.status == 503
            assert time.monotonic() < deadline
            time.sleep(0.05)

        again = post(f"{address}/v1/logs", body, headers=LANE)

        incidents = open_reader(state).incidents()
        assert again.status == 200
        assert [(found.count, found.sample.body) for found in incidents] == [(1, "Model falls back to last month")]
        reader = Telemetry(state)
        assert len(reader.run_log("run-1").records) == 2
        reader.close()
    finally:
        bridge.terminate()
        code = bridge.wait(timeout=60)
        bridge.stdout.close()
    assert code == 0


def test_protobuf_is_answered_in_protobuf(shared):

    assert shared.send(b"\xff").headers["content-type"] == PROTOBUF
