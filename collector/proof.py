"""Proves on a started Collector that its filter and its redaction do what they say: known records in, what came out.

It runs beside whatever runs already: ports and state folder of its own, and a sink in place of the bridge.
"""

from __future__ import annotations

import http.client
import json
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from collector.configuration import Configuration, effective
from collector.errors import CollectorError
from collector.finding import Finding
from collector.process import Collector, free_addresses
from collector.sink import ALERTS_PATH, LOGS_PATH, Sink

__all__ = ["SAMPLES", "Sample", "prove"]

ARRIVAL_TIMEOUT_SECONDS = 30.0
ALERT_LAG_TIMEOUT_SECONDS = 10.0
"""How much later than the telemetry lane, which waits for more, the alert lane may still be on a busy machine."""
SEND_TIMEOUT_SECONDS = 15.0
WHERE = "a started Collector"


@dataclass(frozen=True, slots=True)
class Sample:
    """A record to send, and whether it belongs on the alert lane. All belong on the telemetry lane."""

    name: str
    alerts: bool
    number: int = 0
    text: str = ""
    event: str = ""


SAMPLES = (
    Sample("an INFO record", alerts=False, number=9, text="INFO"),
    Sample("a WARNING record", alerts=False, number=13, text="WARN"),
    Sample("an INFO record with its severity only as text", alerts=False, text="INFO"),
    Sample("a record without a severity", alerts=False),
    Sample("a record with a severity that nobody knows", alerts=False, text="chatty"),
    Sample("an ERROR record", alerts=True, number=17, text="ERROR"),
    Sample("a CRITICAL record", alerts=True, number=21, text="CRITICAL"),
    Sample("an ERROR record with its severity only as text", alerts=True, text="error"),
    Sample("a CRITICAL record with its severity only as text", alerts=True, text="CRITICAL"),
    Sample("an ERROR record with its severity only as a number", alerts=True, number=17),
    Sample("a lifecycle event at INFO", alerts=True, number=9, text="INFO", event="pipeline.check"),
)  # Those that must stay away come first: by the time the others have arrived, a leak would have too.


def prove(binary: Path, configuration: Configuration, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Start a Collector with this configuration, send `SAMPLES` through it, and say what reached which lane."""
    with tempfile.TemporaryDirectory(prefix="collector-check-") as work, Sink() as sink:
        settings = {
            **environ, **free_addresses(), "BRIDGE_URL": sink.url,
            "OTELCOL_STATE_DIR": f"{work}/state", "PIPELINE_LOG_GLOB": f"{work}/none.jsonl",
            "CLICKHOUSE_CREATE_SCHEMA": "false",
        }  # fmt: skip
        text = json.dumps(effective(binary, configuration, settings))
        if settings["OTELCOL_HTTP_ADDR"] not in text or sink.url not in text:
            yield Finding.warning(
                "proof", WHERE,
                "not tried: the configuration does not take its addresses from OTELCOL_HTTP_ADDR and BRIDGE_URL",
            )  # fmt: skip
            return
        try:
            with Collector(binary, configuration, settings, Path(work, "collector.log")) as started:
                yield from _judged(sink, _sent(started, _token(environ)), lanes=f"{sink.url}{ALERTS_PATH}" in text)
        except CollectorError as error:
            yield Finding.error("proof", WHERE, str(error))


def _token(environ: Mapping[str, str]) -> str:
    file = environ.get("OTELCOL_INGEST_TOKEN_FILE", "")
    return Path(file).read_text(encoding="utf-8").strip() if file else ""


def _sent(started: Collector, token: str) -> tuple[str, str]:
    """Send every sample; returns the mark that is in their bodies and the secret that is too."""
    mark, secret = uuid.uuid4().hex, f"s{uuid.uuid4().hex}"
    for sample in SAMPLES:
        _post(started.environ["OTELCOL_HTTP_ADDR"], _request(sample, mark, secret), token)
    return mark, secret


def _request(sample: Sample, mark: str, secret: str) -> bytes:
    record: dict[str, Any] = {
        "timeUnixNano": str(time.time_ns()),
        "body": {"stringValue": f"{mark}|{sample.name}|password={secret}"},
        "attributes": [{"key": "db_password", "value": {"stringValue": secret}}],
        "severityNumber": sample.number, "severityText": sample.text, "eventName": sample.event,
    }  # fmt: skip
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()


def _post(address: str, body: bytes, token: str) -> None:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    connection = http.client.HTTPConnection(address, timeout=SEND_TIMEOUT_SECONDS)
    try:
        connection.request("POST", "/v1/logs", body, headers)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        raise CollectorError(f"the started Collector at {address} does not answer: {error}") from error
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise CollectorError(f"the started Collector answered {answer.status} to a record: {text.strip()}")


def _judged(sink: Sink, sent: tuple[str, str], *, lanes: bool) -> Iterator[Finding]:
    mark, secret = sent
    wanted = sum(sample.alerts for sample in SAMPLES) if lanes else 0
    sink.wait_for(lambda: len(_named(sink, LOGS_PATH, mark)) == len(SAMPLES), ARRIVAL_TIMEOUT_SECONDS)
    sink.wait_for(lambda: len(_named(sink, ALERTS_PATH, mark)) >= wanted, ALERT_LAG_TIMEOUT_SECONDS)
    alerts, telemetry = _named(sink, ALERTS_PATH, mark), _named(sink, LOGS_PATH, mark)
    for sample in SAMPLES:
        if sample.name not in telemetry:
            yield Finding.error("telemetry", WHERE, f"{sample.name} does not arrive on the telemetry lane")
    if lanes:
        yield from _filtered(alerts)
        yield _identified(alerts, telemetry)
    else:
        yield Finding.ok("gateway", WHERE, "every record goes on to the gateway, which has the lanes")
    if any(secret.encode() in request.body for path in (ALERTS_PATH, LOGS_PATH) for request in sink.requests(path)):
        yield Finding.error("redaction", WHERE, "a password comes out as it went in")
    else:
        yield Finding.ok("redaction", WHERE, "a password is masked wherever it comes out")


def _filtered(alerts: Mapping[str, LogRecord]) -> Iterator[Finding]:
    for sample in SAMPLES:
        match sample.name in alerts, sample.alerts:
            case True, True:
                yield Finding.ok("filter", WHERE, f"{sample.name} reaches the alert lane")
            case False, False:
                yield Finding.ok("filter", WHERE, f"{sample.name} stays off the alert lane")
            case False, True:
                yield Finding.error("filter", WHERE, f"{sample.name} does not reach the alert lane")
            case _:
                yield Finding.error("filter", WHERE, f"{sample.name} leaks to the alert lane")


def _identified(alerts: Mapping[str, LogRecord], telemetry: Mapping[str, LogRecord]) -> Finding:
    for name, record in alerts.items():
        if not _uid(record) or (name in telemetry and _uid(record) != _uid(telemetry[name])):
            return Finding.error(
                "identity", WHERE, f"{name} has not the same log.record.uid on both lanes: it would count twice"
            )
    return Finding.ok("identity", WHERE, "a record has the same log.record.uid on both lanes")


def _named(sink: Sink, path: str, mark: str) -> dict[str, LogRecord]:
    """Our records on this lane, by the name of their sample."""
    parts = ((record.body.string_value.split("|"), record) for record in sink.records(path))
    return {words[1]: record for words, record in parts if words[0] == mark}


def _uid(record: LogRecord) -> str:
    return next((item.value.string_value for item in record.attributes if item.key == "log.record.uid"), "")
