"""Builders for OTLP requests, and a client to post them: what a pipeline or a Collector would send, in one line.

    body = logs_request(record("boom"), record("careful", 13, **{"exception.type": "ValueError"}))
    assert post(f"{bridge}/alerts/v1/logs", body).status == 200
    post(f"{bridge}/v1/logs", as_json("logs", body), content_type=JSON)

Times are nanoseconds since the Unix epoch and default to now; ids are hex.
"""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import secrets
import socket as socketlib
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

__all__ = [
    "JSON",
    "PROTOBUF",
    "RESOURCE",
    "Answer",
    "any_value",
    "as_json",
    "gauge",
    "logs_request",
    "metrics_request",
    "new_span_id",
    "new_trace_id",
    "post",
    "record",
    "span",
    "spans_request",
]

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
RESOURCE: Mapping[str, Any] = {
    "service.name": "monthly_run",
    "service.instance.id": "instance-1",
    "deployment.environment.name": "test",
    "cicd.pipeline.name": "monthly_run",
    "cicd.pipeline.run.id": "run-1",
}
TIMEOUT_S = 60.0  # far above what any answer takes: a test that claims a time measures it

_REQUESTS = {
    "logs": ExportLogsServiceRequest,
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
}
_ID_FIELDS = frozenset({"traceId", "spanId", "parentSpanId"})


def new_trace_id() -> str:
    return secrets.token_hex(16)


def new_span_id() -> str:
    return secrets.token_hex(8)


def record(
    body: Any = "boom",
    severity_number: int = 17,
    *,
    severity_text: str = "",
    at: int | None = None,
    observed: int | None = None,
    event_name: str = "",
    uid: str = "",
    trace_id: str = "",
    span_id: str = "",
    **attributes: Any,
) -> LogRecord:
    """One log record. Attributes with dots in their names: `record("x", **{"exception.type": "KeyError"})`."""
    now = time.time_ns()
    if uid:
        attributes["log.record.uid"] = uid
    return LogRecord(
        time_unix_nano=now if at is None else at,
        observed_time_unix_nano=now if observed is None else observed,
        severity_number=severity_number,  # type: ignore[arg-type]  # an open enum: any int is legal on the wire
        severity_text=severity_text,
        body=any_value(body),
        attributes=_key_values(attributes),
        event_name=event_name,
        trace_id=bytes.fromhex(trace_id),
        span_id=bytes.fromhex(span_id),
    )


def span(
    name: str = "train",
    *,
    trace_id: str,
    span_id: str = "",
    parent_id: str = "",
    start: int | None = None,
    end: int | None = None,
    status: int = 0,
    message: str = "",
    events: Sequence[tuple[str, Mapping[str, Any]]] = (),
    **attributes: Any,
) -> Span:
    """One finished span; ``status`` 2 is an error; ``events`` are (name, attributes)."""
    end = time.time_ns() if end is None else end
    return Span(
        name=name,
        trace_id=bytes.fromhex(trace_id),
        span_id=bytes.fromhex(span_id or new_span_id()),
        parent_span_id=bytes.fromhex(parent_id),
        kind=1,
        start_time_unix_nano=end - 1_000_000_000 if start is None else start,
        end_time_unix_nano=end,
        status={"code": status, "message": message},
        events=[Span.Event(name=key, time_unix_nano=end, attributes=_key_values(values)) for key, values in events],
        attributes=_key_values(attributes),
    )


def gauge(name: str, value: float, *, unit: str = "1", at: int | None = None, **attributes: Any) -> Metric:
    """One gauge with one point."""
    point = {
        "time_unix_nano": time.time_ns() if at is None else at,
        "as_double": value,
        "attributes": _key_values(attributes),
    }
    return Metric(name=name, unit=unit, gauge={"data_points": [point]})


def logs_request(*records: LogRecord, resource: Mapping[str, Any] = RESOURCE, scope: str = "tests") -> bytes:
    """An ExportLogsServiceRequest with these records under one resource and one scope."""
    return ExportLogsServiceRequest(
        resource_logs=[
            {
                "resource": {"attributes": _key_values(resource)},
                "scope_logs": [{"scope": {"name": scope}, "log_records": records}],
            }
        ]
    ).SerializeToString()


def spans_request(*spans: Span, resource: Mapping[str, Any] = RESOURCE, scope: str = "tests") -> bytes:
    """An ExportTraceServiceRequest with these spans under one resource and one scope."""
    return ExportTraceServiceRequest(
        resource_spans=[
            {
                "resource": {"attributes": _key_values(resource)},
                "scope_spans": [{"scope": {"name": scope}, "spans": spans}],
            }
        ]
    ).SerializeToString()


def metrics_request(*metrics: Metric, resource: Mapping[str, Any] = RESOURCE, scope: str = "tests") -> bytes:
    """An ExportMetricsServiceRequest with these metrics under one resource and one scope."""
    return ExportMetricsServiceRequest(
        resource_metrics=[
            {
                "resource": {"attributes": _key_values(resource)},
                "scope_metrics": [{"scope": {"name": scope}, "metrics": metrics}],
            }
        ]
    ).SerializeToString()


def as_json(signal: str, body: bytes) -> bytes:
    """The same request in OTLP/JSON, enums as numbers and ids in hex. ``signal``: logs, traces or metrics."""
    document = MessageToDict(_REQUESTS[signal].FromString(body), use_integers_for_enums=True)
    return json.dumps(_hex_ids(document)).encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def post(
    url: str,
    body: bytes,
    *,
    content_type: str = PROTOBUF,
    compress: bool = False,
    token: str = "",
    headers: Mapping[str, str] | None = None,
    socket: Path | None = None,
    timeout: float = TIMEOUT_S,
) -> Answer:
    """POST one request, over TCP or a UNIX socket; any status is an answer.

    No connection is an `OSError`, half an answer an `http.client.HTTPException`.
    """
    sent = {"content-type": content_type, **(headers or {})}
    if compress:
        body, sent["content-encoding"] = gzip.compress(body), "gzip"
    if token:
        sent["authorization"] = f"Bearer {token}"
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=timeout)
    if socket is not None:
        connection.sock = _connected(socket, timeout)
    try:
        with suppress(BrokenPipeError, ConnectionResetError):  # an answer may come before the whole body is wanted
            connection.request("POST", place.path, body, sent)
        response = connection.getresponse()
        received = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, received, response.read())
    finally:
        connection.close()


def _connected(path: Path, timeout: float) -> socketlib.socket:
    client = socketlib.socket(socketlib.AF_UNIX, socketlib.SOCK_STREAM)
    client.settimeout(timeout)
    try:
        client.connect(str(path))
    except OSError:
        client.close()
        raise
    return client


def any_value(value: Any) -> AnyValue:
    """The OTLP value of a Python value; None is the empty value."""
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case Mapping():
            return AnyValue(kvlist_value={"values": _key_values(value)})
        case _:
            return AnyValue(array_value={"values": [any_value(item) for item in value]})


def _key_values(attributes: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in attributes.items()]


def _hex_ids(node: Any) -> Any:
    if isinstance(node, list):
        return [_hex_ids(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: base64.b64decode(value).hex() if key in _ID_FIELDS else _hex_ids(value) for key, value in node.items()}
