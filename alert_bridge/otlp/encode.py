"""`Record` → OTLP bytes: what one process of the bridge hands to another, in the form it would come in from outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from alert_bridge.model import AttributeValue, Record
from instrumentation import attributes as names

__all__ = ["encode_logs"]


def encode_logs(records: Iterable[Record]) -> bytes:
    """An `ExportLogsServiceRequest` in protobuf. Each record carries its uid, so that it stays the same record."""
    request = ExportLogsServiceRequest()
    for resource, of_resource in groupby(records, key=lambda record: record.resource):
        group = request.resource_logs.add()
        group.resource.attributes.extend(_pairs(resource))
        for scope, of_scope in groupby(of_resource, key=lambda record: record.scope):
            inner = group.scope_logs.add()
            inner.scope.name = scope
            inner.log_records.extend(_log_record(record) for record in of_scope)
    encoded: bytes = request.SerializeToString()
    return encoded


def _log_record(record: Record) -> LogRecord:
    return LogRecord(
        time_unix_nano=record.time,
        observed_time_unix_nano=record.observed,
        severity_number=record.severity_number or record.severity,  # type: ignore[arg-type]  # an open enum
        severity_text=record.severity_text,
        body=AnyValue(string_value=record.body),
        attributes=_pairs({**record.attributes, names.RECORD_UID: record.uid}),
        event_name=record.event_name,
        trace_id=bytes.fromhex(record.trace_id),
        span_id=bytes.fromhex(record.span_id),
    )


def _pairs(attributes: Mapping[str, AttributeValue]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in attributes.items()]


def _value(value: AttributeValue) -> AnyValue:
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case str():
            return AnyValue(string_value=value)
        case Mapping():
            return AnyValue(kvlist_value=KeyValueList(values=_pairs(value)))
        case _:
            return AnyValue(array_value=ArrayValue(values=[_value(item) for item in value]))
