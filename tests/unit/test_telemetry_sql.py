"""telemetry.db as people query it: the column names of the ClickHouse exporter, and the SQL of the documentation."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from alert_bridge.model import MetricPoint, Severity
from tests.servers.telemetry import SECOND, START, TRACE, a_record, a_span


def test_people_can_query_it_by_the_names_of_the_clickhouse_exporter(store):
    store.append_logs([a_record("u1", severity=Severity.ERROR, model="lavender")])
    store.append_spans([a_span("01" * 8, status=2)])
    store.append_metrics([MetricPoint("loss", "1", "gauge", START, 0.5, {}, {"service.name": "m"})])

    with closing(sqlite3.connect(store.path)) as connection:
        log = connection.execute(
            "SELECT Timestamp, TraceId, SeverityText, SeverityNumber, ServiceName, Body, RunId, "
            "json_extract(LogAttributes, '$.model'), json_extract(ResourceAttributes, '$.\"service.name\"') "
            "FROM otel_logs"
        ).fetchone()
        trace = connection.execute("SELECT SpanName, SpanKind, StatusCode, Duration, RunId FROM otel_traces").fetchone()
        metric = connection.execute("SELECT MetricName, Value, ServiceName FROM otel_metrics").fetchone()

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
