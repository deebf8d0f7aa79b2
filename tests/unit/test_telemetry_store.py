"""The telemetry store on a real file: what comes twice counts once, and every window of a log is the right one."""

from __future__ import annotations

import math
import random
import re
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alert_bridge.errors import StoreBusy
from alert_bridge.model import MetricPoint, Record, Severity, Span
from alert_bridge.store.interface import TelemetryReader
from alert_bridge.store.telemetry import Appended, Telemetry, TelemetryStore
from alert_bridge.store.telemetry import reader as reading

START = 1_800_000_000_000_000_000
SECOND = 1_000_000_000
TRACE = "ab" * 16


@pytest.fixture
def store(tmp_path):
    opened = TelemetryStore(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def reader(store, tmp_path):
    opened = Telemetry(tmp_path)
    yield opened
    opened.close()


def a_record(uid, *, at=0, run="run-1", trace=TRACE, severity=Severity.INFO, body="", resource=None, **attributes):
    who = {"service.name": "monthly_run", "service.instance.id": "i-1", "deployment.environment.name": "test"}
    if run:
        who["cicd.pipeline.run.id"] = run
    return Record(
        uid=uid,
        time=START + at,
        observed=START + at,
        severity=severity,
        severity_number=int(severity),
        severity_text=severity.name,
        body=body or f"line {uid}",
        attributes=attributes,
        resource=who | (resource or {}),
        scope="models.lavender",
        trace_id=trace,
        span_id="cd" * 8,
    )


def an_event(name, uid, *, at=0, run="run-1", **attributes):
    return replace(a_record(uid, at=at, run=run, **attributes), event_name=name)


def a_span(span_id, *, at=0, end=None, parent="", run="run-1", trace=TRACE, status=0):
    return Span(
        trace_id=trace,
        span_id=span_id,
        parent_id=parent,
        name=f"stage {span_id[:2]}",
        kind=1,
        start=START + at,
        end=START + (at + SECOND if end is None else end),
        status=status,
        attributes={"rows": 3},
        resource={"service.name": "monthly_run", **({"cicd.pipeline.run.id": run} if run else {})},
        events=({"name": "exception", "time": START, "attributes": {"exception.type": "KeyError"}},),
    )


def uids(records):
    return [record.uid for record in records]


def test_the_reader_is_what_the_rooms_above_ask_for(reader):
    asked: TelemetryReader = reader

    missing = [name for name in vars(TelemetryReader) if not name.startswith("_") and not hasattr(asked, name)]
    assert missing == []


def test_a_record_comes_back_as_it_went_in(store, reader):
    sent = a_record("u1", severity=Severity.ERROR, body="Größe ␀ 🌧", k={"a": [1, None]}, flag=True)
    sent = replace(sent, severity_number=18, event_name="fetch.failed")

    store.append_logs([sent])

    assert reader.record("u1") == sent
    assert reader.run_log("run-1").records == (sent,)


def test_a_record_that_only_said_its_severity_in_words_is_found_by_number(store, reader):
    store.append_logs([replace(a_record("u1", severity=Severity.ERROR), severity_number=0, severity_text="error")])

    (got,) = reader.run_log("run-1", least=Severity.ERROR).records

    assert (got.severity, got.severity_number, got.severity_text) == (Severity.ERROR, 17, "error")


def test_a_span_comes_back_as_it_went_in(store, reader):
    sent = a_span("01" * 8, status=2)

    store.append_spans([sent])

    assert (*reader.run_spans("run-1"), *reader.trace_spans(TRACE)) == (sent, sent)


def test_redelivery_in_any_form_counts_once(store, reader):
    records = [a_record(f"u{number}", at=number) for number in range(6)]

    first = store.append_logs(records[:4])
    again = store.append_logs([*records[2:], records[5], records[0]])

    assert (first, again) == (Appended(4, 0), Appended(2, 4))
    assert uids(reader.run_log("run-1").records) == uids(records)
    assert reader.run("run-1").records == 6


def test_a_span_that_comes_twice_counts_once(store, reader):
    spans = [a_span("01" * 8), a_span("02" * 8)]

    assert store.append_spans([*spans, spans[0]]) == Appended(2, 1)
    assert store.append_spans(spans) == Appended(0, 2)
    assert len(reader.trace_spans(TRACE)) == 2


def test_a_metric_point_that_comes_twice_counts_once_and_a_step_is_no_series(store, reader):
    def point(step, value, at):
        return MetricPoint(
            "loss", "1", "gauge", START + at, value, {"pipeline.metric.step": step}, {"service.name": "m"}
        )

    points = [point(number, 1 / (number + 1), number) for number in range(50)]
    points.append(point(50, math.nan, 50))

    assert store.append_metrics(points) == Appended(51, 0)
    assert store.append_metrics(points[10:]) == Appended(0, 41)
    kept = [point for _, point in reader.points_after(0)]
    assert kept[:50] == points[:50]
    assert math.isnan(kept[50].value)
    assert kept[50].attributes == {"pipeline.metric.step": 50}
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("SELECT count(*) FROM series").fetchone() == (1,)
    connection.close()


def test_a_histogram_comes_back_as_its_json(store, reader):
    sent = MetricPoint("d", "s", "histogram", START, '{"count":1}', {}, {"cicd.pipeline.run.id": "run-1"})

    store.append_metrics([sent])

    assert reader.run_points("run-1") == [sent]


def test_a_whole_request_that_comes_again_is_known_while_it_is_remembered(store):
    with store.writing() as appender:
        assert appender.is_new("a")
        assert not appender.is_new("a")
    with store.writing() as appender:
        assert not appender.is_new("a")
        assert appender.is_new("b")


def test_the_ring_of_requests_forgets_the_oldest(store, monkeypatch):
    monkeypatch.setattr("alert_bridge.store.telemetry.writer.REQUESTS_REMEMBERED", 3)

    with store.writing() as appender:
        fresh = [appender.is_new(str(number)) for number in range(5)]
        again = [appender.is_new(str(number)) for number in (4, 3, 2, 0)]

    assert fresh == [True] * 5
    assert again == [False, False, False, True]


def test_a_transaction_that_fails_leaves_nothing_behind_not_even_in_memory(store, reader):
    def fails_half_way():
        with store.writing() as appender:
            appender.logs([a_record("u1", run="run-9")])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails_half_way()

    store.append_logs([a_record("u1", run="run-9")])

    assert reader.run("run-9").records == 1
    assert uids(reader.run_log("run-9").records) == ["u1"]


def test_a_locked_store_says_busy_and_writes_nothing(store, reader, monkeypatch):
    other = sqlite3.connect(store.path, isolation_level=None)
    store._connection.execute("PRAGMA busy_timeout = 1")
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreBusy):
        store.append_logs([a_record("u1")])
    other.execute("ROLLBACK")
    other.close()

    assert reader.run("run-1") is None
    assert store.append_logs([a_record("u1")]) == Appended(1, 0)


