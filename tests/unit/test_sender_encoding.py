"""What we encode by hand is what the generated classes read."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from instrumentation.sender.encoding import (
    encode_event_name,
    encode_ids,
    encode_log,
    encode_log_attributes,
    encode_metric,
    encode_request,
    encode_resource,
    encode_severity,
    encode_span,
    encode_template,
)

TRACE, SPAN_ID, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"
VALUES = st.recursive(
    st.text(max_size=200)
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False)
    | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


def plain(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: plain(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind)


def log(*parts: bytes, body: str = "boom") -> LogRecord:
    return LogRecord.FromString(encode_log(1, 2, body, "t-1", b"".join(parts)))


def test_a_log_record_keeps_every_field() -> None:
    read = log(
        encode_severity(17, "ERROR"),
        encode_ids(TRACE, SPAN_ID),
        encode_event_name("pipeline.run.end"),
        encode_log_attributes({"a": 1}),
        encode_template("boom"),
    )

    assert (read.time_unix_nano, read.observed_time_unix_nano, read.severity_number, read.severity_text) == (
        1,
        2,
        17,
        "ERROR",
    )
    assert (read.body.string_value, read.event_name) == ("boom", "pipeline.run.end")
    assert (read.trace_id.hex(), read.span_id.hex()) == (TRACE, SPAN_ID)
    assert [(pair.key, plain(pair.value)) for pair in read.attributes] == [
        ("log.record.uid", "t-1"), ("a", 1), ("pipeline.log.template", "boom"),
    ]  # fmt: skip


@given(st.dictionaries(st.text(max_size=20), VALUES, max_size=6))
def test_any_attributes_come_back_as_they_were(attributes: dict[str, object]) -> None:
    read = log(encode_log_attributes(attributes))

    assert {pair.key: plain(pair.value) for pair in read.attributes[1:]} == attributes


@given(st.text(st.characters(), max_size=50))
def test_any_text_is_valid_utf8_on_the_wire(text: str) -> None:
    read = log(encode_log_attributes({text: text}), body=text)

    assert read.body.string_value == text.encode("utf-8", "backslashreplace").decode()


def test_what_does_not_fit_becomes_text_instead_of_an_error() -> None:
    read = log(encode_log_attributes({"big": 1 << 70, "nan": math.nan, "odd": {1, 2}}), encode_ids("no hex", "x"))

    assert plain(read.attributes[1].value) == str(1 << 70)
    assert math.isnan(read.attributes[2].value.double_value)
    assert plain(read.attributes[3].value) == "{1, 2}"
    assert read.trace_id == b""


def test_a_span_keeps_every_field() -> None:
    message = encode_span(
        trace_id=TRACE, span_id=SPAN_ID, parent_id=PARENT, name="train", kind=2, start=5, end=9, attributes={"n": 1.5},
        events=[(7, "exception", {"exception.type": "ValueError"})], status=2, status_message="boom",
    )  # fmt: skip

    read = Span.FromString(message)

    assert (read.trace_id.hex(), read.span_id.hex(), read.parent_span_id.hex()) == (TRACE, SPAN_ID, PARENT)
    assert (read.name, read.kind, read.start_time_unix_nano, read.end_time_unix_nano) == ("train", 2, 5, 9)
    assert (read.status.code, read.status.message) == (2, "boom")
    assert [(event.time_unix_nano, event.name) for event in read.events] == [(7, "exception")]
    assert read.events[0].attributes[0].value.string_value == "ValueError"


def test_a_span_without_valid_ids_is_nothing() -> None:
    assert encode_span(trace_id="", span_id="", parent_id="", name="x", kind=1, start=1, end=2, attributes={}) == b""


@pytest.mark.parametrize("value", [0.25, 3, -7, math.inf])
def test_a_gauge_is_one_point(value: float) -> None:
    message = encode_metric(name="loss", unit="1", kind="gauge", time=4, value=value, attributes={"step": 3})

    read = Metric.FromString(message)
    point = read.gauge.data_points[0]

    assert (read.name, read.unit, point.time_unix_nano) == ("loss", "1", 4)
    assert (point.as_int if isinstance(value, int) else point.as_double) == value
    assert (point.attributes[0].key, point.attributes[0].value.int_value) == ("step", 3)


def test_a_sum_is_monotonic_and_cumulative() -> None:
    read = Metric.FromString(encode_metric(name="n", unit="", kind="sum", time=4, value=3, attributes={}))

    assert read.sum.is_monotonic
    assert read.sum.aggregation_temporality == 2


def test_a_request_keeps_the_order_and_shares_headers_between_neighbours() -> None:
    one, two = encode_resource({"service.name": "a"}), encode_resource({"service.name": "b"})
    first, second, third, fourth = (b"\x09" + bytes([n]) + bytes(7) for n in (1, 2, 3, 4))
    parts = [(one, "x", [first]), (one, "x", [second]), (one, "y", [third]), (two, "y", [fourth])]

    read = ExportLogsServiceRequest.FromString(encode_request(parts))

    shape = [
        (
            resource.resource.attributes[0].value.string_value,
            scope.scope.name,
            [r.time_unix_nano for r in scope.log_records],
        )
        for resource in read.resource_logs
        for scope in resource.scope_logs
    ]
    assert shape == [("a", "x", [1, 2]), ("a", "y", [3]), ("b", "y", [4])]
    assert len(read.resource_logs) == 2


def test_a_resource_is_its_attributes() -> None:
    read = Resource.FromString(encode_resource({"service.name": "a", "process.pid": 7}))

    assert [(pair.key, plain(pair.value)) for pair in read.attributes] == [("service.name", "a"), ("process.pid", 7)]
