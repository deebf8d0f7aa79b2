"""The telemetry store on a real file: what comes back is what went in, once, and trouble leaves nothing half done."""

from __future__ import annotations

import math
import sqlite3
import time
from contextlib import closing
from dataclasses import replace

import pytest

from alert_bridge.errors import StoreBusy
from alert_bridge.model import MetricPoint, Severity
from alert_bridge.store.interface import TelemetryReader
from alert_bridge.store.telemetry import Appended
from tests.servers.telemetry import START, TRACE, a_record, a_span, uids


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
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("SELECT count(*) FROM series").fetchone() == (1,)


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


def test_a_locked_store_says_busy_and_writes_nothing(store, reader):
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


def test_rejects_are_kept_up_to_a_number(store, monkeypatch):
    monkeypatch.setattr("alert_bridge.store.telemetry.writer.REJECTS_KEPT", 3)

    for number in range(5):
        with store.writing() as appender:
            appender.reject("logs", time.time_ns(), [(f"reason {number}", "excerpt", 1)])

    kept = store._connection.execute("SELECT reason FROM rejects ORDER BY id").fetchall()
    assert [row[0] for row in kept] == ["reason 2", "reason 3", "reason 4"]
