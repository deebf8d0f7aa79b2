"""Incidents and their conversations in control.db: found for the engine, written back after it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from alert_bridge.incidents import Case, Event, Success, Talk
from alert_bridge.incidents.resolve import CLOSED_BY_THE_WATCH
from alert_bridge.model import Record
from alert_bridge.store.control.rows import case_of, incident_values, pairs, talk_of, talk_values
from instrumentation import attributes as names

__all__ = ["CaseRows"]

NS = 1_000_000_000
OCCURRENCES_PER_INCIDENT = 200  # the newest; counts stay exact
OCCURRENCE_BODY_CHARACTERS = 2_000


class CaseRows:
    """Statements over issues, incidents, conversations and occurrences, within one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def case(self, incident_id: str) -> Case | None:
        """One incident with its conversations."""
        row = self.connection.execute("SELECT * FROM incidents WHERE id = ?", (incident_id,)).fetchone()
        if row is None:
            return None
        runs = self.connection.execute(
            "SELECT run_id FROM incident_runs WHERE incident_id = ? ORDER BY run_id", (incident_id,)
        )
        talks = self.connection.execute("SELECT * FROM conversations WHERE incident_id = ? ORDER BY id", (incident_id,))
        return case_of(row, tuple(run["run_id"] for run in runs), tuple(talk_of(talk) for talk in talks))

    def episodes(self, fingerprint: str) -> Sequence[tuple[str, int]]:
        """The incidents of an issue, oldest first, each with the event time of what ended it; 0 while it is open."""
        rows = self.connection.execute(
            "SELECT id, closed_event FROM incidents WHERE fingerprint = ? ORDER BY opened_at", (fingerprint,)
        )
        return [(row["id"], row["closed_event"]) for row in rows]

    def openings(self, fingerprint: str) -> Sequence[tuple[str, int]]:
        """The incidents of an issue, oldest first, each with when it opened."""
        rows = self.connection.execute(
            "SELECT id, opened_at FROM incidents WHERE fingerprint = ? ORDER BY opened_at, id", (fingerprint,)
        )
        return [(row["id"], row["opened_at"]) for row in rows]

    def open_cases(self, pipeline: str, environment: str) -> Sequence[Case]:
        """The open incidents of one pipeline."""
        rows = self.connection.execute(
            "SELECT id FROM incidents WHERE state = 'open' AND pipeline = ? AND environment = ?",
            (pipeline, environment),
        ).fetchall()
        return [case for row in rows if (case := self.case(row["id"])) is not None]

    def idle_cases(self, taken_before: int) -> Sequence[Case]:
        """Open incidents whose last record was taken before this moment."""
        rows = self.connection.execute(
            "SELECT id FROM incidents WHERE state = 'open' AND last_taken_at < ?", (taken_before,)
        ).fetchall()
        return [case for row in rows if (case := self.case(row["id"])) is not None]

    def success_after(self, case: Case) -> Success | None:
        """The first success that closes this incident, if it came before the record that opened it."""
        incident = case.incident
        if incident.sample.text(names.WATCHED) in CLOSED_BY_THE_WATCH:
            return None
        stage = next(iter(case.stages)) if len(case.stages) == 1 else ""
        rows = self.connection.execute(
            "SELECT run_id, stage, ended FROM steps WHERE pipeline = ? AND environment = ? AND stage IN (?, '')"
            " AND result = 'success' AND ended > ? ORDER BY ended LIMIT 50",
            (incident.pipeline, incident.environment, stage, incident.last_event),
        )
        for row in rows:
            if row["run_id"] not in incident.run_ids:
                return Success(incident.pipeline, incident.environment, row["run_id"], row["stage"], row["ended"])
        return None

    def save_issue(self, event: Event, *, events: int, days: Iterable[tuple[str, int]], span: tuple[int, int]) -> None:
        """Count events of an issue: in all, per UTC day, first and last seen (event times)."""
        mark = event.fingerprint
        self.connection.execute(
            "INSERT INTO issues (fingerprint, version, rung, components, title, pipeline, environment,"
            " first_seen, last_seen, events) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (fingerprint) DO UPDATE SET events = issues.events + excluded.events,"
            " first_seen = CASE WHEN excluded.first_seen < issues.first_seen THEN excluded.first_seen"
            " ELSE issues.first_seen END,"
            " last_seen = CASE WHEN excluded.last_seen > issues.last_seen THEN excluded.last_seen"
            " ELSE issues.last_seen END",
            (
                mark.value,
                mark.version,
                mark.rung,
                pairs(mark.components),
                event.title,
                event.record.pipeline,
                event.record.environment,
                *span,
                events,
            ),
        )
        self.connection.executemany(
            "INSERT INTO issue_days (fingerprint, day, events) VALUES (?, ?, ?)"
            " ON CONFLICT (fingerprint, day) DO UPDATE SET events = issue_days.events + excluded.events",
            [(mark.value, day, count) for day, count in days],
        )

    def save_case(self, case: Case) -> Case:
        """Write the incident and its conversations; returns it with the ids of new conversations."""
        values = incident_values(case)
        self.connection.execute(_upsert("incidents", values, ("id",)), values)
        return replace(case, talks=tuple(self.save_talk(case.incident.id, talk) for talk in case.talks))

    def save_talk(self, incident_id: str, talk: Talk) -> Talk:
        """Write one conversation; returns it with its id."""
        values = talk_values(incident_id, talk)
        if talk.id:
            assignments = ", ".join(f"{name} = :{name}" for name in values)
            self.connection.execute(
                f"UPDATE conversations SET {assignments} WHERE id = :id",  # noqa: S608 - names are ours, values bound
                {**values, "id": talk.id},
            )
            return talk
        names, places = ", ".join(values), ", ".join(f":{name}" for name in values)
        written = self.connection.execute(
            f"INSERT INTO conversations ({names}) VALUES ({places})",  # noqa: S608 - names are ours, values bound
            values,
        )
        assert written.lastrowid is not None, "an INSERT has a row id"
        return replace(talk, id=written.lastrowid)

    def save_occurrences(self, incident_id: str, records: Sequence[Record]) -> None:
        """Keep the newest counted records of an incident, and how many each run has."""
        newest = sorted(records, key=lambda record: (record.time, record.uid))[-OCCURRENCES_PER_INCIDENT:]
        self.connection.executemany(
            "INSERT INTO occurrences (record_uid, incident_id, time, run_id, stage, trace_id, span_id, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (record_uid) DO NOTHING",
            [
                (
                    record.uid,
                    incident_id,
                    record.time,
                    record.run_id,
                    record.stage,
                    record.trace_id,
                    record.span_id,
                    record.body[:OCCURRENCE_BODY_CHARACTERS],
                )
                for record in newest
            ],
        )
        self.connection.execute(
            "DELETE FROM occurrences WHERE incident_id = ? AND record_uid NOT IN"
            " (SELECT record_uid FROM occurrences WHERE incident_id = ? ORDER BY time DESC, record_uid DESC LIMIT ?)",
            (incident_id, incident_id, OCCURRENCES_PER_INCIDENT),
        )
        runs: dict[str, tuple[int, int]] = {}
        for record in records:
            if record.run_id:
                count, first = runs.get(record.run_id, (0, record.time))
                runs[record.run_id] = count + 1, min(first, record.time)
        self.connection.executemany(
            "INSERT INTO incident_runs (incident_id, run_id, events, first_event) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (incident_id, run_id) DO UPDATE SET events = incident_runs.events + excluded.events,"
            " first_event = CASE WHEN excluded.first_event < incident_runs.first_event THEN excluded.first_event"
            " ELSE incident_runs.first_event END",
            [(incident_id, run_id, count, first) for run_id, (count, first) in runs.items()],
        )

    def decide(self, at: int, subject: str, step: str, text: str) -> None:
        """Write down why."""
        self.decide_all([(at, subject, step, text)])

    def decide_all(self, decisions: Sequence[tuple[int, str, str, str]]) -> None:
        """Write down why, several times: (when, of what, step, text)."""
        self.connection.executemany("INSERT INTO decisions (at, subject, step, text) VALUES (?, ?, ?, ?)", decisions)


def day_of(time: int) -> str:
    """The UTC day of a moment, ISO 8601; the first day where the clock was absurd."""
    try:
        return datetime.fromtimestamp(time // NS, UTC).date().isoformat()
    except (OverflowError, ValueError, OSError):
        return "1970-01-01"


def _upsert(table: str, values: dict[str, object], key: tuple[str, ...]) -> str:
    names = ", ".join(values)
    places = ", ".join(f":{name}" for name in values)
    changes = ", ".join(f"{name} = excluded.{name}" for name in values if name not in key)
    return (
        f"INSERT INTO {table} ({names}) VALUES ({places})"  # noqa: S608 - names are ours, values are bound
        f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
    )
