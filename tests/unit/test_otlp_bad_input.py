"""B22, the decoder's part: the outcome is a result or an `IntakeError`, and one bad record costs only itself."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from dataclasses import replace

import pytest
from google.rpc.status_pb2 import Status
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from alert_bridge import otlp
from alert_bridge.errors import IntakeError, TooLarge, Undecodable
from alert_bridge.otlp import requests
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

DECODERS = {"logs": otlp.decode_logs, "traces": otlp.decode_spans, "metrics": otlp.decode_metrics}
GOOD = {
    "logs": logs_request(record("boom", 17, at=1, observed=2, k={"a": [1, None]}), record("fine", 9, at=1, observed=2)),
    "traces": spans_request(span("s", trace_id="ab" * 16, span_id="cd" * 8, start=1, end=2, events=[("e", {"k": 1})])),
    "metrics": metrics_request(gauge("loss", 0.5, at=1), gauge("loss", float("nan"), at=2)),
}


def length_delimited(number, payload):
    size, encoded = len(payload), bytearray([number << 3 | 2])
    while size > 127:
        encoded.append(size & 127 | 128)
        size >>= 7
    return bytes(encoded) + bytes([size]) + payload


@pytest.mark.parametrize(
    ("body", "content_type", "encoding", "says"),
    [
        (b"\xff\xff\xff", PROTOBUF, "", "not an OTLP logs request"),
        (b"xx", PROTOBUF, "", "right path"),
        (b'{"resourceLogs": []}', PROTOBUF, "", "Content-Type"),
        (GOOD["logs"][:-3], PROTOBUF, "", "beyond its message"),
        (b"{", JSON, "", "not JSON"),
        (b"[]", JSON, "", "an object"),
        (b"1" * 5_000, JSON, "", "not JSON"),
        (b"[" * 200_000, JSON, "", "not JSON"),
        (b'{"resourceSpans": []}', JSON, "", "right path"),
        (b'{"resourceLogs": {}}', JSON, "", "resourceLogs must be a list"),
        (b'{"resourceLogs": [3]}', JSON, "", "must be an object"),
        (b"{}", "text/plain", "", "Content-Type"),
        (b"{}", "", "", "(none)"),
        (b"{}", JSON, "br", "send gzip or none"),
        (b"{}", JSON, "gzip", "says gzip and is not"),
        (gzip.compress(b"{}" * 500, mtime=0)[:-4], JSON, "gzip", "cut on its way"),
    ],
)
def test_what_is_not_otlp_is_refused_with_the_reason(body, content_type, encoding, says):
    with pytest.raises(Undecodable) as refused:
        otlp.decode_logs(body, content_type=content_type, content_encoding=encoding)

    assert says in str(refused.value)


def test_gzip_may_come_in_several_members_and_under_its_old_name():
    body = GOOD["logs"]
    packed = gzip.compress(body[:50]) + gzip.compress(body[50:])

    got = otlp.decode_logs(packed, content_type=PROTOBUF + "; charset=utf-8", content_encoding="X-GZIP")

    assert got == otlp.decode_logs(body, content_type=PROTOBUF)


def test_a_gzip_bomb_costs_no_more_memory_than_the_limit():
    packer = zlib.compressobj(1, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(128)) + packer.flush()
    small = replace(otlp.DEFAULT, inflated_bytes=4 << 20)
    tracemalloc.start()

    with pytest.raises(TooLarge):
        otlp.decode_logs(bomb, content_type=PROTOBUF, content_encoding="gzip", limits=small)

    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def test_a_body_over_the_limit_is_refused_as_it_is():
    with pytest.raises(TooLarge, match="at most 10 are taken"):
        otlp.decode_logs(GOOD["logs"], content_type=PROTOBUF, limits=replace(otlp.DEFAULT, body_bytes=10))


def test_json_has_a_smaller_limit_because_it_grows_when_it_is_parsed():
    with pytest.raises(TooLarge, match="send protobuf"):
        otlp.decode_logs(b" " * 11, content_type=JSON, limits=replace(otlp.DEFAULT, json_bytes=10))


def test_millions_of_empty_records_are_refused_before_they_exist():
    bomb = length_delimited(1, length_delimited(2, b"\x12\x00" * (2 << 20)))

    with pytest.raises(TooLarge, match="send less at once"):
        otlp.decode_logs(bomb, content_type=PROTOBUF)


def test_one_string_that_is_not_utf8_costs_nobody_anything():
    """Go and C++ senders produce such bytes, and a Collector batches them with the records of others."""
    body = logs_request(record("before"), record("caf?"), record("after")).replace(b"caf?", b"caf\xe9")

    got = otlp.decode_logs(body, content_type=PROTOBUF)

    assert [kept.body for kept in got.records] == ["before", "caf\\xe9", "after"]
    assert got.rejected == ()


def test_a_resource_that_is_not_utf8_is_mended_too():
    body = logs_request(record("x"), resource={"service.name": "caf?"}).replace(b"caf?", b"caf\xe9")

    (got,) = otlp.decode_logs(body, content_type=PROTOBUF).records

    assert got.resource == {"service.name": "caf\\xe9"}


def test_a_record_that_cannot_be_read_at_all_is_rejected_alone():
    good = record("good").SerializeToString()
    broken = b"\x2a\x05\x0a\x7fabc"  # a body whose string is longer than the body
    body = length_delimited(
        1, length_delimited(2, b"".join(length_delimited(2, item) for item in (good, broken, good)))
    )

    got = otlp.decode_logs(body, content_type=PROTOBUF)

    assert [kept.body for kept in got.records] == ["good", "good"]
    assert got.rejected_count == 1
    assert "not readable" in got.rejected[0].reason or "beyond" in got.rejected[0].reason


def test_a_record_over_its_limit_is_rejected_alone():
    body = logs_request(record("good"), record("b" * 3_000_000))

    got = otlp.decode_logs(body, content_type=PROTOBUF, limits=replace(otlp.DEFAULT, item_bytes=1_000_000))

    assert [kept.body for kept in got.records] == ["good"]
    assert "over the limit of 1,000,000" in got.rejected[0].reason


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (3, "must be an object"),
        ({"body": "plain text"}, "AnyValue must be an object"),
        ({"attributes": {"a": 1}}, "attributes must be a list"),
        ({"timeUnixNano": "yesterday"}, "timeUnixNano must be a whole number"),
        ({"timeUnixNano": []}, "timeUnixNano must be a whole number, not a list"),
        ({"body": {"boolValue": "maybe"}}, "must be true or false"),
        ({"body": {"bytesValue": "*"}}, "must be base64"),
        ({"body": {"doubleValue": "much"}}, "must be a number"),
    ],
)
def test_one_bad_json_record_is_rejected_with_the_reason_and_its_neighbours_are_kept(bad, says):
    document = json.loads(as_json("logs", GOOD["logs"]))
    document["resourceLogs"][0]["scopeLogs"][0]["logRecords"].insert(1, bad)

    got = otlp.decode_logs(json.dumps(document).encode(), content_type=JSON)

    assert [kept.body for kept in got.records] == ["boom", "fine"]
    assert says in got.rejected[0].reason


def test_a_json_record_that_is_nested_without_end_is_rejected_alone():
    deep = {"stringValue": "bottom"}
    for _ in range(300):
        deep = {"arrayValue": {"values": [deep]}}
    document = json.loads(as_json("logs", GOOD["logs"]))
    document["resourceLogs"][0]["scopeLogs"][0]["logRecords"].insert(0, {"body": deep})

    got = otlp.decode_logs(json.dumps(document).encode(), content_type=JSON)

    assert [kept.body for kept in got.records] == ["boom", "fine"]
    assert "nested deeper" in got.rejected[0].reason


def json_logs(**fields):
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [fields]}]}]}).encode()


@pytest.mark.parametrize(
    ("fields", "attribute", "expected"),
    [
        ({"severityNumber": "SEVERITY_NUMBER_ERROR"}, "severity_number", 17),
        ({"severityNumber": "17"}, "severity_number", 17),
        ({"severityNumber": "nonsense"}, "severity_number", 0),
        ({"severity_text": "ERROR"}, "severity_text", "ERROR"),
        ({"timeUnixNano": 12}, "time", 12),
        ({"timeUnixNano": "12"}, "time", 12),
        ({"timeUnixNano": -5}, "time", 0),
        ({"timeUnixNano": 10**30}, "time", 2**63 - 1),
        ({"traceId": "AB" * 16}, "trace_id", "ab" * 16),
        ({"traceId": "not hex, but as long as a trace!"}, "trace_id", ""),
        ({"traceId": "abcd"}, "trace_id", ""),
        ({"body": {"intValue": "99999999999999999999"}}, "body", "99999999999999999999"),
        ({"body": {"stringValue": "a\ud800b"}}, "body", "a\\ud800b"),
        ({"body": {"stringValue": 7}}, "body", "7"),
        ({"body": {"doubleValue": float("nan")}}, "body", "NaN"),
        ({"body": None, "unheardOf": {"a": 1}}, "body", ""),
    ],
)
def test_json_is_read_leniently_where_the_value_is_clear(fields, attribute, expected):
    (got,) = otlp.decode_logs(json_logs(**fields), content_type=JSON).records

    assert getattr(got, attribute) == expected


def test_bytes_that_are_not_utf8_in_json_are_shown_as_what_they_were():
    body = json_logs(body={"stringValue": "caf?"}).replace(b"caf?", b"caf\xe9")

    (got,) = otlp.decode_logs(body, content_type=JSON).records

    assert got.body == "caf\\udce9"


def test_taking_apart_and_parsing_whole_give_the_same(monkeypatch):
    whole = {signal: DECODERS[signal](body, content_type=PROTOBUF) for signal, body in GOOD.items()}

    monkeypatch.setattr(requests, "WHOLE_PARSE_BYTES", 0)

    apart = {signal: DECODERS[signal](body, content_type=PROTOBUF) for signal, body in GOOD.items()}
    assert repr(apart) == repr(whole)  # as text, because NaN is not equal to itself


def outcome(signal, body, content_type, encoding=""):
    """A result, with everything in it that a store and a page will do; or an IntakeError."""
    try:
        got = DECODERS[signal](body, content_type=content_type, content_encoding=encoding)
    except IntakeError as error:
        return str(error)
    for kept in got.records:
        json.dumps([repr(kept), getattr(kept, "attributes", None), kept.resource], ensure_ascii=False).encode()
    answer, _ = otlp.response(signal, content_type, got.rejected_count, "said")
    return len(got.records), len(answer)


signals = st.sampled_from(sorted(DECODERS))
patiently = settings(deadline=None, max_examples=300)  # the machine is shared


def every_field(descriptor, seen=None):
    """All fields of a message and of the messages in it."""
    seen = set() if seen is None else seen
    if descriptor.full_name in seen:
        return
    seen.add(descriptor.full_name)
    for field in descriptor.fields:
        yield field
        if field.message_type is not None:
            yield from every_field(field.message_type, seen)


@patiently
@given(signals, st.binary(max_size=300), st.sampled_from([PROTOBUF, JSON, "text/html"]), st.sampled_from(["", "gzip"]))
def test_no_bytes_at_all_can_do_anything_else(signal, body, content_type, encoding):
    outcome(signal, body, content_type, encoding)


@patiently
@given(signals, st.data())
def test_no_damage_to_a_good_request_can_do_anything_else(signal, data):
    body = bytearray(GOOD[signal])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))

    outcome(signal, bytes(body), PROTOBUF)


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just("\ud800\0"))
field_names = st.sampled_from(
    sorted(
        {
            field.json_name
            for request in (ExportLogsServiceRequest, ExportTraceServiceRequest, ExportMetricsServiceRequest)
            for field in every_field(request.DESCRIPTOR)
        }
    )
)
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(field_names, inner, max_size=4)),
    max_leaves=30,
)


@patiently
@given(signals, documents)
def test_no_json_can_do_anything_else(signal, document):
    outcome(signal, json.dumps(document).encode(), JSON)


@patiently
@given(signals, documents)
def test_no_json_inside_the_frame_can_do_anything_else(signal, document):
    frame = {"logs": ("Logs", "logRecords"), "traces": ("Spans", "spans"), "metrics": ("Metrics", "metrics")}
    name, items = frame[signal]
    whole = {f"resource{name}": [{"resource": document, f"scope{name}": [{items: [document, document]}]}]}

    outcome(signal, json.dumps(whole).encode(), JSON)


def test_a_partly_bad_request_is_answered_with_how_much_was_rejected():
    body, content_type = otlp.response("logs", PROTOBUF, 3, "3 could not be read")
    text, json_type = otlp.response("traces", JSON + "; charset=utf-8", 2, "why")

    answer = ExportLogsServiceResponse.FromString(body)
    assert (answer.partial_success.rejected_log_records, answer.partial_success.error_message) == (
        3,
        "3 could not be read",
    )
    assert content_type == PROTOBUF
    assert json.loads(text) == {"partialSuccess": {"rejectedSpans": "2", "errorMessage": "why"}}
    assert json_type == JSON


def test_full_success_is_the_empty_message():
    assert otlp.response("metrics", PROTOBUF) == (b"", PROTOBUF)
    assert otlp.response("metrics", JSON) == (b'{"partialSuccess": {}}', JSON)


def test_a_refusal_is_a_status_that_a_collector_can_log():
    body, content_type = otlp.refusal(PROTOBUF, "not OTLP")

    assert (Status.FromString(body).message, content_type) == ("not OTLP", PROTOBUF)
    assert json.loads(otlp.refusal(JSON, "no")[0]) == {"message": "no"}


def test_an_excerpt_of_what_was_rejected_shows_no_secret():
    document = json.loads(as_json("logs", GOOD["logs"]))
    document["resourceLogs"][0]["scopeLogs"][0]["logRecords"] = [{"body": "password=hunter2hunter2"}]

    (reject,) = otlp.decode_logs(json.dumps(document).encode(), content_type=JSON).rejected

    assert "hunter2" not in reject.excerpt
    assert "body" in reject.excerpt


def test_a_trace_id_of_zeros_means_none():
    (got,) = otlp.decode_logs(logs_request(record("x", trace_id="00" * 16)), content_type=PROTOBUF).records

    assert got.trace_id == ""
    assert new_trace_id() != ""
