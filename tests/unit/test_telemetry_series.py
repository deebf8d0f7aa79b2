"""A thousand points of one metric are one series, and a run is found whatever else its batch brings."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from alert_bridge.model import MetricPoint, Record, Severity
from alert_bridge.store.telemetry import Appended
from instrumentation import attributes as names


def test_the_identity_of_a_point_makes_no_series_of_it(store, reader):
    resource = {names.SERVICE_NAME: "p", names.RUN_ID: "run-1"}
    points = [
        MetricPoint(
            "loss",
            "",
            "gauge",
            step,
            1 / (1 + step),
            {names.METRIC_STEP: step, names.RECORD_UID: f"a-{step}"},
            resource,
        )
        for step in range(1000)
    ]
    plain = MetricPoint("rows", "", "gauge", 7, 191.0, {names.RECORD_UID: "a-1000"}, resource)

    first = store.append_metrics([*points, plain])
    again = store.append_metrics([*points, plain])

    with closing(sqlite3.connect(store.path)) as connection:
        series = connection.execute("SELECT name, attributes FROM series ORDER BY name").fetchall()
    assert (first, again) == (Appended(1001, 0), Appended(0, 1001))
    assert series == [("loss", "{}"), ("rows", "{}")]
    assert [point.value for point in reader.run_points("run-1") if point.name == "loss"] == [p.value for p in points]


def test_a_run_is_known_although_a_later_one_of_its_batch_takes_in_a_trace(store, reader):
    def record(uid: str, trace: str, **resource: str) -> Record:
        return Record(uid, 1, 1, Severity.INFO, "INFO", uid, resource={**resource}, trace_id=trace * 16)

    store.append_logs([record("provisional", "cd")])
    store.append_logs(
        [record("other", "ef", **{names.RUN_ID: "run-2"}), record("named", "cd", **{names.RUN_ID: "run-1"})]
    )

    runs = {run.run_id: run.records for run in reader.runs()}
    assert runs == {"run-1": 2, "run-2": 1}
