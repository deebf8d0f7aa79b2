"""What the telemetry process hands over to the alerts process, and what it answers while that one is away."""

from __future__ import annotations

import signal
from contextlib import closing

import pytest

from alert_bridge.store.telemetry import Telemetry
from collector.sink import Answer
from tests.servers.bridge import BridgeProcess, wait_for
from tests.servers.otlp_client import (
    logs_request,
    post,
    record,
)
from tests.servers.otlp_sink import ALERTS_PATH, OtlpSink
from tests.servers.telemetry_process import POLICY, TelemetryProcess

LANE = {"x-pipeline-alerts-lane": "bulk"}


@pytest.fixture
def process(tmp_path):
    with TelemetryProcess(tmp_path) as process:
        yield process


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


def test_a_promoted_record_is_not_acknowledged_before_the_alerts_process_has_it(process):
    body = logs_request(record("Model falls back to last month", 13, uid="lifted"))
    with OtlpSink() as alerts:
        process.alerts = alerts.url
        process.start()
        alerts.script(ALERTS_PATH, Answer(503))

        first, second, third = process.send(body), process.send(body), process.send(body)

        # Known to the store since the first time, and still handed over until it is taken.
        assert (first.status, second.status, third.status) == (503, 200, 200)
        assert alerts.bodies(ALERTS_PATH) == ["Model falls back to last month"] * 2
        assert process.reader.run("run-1").records == 1


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

        process.policy.write_text(POLICY.replace("*falls back to*", "*drifts*"))
        process.running.send_signal(signal.SIGHUP)
        wait_for(lambda: process.send(logs_request(record("the map drifts", 13))) and alerts.bodies(ALERTS_PATH))
        process.policy.write_text("nonsense: [")
        process.running.send_signal(signal.SIGHUP)
        process.send(logs_request(record("falls back to x", 13)))
        process.send(logs_request(record("drifts again", 13)))

        assert alerts.bodies(ALERTS_PATH)[-1] == "drifts again"
        assert "falls back to x" not in alerts.bodies(ALERTS_PATH)


MEANWHILE = """
import os, signal
from alert_bridge.service import rulebook

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # as the parent forks it
first = rulebook._first_policy

def changes_when_it_was_read(settings):
    found = first(settings)
    settings.policy.write_text(settings.policy.read_text().replace("*falls back to*", "*drifts*"))
    os.kill(os.getpid(), signal.SIGHUP)
    return found

rulebook._first_policy = changes_when_it_was_read
"""


def test_a_policy_that_changes_while_a_process_begins_rules(process):
    with OtlpSink() as alerts:
        process.alerts, process.before = alerts.url, MEANWHILE
        process.start()

        wait_for(lambda: process.send(logs_request(record("the map drifts", 13))) and alerts.bodies(ALERTS_PATH))


def test_a_collector_may_come_directly_and_without_an_alert_lane_errors_are_handed_over(process):
    with OtlpSink() as alerts:
        process.alerts, process.tokens = alerts.url, ("right", "older")
        process.start()
        body = logs_request(
            record("boom", 17, uid="u1"), record("fine", 9), record("s", 9, event_name="pipeline.run.start")
        )
        url = f"{process.address}/v1/logs"

        refused = [post(url, body).status, post(url, body, token="wrong").status]
        kept = process.reader.record("u1") if (process.state / "telemetry.db").exists() else None
        with_lane = post(url, body, token="older", headers=LANE).status
        handed_over_with_lane = alerts.bodies(ALERTS_PATH)
        without_lane = post(url, body, token="right").status

        assert (refused, kept) == ([503, 503], None)
        assert (with_lane, handed_over_with_lane) == (200, [])
        assert (without_lane, alerts.bodies(ALERTS_PATH)) == (200, ["boom", "s"])
        assert alerts.requests(ALERTS_PATH)[0].headers["authorization"] == "Bearer right"


def test_through_the_whole_bridge_a_promoted_warning_becomes_one_incident(tmp_path):
    body = logs_request(record("Model falls back to last month", 13, uid="lifted"), record("harmless", 9))
    answers = []
    with BridgeProcess(tmp_path, policy=POLICY) as bridge, closing(Telemetry(bridge.state)) as telemetry:

        def is_taken() -> bool:
            answers.append(post(f"{bridge.url}/v1/logs", body, headers=LANE).status)
            return answers[-1] == 200

        wait_for(is_taken)

        again = post(f"{bridge.url}/v1/logs", body, headers=LANE)

        with closing(bridge.reader()) as control:
            incidents = control.incidents()
        kept = telemetry.run_log("run-1").records
        code = bridge.stop()
    assert again.status == 200
    assert set(answers) <= {503, 200}
    assert [(found.count, found.sample.body) for found in incidents] == [(1, "Model falls back to last month")]
    assert len(kept) == 2
    assert code == 0
