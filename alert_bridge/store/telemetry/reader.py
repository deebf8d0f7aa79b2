"""Reading telemetry.db beside its writer, from any process and thread: `TelemetryReader`, and cursors for exporters."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

from alert_bridge.model import MetricPoint, Record, Severity, Span
from alert_bridge.store.interface import LogPage, RunSummary
from alert_bridge.store.sqlite import read_only
from alert_bridge.store.telemetry.rows import (
    LOG_COLUMNS,
    POINT_COLUMNS,
    RUN_COLUMNS,
    SPAN_COLUMNS,
    point_of,
    record_of,
    span_of,
    summary_of,
)
from alert_bridge.store.telemetry.writer import FILE_NAME
from instrumentation import attributes as names

__all__ = ["SEARCH_SECONDS", "Telemetry"]

SEARCH_SECONDS = 2.0  # how long a search may look, so that a page can never hold a thread for longer
STREAM_ROWS = 1_000  # read at once while a whole log is streamed
CURSOR_ROWS = 1_000
CHATTY_LIBRARIES = ("urllib3", "requests", "httpx", "httpcore", "opentelemetry", "wandb")  # retries are no progress
_SEARCH_STEPS_BETWEEN_LOOKS = 20_000  # virtual machine steps of SQLite between two looks at the clock: about 1 ms
_LATEST = 2**63 - 1
_ARRIVED = {"logs": "observed", "spans": "end_time", "points": "time"}  # what comes nearest to the time of arrival

_LOGS = f"SELECT {LOG_COLUMNS} FROM logs JOIN resources ON resources.id = logs.resource"  # noqa: S608 - fixed columns
_SPANS = f"SELECT {SPAN_COLUMNS} FROM spans JOIN resources ON resources.id = spans.resource"  # noqa: S608 - the same
_POINTS = (
    f"SELECT {POINT_COLUMNS} FROM points JOIN series ON series.id = points.series "  # noqa: S608 - the same
    "JOIN resources ON resources.id = series.resource"
)


class Telemetry:
    """Logs, spans, metric points and runs of one state directory, read-only. Implements `TelemetryReader`.

    Connections are opened when needed and lent to one call at a time; every answer is as of that call.
    """

    def __init__(self, state: Path) -> None:
        self._path = state / FILE_NAME
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close what is not lent."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def runs(self, *, limit: int = 50) -> Sequence[RunSummary]:
        """The latest runs by their beginning, newest first."""
        with self._reading() as connection:
            rows = connection.execute(
                f"SELECT {RUN_COLUMNS} FROM runs WHERE run_id <> '' ORDER BY first_seen DESC, id DESC LIMIT ?",  # noqa: S608 - fixed columns
                (limit,),
            )
            return [summary_of(row) for row in rows]

    def run(self, run_id: str) -> RunSummary | None:
        """The run with this id, or the one that a trace with this id belongs to."""
        with self._reading() as connection:
            run = _run(connection, run_id)
            row = connection.execute(f"SELECT {RUN_COLUMNS} FROM runs WHERE id = ?", (run,)).fetchone()  # noqa: S608 - fixed columns
            return None if row is None else summary_of(row)

    def run_spans(self, run_id: str, *, after: int = 0, until: int = _LATEST) -> Sequence[Span]:
        """The run's finished spans by their beginning; of those that lie behind a cursor, up to another."""
        with self._reading() as connection:
            where = "spans.run = ? AND spans.id > ? AND spans.id <= ?"
            rows = connection.execute(
                f"{_SPANS} WHERE {where} ORDER BY spans.start_time, spans.id",
                (_run(connection, run_id), after, until),
            )
            return [span_of(row) for row in rows]

    def trace_spans(self, trace_id: str) -> Sequence[Span]:
        """The trace's finished spans by their beginning."""
        with self._reading() as connection:
            rows = connection.execute(
                f"{_SPANS} WHERE spans.trace_id = ? ORDER BY spans.start_time, spans.id", (trace_id,)
            )
            return [span_of(row) for row in rows]

    def run_log(
        self, run_id: str, *, around: str = "", least: Severity = Severity.TRACE, before: int = 500, after: int = 500
    ) -> LogPage:
        """As in `TelemetryReader`; equal times stand in the order of arrival.

        The empty run id is the log of a program that names neither run nor trace, found by ``around`` alone.
        """
        with self._reading() as connection:
            anchor = _anchor(connection, around)
            run = anchor["run"] if anchor is not None and not run_id else _run(connection, run_id)
            if anchor is None or anchor["run"] != run:
                return _last(connection, run, least, before)
            return _window(connection, anchor, least, before, after)

    def run_records(self, run_id: str, *, least: Severity = Severity.TRACE) -> Iterator[Record]:
        """As in `TelemetryReader`: each batch is a question of its own, so a slow consumer holds nothing open."""
        at, last_id = 0, 0
        while True:
            with self._reading() as connection:
                rows = connection.execute(
                    f"{_LOGS} WHERE logs.run = ? AND (logs.time, logs.id) > (?, ?) AND logs.severity >= ? "
                    "ORDER BY logs.time, logs.id LIMIT ?",
                    (_run(connection, run_id), at, last_id, least, STREAM_ROWS),
                ).fetchall()
            yield from map(record_of, rows)
            if len(rows) < STREAM_ROWS:
                return
            at, last_id = rows[-1]["time"], rows[-1]["id"]

    def run_events(self, run_id: str) -> Sequence[Record]:
        """The run's lifecycle events by time, heartbeats left out."""
        with self._reading() as connection:
            rows = connection.execute(
                f"{_LOGS} WHERE logs.run = ? AND logs.event_name <> '' AND logs.event_name <> ?"
                " ORDER BY logs.time, logs.id",
                (_run(connection, run_id), names.EVENT_RUN_HEARTBEAT),
            )
            return [record_of(row) for row in rows]

    def run_bodies(self, run_id: str) -> Iterator[str]:
        """The texts of the run's records by time, without anything else of them; batches as in `run_records`."""
        at, last_id = 0, 0
        while True:
            with self._reading() as connection:
                rows = connection.execute(
                    "SELECT time, id, body FROM logs WHERE run = ? AND (time, id) > (?, ?) ORDER BY time, id LIMIT ?",
                    (_run(connection, run_id), at, last_id, STREAM_ROWS),
                ).fetchall()
            yield from (row["body"] for row in rows)
            if len(rows) < STREAM_ROWS:
                return
            at, last_id = rows[-1]["time"], rows[-1]["id"]

    def last_word(self, run_id: str) -> int:
        """When the run last said something (ns): INFO or more, no heartbeat, none of a library's; 0: never."""
        with self._reading() as connection:
            others = " AND ".join(f"logs.scope NOT LIKE '{name}%'" for name in CHATTY_LIBRARIES)
            row = connection.execute(
                f"SELECT time FROM logs WHERE run = ? AND severity >= ? AND event_name <> ? AND {others}"  # noqa: S608 - fixed names
                " ORDER BY time DESC, id DESC LIMIT 1",
                (_run(connection, run_id), int(Severity.INFO), names.EVENT_RUN_HEARTBEAT),
            ).fetchone()
        return 0 if row is None else int(row["time"])

    def trace_log(self, trace_id: str, *, least: Severity = Severity.TRACE, limit: int = 2000) -> LogPage:
        """The first ``limit`` records of the trace, of all its processes, by time."""
        with self._reading() as connection:
            rows = connection.execute(
                f"{_LOGS} WHERE logs.run IN (SELECT run FROM traces WHERE trace_id = ?) AND logs.trace_id = ? "  # noqa: S608 - fixed columns
                "AND logs.severity >= ? ORDER BY logs.time, logs.id LIMIT ?",
                (trace_id, trace_id, least, limit + 1),
            ).fetchall()
            return LogPage(
                tuple(record_of(row) for row in rows[:limit]), more_before=False, more_after=len(rows) > limit
            )

    def record(self, uid: str) -> Record | None:
        """One record by its uid."""
        with self._reading() as connection:
            row = connection.execute(f"{_LOGS} WHERE logs.uid = ?", (uid,)).fetchone()
            return None if row is None else record_of(row)

    def search(self, text: str, *, run_id: str = "", limit: int = 100) -> Sequence[Record]:
        """Records with the text in their body or attributes, in any case, the latest first.

        It looks for at most `SEARCH_SECONDS` and then answers with what it has; a run to look in makes it exact.
        """
        pattern = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        with self._reading() as connection:
            run = _run(connection, run_id) if run_id else None
            if run_id and run is None:
                return []
            with closing(_matches(connection, pattern, run)) as matches:
                return list(islice(matches, limit))

    def logs_after(self, cursor: int, *, limit: int = CURSOR_ROWS) -> Sequence[tuple[int, Record]]:
        """What arrived after ``cursor``, in the order of arrival, with the cursor to remember; begin with 0.

        Ids grow with every commit and are never used twice, so nothing is skipped and nothing comes again.
        """
        with self._reading() as connection:
            rows = connection.execute(f"{_LOGS} WHERE logs.id > ? ORDER BY logs.id LIMIT ?", (cursor, limit))
            return [(row["id"], record_of(row)) for row in rows]

    def spans_after(self, cursor: int, *, limit: int = CURSOR_ROWS) -> Sequence[tuple[int, Span]]:
        """As `logs_after`, for spans."""
        with self._reading() as connection:
            rows = connection.execute(f"{_SPANS} WHERE spans.id > ? ORDER BY spans.id LIMIT ?", (cursor, limit))
            return [(row["id"], span_of(row)) for row in rows]

    def points_after(self, cursor: int, *, limit: int = CURSOR_ROWS) -> Sequence[tuple[int, MetricPoint]]:
        """As `logs_after`, for metric points."""
        with self._reading() as connection:
            rows = connection.execute(f"{_POINTS} WHERE points.id > ? ORDER BY points.id LIMIT ?", (cursor, limit))
            return [(row["id"], point_of(row)) for row in rows]

    def heads(self) -> dict[str, int]:
        """The highest id that `logs`, `spans` and `points` ever gave, also if its row is gone; 0: none."""
        with self._reading() as connection:
            given = dict(connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
        return {table: given.get(table, 0) for table in _ARRIVED}

    def cursors_at(self, time: int) -> dict[str, int]:
        """Per table, the cursor behind which everything lies that arrived at or after ``time`` (ns)."""
        with self._reading() as connection:
            # Backwards from the newest: the answer is near the end, and no index knows the order of arrival by time.
            found = {
                table: connection.execute(
                    f"SELECT id FROM {table} WHERE {column} < ? ORDER BY id DESC LIMIT 1",  # noqa: S608 - fixed names
                    (time,),
                ).fetchone()
                for table, column in _ARRIVED.items()
            }
        return {table: row[0] if row else 0 for table, row in found.items()}

    def run_points(self, run_id: str, *, after: int = 0, until: int = _LATEST) -> Sequence[MetricPoint]:
        """The run's metric points by time; of those that lie behind a cursor, up to another."""
        with self._reading() as connection:
            where = "series.run_id = ? AND points.id > ? AND points.id <= ?"
            rows = connection.execute(
                f"{_POINTS} WHERE {where} ORDER BY points.time, points.id", (run_id, after, until)
            )
            return [point_of(row) for row in rows]

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = read_only(self._path)
        try:
            yield connection
        finally:
            with self._lock:
                self._idle.append(connection)


def _run(connection: sqlite3.Connection, run_id: str) -> int | None:
    """The row of the run with this id; else of the run that the trace with this id belongs to."""
    row = connection.execute("SELECT id FROM runs WHERE key = ?", (f"run:{run_id}",)).fetchone()
    if row is None:
        row = connection.execute("SELECT min(run) FROM traces WHERE trace_id = ?", (run_id,)).fetchone()
    return None if row is None else row[0]


def _anchor(connection: sqlite3.Connection, uid: str) -> sqlite3.Row | None:
    if not uid:
        return None
    row: sqlite3.Row | None = connection.execute(
        f"SELECT logs.run, {LOG_COLUMNS} FROM logs JOIN resources ON resources.id = logs.resource WHERE logs.uid = ?",  # noqa: S608 - fixed columns
        (uid,),
    ).fetchone()
    return row


def _last(connection: sqlite3.Connection, run: int | None, least: Severity, most: int) -> LogPage:
    older = _older(connection, run, (_LATEST, _LATEST), least, most)
    return LogPage(tuple(map(record_of, reversed(older[:most]))), more_before=len(older) > most, more_after=False)


def _window(connection: sqlite3.Connection, anchor: sqlite3.Row, least: Severity, before: int, after: int) -> LogPage:
    run, place = anchor["run"], (anchor["time"], anchor["id"])
    older = _older(connection, run, place, least, before)
    newer = connection.execute(
        f"{_LOGS} WHERE logs.run = ? AND (logs.time, logs.id) > (?, ?) AND logs.severity >= ? "
        "ORDER BY logs.time, logs.id LIMIT ?",
        (run, *place, least, after + 1),
    ).fetchall()
    rows = [*reversed(older[:before]), anchor, *newer[:after]]
    return LogPage(tuple(map(record_of, rows)), more_before=len(older) > before, more_after=len(newer) > after)


def _older(
    connection: sqlite3.Connection, run: int | None, place: tuple[int, int], least: Severity, most: int
) -> list[sqlite3.Row]:
    """Up to one record more than asked for, newest first: the one more says that there is more."""
    return connection.execute(
        f"{_LOGS} WHERE logs.run = ? AND (logs.time, logs.id) < (?, ?) AND logs.severity >= ? "
        "ORDER BY logs.time DESC, logs.id DESC LIMIT ?",
        (run, *place, least, most + 1),
    ).fetchall()


def _matches(connection: sqlite3.Connection, pattern: str, run: int | None) -> Generator[Record, None, None]:
    """Matches, the latest first: of a run by time, of the whole store by arrival.

    One question per match: Python's cursor looks one row ahead, and loses the row that it has if that look is ended.
    """
    values: dict[str, object] = {"run": run, "pattern": pattern, "time": _LATEST, "id": _LATEST}
    place, order = ("logs.id < :id", "logs.id DESC")
    if run is not None:
        place, order = "logs.run = :run AND (logs.time, logs.id) < (:time, :id)", "logs.time DESC, logs.id DESC"
    with _deadline(connection, SEARCH_SECONDS):
        while True:
            row = connection.execute(
                f"{_LOGS} WHERE {place} AND (logs.body LIKE :pattern ESCAPE '\\' "
                f"OR logs.attributes LIKE :pattern ESCAPE '\\') ORDER BY {order} LIMIT 1",
                values,
            ).fetchone()
            if row is None:
                return
            values |= {"time": row["time"], "id": row["id"]}
            yield record_of(row)


@contextmanager
def _deadline(connection: sqlite3.Connection, seconds: float) -> Iterator[None]:
    """End the question that runs after so long, and the block with it."""
    end = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > end, _SEARCH_STEPS_BETWEEN_LOOKS)
    try:
        yield
    except sqlite3.OperationalError:
        if time.monotonic() <= end:
            raise
    finally:
        connection.set_progress_handler(None, 0)