def test_a_full_disk_says_busy_and_what_was_there_stays(store, reader):
    store.append_logs([a_record("u1")])
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages + 1}")

    with pytest.raises(StoreBusy, match="full"):
        store.append_logs([a_record(f"big-{number}", body="x" * 10_000) for number in range(100)])

    assert uids(reader.run_log("run-1").records) == ["u1"]
    store._connection.execute("PRAGMA max_page_count = 1000000")
    assert store.append_logs([a_record("u2", at=1)]) == Appended(1, 0)


def test_a_window_around_a_record_is_ordered_by_time_and_then_by_arrival(store, reader):
    same_time = [a_record(f"s{number}", at=5) for number in range(5)]
    store.append_logs([a_record("late", at=9), *same_time, a_record("early", at=1)])

    page = reader.run_log("run-1", around="s2", before=2, after=10)

    assert uids(page.records) == ["s0", "s1", "s2", "s3", "s4", "late"]
    assert (page.more_before, page.more_after) == (True, False)


def test_a_window_shows_its_record_whatever_the_level(store, reader):
    levels = [Severity.INFO, Severity.ERROR, Severity.DEBUG, Severity.WARNING, Severity.ERROR]
    store.append_logs([a_record(f"u{number}", at=number, severity=level) for number, level in enumerate(levels)])

    page = reader.run_log("run-1", around="u2", least=Severity.WARNING)

    assert uids(page.records) == ["u1", "u2", "u3", "u4"]


def test_without_an_anchor_a_log_is_read_from_its_end(store, reader):
    store.append_logs([a_record(f"u{number}", at=number) for number in range(10)])

    page = reader.run_log("run-1", before=3, after=3)
    unknown = reader.run_log("run-1", around="nobody", before=3)

    assert (uids(page.records), page.more_before, page.more_after) == (["u7", "u8", "u9"], True, False)
    assert unknown == page


