"""Who may send to a real Collector, and by which protocol: foreign clients, tokens, files, another Collector."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

from collector.process import Collector
from tests.servers.collector import collector_for
from tests.servers.otlp_client import logs_request, post, record
from tests.servers.otlp_sink import ALERTS_PATH, LOGS_PATH, METRICS_PATH, OtlpSink, attributes, uid
from tests.servers.telemetrygen import BUILD_WITHIN_SECONDS, telemetrygen

pytestmark = pytest.mark.collector

DEADLINE_SECONDS = 60.0
INGEST_TOKEN = "senders-show-this"
BRIDGE_TOKEN = "we-show-this"


@pytest.fixture
def sink() -> Iterator[OtlpSink]:
    with OtlpSink() as started:
        yield started


@pytest.fixture
def tokens(tmp_path: Path) -> dict[str, str]:
    ingest, bridge = tmp_path / "ingest_token", tmp_path / "bridge_token"
    ingest.write_text(INGEST_TOKEN)
    bridge.write_text(f"{BRIDGE_TOKEN}\n")  # as most editors leave it
    return {"OTELCOL_INGEST_TOKEN_FILE": str(ingest), "BRIDGE_TOKEN_FILE": str(bridge)}


def alerts_arrive(sink: OtlpSink, *bodies: str) -> bool:
    return sink.wait_for(lambda: set(bodies) <= set(sink.bodies(ALERTS_PATH)), DEADLINE_SECONDS)


def send(collector: Collector, body: str, *, severity: int = 17, token: str = "") -> int:
    return post(f"{collector.http_endpoint}/v1/logs", logs_request(record(body, severity)), token=token).status


def test_the_sdk_of_opentelemetry_reaches_the_alert_lane_over_grpc(tmp_path, sink):
    with collector_for(tmp_path, sink.url) as collector:
        provider = LoggerProvider()
        exporter = OTLPLogExporter(endpoint=collector.grpc_endpoint, insecure=True, timeout=DEADLINE_SECONDS)
        provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
        logger = provider.get_logger("views.train")
        logger.emit(severity_number=SeverityNumber.INFO, body="fine", event_name="")
        logger.emit(severity_number=SeverityNumber.ERROR, body="loss is NaN")
        provider.shutdown()

        assert alerts_arrive(sink, "loss is NaN")
        assert sink.wait_for(lambda: {"fine", "loss is NaN"} <= set(sink.bodies(LOGS_PATH)), DEADLINE_SECONDS)
        assert sink.bodies(ALERTS_PATH) == ["loss is NaN"]


@pytest.mark.timeout(BUILD_WITHIN_SECONDS)
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_stock_go_client_reaches_the_alert_lane(tmp_path, sink, protocol):
    client = telemetrygen()
    with collector_for(tmp_path, sink.url) as collector:
        where = ["--otlp-http"] if protocol == "http" else []
        address = collector.environ["OTELCOL_HTTP_ADDR"] if protocol == "http" else collector.grpc_endpoint
        for severity, text, body in (("9", "Info", "from go, fine"), ("17", "Error", "from go, broken")):
            subprocess.run(
                [client, "logs", *where, "--otlp-insecure", "--otlp-endpoint", address, "--logs", "3", "--workers", "1",
                 "--severity-number", severity, "--severity-text", text, "--body", body],
                check=True, capture_output=True, timeout=120,
            )  # fmt: skip

        assert sink.wait_for(lambda: sink.bodies(ALERTS_PATH).count("from go, broken") == 3, DEADLINE_SECONDS)
        assert sink.wait_for(lambda: sink.bodies(LOGS_PATH).count("from go, fine") == 3, DEADLINE_SECONDS)
        assert set(sink.bodies(ALERTS_PATH)) == {"from go, broken"}


def test_a_wrong_or_missing_token_is_turned_away_and_the_right_one_taken(tmp_path, sink, tokens):
    with collector_for(tmp_path, sink.url, **tokens) as collector:
        refused = [send(collector, "stranger"), send(collector, "stranger", token=BRIDGE_TOKEN)]
        taken = send(collector, "friend", token=INGEST_TOKEN)

        assert (refused, taken) == ([401, 401], 200)
        assert alerts_arrive(sink, "friend")
        assert sink.bodies(ALERTS_PATH) == ["friend"]


def test_everything_that_goes_to_the_bridge_carries_its_token(tmp_path, sink, tokens):
    with collector_for(tmp_path, sink.url, OTELCOL_METRICS_INTERVAL_MS="200", **tokens) as collector:
        send(collector, "boom", token=INGEST_TOKEN)
        assert alerts_arrive(sink, "boom")
        assert sink.wait_for(
            lambda: (
                "boom" in sink.bodies(LOGS_PATH)
                and any("Everything is ready" in body for body in sink.bodies(LOGS_PATH))
                and bool(sink.requests(METRICS_PATH))
            ),
            DEADLINE_SECONDS,
        )

        shown = {
            request.headers.get("authorization")
            for path in (ALERTS_PATH, LOGS_PATH, METRICS_PATH)
            for request in sink.requests(path)
        }
        assert shown == {f"Bearer {BRIDGE_TOKEN}"}


@pytest.mark.parametrize(
    ("kept", "sent_with", "shown"),
    [("OTELCOL_INGEST_TOKEN_FILE", INGEST_TOKEN, None), ("BRIDGE_TOKEN_FILE", "", f"Bearer {BRIDGE_TOKEN}")],
)
def test_one_side_can_have_a_token_without_the_other(tmp_path, sink, tokens, kept, sent_with, shown):
    with collector_for(tmp_path, sink.url, **{kept: tokens[kept]}) as collector:
        assert send(collector, "boom", token=sent_with) == 200

        assert alerts_arrive(sink, "boom")
        assert sink.requests(ALERTS_PATH)[0].headers.get("authorization") == shown


def test_a_file_of_json_lines_is_read_on_from_where_it_stopped_also_after_a_kill(tmp_path, sink):
    file = tmp_path / "run.jsonl"
    line = {"time": "2026-11-25T06:00:00.123456789Z", "message": "one", "level": "ERROR", "service": "fatalities"}
    lines = [line, {**line, "message": "two", "level": "INFO", "trace_id": "ab" * 16, "span_id": "cd" * 8}]
    file.write_text("".join(f"{json.dumps(entry)}\n" for entry in lines) + "no JSON\n")
    collector = collector_for(tmp_path, sink.url, overlays=["log_files"], PIPELINE_LOG_GLOB=str(file)).start()
    assert sink.wait_for(lambda: {"one", "two", "no JSON"} <= set(sink.bodies(LOGS_PATH)), DEADLINE_SECONDS)
    assert alerts_arrive(sink, "one")
    with file.open("a") as more:
        more.write(json.dumps({**line, "message": "last"}) + "\n")
    assert alerts_arrive(sink, "one", "last")

    collector.kill()
    with file.open("a") as more:
        more.write(json.dumps({**line, "message": "three", "level": "critical"}) + "\n")
    with collector:
        assert alerts_arrive(sink, "one", "last", "three")

    assert sink.bodies(ALERTS_PATH).count("one") == 1, "it was read from the start again"
    # A kill may repeat what was under way; the identity makes it count once.
    alerts = {uid(entry): entry.body.string_value for entry in sink.records(ALERTS_PATH)}
    assert sorted(alerts.values()) == ["last", "one", "three"]
    copies = [entry for entry in sink.records(LOGS_PATH) if entry.body.string_value == "two"]
    assert len({uid(entry) for entry in copies}) == 1
    second = copies[0]
    assert (second.trace_id.hex(), second.severity_number, second.time_unix_nano % 10**9) == ("ab" * 16, 9, 123456789)
    assert "message" not in attributes(second)


def test_through_a_gateway_every_record_travels_once_and_reaches_both_lanes(tmp_path, sink, tokens):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    token = {"OTELCOL_INGEST_TOKEN_FILE": tokens["OTELCOL_INGEST_TOKEN_FILE"]}
    with (
        collector_for(there, sink.url, **token) as gateway,
        collector_for(here, gateway.http_endpoint, overlays=["gateway"],
                      BRIDGE_TOKEN_FILE=token["OTELCOL_INGEST_TOKEN_FILE"]) as agent,
    ):  # fmt: skip
        assert send(agent, "boom") == 200
        assert send(agent, "fine", severity=9) == 200

        assert alerts_arrive(sink, "boom")
        assert sink.wait_for(lambda: {"boom", "fine"} <= set(sink.bodies(LOGS_PATH)), DEADLINE_SECONDS)
        ours = [body for body in sink.bodies(LOGS_PATH) if body in {"boom", "fine"}]
        assert sorted(ours) == ["boom", "fine"]
        assert sink.bodies(ALERTS_PATH) == ["boom"]
        names = {
            uid(entry)
            for path in (ALERTS_PATH, LOGS_PATH)
            for entry in sink.records(path)
            if entry.body.string_value == "boom"
        }
        assert len(names) == 1
