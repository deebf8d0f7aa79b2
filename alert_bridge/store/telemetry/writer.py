"""The writer of telemetry.db: one connection, one lock, whole transactions; whatever comes twice counts once."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from alert_bridge.model import AttributeValue, MetricPoint, Record, Span
from alert_bridge.store.sqlite import connect, migrate, transaction
from alert_bridge.store.telemetry.retention import drop_step, give_back
from alert_bridge.store.telemetry.rows import NO_STEP, digest_of, split_value, to_json
from alert_bridge.store.telemetry.runs import RunBook, Speaker
from instrumentation import attributes as names

__all__ = ["FILE_NAME", "Appended", "Appender", "TelemetryStore"]

FILE_NAME = "telemetry.db"
REQUESTS_REMEMBERED = 4_096
REJECTS_KEPT = 1_000
SPEAKERS_REMEMBERED = 2_048
_LARGEST_STEP = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Appended:
    """What one batch added, and how much of it was there already."""

    new: int
    known: int


class TelemetryStore:
    """telemetry.db in one state directory. There is one writing process; anyone may read beside it."""

    def __init__(self, state: Path) -> None:
        self.path = state / FILE_NAME
        self._lock = threading.Lock()
        self._connection = connect(self.path)
        migrate(self._connection, "telemetry")
        self._appender = Appender(self._connection)

    @contextmanager
    def writing(self) -> Iterator[Appender]:
        """One transaction, on disk when the block ends. Several requests may share one.

        Raises:
            alert_bridge.errors.StoreBusy: nothing was written.
        """
        with self._lock:
            try:
                with transaction(self._connection):
                    yield self._appender
                    self._appender.finish()
            except BaseException:
                self._appender.forget()
                raise

    def append_logs(self, batch: Sequence[Record]) -> Appended:
        """Add the records that are not there yet, by uid, in one transaction."""
        with self.writing() as appender:
            return appender.logs(batch)

    def append_spans(self, batch: Sequence[Span]) -> Appended:
        """Add the spans that are not there yet, by trace id and span id, in one transaction."""
        with self.writing() as appender:
            return appender.spans(batch)

    def append_metrics(self, batch: Sequence[MetricPoint]) -> Appended:
        """Add the points that are not there yet, by series, time and step, in one transaction."""
        with self.writing() as appender:
            return appender.metrics(batch)

    def drop_before(self, time: int, *, traces: int | None = None) -> int:
        """Delete a bounded number of rows older than ``time`` (ns) and return it; call until it returns 0.

        ``traces`` is the time for spans where it is another one. Metric points go with the logs.

        Raises:
            alert_bridge.errors.StoreBusy: nothing was deleted.
        """
        with self._lock:
            gone = drop_step(self._connection, logs=time, traces=time if traces is None else traces)
            self._appender.forget()  # it remembers rows that may be gone
            if gone:
                give_back(self._connection)
            return gone

    def close(self) -> None:
        """Wait for the transaction that runs, then close."""
        with self._lock:
            self._connection.close()


class Appender:
    """What may be added within one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._runs = RunBook(connection)
        self._speakers: dict[str, Speaker] = {}

    def is_new(self, request_digest: str) -> bool:
        """Whether this request was not taken before; from now on it was. Only the latest requests are remembered."""
        inserted = self._connection.execute("INSERT OR IGNORE INTO requests (digest) VALUES (?)", (request_digest,))
        if inserted.rowcount:
            self._connection.execute(
                "DELETE FROM requests WHERE id <= ?", ((inserted.lastrowid or 0) - REQUESTS_REMEMBERED,)
            )
        return inserted.rowcount > 0

    def logs(self, batch: Sequence[Record]) -> Appended:
        """Add the records that are not there yet, by uid."""
        by_uid: dict[str, Record] = {}
        for record in batch:
            by_uid.setdefault(record.uid, record)
        known = self._present("SELECT uid FROM logs WHERE uid IN (SELECT value FROM json_each(?))", list(by_uid))
        fresh = [record for uid, record in by_uid.items() if uid not in known]
        speakers = self._speakers_of((record.resource, record.time) for record in fresh)
        runs = self._runs.of_records(fresh, speakers)
        self._connection.executemany(
            "INSERT INTO logs (uid, run, time, observed, severity, severity_text, body, event_name, scope, trace_id, "
            "span_id, resource, attributes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    record.uid,
                    run,
                    record.time,
                    record.observed,
                    record.severity_number if record.severity_number > 0 else int(record.severity),
                    record.severity_text,
                    record.body,
                    record.event_name,
                    record.scope,
                    record.trace_id,
                    record.span_id,
                    speaker.row,
                    to_json(record.attributes),
                )
                for record, speaker, run in zip(fresh, speakers, runs, strict=True)
            ],
        )
        return Appended(len(fresh), len(batch) - len(fresh))

    def spans(self, batch: Sequence[Span]) -> Appended:
        """Add the spans that are not there yet, by trace id and span id."""
        by_identity: dict[tuple[str, str], Span] = {}
        for span in batch:
            by_identity.setdefault((span.trace_id, span.span_id), span)
        known = self._present(
            "SELECT trace_id || span_id FROM spans WHERE (trace_id, span_id) IN "
            "(SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?))",
            list(by_identity),
        )
        fresh = [span for ids, span in by_identity.items() if "".join(ids) not in known]
        speakers = self._speakers_of((span.resource, span.end) for span in fresh)
        runs = self._runs.of_spans(fresh, speakers)
        self._connection.executemany(
            "INSERT INTO spans (trace_id, span_id, parent_id, run, name, kind, start_time, end_time, status, "
            "status_message, scope, resource, attributes, events) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    span.trace_id,
                    span.span_id,
                    span.parent_id,
                    run,
                    span.name,
                    span.kind,
                    span.start,
                    span.end,
                    span.status,
                    span.status_message,
                    span.scope,
                    speaker.row,
                    to_json(span.attributes),
                    to_json(span.events),
                )
                for span, speaker, run in zip(fresh, speakers, runs, strict=True)
            ],
        )
        return Appended(len(fresh), len(batch) - len(fresh))

    def metrics(self, batch: Sequence[MetricPoint]) -> Appended:
        """Add the points that are not there yet, by series, time and step."""
        speakers = self._speakers_of((point.resource, point.time) for point in batch)
        rows = []
        for point, speaker in zip(batch, speakers, strict=True):
            step, attributes = _step_apart(point.attributes)
            series = self._series(point, attributes, speaker)
            rows.append((series, point.time, step, *split_value(point.value)))
        before = self._connection.total_changes
        # Not INSERT OR IGNORE, which uses up an id for each point that is there already: to whoever follows the table,
        # a missing id is a point that retention removed.
        self._connection.executemany(
            "INSERT INTO points (series, time, step, value, histogram) SELECT ?1, ?2, ?3, ?4, ?5"
            " WHERE NOT EXISTS (SELECT 1 FROM points WHERE series = ?1 AND time = ?2 AND step = ?3)",
            rows,
        )
        new = self._connection.total_changes - before
        return Appended(new, len(batch) - new)

    def reject(self, signal: str, at: int, rejects: Iterable[tuple[str, str, int]]) -> None:
        """Keep what was not taken, as (reason, excerpt, how many records); only the latest are kept."""
        self._connection.executemany(
            "INSERT INTO rejects (at, signal, reason, excerpt, records) VALUES (?, ?, ?, ?, ?)",
            [(at, signal, *reject) for reject in rejects],
        )
        self._connection.execute("DELETE FROM rejects WHERE id <= (SELECT max(id) FROM rejects) - ?", (REJECTS_KEPT,))

    def finish(self) -> None:
        """Write what was gathered about runs; the store calls it before it commits."""
        self._runs.flush()

    def forget(self) -> None:
        """Drop what a transaction that did not commit may have brought."""
        self._runs.forget()
        self._speakers.clear()

    def _present(self, question: str, identities: Sequence[object]) -> set[str]:
        return {row[0] for row in self._connection.execute(question, (json.dumps(identities),))}

    def _speakers_of(self, spoken: Iterable[tuple[Mapping[str, AttributeValue], int]]) -> list[Speaker]:
        """The speaker of each, in order. Records of one request share their resource object: it is digested once."""
        speakers: list[Speaker] = []
        latest: dict[int, int] = {}
        seen: dict[int, Speaker] = {}
        for resource, time in spoken:
            speaker = seen.get(id(resource))
            if speaker is None:
                speaker = seen[id(resource)] = self._speaker(resource)
            latest[speaker.row] = max(latest.get(speaker.row, 0), time)
            speakers.append(speaker)
        self._connection.executemany(
            "UPDATE resources SET last_seen = max(last_seen, ?) WHERE id = ?",
            [(time, row) for row, time in latest.items()],
        )
        return speakers

    def _speaker(self, resource: Mapping[str, AttributeValue]) -> Speaker:
        digest = digest_of(resource)
        speaker = self._speakers.get(digest)
        if speaker is None:
            if len(self._speakers) >= SPEAKERS_REMEMBERED:
                self._speakers.clear()
            row = self._id_of(
                "resources",
                digest,
                "INSERT INTO resources (digest, service, attributes, last_seen) VALUES (?, ?, ?, 0)",
                (str(resource.get(names.SERVICE_NAME, "")), to_json(resource)),
            )
            speaker = self._speakers[digest] = Speaker(row, digest, str(resource.get(names.RUN_ID) or ""))
        return speaker

    def _series(self, point: MetricPoint, attributes: Mapping[str, AttributeValue], speaker: Speaker) -> int:
        digest = digest_of([point.name, point.unit, point.kind, attributes, speaker.digest])
        run_id = str(attributes.get(names.RUN_ID) or speaker.run_id)
        row = self._id_of(
            "series",
            digest,
            "INSERT INTO series (digest, name, unit, kind, attributes, resource, run_id, last_seen) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
            (point.name, point.unit, point.kind, to_json(attributes), speaker.row, run_id),
        )
        self._connection.execute("UPDATE series SET last_seen = max(last_seen, ?) WHERE id = ?", (point.time, row))
        return row

    def _id_of(self, table: str, digest: str, insert: str, values: tuple[object, ...]) -> int:
        found = self._connection.execute(f"SELECT id FROM {table} WHERE digest = ?", (digest,)).fetchone()  # noqa: S608 - two fixed names
        row = found[0] if found else self._connection.execute(insert, (digest, *values)).lastrowid
        assert row is not None
        return int(row)


def _step_apart(attributes: Mapping[str, AttributeValue]) -> tuple[int, Mapping[str, AttributeValue]]:
    """The point's step and what its series is known by, so that a metric is one series and not one per point.

    A point's own identity is not needed for that: it counts once by its series, time and step.
    """
    step = attributes.get(names.METRIC_STEP)
    if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step <= _LARGEST_STEP:
        own = {names.RECORD_UID}
        step = NO_STEP
    else:
        own = {names.RECORD_UID, names.METRIC_STEP}
    if own.isdisjoint(attributes):
        return step, attributes
    return step, {name: value for name, value in attributes.items() if name not in own}
