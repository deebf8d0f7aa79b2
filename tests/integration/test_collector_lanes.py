"""What reaches which lane of a real Collector, as which record, with which secrets gone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from collector.process import Collector
from tests.servers.collector import collector_for
from tests.servers.otlp_client import (
    JSON,
    as_json,
    gauge,
    logs_request,
    metrics_request,
    post,
    record,
    span,
    spans_request,
)
from tests.servers.otlp_sink import ALERTS_PATH, LOGS_PATH, METRICS_PATH, TRACES_PATH, OtlpSink, attributes, uid

pytestmark = pytest.mark.collector

DEADLINE_SECONDS = 60.0
LAST = "the last one"

PASSWORD = "hunter2-Zq81"
SECRETS = {
    "aws": "AKIAIOSFODNN7ABCDEFG",
    "github": "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "slack": "xoxb-123456789012-abcdefghijkl",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "pem": "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA0Z\nline two\n-----END RSA PRIVATE KEY-----",
    "bearer": "Bearer abcdef0123456789",
    "stripe": "sk_live_" + "4e" * 12,
    "openai": "sk-proj-" + "Ab3" * 10,
    "sendgrid": "SG." + "a1" * 11 + "." + "b2" * 20,
    "w&b": "wandb login 0123456789abcdef0123456789abcdef01234567",
}


@pytest.fixture(scope="module")
def lanes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Collector, OtlpSink]]:
    folder = tmp_path_factory.mktemp("lanes")
    with OtlpSink() as sink, collector_for(folder, sink.url) as collector:
        yield collector, sink


def send(collector: Collector, *records: LogRecord) -> None:
    assert post(f"{collector.http_endpoint}/v1/logs", logs_request(*records)).status == 200


def both_lanes(sink: OtlpSink, mark: str, count: int, alerts: int) -> tuple[list[LogRecord], list[LogRecord]]:
    """The records that carry the mark, alert lane first, once the expected number has come to each lane."""

    def marked(path: str) -> list[LogRecord]:
        return [entry for entry in sink.records(path) if attributes(entry).get("mark") == mark]

    assert sink.wait_for(
        lambda: len(marked(LOGS_PATH)) >= count and len(marked(ALERTS_PATH)) >= alerts, DEADLINE_SECONDS
    )
    return marked(ALERTS_PATH), marked(LOGS_PATH)


@pytest.mark.parametrize("word", ["ERROR", "error", "Err", " severe ", "CRITICAL", "critical", "FATAL", "panic"])
def test_a_severity_that_is_only_a_word_of_error_or_worse_reaches_the_alert_lane(lanes, word):
    collector, sink = lanes

    send(collector, record("boom", 0, severity_text=word, mark=f"word {word}"))

    alerts, _ = both_lanes(sink, f"word {word}", count=1, alerts=1)
    assert [entry.severity_number >= 17 for entry in alerts] == [True]


@pytest.mark.parametrize(
    ("word", "number"), [("WARNING", 13), ("warn", 13), ("INFO", 9), ("notice", 9), ("debug", 5), ("trace", 1)]
)
def test_a_severity_that_is_only_a_lesser_word_gets_its_number_and_stays_off_the_alert_lane(lanes, word, number):
    collector, sink = lanes

    send(collector, record("fine", 0, severity_text=word, mark=f"lesser {word}"))
    send(collector, record(LAST, 17, mark=f"lesser {word}"))

    alerts, telemetry = both_lanes(sink, f"lesser {word}", count=2, alerts=1)
    assert [entry.body.string_value for entry in alerts] == [LAST]
    assert number in [entry.severity_number for entry in telemetry]


def test_info_warning_unspecified_and_unknown_severities_never_reach_the_alert_lane(lanes):
    collector, sink = lanes

    send(
        collector,
        record("info", 9, severity_text="INFO", mark="quiet"),
        record("warning", 13, severity_text="WARNING", mark="quiet"),
        record("unspecified", 0, mark="quiet"),
        record("unknown", 0, severity_text="ERRORS: none", mark="quiet"),
        record("a number wins over a word", 9, severity_text="ERROR", mark="quiet"),
        record("another's event", 9, event_name="pipelines.run.start", mark="quiet"),
    )
    send(collector, record(LAST, 17, mark="quiet"))

    alerts, telemetry = both_lanes(sink, "quiet", count=7, alerts=1)
    assert [entry.body.string_value for entry in alerts] == [LAST]
    assert len(telemetry) == 7


def test_lifecycle_events_reach_the_alert_lane_at_any_severity(lanes):
    collector, sink = lanes

    send(
        collector,
        record("start", 9, event_name="pipeline.run.start", mark="events"),
        record("end", 0, event_name="pipeline.run.end", mark="events"),
    )

    alerts, _ = both_lanes(sink, "events", count=2, alerts=2)
    assert [entry.event_name for entry in alerts] == ["pipeline.run.start", "pipeline.run.end"]


def test_a_record_without_an_identity_gets_the_same_one_on_both_lanes_and_when_it_is_sent_again(lanes):
    collector, sink = lanes
    nameless = record("boom", 17, mark="same", at=1_790_000_000_000_000_000, observed=1_790_000_000_000_000_001)

    send(collector, nameless)
    send(collector, nameless)

    alerts, telemetry = both_lanes(sink, "same", count=2, alerts=2)
    names = {uid(entry) for entry in (*alerts, *telemetry)}
    assert len(names) == 1
    assert len(names.pop()) == 64


def test_records_that_differ_in_anything_get_different_identities(lanes):
    collector, sink = lanes
    at = {"at": 1_790_000_000_000_000_000, "observed": 1_790_000_000_000_000_000}

    send(
        collector,
        record("a", 17, mark="different", **at),
        record("b", 17, mark="different", **at),
        record("a", 21, mark="different", **at),
        record("a", 17, mark="different", worker=2, **at),
        record("a", 17, mark="different", trace_id="ab" * 16, **at),
        record({"text": "a"}, 17, mark="different", **at),
        record(None, 17, mark="different", **at),
        record("a", 17, mark="different", at=at["at"] + 1, observed=at["at"]),
    )

    alerts, _ = both_lanes(sink, "different", count=8, alerts=8)
    assert len({uid(entry) for entry in alerts}) == 8


def test_equal_records_without_any_time_are_two_and_get_the_time_of_their_arrival(lanes):
    collector, sink = lanes
    before = time.time_ns()

    send(collector, record("boom", 17, mark="timeless", at=0, observed=0))
    send(collector, record("boom", 17, mark="timeless", at=0, observed=0))

    alerts, _ = both_lanes(sink, "timeless", count=2, alerts=2)
    assert len({uid(entry) for entry in alerts}) == 2
    assert all(before <= entry.observed_time_unix_nano <= time.time_ns() for entry in alerts)


def test_a_record_with_only_its_own_time_is_one_when_it_is_sent_again(lanes):
    collector, sink = lanes
    half = record("boom", 17, mark="half", at=1_790_000_000_000_000_000, observed=0)

    send(collector, half)
    send(collector, half)

    alerts, _ = both_lanes(sink, "half", count=2, alerts=2)
    assert len({uid(entry) for entry in alerts}) == 1
    assert all(entry.observed_time_unix_nano > 0 for entry in alerts)


def test_a_record_keeps_the_identity_that_it_came_with(lanes):
    collector, sink = lanes

    send(collector, record("boom", 17, uid="token-7", mark="own"))

    alerts, telemetry = both_lanes(sink, "own", count=1, alerts=1)
    assert [uid(entry) for entry in (*alerts, *telemetry)] == ["token-7", "token-7"]


def test_no_secret_or_home_folder_leaves_the_collector_on_any_lane_or_signal(lanes):
    collector, sink = lanes
    line, address = (
        f"login failed: password={PASSWORD}, retrying",
        f"postgresql://reader:{PASSWORD}@db.example.org/views",
    )
    texts = [f"before {secret} after" for secret in SECRETS.values()]
    texts += [
        line,
        address,
        f"config: {{'db_password': '{PASSWORD} with spaces', 'api-key': \"{PASSWORD}\"}}",
        f'escaped {{\\"secret\\": \\"{PASSWORD}\\"}}',
        f"redis://:p@{PASSWORD}@cache.example.org:6379/0",
        f"SECRET_KEY={PASSWORD} API-KEY : {PASSWORD}",
        f"pwd=with,comma;{PASSWORD}, retrying",
        *(
            frame.format(name=name, secret=PASSWORD)
            for name in (
                "DB_PASSWORD",
                "X-Api-Key",
                "client_secret",
                "aws_secret_access_key",
                "accessToken",
                "AccountKey",
            )
            for frame in (
                "{name} := {secret}",
                "{name} => {secret}",
                "f({name}='{secret}')",
                "x=1&{name}={secret}&y=2",
                "'{name}': '{secret}'",
                '"{name}": "a\\"{secret}"',
                '{name}="{secret} cut off',
            )
        ),
        f"psql --password {PASSWORD} -h db",
        f"https://store.example.org/f?sig={PASSWORD}&se=1",
        f"postgresql://reader:p@s/{PASSWORD}@db:5432/views",
        f"> Authorization: Basic {PASSWORD}",
        f"authorization: bearer {PASSWORD}",
        "reading /home/jane-doe/views/train.py",
        r"reading C:\Users\jane-doe\views\train.py",
    ]
    nested = {"settings": {"password": PASSWORD, "list": [{"token": PASSWORD}], "note": f"password={PASSWORD}"}}
    resource = {"service.name": "leaky", "process.command_line": f"train --password={PASSWORD}", "api_key": PASSWORD}
    number_secret = 8_675_309_417

    records = [record(text, 17, mark="secrets") for text in texts]
    records.append(record(nested, 17, mark="secrets"))
    records.append(record("attributes", 17, mark="secrets", db_password=number_secret, nested=nested, line=line))
    body = logs_request(*records, resource=resource)
    trace = "cd" * 16
    spans = spans_request(
        span(f"connect password={PASSWORD}", trace_id=trace, status=2, message=address, query=line,
             events=[("exception", {"exception.message": line})]),
        resource=resource,
    )  # fmt: skip
    assert post(f"{collector.http_endpoint}/v1/logs", body).status == 200
    assert post(f"{collector.http_endpoint}/v1/traces", spans).status == 200
    metrics = metrics_request(gauge("loss", 1.0, token=PASSWORD), resource=resource)
    assert post(f"{collector.http_endpoint}/v1/metrics", metrics).status == 200

    both_lanes(sink, "secrets", count=len(records), alerts=len(records))
    assert sink.wait_for(lambda: "loss" in sink.metric_names() and bool(sink.spans()), DEADLINE_SECONDS)
    sent = b"".join(
        request.body for path in (ALERTS_PATH, LOGS_PATH, TRACES_PATH, METRICS_PATH) for request in sink.requests(path)
    )
    leaked = [
        word
        for word in (PASSWORD, "with spaces", "jane-doe", str(number_secret), "MIIEow", *SECRETS.values())
        if word.encode() in sent
    ]
    assert leaked == []


def test_what_is_no_secret_stays_readable(lanes):
    collector, sink = lanes
    texts = [
        "max_tokens=512 and 3 tokens left",
        "password=[redacted] for reader, token='[redacted]'",
        "postgresql://reader:[redacted]@db.example.org/views is down",
        "GET http://127.0.0.1:4318/v1/logs failed at commit 0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
        "South Asia: 12 rows; desk-top; risk-averse-behaviour-of-many-agents",
        "basic statistics of the bearer certificates, secretly keyed by token",
        "row sum of country_month is 1.7 at ~/views/reconcile.py:88",
    ]

    send(collector, *(record(text, 17, mark="readable", input_tokens=12) for text in texts))

    alerts, _ = both_lanes(sink, "readable", count=len(texts), alerts=len(texts))
    assert [entry.body.string_value for entry in alerts] == texts
    assert {item.value.int_value for entry in alerts for item in entry.attributes if item.key == "input_tokens"} == {12}


def test_a_span_keeps_its_name_and_its_message_and_gains_nothing(lanes):
    collector, sink = lanes
    body = spans_request(span("train", trace_id="ef" * 16, status=2, message="loss is NaN", rows=3))

    assert post(f"{collector.http_endpoint}/v1/traces", body).status == 200

    assert sink.wait_for(lambda: any(entry.trace_id.hex() == "ef" * 16 for entry in sink.spans()), DEADLINE_SECONDS)
    [arrived] = [entry for entry in sink.spans() if entry.trace_id.hex() == "ef" * 16]
    assert (arrived.name, arrived.status.message, list(attributes(arrived))) == ("train", "loss is NaN", ["rows"])


def test_otlp_json_is_taken_like_protobuf(lanes):
    collector, sink = lanes
    body = as_json("logs", logs_request(record("boom", 17, mark="json")))

    assert post(f"{collector.http_endpoint}/v1/logs", body, content_type=JSON).status == 200

    alerts, _ = both_lanes(sink, "json", count=1, alerts=1)
    assert [entry.body.string_value for entry in alerts] == ["boom"]


def test_the_collector_reports_on_itself_to_the_bridge_and_not_to_its_own_receiver(tmp_path: Path):
    with OtlpSink() as sink, collector_for(tmp_path, sink.url, OTELCOL_METRICS_INTERVAL_MS="200") as collector:
        said_ready = sink.wait_for(
            lambda: any("Everything is ready" in entry.body.string_value for entry in sink.records(LOGS_PATH)),
            DEADLINE_SECONDS,
        )
        tells_its_queue = sink.wait_for(lambda: "otelcol_exporter_queue_size" in sink.metric_names(), DEADLINE_SECONDS)

        assert collector.stop() == 0

        assert (said_ready, tells_its_queue) == (True, True)
        assert "otelcol_receiver_accepted_log_records" not in sink.metric_names()
