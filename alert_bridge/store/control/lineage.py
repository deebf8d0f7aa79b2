"""What belongs together within a run, in control.db: stages as a tree, where problems showed, what is told as part."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from alert_bridge.incidents.case import Event
from alert_bridge.incidents.folding import Known, Lineage, Trouble
from alert_bridge.incidents.storm import (
    STORM_PROBLEMS_KEPT,
    STORM_RATE_WINDOW_S,
    STORM_WAITING_WINDOW_S,
    WORST_NAMED,
    Crowd,
    Gathered,
)
from alert_bridge.model import Record, Severity
from instrumentation import attributes as names

__all__ = ["LineageRows", "Part"]

STAGES_PER_RUN = 2_000
SIGHTINGS_PER_RUN = 2_000
TITLE_CHARACTERS = 160
NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """What of a problem was told as part of another in a run: how many records, and since when (event time)."""

    events: int
    first_event: int


class LineageRows:
    """Statements over stage spans, sightings and folds, within one transaction."""

    connection: sqlite3.Connection

    def note_stage_span(self, record: Record) -> bool:
        """Remember where a stage hangs in its run, as its start event says; whether that was not known."""
        if record.event_name != names.EVENT_STAGE_START or not (record.run_id and record.span_id):
            return False
        value = record.attributes.get(names.UPSTREAM, ())
        upstream = [str(one) for one in value] if isinstance(value, tuple) else [str(value)]
        written = self.connection.execute(
            "INSERT INTO stage_spans (run_id, span_id, parent, stage, upstream) SELECT ?, ?, ?, ?, ?"
            " WHERE (SELECT count(*) FROM stage_spans WHERE run_id = ?) < ?"
            " ON CONFLICT (run_id, span_id) DO NOTHING",
            (
                record.run_id,
                record.span_id,
                record.text(names.PARENT_SPAN),
                record.stage,
                json.dumps([one for one in upstream if one]),
                record.run_id,
                STAGES_PER_RUN,
            ),
        )
        return written.rowcount > 0

    def note_sighting(self, run_id: str, incident_id: str, trouble: Trouble) -> None:
        """Remember where a problem showed, and the incident that tells it; the worst that showed there."""
        self.connection.execute(
            "INSERT INTO sightings (run_id, incident_id, problem, span_id, root, severity, trouble)"
            " SELECT ?, ?, ?, ?, ?, ?, ? WHERE (SELECT count(*) FROM sightings WHERE run_id = ?) < ?"
            " ON CONFLICT (run_id, incident_id, problem, span_id, root) DO UPDATE SET severity = excluded.severity,"
            " trouble = excluded.trouble WHERE excluded.severity > sightings.severity",
            (
                run_id,
                incident_id,
                trouble.problem,
                trouble.span,
                trouble.root,
                int(trouble.severity),
                json.dumps(asdict(trouble)),
                run_id,
                SIGHTINGS_PER_RUN,
            ),
        )

    def is_sighted(self, run_id: str, incident_id: str, trouble: Trouble) -> bool:
        """Whether a problem showed there before, and no less bad."""
        row = self.connection.execute(
            "SELECT 1 FROM sightings WHERE run_id = ? AND incident_id = ? AND problem = ? AND span_id = ? AND root = ?"
            " AND severity >= ?",
            (run_id, incident_id, trouble.problem, trouble.span, trouble.root, int(trouble.severity)),
        ).fetchone()
        return row is not None

    def has_troubles(self, run_id: str, *, at_least: int) -> bool:
        """Whether so many problems, each an incident, showed in a run."""
        rows = self.connection.execute(
            "SELECT DISTINCT incident_id FROM sightings WHERE run_id = ? LIMIT ?", (run_id, at_least)
        ).fetchall()
        return len(rows) == at_least

    def move_sightings(self, from_id: str, to_id: str, *, problem: str = "") -> None:
        """Where one incident's problems showed is where another's do; of ``problem`` alone, if it is given."""
        which, values = (" AND problem = ?", (problem,)) if problem else ("", ())
        self.connection.execute(
            "INSERT INTO sightings (run_id, incident_id, problem, span_id, root, severity, trouble)"  # noqa: S608 - only a condition of ours
            f" SELECT run_id, ?, problem, span_id, root, severity, trouble FROM sightings WHERE incident_id = ?{which}"
            " ORDER BY rowid ON CONFLICT DO NOTHING",
            (to_id, from_id, *values),
        )
        self.connection.execute(f"DELETE FROM sightings WHERE incident_id = ?{which}", (from_id, *values))  # noqa: S608 - the same

    def lineage(self, run_id: str) -> tuple[Lineage, dict[str, list[Trouble]]]:
        """What is known of a run, for folding: told problems that are not folded themselves, and its stages.

        With it, by incident, what each said itself in this run, wherever it showed.
        """
        spans = self.connection.execute("SELECT * FROM stage_spans WHERE run_id = ?", (run_id,)).fetchall()
        upstream: dict[str, frozenset[str]] = {}
        for row in spans:
            upstream[row["stage"]] = upstream.get(row["stage"], frozenset()) | frozenset(json.loads(row["upstream"]))
        rows = self.connection.execute(
            "SELECT s.incident_id, s.problem, s.span_id, s.root, s.trouble, i.fingerprint, i.severity FROM sightings s"
            " JOIN incidents i ON i.id = s.incident_id WHERE s.run_id = ? AND i.root_id = ''"
            " AND EXISTS (SELECT 1 FROM conversations c WHERE c.incident_id = i.id)"
            " ORDER BY i.opened_at, i.id, s.rowid",
            (run_id,),
        ).fetchall()
        seen: dict[str, list[sqlite3.Row]] = {}
        for row in rows:
            seen.setdefault(row["incident_id"], []).append(row)
        lineage = Lineage(
            tuple(_known(incident_id, sightings) for incident_id, sightings in seen.items()),
            {row["span_id"]: row["parent"] for row in spans},
            upstream,
        )
        return lineage, {
            incident_id: [_trouble(row["trouble"]) for row in sightings if row["problem"] == row["fingerprint"]]
            for incident_id, sightings in seen.items()
        }

    def note_folds(self, folds: Iterable[tuple[str, str, Event]]) -> None:
        """Count events as told as part of an incident: (its id, by which rule, the event)."""
        self.connection.executemany(
            "INSERT INTO folds (root_id, run_id, fingerprint, rule, title, stage, severity, first_event, events)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT (root_id, run_id, fingerprint)"
            " DO UPDATE SET events = folds.events + 1",
            [
                (
                    root_id,
                    event.record.run_id,
                    event.fingerprint.value,
                    rule,
                    event.title[:TITLE_CHARACTERS],
                    event.record.stage,
                    int(event.severity),
                    event.record.time,
                )
                for root_id, rule, event in folds
            ],
        )

    def move_folds(self, from_id: str, to_id: str) -> None:
        """What was told as part of one incident is told as part of another."""
        self.connection.execute(
            "INSERT INTO folds (root_id, run_id, fingerprint, rule, title, stage, severity, first_event, events)"
            " SELECT ?, run_id, fingerprint, rule, title, stage, severity, first_event, events FROM folds"
            " WHERE root_id = ? ON CONFLICT (root_id, run_id, fingerprint)"
            " DO UPDATE SET events = folds.events + excluded.events",
            (to_id, from_id),
        )
        self.connection.execute("DELETE FROM folds WHERE root_id = ?", (from_id,))
        self.connection.execute("UPDATE incidents SET root_id = ? WHERE root_id = ?", (to_id, from_id))

    def take_part(self, root_id: str, run_id: str, problem: str) -> Part | None:
        """Count a problem of a run no longer as told as part of an incident; what was."""
        row = self.connection.execute(
            "DELETE FROM folds WHERE root_id = ? AND run_id = ? AND fingerprint = ? RETURNING events, first_event",
            (root_id, run_id, problem),
        ).fetchone()
        return None if row is None else Part(row["events"], row["first_event"])

    def told_with(self, root_id: str, *, most: int) -> tuple[tuple[tuple[str, int], ...], int]:
        """What is told as part of an incident, (title, records), the worst and the earliest first; how many in all."""
        rows = self.connection.execute(
            "SELECT title, sum(events) AS records FROM (SELECT title, severity, first_event, events FROM folds"
            " WHERE root_id = ? AND title <> ''"
            " UNION ALL SELECT title, severity, first_event, count FROM incidents WHERE root_id = ?)"
            " GROUP BY title ORDER BY max(severity) DESC, min(first_event), title",
            (root_id, root_id),
        ).fetchall()
        return tuple((row["title"], row["records"]) for row in rows[:most]), len(rows)

    def gathered(self, root_id: str) -> Gathered:
        """What a storm holds, each problem once however many runs it came from; the worst first."""
        problems, records, nameless = self.connection.execute(
            "SELECT count(DISTINCT nullif(fingerprint, '')), coalesce(sum(events), 0),"
            " coalesce(sum(CASE WHEN fingerprint = '' THEN 1 ELSE 0 END), 0) FROM folds WHERE root_id = ?",
            (root_id,),
        ).fetchone()
        worst = self.connection.execute(
            "SELECT title, sum(events) AS records FROM folds WHERE root_id = ? AND title <> '' GROUP BY fingerprint"
            " ORDER BY max(severity) DESC, records DESC, min(first_event), title LIMIT ?",
            (root_id, WORST_NAMED),
        ).fetchall()
        return Gathered(problems, records, [(row["title"], row["records"]) for row in worst], nameless > 0)

    def problems_in(self, storm_id: str) -> int:
        """How many problems a storm holds, each once a run."""
        row = self.connection.execute(
            "SELECT count(*) AS problems FROM folds WHERE root_id = ? AND fingerprint <> ''", (storm_id,)
        ).fetchone()
        return int(row["problems"])

    def place_in_storm(self, storm_id: str, event: Event) -> int | None:
        """Which of a storm's problems this is, as far as it matters: with a title or without; None: a new one."""
        row = self.connection.execute(
            "SELECT title FROM folds WHERE root_id = ? AND run_id = ? AND fingerprint = ?",
            (storm_id, event.record.run_id, event.fingerprint.value),
        ).fetchone()
        return None if row is None else 1 if row["title"] else STORM_PROBLEMS_KEPT + 1

    def crowd_of_nobody(self, *, now: int) -> Crowd:
        """How many problems of the last minute nobody is told of."""
        rows = self.connection.execute(
            "SELECT pipeline, count(*) AS recent FROM incidents i WHERE opened_at > ?"
            " AND NOT EXISTS (SELECT 1 FROM conversations c WHERE c.incident_id = i.id) GROUP BY pipeline",
            (now - int(STORM_RATE_WINDOW_S * NS),),
        )
        return Crowd(recent=Counter({row["pipeline"]: row["recent"] for row in rows}))

    def crowd(self, channel: str, address: str, *, now: int) -> Crowd:
        """How many new problems an address has to be told of, and how many it has had within the last minute."""
        rows = self.connection.execute(
            "SELECT i.pipeline, sum(first_told_at = 0 AND queued > 0 AND quiet_until = 0) AS waiting,"
            " sum(c.opened_at > ?) AS recent FROM conversations c JOIN incidents i ON i.id = c.incident_id"
            " WHERE c.channel = ? AND c.address = ? AND c.opened_at > ? AND c.state = 'open' GROUP BY i.pipeline",
            (now - int(STORM_RATE_WINDOW_S * NS), channel, address, now - int(STORM_WAITING_WINDOW_S * NS)),
        ).fetchall()
        return Crowd(
            Counter({row["pipeline"]: row["waiting"] for row in rows}),
            Counter({row["pipeline"]: row["recent"] for row in rows}),
        )

    def note_loner(self, fingerprint: str, run_id: str) -> None:
        """Remember that a problem stood alone in a run."""
        self.connection.execute(
            "INSERT INTO loners (fingerprint, run_id) VALUES (?, ?) ON CONFLICT (fingerprint) DO NOTHING",
            (fingerprint, run_id),
        )

    def forget_loner(self, fingerprint: str, run_id: str) -> None:
        """It did not stand alone in this run: what caused it came later."""
        self.connection.execute("DELETE FROM loners WHERE fingerprint = ? AND run_id = ?", (fingerprint, run_id))

    def stood_alone_before(self, fingerprint: str, run_id: str) -> bool:
        """Whether a problem stood alone in another run."""
        row = self.connection.execute(
            "SELECT 1 FROM loners WHERE fingerprint = ? AND run_id <> ?", (fingerprint, run_id)
        ).fetchone()
        return row is not None


def _known(incident_id: str, sightings: Sequence[sqlite3.Row]) -> Known:
    troubles = [_trouble(row["trouble"]) for row in sightings]
    return Known(
        incident_id,
        sightings[0]["fingerprint"],
        frozenset(row["root"] for row in sightings) - {""},
        frozenset(row["span_id"] for row in sightings) - {""},
        frozenset(one.stage for one in troubles) - {""},
        Severity.of(sightings[0]["severity"]),
        frozenset((one.file, one.function, one.line) for one in troubles if one.line and not one.root),
    )


def _trouble(text: str) -> Trouble:
    parts = json.loads(text)
    return Trouble(**{**parts, "severity": Severity(parts["severity"])})
