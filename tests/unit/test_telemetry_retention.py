"""What telemetry.db lets go of: the old, in steps, with all that hangs on it, and nothing else."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from alert_bridge.model import MetricPoint
from tests.servers.telemetry import SECOND, START, TRACE, a_record, a_span, uids


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
    with closing(sqlite3.connect(store.path)) as connection:
        left = {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("logs", "spans", "points", "series", "runs", "traces", "resources")
        }
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
