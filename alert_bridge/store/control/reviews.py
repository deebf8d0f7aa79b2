"""Ends of runs that the bridge looks at, and what it knows of runs for that. Rows of control.db."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from alert_bridge.incidents import Case
from instrumentation import attributes as names

__all__ = ["ReviewRows", "RunRow"]


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as its lifecycle events told it. Nanoseconds; 0: unknown, or not yet."""

    run_id: str
    pipeline: str
    environment: str
    trace_id: str
    started: int
    ended: int
    result: str
    is_named: bool  # the pipeline's name was given, not guessed
    seen_at: int = 0  # when the bridge first saw that it ended


class ReviewRows:
    """Statements over runs and their reviews, within one transaction."""

    connection: sqlite3.Connection

    def note_ends(self, *, now: int) -> None:
        """Enter runs whose end was told since the last look."""
        self.connection.execute(
            "INSERT INTO reviews (run_id, seen_at, reviewed_at) SELECT run_id, ?, 0 FROM runs"
            " WHERE ended > 0 AND run_id NOT IN (SELECT run_id FROM reviews)",
            (now,),
        )

    def unreviewed_runs(self) -> Sequence[RunRow]:
        """Runs that ended and wait to be looked at, the first to end first."""
        rows = self.connection.execute(
            "SELECT r.*, v.seen_at FROM reviews v JOIN runs r ON r.run_id = v.run_id WHERE v.reviewed_at = 0"
            " ORDER BY r.ended, r.run_id"
        )
        return [run_row(row, row["seen_at"]) for row in rows]

    def reviewed(self, run_id: str, *, now: int) -> None:
        """The run's end was looked at."""
        self.connection.execute("UPDATE reviews SET reviewed_at = ? WHERE run_id = ?", (now, run_id))

    def last_good_run(self, run: RunRow) -> RunRow | None:
        """The latest run of the same pipeline that ended well before this one did."""
        row = self.connection.execute(
            "SELECT * FROM runs WHERE pipeline = ? AND environment = ? AND result = 'success' AND ended > 0"
            " AND ended < ? AND run_id <> ? ORDER BY ended DESC LIMIT 1",
            (run.pipeline, run.environment, run.ended, run.run_id),
        ).fetchone()
        return None if row is None else run_row(row)

    def runs_of(self, pipeline: str, *, started_after: int, limit: int = 200) -> Sequence[RunRow]:
        """Runs of a pipeline that started at or after this moment, the first first."""
        rows = self.connection.execute(
            "SELECT * FROM runs WHERE pipeline = ? AND started >= ? ORDER BY started LIMIT ?",
            (pipeline, started_after, limit),
        )
        return [run_row(row) for row in rows]

    def runs_since(self, moment: int, *, until: int) -> Sequence[RunRow]:
        """Runs of any pipeline that went on at some time between these moments."""
        rows = self.connection.execute(
            "SELECT * FROM runs WHERE started > 0 AND started <= ? AND (ended = 0 OR ended > ?) ORDER BY started",
            (until, moment),
        )
        return [run_row(row) for row in rows]

    def running(self, pipeline: str) -> Sequence[RunRow]:
        """Runs of a pipeline that started and have not ended."""
        rows = self.connection.execute(
            "SELECT * FROM runs WHERE pipeline = ? AND started > ended AND started > 0 ORDER BY started", (pipeline,)
        )
        return [run_row(row) for row in rows]

    def is_silence_told(self, run_id: str) -> bool:
        """Whether an open incident says already that this run is silent: its own supervisor may have seen it first."""
        row = self.connection.execute(
            "SELECT 1 FROM incident_runs r JOIN incidents i ON i.id = r.incident_id WHERE r.run_id = ?"
            " AND i.state = 'open' AND json_extract(i.sample, '$.event_name') = ?",
            (run_id, names.EVENT_RUN_SILENT),
        ).fetchone()
        return row is not None

    def silent_runs_that_ended(self) -> Sequence[Case]:
        """Open incidents of ours about the silence of runs that have ended since."""
        rows = self.connection.execute(
            "SELECT i.id FROM incidents i JOIN incident_runs r ON r.incident_id = i.id JOIN runs u ON"
            " u.run_id = r.run_id WHERE i.state = 'open' AND u.ended > i.last_event"
            " AND json_extract(i.sample, '$.event_name') = ?",
            (names.EVENT_RUN_SILENT,),
        ).fetchall()
        cases = [case for row in rows if (case := self.case(row["id"])) is not None]
        return [case for case in cases if case.incident.sample.text(names.WATCHED) == "silent"]

    def case(self, incident_id: str) -> Case | None:
        raise NotImplementedError

    def watched_since(self, key: str, *, now: int) -> int:
        """Since when this is watched; from now on, if it was not. What lay before is nobody's fault."""
        name = f"watch/{key}"
        self.connection.execute(
            "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", (name, str(now))
        )
        row = self.connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return int(row["value"])

    def mark_digest(self, incident_id: str) -> None:
        """It is a digest, and no incident."""
        self.connection.execute("UPDATE incidents SET kind = 'digest' WHERE id = ?", (incident_id,))


def run_row(row: sqlite3.Row, seen_at: int = 0) -> RunRow:
    """The run of a row."""
    return RunRow(
        row["run_id"],
        row["pipeline"],
        row["environment"],
        row["trace_id"],
        row["started"],
        row["ended"],
        row["result"],
        bool(row["named"]),
        seen_at,
    )
