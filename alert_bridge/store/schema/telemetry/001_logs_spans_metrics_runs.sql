-- Logs, spans, metric points and the runs that they belong to.
--
-- Times are nanoseconds since the Unix epoch, UTC; attributes are JSON. `id` grows in the order of arrival and is never
-- used twice, also after a deletion: whoever follows a table remembers the highest `id` it has seen.
-- The bulk tables declare no foreign keys: one writer keeps them right, and a check per row would be paid per row.
-- For people, the views at the end have the column names of the Collector's ClickHouse exporter.

-- Who speaks: one row per distinct resource.
CREATE TABLE resources (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    digest     TEXT NOT NULL UNIQUE, -- SHA-256 of the attributes
    service    TEXT NOT NULL,
    attributes TEXT NOT NULL,
    last_seen  INTEGER NOT NULL
);

-- One execution of a pipeline. `key` is 'run:' and the run's id, where the program names one; else 'trace:' and the trace's
-- id; else 'resource:' and the digest of who speaks, with an empty `run_id`, so that such records still have a log.
CREATE TABLE runs (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    key          TEXT NOT NULL UNIQUE,
    run_id       TEXT NOT NULL,
    pipeline     TEXT NOT NULL,
    environment  TEXT NOT NULL,
    trace_id     TEXT NOT NULL,
    first_seen   INTEGER NOT NULL,           -- earliest and latest time of anything that belongs to it
    last_seen    INTEGER NOT NULL,
    started      INTEGER NOT NULL DEFAULT 0, -- earliest `pipeline.run.start`
    restarted    INTEGER NOT NULL DEFAULT 0, -- latest `pipeline.run.start`: later than the end, the run goes on
    ended        INTEGER NOT NULL DEFAULT 0, -- latest `pipeline.run.end`, and its result
    result       TEXT NOT NULL DEFAULT '',
    span_ended   INTEGER NOT NULL DEFAULT 0, -- latest end of a root span: what a program without those events has
    span_result  TEXT NOT NULL DEFAULT '',
    worst        INTEGER NOT NULL DEFAULT 0, -- highest severity number
    records      INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX runs_by_last_seen ON runs (last_seen);
CREATE INDEX runs_by_first_seen ON runs (first_seen);

-- A run may have several traces, and an orchestrator's trace several runs.
CREATE TABLE traces (
    trace_id TEXT NOT NULL,
    run      INTEGER NOT NULL,
    PRIMARY KEY (trace_id, run)
) WITHOUT ROWID;
CREATE INDEX traces_by_run ON traces (run);

CREATE TABLE logs (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    uid           TEXT NOT NULL,
    run           INTEGER NOT NULL,
    time          INTEGER NOT NULL,
    observed      INTEGER NOT NULL,
    severity      INTEGER NOT NULL, -- 1-24; where the sender gave no number, the floor of what its text means
    severity_text TEXT NOT NULL,
    body          TEXT NOT NULL,
    event_name    TEXT NOT NULL,
    scope         TEXT NOT NULL,
    trace_id      TEXT NOT NULL,
    span_id       TEXT NOT NULL,
    resource      INTEGER NOT NULL,
    attributes    TEXT NOT NULL
);
CREATE UNIQUE INDEX logs_by_uid ON logs (uid);
CREATE INDEX logs_by_run ON logs (run, time);

CREATE TABLE spans (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    trace_id       TEXT NOT NULL,
    span_id        TEXT NOT NULL,
    parent_id      TEXT NOT NULL,
    run            INTEGER NOT NULL,
    name           TEXT NOT NULL,
    kind           INTEGER NOT NULL,
    start_time     INTEGER NOT NULL,
    end_time       INTEGER NOT NULL,
    status         INTEGER NOT NULL,
    status_message TEXT NOT NULL,
    scope          TEXT NOT NULL,
    resource       INTEGER NOT NULL,
    attributes     TEXT NOT NULL,
    events         TEXT NOT NULL
);
CREATE UNIQUE INDEX spans_by_identity ON spans (trace_id, span_id);
CREATE INDEX spans_by_run ON spans (run, start_time);

-- One metric of one speaker with one set of attributes; `pipeline.metric.step` is a column of the point instead.
CREATE TABLE series (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    digest     TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    unit       TEXT NOT NULL,
    kind       TEXT NOT NULL,
    attributes TEXT NOT NULL,
    resource   INTEGER NOT NULL,
    run_id     TEXT NOT NULL,
    last_seen  INTEGER NOT NULL
);
CREATE INDEX series_by_run ON series (run_id);

CREATE TABLE points (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    series    INTEGER NOT NULL,
    time      INTEGER NOT NULL,
    step      INTEGER NOT NULL, -- -1: none
    value     REAL,             -- NULL: not a number, unless there is a histogram
    histogram TEXT              -- JSON of a histogram or a summary
);
CREATE UNIQUE INDEX points_by_series ON points (series, time, step);

-- The latest requests, so that one that is sent again whole is not even looked at.
CREATE TABLE requests (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    digest TEXT NOT NULL UNIQUE
);

-- What could not be read or kept, and why: the latest of it.
CREATE TABLE rejects (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    signal  TEXT NOT NULL,
    reason  TEXT NOT NULL,
    excerpt TEXT NOT NULL,
    records INTEGER NOT NULL
);

CREATE VIEW otel_logs AS
SELECT strftime('%Y-%m-%d %H:%M:%f', logs.time / 1000000000.0, 'unixepoch') AS Timestamp,
       logs.time AS TimestampNano, logs.trace_id AS TraceId, logs.span_id AS SpanId,
       logs.severity_text AS SeverityText, logs.severity AS SeverityNumber, resources.service AS ServiceName,
       logs.body AS Body, resources.attributes AS ResourceAttributes, logs.scope AS ScopeName,
       logs.attributes AS LogAttributes, logs.event_name AS EventName, runs.run_id AS RunId, logs.uid AS RecordUid
FROM logs JOIN runs ON runs.id = logs.run JOIN resources ON resources.id = logs.resource;

CREATE VIEW otel_traces AS
SELECT strftime('%Y-%m-%d %H:%M:%f', spans.start_time / 1000000000.0, 'unixepoch') AS Timestamp,
       spans.start_time AS TimestampNano, spans.trace_id AS TraceId, spans.span_id AS SpanId,
       spans.parent_id AS ParentSpanId, spans.name AS SpanName,
       CASE spans.kind WHEN 1 THEN 'Internal' WHEN 2 THEN 'Server' WHEN 3 THEN 'Client' WHEN 4 THEN 'Producer'
                       WHEN 5 THEN 'Consumer' ELSE 'Unspecified' END AS SpanKind,
       resources.service AS ServiceName, resources.attributes AS ResourceAttributes, spans.scope AS ScopeName,
       spans.attributes AS SpanAttributes, spans.end_time - spans.start_time AS Duration,
       CASE spans.status WHEN 1 THEN 'Ok' WHEN 2 THEN 'Error' ELSE 'Unset' END AS StatusCode,
       spans.status_message AS StatusMessage, spans.events AS Events, runs.run_id AS RunId
FROM spans JOIN runs ON runs.id = spans.run JOIN resources ON resources.id = spans.resource;

CREATE VIEW otel_metrics AS
SELECT strftime('%Y-%m-%d %H:%M:%f', points.time / 1000000000.0, 'unixepoch') AS TimeUnix,
       points.time AS TimeUnixNano, series.name AS MetricName, series.unit AS MetricUnit, series.kind AS MetricKind,
       series.attributes AS Attributes, points.step AS Step, points.value AS Value, points.histogram AS Histogram,
       resources.service AS ServiceName, resources.attributes AS ResourceAttributes, series.run_id AS RunId
FROM points JOIN series ON series.id = points.series JOIN resources ON resources.id = series.resource;
