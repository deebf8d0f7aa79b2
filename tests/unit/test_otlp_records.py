"""What senders send, as the bridge sees it: the same in protobuf and in JSON."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from alert_bridge import otlp
from alert_bridge.model import Severity
from tests.servers.otlp_client import (
    JSON,
    PROTOBUF,
    RESOURCE,
    as_json,
    gauge,
    logs_request,
    metrics_request,
    new_span_id,
    new_trace_id,
    record,
    span,
    spans_request,
)


def decoded(body, *, content_type=PROTOBUF, **more):
    return otlp.decode_logs(body, content_type=content_type, **more)


def one(item, **more):
    (only,) = decoded(logs_request(item), **more).records
    return only


def test_a_record_keeps_everything_that_was_sent():
    trace, inner = new_trace_id(), new_span_id()
    sent = record(
        "Fetch failed",
        18,
        severity_text="ERROR2",
        at=5,
        observed=7,
        event_name="fetch.failed",
        uid="token-1",
        trace_id=trace,
        span_id=inner,
        **{"exception.type": "KeyError", "code.line.number": 12},
    )

    got = one(sent)

    assert (got.uid, got.time, got.observed, got.body, got.event_name) == (
        "token-1",
        5,
        7,
        "Fetch failed",
        "fetch.failed",
    )
    assert (got.severity, got.severity_number, got.severity_text) == (Severity.ERROR, 18, "ERROR2")
    assert (got.trace_id, got.span_id, got.scope) == (trace, inner, "tests")
    assert got.attributes == {"exception.type": "KeyError", "code.line.number": 12, "log.record.uid": "token-1"}
    assert got.resource == RESOURCE


def test_json_and_protobuf_say_the_same():
    body = logs_request(
        record({"a": [1, 2.5, None, b"\xff\x00", float("nan")]}, 9, trace_id=new_trace_id(), k={"n": [True]}),
        record("", 0, severity_text="Warning", big=2**62),
    )

    assert decoded(as_json("logs", body), content_type=JSON) == decoded(body)


def test_spans_and_points_are_the_same_in_json():
    trace = new_trace_id()
    spans = spans_request(
        span(
            "train",
            trace_id=trace,
            status=2,
            message="boom",
            events=[("exception", {"exception.type": "E"})],
            model="x",
        )
    )
    points = metrics_request(gauge("loss", math.inf, step=3), gauge("epochs", 2))

    assert otlp.decode_spans(as_json("traces", spans), content_type=JSON) == otlp.decode_spans(
        spans, content_type=PROTOBUF
    )
    assert otlp.decode_metrics(as_json("metrics", points), content_type=JSON) == otlp.decode_metrics(
        points, content_type=PROTOBUF
    )


@pytest.mark.parametrize(
    ("number", "text", "expected"),
    [
        (17, "", Severity.ERROR),
        (20, "", Severity.ERROR),
        (24, "", Severity.CRITICAL),
        (9, "ERROR", Severity.INFO),  # the number has the last word
        (99, "", Severity.CRITICAL),
        (0, "error", Severity.ERROR),
        (0, " Critical ", Severity.CRITICAL),
        (0, "FATAL", Severity.CRITICAL),
        (0, "WARN3", Severity.WARNING),
        (0, "notice", Severity.INFO),
        (-1, "debug", Severity.DEBUG),
        (0, "", Severity.INFO),
        (0, "whatever", Severity.INFO),
    ],
)
def test_severity_comes_from_the_number_else_from_the_text_else_it_is_info(number, text, expected):
    got = one(record("x", number, severity_text=text))

    assert (got.severity, got.severity_number, got.severity_text) == (expected, number, text)


@pytest.mark.parametrize("attribute", ["event.name", "otel.event.name"])
def test_an_event_name_may_come_as_an_attribute(attribute):
    assert one(record("x", **{attribute: "pipeline.run.start"})).event_name == "pipeline.run.start"


def test_a_record_without_a_uid_is_the_same_record_in_any_form_and_order_of_attributes():
    sent = record("boom", at=1, observed=2, a="1", b="2")
    turned = record("boom", at=1, observed=2, b="2", a="1")
    body = logs_request(sent)

    uids = {one(sent).uid, one(turned).uid, decoded(as_json("logs", body), content_type=JSON).records[0].uid}

    assert len(uids) == 1
    assert uids == {one(sent, received_at=99).uid}


def test_equal_records_without_a_time_are_the_same_for_some_minutes_and_not_for_ever():
    sent, minute = record("backup failed", at=0, observed=0), 60 * 1_000_000_000

    first, retried, next_day = (one(sent, received_at=at * minute) for at in (10_000, 10_009, 11_440))

    assert first.uid == retried.uid != next_day.uid


@pytest.mark.parametrize("change", [{"at": 2}, {"observed": 3}, {"severity_number": 18}, {"body": "Boom"}, {"a": 2}])
def test_a_record_that_differs_in_anything_is_another_record(change):
    same = {"body": "boom", "at": 1, "observed": 2, "severity_number": 17, "a": 1}

    assert one(record(**same)).uid != one(record(**{**same, **change})).uid


def test_the_same_record_of_another_process_is_another_record():
    sent = record("boom", at=1, observed=2)

    (here,) = decoded(logs_request(sent)).records
    (there,) = decoded(logs_request(sent, resource={**RESOURCE, "service.instance.id": "instance-2"})).records

    assert here.uid != there.uid


def test_a_uid_of_any_length_fits_an_index():
    assert len(one(record("x", uid="u" * 10_000)).uid) == 64


@pytest.mark.parametrize(
    ("at", "observed", "expected"), [(5, 7, (5, 7)), (0, 7, (7, 7)), (0, 0, (99, 99)), (2**64 - 1, 1, (2**63 - 1, 1))]
)
def test_a_record_always_has_a_time_that_a_store_can_hold(at, observed, expected):
    got = one(record("x", at=at, observed=observed), received_at=99)

    assert (got.time, got.observed) == expected


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (None, ""),
        (3, "3"),
        (True, "true"),
        ({"a": {"b": 1}}, '{"a": {"b": 1}}'),
        (["x", None], '["x", null]'),
        (b"plain\n", "plain\n"),
        (b"\xff\x00", "/wA="),
        (float("nan"), "NaN"),
        ("a\0b", "a␀b"),
    ],
)
def test_any_body_becomes_text_that_people_can_read(body, text):
    assert one(record(body)).body == text


def test_a_long_text_keeps_its_head_and_its_tail_and_says_what_is_missing():
    trace = "Traceback (most recent call last):\n" + "  frame\n" * 200_000 + "KeyError: 'month'"

    got = one(record("x", **{"exception.stacktrace": trace})).attributes["exception.stacktrace"]

    assert got.startswith("Traceback (most recent call last):")
    assert got.endswith("KeyError: 'month'")
    assert "characters left out" in got
    assert len(got) < 40_000


def test_of_ten_thousand_attributes_ours_survive_and_the_rest_is_counted():
    many = {f"user.{number:05}": number for number in range(10_000)}

    got = one(record("x", **many, **{"exception.type": "KeyError", "cicd.pipeline.task.name": "fetch"})).attributes

    assert (got["exception.type"], got["cicd.pipeline.task.name"], got["user.00000"]) == ("KeyError", "fetch", 0)
    assert got["pipeline.dropped.attributes"] == 10_002 - (len(got) - 1)
    assert len(got) <= otlp.DEFAULT.attributes + 1


def test_a_record_that_is_huge_as_a_whole_is_cut_harder():
    got = one(record("b" * 1_000_000, **{f"a{number}": "x" * 30_000 for number in range(200)}))

    assert sum(len(str(value)) for value in got.attributes.values()) + len(got.body) < 700_000


def test_nesting_without_end_is_cut_where_people_see_it():
    deep = "bottom"
    for _ in range(15):
        deep = [deep]

    got = json.dumps(one(record("x", k=deep)).attributes["k"], ensure_ascii=False)

    assert "bottom" not in got
    assert "deeper levels left out" in got


def test_a_list_without_end_is_cut_where_people_see_it():
    got = one(record("x", k=list(range(5_000)))).attributes["k"]

    assert len(got) == otlp.DEFAULT.values + 1
    assert got[-1] == "… [more values left out]"


def test_numbers_that_json_has_no_word_for_are_spelt():
    got = one(record("x", a=float("nan"), b=float("-inf"))).attributes

    assert got == {"a": "NaN", "b": "-Infinity"}


def test_a_loss_that_became_nan_stays_a_number():
    (point,) = otlp.decode_metrics(metrics_request(gauge("loss", float("nan"))), content_type=PROTOBUF).records

    assert math.isnan(point.value)


def test_a_span_without_ids_is_rejected_and_its_neighbours_are_kept():
    trace = new_trace_id()
    body = spans_request(span("good", trace_id=trace), span("bad", trace_id=""), span("zero", trace_id="00" * 16))

    got = otlp.decode_spans(body, content_type=PROTOBUF)

    assert [kept.name for kept in got.records] == ["good"]
    assert got.rejected_count == 2
    assert "trace id" in got.rejected[0].reason


def test_the_last_event_of_a_span_with_too_many_is_kept():
    events = [(f"event-{number}", {}) for number in range(500)] + [("exception", {"exception.type": "KeyError"})]
    body = spans_request(span("train", trace_id=new_trace_id(), events=events))

    (got,) = otlp.decode_spans(body, content_type=PROTOBUF).records

    assert got.events[-1]["attributes"] == {"exception.type": "KeyError"}
    assert len(got.events) == otlp.DEFAULT.span_events


def test_what_one_process_hands_to_another_stays_the_same_record():
    got = decoded(logs_request(record("x", 0, severity_text="error", at=1, observed=2, k=[1, {"a": None}]))).records

    again = decoded(otlp.encode_logs(got)).records

    expected = {**got[0].attributes, "log.record.uid": got[0].uid}
    assert again == (replace(got[0], severity_number=17, attributes=expected),)


def test_secrets_of_careless_senders_are_taken_out_before_anything_is_kept():
    got = decoded(
        logs_request(record("password=hunter2hunter2", **{"db.password": "hunter2"}), resource={"api_key": "k"})
    )

    (clean,) = otlp.scrub_records(got.records)

    assert "hunter2" not in repr(clean)
    assert clean.resource == {"api_key": "[redacted]"}


def test_records_beyond_the_limit_are_rejected_and_counted():
    few = replace(otlp.DEFAULT, records=3)
    body = logs_request(*[record(str(number)) for number in range(5)])

    whole = decoded(body, limits=few)
    as_text = decoded(as_json("logs", body), content_type=JSON, limits=few)

    assert [got.body for got in whole.records] == ["0", "1", "2"]
    assert (whole.rejected_count, as_text.rejected_count) == (2, 2)
    assert as_text.records == whole.records


def test_an_empty_request_is_a_request():
    assert decoded(b"").records == ()
    assert decoded(b"{}", content_type=JSON).records == ()
    assert decoded(ExportLogsServiceRequest().SerializeToString()).records == ()