def test_an_anchor_of_another_run_reads_as_none(store, reader):
    store.append_logs([a_record("mine", run="run-1", trace=""), a_record("theirs", run="run-2", trace="")])

    assert uids(reader.run_log("run-1", around="theirs").records) == ["mine"]


def test_an_unknown_run_has_an_empty_log(reader):
    assert reader.run("nowhere") is None
    assert reader.run_log("nowhere").records == ()
    assert list(reader.run_records("nowhere")) == []
    assert reader.run_spans("nowhere") == []
    assert reader.trace_log("nowhere").records == ()


@settings(deadline=None, max_examples=60)
@given(
    times=st.lists(st.integers(0, 4), min_size=1, max_size=30),
    levels=st.data(),
    before=st.integers(0, 8),
    after=st.integers(0, 8),
    batches=st.integers(1, 5),
)
def test_any_window_is_the_slice_that_a_list_would_give(tmp_path_factory, times, levels, before, after, batches):
    severities = [levels.draw(st.sampled_from([Severity.INFO, Severity.ERROR])) for _ in times]
    records = [
        a_record(f"u{number}", at=at, severity=severity)
        for number, (at, severity) in enumerate(zip(times, severities, strict=True))
    ]
    folder = tmp_path_factory.mktemp("store")
    store, reader = TelemetryStore(folder), Telemetry(folder)
    for part in range(batches):
        store.append_logs(records[part::batches])
    arrival = [record for part in range(batches) for record in records[part::batches]]
    ordered = sorted(arrival, key=lambda record: record.time)  # stable: equal times stay in the order of arrival
    anchor = levels.draw(st.sampled_from(records))
    least = levels.draw(st.sampled_from([Severity.TRACE, Severity.ERROR]))

    page = reader.run_log("run-1", around=anchor.uid, least=least, before=before, after=after)

    place = ordered.index(anchor)
    older = [record for record in ordered[:place] if record.severity >= least]
    newer = [record for record in ordered[place + 1 :] if record.severity >= least]
    expected = [*older[max(len(older) - before, 0) :], anchor, *newer[:after]]
    assert list(page.records) == expected
    assert (page.more_before, page.more_after) == (len(older) > before, len(newer) > after)
    assert list(reader.run_records("run-1", least=least)) == [record for record in ordered if record.severity >= least]
    store.close()
    reader.close()


