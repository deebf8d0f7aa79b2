"""The runs table, kept while telemetry is written: which run a record belongs to, and how the run stands."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from alert_bridge.model import Record, Span
from instrumentation import attributes as names

__all__ = ["RunBook", "Speaker"]

SPAN_ERROR = 2
ROWS_REMEMBERED = 8_192
_FAR_FUTURE = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Speaker:
    """A resource as the writer needs it: its row, its digest, and the run that it names."""

    row: int
    digest: str
    run_id: str


@dataclass(slots=True)
class _Delta:
    """What one transaction adds to one run."""

    pipeline: str
    environment: str
    trace_id: str
    named: bool = False  # the pipeline's name comes from `pipeline.run.start`, which has the last word
    first: int = _FAR_FUTURE
    last: int = 0
    records: int = 0
    worst: int = 0
    started: int = _FAR_FUTURE
    restarted: int = 0
    ended: int = 0
    result: str = ""
    span_ended: int = 0
    span_result: str = ""


class RunBook:
    """Finds or opens the run of each record and span, and gathers what a transaction changes about it.

    A program that names no run is told apart by its trace; if the trace turns out to belong to a named run, the two
    become one. What is remembered between transactions is only which row a run has; `forget` drops it after a rollback.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._rows: dict[tuple[str, str], int] = {}
        self._deltas: dict[int, _Delta] = {}

    def forget(self) -> None:
        """Drop everything that a transaction which did not commit may have brought."""
        self._rows.clear()
        self._deltas.clear()

    def of_records(self, records: Sequence[Record], speakers: Sequence[Speaker]) -> list[int]:
        """The row of each record's run, with the record counted in it."""
        pairs = [
            (str(record.attributes.get(names.RUN_ID) or speaker.run_id), record.trace_id)
            for record, speaker in zip(records, speakers, strict=True)
        ]
        self._introduce(pairs)
        return [
            self._count(record, self._row(run_id, trace_id, speaker))
            for record, speaker, (run_id, trace_id) in zip(records, speakers, pairs, strict=True)
        ]

    def of_spans(self, spans: Sequence[Span], speakers: Sequence[Speaker]) -> list[int]:
        """The row of each span's run, with the span noted in it."""
        pairs = [
            (str(span.attributes.get(names.RUN_ID) or speaker.run_id), span.trace_id)
            for span, speaker in zip(spans, speakers, strict=True)
        ]
        self._introduce(pairs)
        return [
            self._note(span, self._row(run_id, trace_id, speaker))
            for span, speaker, (run_id, trace_id) in zip(spans, speakers, pairs, strict=True)
        ]

    def _introduce(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Named runs first: a trace that joins one in this batch must not get a row that is gone when it is used."""
        for run_id, trace_id in dict.fromkeys(pairs):
            if run_id and (run_id, trace_id) not in self._rows:
                self._rows[run_id, trace_id] = self._named(run_id, trace_id)

    def _count(self, record: Record, row: int) -> int:
        delta = self._deltas.get(row)
        if delta is None:
            delta = self._deltas[row] = _Delta(record.pipeline, record.environment, record.trace_id)
        time = record.time
        delta.first = min(delta.first, time)
        delta.last = max(delta.last, time)
        delta.worst = max(delta.worst, record.severity_number or record.severity)
        delta.records += 1
        if record.event_name == names.EVENT_RUN_START:
            delta.started = min(delta.started, time)
            delta.restarted = max(delta.restarted, time)
            delta.pipeline, delta.named = record.pipeline, True
        elif record.event_name == names.EVENT_RUN_END and time >= delta.ended:
            delta.ended, delta.result = time, record.text(names.RUN_RESULT)
        return row

    def _note(self, span: Span, row: int) -> int:
        delta = self._deltas.get(row)
        if delta is None:
            pipeline = span.resource.get(names.PIPELINE_NAME) or span.resource.get(names.SERVICE_NAME) or "unknown"
            environment = span.resource.get(names.DEPLOYMENT_ENVIRONMENT) or ""
            delta = self._deltas[row] = _Delta(str(pipeline), str(environment), span.trace_id)
        delta.first = min(delta.first, span.start)
        delta.last = max(delta.last, span.end)
        if not span.parent_id and span.end >= delta.span_ended:
            delta.span_ended = span.end
            delta.span_result = names.RESULT_ERROR if span.status == SPAN_ERROR else names.RESULT_SUCCESS
        return row

    def flush(self) -> None:
        """Write what was gathered; call it before the transaction commits."""
        self._connection.executemany(
            """
            UPDATE runs SET
                pipeline = CASE WHEN :named OR pipeline IN ('', 'unknown') THEN :pipeline ELSE pipeline END,
                environment = CASE WHEN environment = '' THEN :environment ELSE environment END,
                trace_id = CASE WHEN trace_id = '' THEN :trace_id ELSE trace_id END,
                first_seen = min(first_seen, :first), last_seen = max(last_seen, :last),
                started = CASE WHEN :started > 0 AND (started = 0 OR started > :started) THEN :started ELSE started END,
                restarted = max(restarted, :restarted),
                result = CASE WHEN :ended >= ended AND :ended > 0 THEN :result ELSE result END,
                ended = max(ended, :ended),
                span_result = CASE WHEN :span_ended >= span_ended AND :span_ended > 0 THEN :span_result
                                   ELSE span_result END,
                span_ended = max(span_ended, :span_ended),
                worst = max(worst, :worst), records = records + :records
            WHERE id = :row
            """,
            [self._changes(row, delta) for row, delta in self._deltas.items()],
        )
        self._deltas.clear()
        if len(self._rows) > ROWS_REMEMBERED:
            self._rows.clear()

    @staticmethod
    def _changes(row: int, delta: _Delta) -> dict[str, object]:
        return {
            "row": row,
            "named": delta.named,
            "pipeline": delta.pipeline,
            "environment": delta.environment,
            "trace_id": delta.trace_id,
            "first": delta.first,
            "last": delta.last,
            "started": 0 if delta.started == _FAR_FUTURE else delta.started,
            "restarted": delta.restarted,
            "ended": delta.ended,
            "result": delta.result,
            "span_ended": delta.span_ended,
            "span_result": delta.span_result,
            "worst": delta.worst,
            "records": delta.records,
        }

    def _row(self, run_id: str, trace_id: str, speaker: Speaker) -> int:
        if run_id:
            known = self._rows.get((run_id, trace_id))
            if known is None:  # forgotten, because another run of this batch took in a trace that stood for itself
                known = self._rows[run_id, trace_id] = self._named(run_id, trace_id)
            return known
        who = ("", trace_id) if trace_id else ("resource", speaker.digest)
        row = self._rows.get(who)
        if row is None:
            row = self._rows[who] = self._unnamed(trace_id, speaker)
        return row

    def _named(self, run_id: str, trace_id: str) -> int:
        row = self._find_or_open(f"run:{run_id}", run_id)
        if trace_id:
            self._connection.execute("INSERT OR IGNORE INTO traces (trace_id, run) VALUES (?, ?)", (trace_id, row))
            provisional = self._find(f"trace:{trace_id}")
            if provisional is not None:
                self._merge(provisional, into=row)
        return row

    def _unnamed(self, trace_id: str, speaker: Speaker) -> int:
        if not trace_id:
            return self._find_or_open(f"resource:{speaker.digest}", "")
        named = self._connection.execute("SELECT min(run) FROM traces WHERE trace_id = ?", (trace_id,)).fetchone()[0]
        if named is not None:
            return int(named)
        row = self._find_or_open(f"trace:{trace_id}", trace_id)
        self._connection.execute("INSERT OR IGNORE INTO traces (trace_id, run) VALUES (?, ?)", (trace_id, row))
        return row

    def _find(self, key: str) -> int | None:
        found = self._connection.execute("SELECT id FROM runs WHERE key = ?", (key,)).fetchone()
        return None if found is None else int(found[0])

    def _find_or_open(self, key: str, run_id: str) -> int:
        row = self._find(key)
        if row is None:
            row = self._connection.execute(
                "INSERT INTO runs (key, run_id, pipeline, environment, trace_id, first_seen, last_seen) "
                "VALUES (?, ?, '', '', '', ?, 0)",
                (key, run_id, _FAR_FUTURE),
            ).lastrowid
        assert row is not None
        return row

    def _merge(self, provisional: int, *, into: int) -> None:
        """A trace that stood for a run of its own turns out to belong to a named one. Rare: once a run at most."""
        self.flush()
        self._connection.execute("UPDATE logs SET run = ? WHERE run = ?", (into, provisional))
        self._connection.execute("UPDATE spans SET run = ? WHERE run = ?", (into, provisional))
        self._connection.execute("DELETE FROM traces WHERE run = ?", (provisional,))
        self._connection.execute(
            """
            UPDATE runs SET
                first_seen = min(first_seen, (SELECT first_seen FROM runs WHERE id = :old)),
                last_seen = max(last_seen, (SELECT last_seen FROM runs WHERE id = :old)),
                worst = max(worst, (SELECT worst FROM runs WHERE id = :old)),
                records = records + (SELECT records FROM runs WHERE id = :old)
            WHERE id = :new
            """,
            {"old": provisional, "new": into},
        )
        self._connection.execute("DELETE FROM runs WHERE id = ?", (provisional,))
        self._rows.clear()
