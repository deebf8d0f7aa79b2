"""What a real Collector does with each answer of a bridge, and what survives when either of them dies."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from collector.process import Collector, free_port
from instrumentation import attributes as names
from tests.servers.bridge import wait_for
from tests.servers.collector import collector_for
from tests.servers.otlp_client import logs_request, post, record
from tests.servers.otlp_sink import ALERTS_PATH, LOGS_PATH, METRICS_PATH, Answer, OtlpSink

pytestmark = pytest.mark.collector

DEADLINE_SECONDS = 60.0
RECORDS = 1_000
RECORDS_PER_REQUEST = 50


def send(collector: Collector, *bodies: str, severity: int = 17) -> None:
    """Send ERROR records; returns when the Collector has acknowledged them."""
    records = [record(body, severity) for body in bodies]
    assert post(f"{collector.http_endpoint}/v1/logs", logs_request(*records)).status == 200


def send_many(collector: Collector) -> list[str]:
    bodies = [f"error {number}" for number in range(RECORDS)]
    for first in range(0, RECORDS, RECORDS_PER_REQUEST):
        send(collector, *bodies[first : first + RECORDS_PER_REQUEST])
    return bodies


def arrived(sink: OtlpSink, bodies: Iterable[str], path: str = ALERTS_PATH) -> bool:
    """Whether all of them came in time, whatever else did."""
    return sink.wait_for(lambda: set(bodies) <= set(sink.bodies(path)), DEADLINE_SECONDS)


def dropped(collector: Collector) -> list[dict[str, Any]]:
    """What the Collector's log says that it threw away, once it says so, which is after the answer."""

    def lines() -> list[str]:
        return [line for line in collector.log.read_text().splitlines() if "Dropping data" in line]

    wait_for(lines, DEADLINE_SECONDS)
    return [json.loads(line) for line in lines()]


def audiences_of_own_records(sink: OtlpSink) -> set[str]:
    resources = [
        {pair.key: pair.value.string_value for pair in logs.resource.attributes}
        for request in sink.requests(LOGS_PATH)
        for logs in ExportLogsServiceRequest.FromString(request.body).resource_logs
    ]
    return {each.get(names.AUDIENCE, "") for each in resources if each[names.SERVICE_NAME] == "otel-collector"}


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_answer_that_says_not_now_is_tried_again_until_it_is_taken(tmp_path: Path, status: int):
    with OtlpSink() as sink, collector_for(tmp_path, sink.url) as collector:
        sink.script(ALERTS_PATH, Answer(status), Answer(status))

        send(collector, "boom")

        assert arrived(sink, ["boom"])
        assert len(sink.requests(ALERTS_PATH)) == 3
        assert sink.bodies(ALERTS_PATH) == ["boom"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 500])
def test_a_final_answer_loses_the_batch_and_the_next_one_goes_on(tmp_path: Path, status: int):
    # Why the bridge answers 503 to a wrong token and to its own troubles, and 400 only to what is not OTLP.
    with OtlpSink() as sink, collector_for(tmp_path, sink.url) as collector:
        sink.script(ALERTS_PATH, Answer(status))

        send(collector, "lost")
        assert sink.wait_for(lambda: len(sink.requests(ALERTS_PATH)) == 1, DEADLINE_SECONDS)
        send(collector, "kept")

        assert arrived(sink, ["kept"])
        assert sink.bodies(ALERTS_PATH) == ["kept"]
        assert len(dropped(collector)) == 1


def test_retry_after_is_honoured(tmp_path: Path):
    # By itself it would try again after 200 ms.
    with OtlpSink() as sink, collector_for(tmp_path, sink.url) as collector:
        sink.script(ALERTS_PATH, Answer(503, {"Retry-After": "2"}))

        send(collector, "boom")

        assert arrived(sink, ["boom"])
        first, second = sink.times[ALERTS_PATH]
        assert second - first >= 2.0


def test_an_empty_200_is_a_success_and_nothing_is_sent_again(tmp_path: Path):
    with OtlpSink() as sink, collector_for(tmp_path, sink.url) as collector:
        send(collector, "first")
        assert arrived(sink, ["first"])
        send(collector, "second")

        assert arrived(sink, ["second"])
        assert [len(list(request.records())) for request in sink.requests(ALERTS_PATH)] == [1, 1]


def test_a_slow_telemetry_store_delays_no_alert(tmp_path: Path):
    with OtlpSink() as sink, collector_for(tmp_path, sink.url) as collector:
        sink.always(LOGS_PATH, Answer(503))
        send(collector, *(f"info {number}" for number in range(200)), severity=9)
        assert sink.wait_for(lambda: len(sink.requests(LOGS_PATH)) >= 1, DEADLINE_SECONDS)

        send(collector, "boom")

        assert arrived(sink, ["boom"])
        assert sink.bodies(LOGS_PATH) == [], (
            "the store never takes anything: an alert that waited for it would not be here"
        )