def test_a_whole_log_streams_in_batches_while_records_arrive(store, reader, monkeypatch):
    monkeypatch.setattr(reading, "STREAM_ROWS", 3)
    store.append_logs([a_record(f"u{number}", at=number // 2) for number in range(8)])
    stream = reader.run_records("run-1")

    first = [next(stream) for _ in range(3)]
    store.append_logs([a_record("later", at=99)])

    assert uids([*first, *stream]) == [*(f"u{number}" for number in range(8)), "later"]


def test_a_trace_has_the_records_of_all_its_processes_and_of_no_other(store, reader):
    other = "ef" * 16
    store.append_logs(
        [
            a_record("a", at=2, resource={"process.pid": 1}),
            a_record("b", at=1, resource={"process.pid": 2}),
            a_record("c", trace=other),
            a_record("d", trace=""),
        ]
    )

    page = reader.trace_log(TRACE)

    assert uids(page.records) == ["b", "a"]
    assert reader.trace_log(TRACE, limit=1).more_after


def test_a_program_that_names_no_run_is_told_apart_by_its_trace(store, reader):
    store.append_logs([a_record("u1", run="", severity=Severity.ERROR)])
    store.append_spans([a_span("01" * 8, run="", status=2)])

    run = reader.run(TRACE)

    assert (run.run_id, run.trace_id, run.pipeline, run.environment) == (TRACE, TRACE, "monthly_run", "test")
    assert (run.started, run.ended, run.result) == (START, START + SECOND, "error")
    assert (run.worst, run.records) == (Severity.ERROR, 1)
    assert uids(reader.run_log(TRACE, around="u1").records) == ["u1"]


def test_a_program_that_names_neither_run_nor_trace_has_a_log_too(store, reader):
    lines = [a_record(f"u{number}", at=number, run="", trace="") for number in range(3)]
    store.append_logs([*lines, a_record("other", run="", trace="", resource={"service.name": "else"})])

    assert uids(reader.run_log("", around="u1").records) == ["u0", "u1", "u2"]
    assert reader.run_log("").records == ()
    assert reader.runs() == []


@pytest.mark.parametrize("named_first", [True, False])
@pytest.mark.parametrize("together", [True, False])
def test_a_trace_that_turns_out_to_belong_to_a_named_run_joins_it(store, reader, named_first, together):
    """A child process that only got TRACEPARENT, beside a parent that knows the run."""
    records = [a_record("child", at=1, run=""), a_record("parent", at=2, run="run-1", severity=Severity.ERROR)]
    if named_first:
        records.reverse()

    for batch in [records] if together else [[record] for record in records]:
        store.append_logs(batch)
    store.append_spans([a_span("01" * 8, run="")])

    assert uids(reader.run_log("run-1").records) == ["child", "parent"]
    assert reader.run(TRACE) == reader.run("run-1")
    assert [run.run_id for run in reader.runs()] == ["run-1"]
    assert (reader.run("run-1").records, reader.run("run-1").worst) == (2, Severity.ERROR)
    assert len(reader.run_spans("run-1")) == 1


def test_a_run_has_all_its_traces_and_an_orchestrators_trace_all_its_runs(store, reader):
    other = "ef" * 16
    store.append_logs([a_record("a"), a_record("b", trace=other, at=1), a_record("c", run="run-2", trace=TRACE, at=2)])

    assert uids(reader.run_log("run-1").records) == ["a", "b"]
    assert uids(reader.trace_log(TRACE).records) == ["a", "c"]
    assert reader.run(other).run_id == "run-1"


def test_lifecycle_events_say_when_a_run_began_and_ended_in_whatever_order_they_come(store, reader):
    result = {"cicd.pipeline.result": "failure"}
    events = [
        an_event("pipeline.run.start", "s", at=10, **{"cicd.pipeline.name": "forecast"}),
        a_record("line", at=5, severity=Severity.ERROR),
        an_event("pipeline.run.end", "e", at=90, **result),
        a_record("after", at=95),
    ]
    random.Random(7).shuffle(events)

    for event in events:
        store.append_logs([event])
    store.append_spans([a_span("01" * 8, end=200)])

    run = reader.run("run-1")
    assert (run.started, run.ended, run.result) == (START + 10, START + 90, "failure")
    assert (run.pipeline, run.worst, run.records) == ("forecast", Severity.ERROR, 4)


def test_a_run_that_was_started_again_goes_on(store, reader):
    store.append_logs([an_event("pipeline.run.start", "s1", at=0), an_event("pipeline.run.end", "e1", at=5)])
    store.append_logs([an_event("pipeline.run.start", "s2", at=8)])
    again = reader.run("run-1")

    store.append_logs([an_event("pipeline.run.end", "e2", at=9, **{"cicd.pipeline.result": "success"})])

    assert (again.started, again.ended, again.result) == (START, 0, "")
    assert (reader.run("run-1").ended, reader.run("run-1").result) == (START + 9, "success")


def test_events_of_child_processes_do_not_end_the_run(store, reader):
    names = ["start", "start", "end"]
    store.append_logs([an_event(f"pipeline.run.{name}", f"u{number}", at=number) for number, name in enumerate(names)])
    store.append_logs([an_event("pipeline.run.end", "parent", at=50, **{"cicd.pipeline.result": "failure"})])

    assert (reader.run("run-1").started, reader.run("run-1").ended) == (START, START + 50)
    assert reader.run("run-1").result == "failure"


def test_runs_are_listed_newest_first(store, reader):
    for number in range(5):
        store.append_logs([a_record(f"u{number}", at=number * SECOND, run=f"run-{number}", trace="")])

    assert [run.run_id for run in reader.runs(limit=3)] == ["run-4", "run-3", "run-2"]


def test_a_search_finds_text_in_any_case_in_body_and_attributes_newest_first(store, reader):
    store.append_logs(
        [
            a_record("a", body="Disk QUOTA exceeded"),
            a_record("b", body="x", **{"exception.stacktrace": "OSError: quota"}),
            a_record("c", body="quota", run="run-2", trace=""),
            a_record("d", body="100% of_it \\ done"),
        ]
    )

    assert uids(reader.search("quota")) == ["c", "b", "a"]
    assert uids(reader.search("quota", run_id="run-1")) == ["b", "a"]
    assert uids(reader.search("quota", limit=1)) == ["c"]
    assert uids(reader.search("100% of_it \\")) == ["d"]
    assert reader.search("1005 of") == []
    assert reader.search("quota", run_id="nowhere") == []


def test_a_search_that_takes_too_long_answers_with_what_it_has(store, reader, monkeypatch):
    looks = count()
    monkeypatch.setattr(reading.time, "monotonic", lambda: next(looks) * reading.SEARCH_SECONDS / 100)
    monkeypatch.setattr(reading, "_SEARCH_STEPS_BETWEEN_LOOKS", 100)
    store.append_logs([a_record("too old", body="needle")])
    store.append_logs([a_record(f"u{number}") for number in range(5_000)])
    store.append_logs([a_record("found", body="needle")])

    assert uids(reader.search("needle")) == ["found"]
    assert reader.run("run-1").records == 5_002  # the connection is as good as before


def test_a_cursor_sees_everything_once_in_the_order_of_arrival(store, reader):
    seen, cursor = [], 0
    for number in range(5):
        store.append_logs([a_record(f"u{number}-{part}", at=-number) for part in range(3)])
        while page := reader.logs_after(cursor, limit=2):
            seen += [record.uid for _, record in page]
            cursor = page[-1][0]

    assert seen == [f"u{number}-{part}" for number in range(5) for part in range(3)]


def test_a_cursor_is_not_fooled_by_a_deletion(store, reader):
    store.append_logs([a_record("old", at=0)])
    ((cursor, _),) = reader.logs_after(0)
    while store.drop_before(START + SECOND):
        pass

    store.append_logs([a_record("new", at=2 * SECOND)])

    assert [record.uid for _, record in reader.logs_after(cursor)] == ["new"]


def test_old_telemetry_goes_and_leaves_nothing(store, reader):
    store.append_logs([a_record(f"old{number}", at=number, run="run-1") for number in range(10)])
    store.append_logs([a_record("new", at=100 * SECOND, run="run-2", trace="ef" * 16)])
    store.append_spans([a_span("01" * 8)])
    store.append_metrics([MetricPoint("loss", "1", "gauge", START, 1.0, {}, {"service.name": "m"})])

    gone = sum(iter(lambda: store.drop_before(START + 50 * SECOND), 0))

    assert gone >= 12
    assert [run.run_id for run in reader.runs()] == ["run-2"]
    assert (reader.record("old1"), reader.trace_spans(TRACE), reader.points_after(0)) == (None, [], [])
    with sqlite3.connect(store.path) as connection:
        left = {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("logs", "spans", "points", "series", "runs", "traces", "resources")
        }
    connection.close()
    assert left == {"logs": 1, "spans": 0, "points": 0, "series": 0, "runs": 1, "traces": 1, "resources": 1}


def test_a_run_that_goes_on_loses_only_its_old_records(store, reader):
    store.append_logs([a_record("old", at=0), a_record("new", at=100 * SECOND)])

    while store.drop_before(START + 50 * SECOND):
        pass
    store.append_logs([a_record("newer", at=101 * SECOND)])

    assert uids(reader.run_log("run-1").records) == ["new", "newer"]
    assert reader.run("run-1").records == 3


def test_traces_may_be_kept_for_another_time_than_logs(store, reader):
    store.append_logs([a_record("u1")])
    store.append_spans([a_span("01" * 8)])

    while store.drop_before(START + 50 * SECOND, traces=START):
        pass

    assert reader.run_log("run-1").records == ()
    assert len(reader.run_spans("run-1")) == 1


def test_deleting_goes_in_steps_and_gives_the_space_back(store, reader, monkeypatch):
    monkeypatch.setattr("alert_bridge.store.telemetry.retention.STEP_ROWS", 100)
    store.append_logs([a_record(f"u{number}", at=number, body="x" * 2_000) for number in range(450)])
    (before,) = store._connection.execute("PRAGMA page_count").fetchone()

    steps = list(iter(lambda: store.drop_before(START + SECOND), 0))

    assert steps[:5] == [100, 100, 100, 100, 50]
    (after,) = store._connection.execute("PRAGMA page_count").fetchone()
    assert after < before / 2


def test_people_can_query_it_by_the_names_of_the_clickhouse_exporter(store):
    store.append_logs([a_record("u1", severity=Severity.ERROR, model="lavender")])
    store.append_spans([a_span("01" * 8, status=2)])
    store.append_metrics([MetricPoint("loss", "1", "gauge", START, 0.5, {}, {"service.name": "m"})])

    connection = sqlite3.connect(store.path)
    log = connection.execute(
        "SELECT Timestamp, TraceId, SeverityText, SeverityNumber, ServiceName, Body, RunId, "
        "json_extract(LogAttributes, '$.model'), json_extract(ResourceAttributes, '$.\"service.name\"') FROM otel_logs"
    ).fetchone()
    trace = connection.execute("SELECT SpanName, SpanKind, StatusCode, Duration, RunId FROM otel_traces").fetchone()
    metric = connection.execute("SELECT MetricName, Value, ServiceName FROM otel_metrics").fetchone()
    connection.close()

    assert log == (
        "2027-01-15 08:00:00.000", TRACE, "ERROR", 17, "monthly_run", "line u1", "run-1", "lavender", "monthly_run"
    )  # fmt: skip
    assert trace == ("stage 01", "Internal", "Error", SECOND, "run-1")
    assert metric == ("loss", 0.5, "m")


def test_the_sql_of_the_documentation_finds_what_it_asks_for(store):
    guide = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    (block,) = re.findall(r"^```sql\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    questions = block.replace("5b8efff798038103d269b633813fc60c", TRACE).split(";\n")
    store.append_logs([a_record("u1", severity=Severity.ERROR), a_record("u2", severity=Severity.INFO)])
    store.append_spans([a_span("01" * 8, end=1_500_000_000, status=2)])

    with closing(sqlite3.connect(store.path)) as connection:
        logs, spans, often = (connection.execute(question).fetchall() for question in questions if question.strip())

    when = "2027-01-15 08:00:00.000"
    assert logs == [(when, "ERROR", "monthly_run", "line u1")]
    assert spans == [("stage 01", 1.5, "Error", "")]
    assert often == [("line u1", 1, when, when)]


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_any_order_batching_and_duplication_gives_the_same_store(tmp_path_factory, data):
    records = [
        an_event("pipeline.run.start", "start", at=1, run="run-1"),
        an_event("pipeline.run.end", "end", at=8, run="run-1", **{"cicd.pipeline.result": "failure"}),
        a_record("child", at=3, run=""),
        a_record("error", at=4, run="run-1", severity=Severity.ERROR),
        a_record("other", at=5, run="run-2", trace="ef" * 16),
        a_record("lone", at=6, run="", trace="12" * 16),
        a_record("nobody", at=7, run="", trace=""),
    ]
    deliveries = data.draw(st.permutations([*records, *data.draw(st.lists(st.sampled_from(records), max_size=5))]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(deliveries)), max_size=4)))
    folder = tmp_path_factory.mktemp("store")
    store, reader = TelemetryStore(folder), Telemetry(folder)

    for start, end in zip([0, *cuts], [*cuts, len(deliveries)], strict=True):
        store.append_logs(deliveries[start:end])

    runs = {run.run_id: run for run in reader.runs()}
    assert {
        run_id: (run.records, run.worst, run.started - START, run.ended, run.result) for run_id, run in runs.items()
    } == {
        "run-1": (4, Severity.ERROR, 1, START + 8, "failure"),
        "run-2": (1, Severity.INFO, 5, 0, ""),
        "12" * 16: (1, Severity.INFO, 6, 0, ""),
    }
    assert uids(reader.run_log("run-1").records) == ["start", "child", "error", "end"]
    assert uids(reader.run_log("", around="nobody").records) == ["nobody"]
    store.close()
    reader.close()


def test_rejects_are_kept_up_to_a_number(store, monkeypatch):
    monkeypatch.setattr("alert_bridge.store.telemetry.writer.REJECTS_KEPT", 3)

    for number in count():
        if number == 5:
            break
        with store.writing() as appender:
            appender.reject("logs", time.time_ns(), [(f"reason {number}", "excerpt", 1)])

    kept = store._connection.execute("SELECT reason FROM rejects ORDER BY id").fetchall()
    assert [row[0] for row in kept] == ["reason 2", "reason 3", "reason 4"]