def test_sigkill_with_the_bridge_down_loses_none_of_a_thousand_acknowledged_errors(tmp_path: Path):
    port = free_port()
    collector = collector_for(tmp_path, f"http://127.0.0.1:{port}").start()
    bodies = send_many(collector)

    collector.kill()
    with OtlpSink(port) as sink, collector:
        assert arrived(sink, bodies)
        assert arrived(sink, bodies, LOGS_PATH)

    assert Counter(sink.bodies(ALERTS_PATH)) == Counter(bodies)
    assert Counter(sink.bodies(LOGS_PATH)) >= Counter(bodies)


def test_sigkill_while_the_bridge_says_503_loses_and_doubles_nothing(tmp_path: Path):
    port = free_port()
    with OtlpSink(port) as refusing:
        refusing.always(ALERTS_PATH, Answer(503))
        collector = collector_for(tmp_path, refusing.url).start()
        bodies = send_many(collector)
        assert refusing.wait_for(lambda: len(refusing.requests(ALERTS_PATH)) >= 4, DEADLINE_SECONDS)

        collector.kill()
    with OtlpSink(port) as sink, collector:
        assert arrived(sink, bodies)

    assert Counter(sink.bodies(ALERTS_PATH)) == Counter(bodies)


def test_sigkill_while_the_bridge_is_slow_loses_nothing_and_doubles_only_what_was_under_way(tmp_path: Path):
    with OtlpSink() as sink:
        sink.always(ALERTS_PATH, Answer(delay_seconds=0.3))
        collector = collector_for(tmp_path, sink.url).start()
        bodies = send_many(collector)
        assert sink.wait_for(lambda: len(sink.requests(ALERTS_PATH)) >= 2, DEADLINE_SECONDS)

        collector.kill()
        sink.always(ALERTS_PATH, Answer())
        with collector:
            assert arrived(sink, bodies)

    assert set(sink.bodies(ALERTS_PATH)) == set(bodies)
    assert max(Counter(sink.bodies(ALERTS_PATH)).values()) <= 2


def test_an_orderly_stop_keeps_what_the_bridge_has_not_taken_for_the_next_start(tmp_path: Path):
    port = free_port()
    with OtlpSink(port) as refusing:
        refusing.always(ALERTS_PATH, Answer(503))
        collector = collector_for(tmp_path, refusing.url).start()
        bodies = send_many(collector)

        started = time.monotonic()
        code = collector.stop()
        took = time.monotonic() - started
    with OtlpSink(port) as sink, collector:
        assert arrived(sink, bodies)

    assert code == 0
    assert took < 10.0
    assert Counter(sink.bodies(ALERTS_PATH)) == Counter(bodies)


def test_the_queues_are_readable_by_nobody_else(tmp_path: Path):
    with OtlpSink() as sink, collector_for(tmp_path, sink.url) as collector:
        send(collector, "boom")
        assert arrived(sink, ["boom"])

        state = Path(collector.environ["OTELCOL_STATE_DIR"])
        assert {path.stat().st_mode & 0o077 for path in (state / "alerts", state / "telemetry")} == {0}


def test_the_collector_says_what_it_drops_in_a_line_that_a_machine_can_read(tmp_path: Path):
    with OtlpSink() as sink, collector_for(tmp_path, sink.url) as collector:
        sink.script(ALERTS_PATH, Answer(400))

        send(collector, "lost")
        assert sink.wait_for(lambda: len(sink.requests(ALERTS_PATH)) == 1, DEADLINE_SECONDS)
        send(collector, "kept")
        assert arrived(sink, ["kept"])

        assert [(line["level"], line["dropped_items"]) for line in dropped(collector)] == [("error", 1)]


def test_what_the_collector_logs_as_an_error_asks_for_whoever_keeps_it_running(tmp_path: Path):
    with OtlpSink() as sink, collector_for(tmp_path, sink.url) as collector:
        sink.script(ALERTS_PATH, Answer(400))

        send(collector, "lost")

        assert sink.wait_for(lambda: any("Dropping data" in body for body in sink.bodies(LOGS_PATH)), DEADLINE_SECONDS)
        assert audiences_of_own_records(sink) == {"infrastructure"}


def test_a_stop_does_not_wait_for_a_bridge_that_says_503_to_everything(tmp_path: Path):
    with OtlpSink() as sink:
        for path in (ALERTS_PATH, LOGS_PATH, METRICS_PATH):
            sink.always(path, Answer(503))
        collector = collector_for(tmp_path, sink.url).start()
        send(collector, "boom")

        started = time.monotonic()
        collector.stop()

        assert time.monotonic() - started < 10.0
