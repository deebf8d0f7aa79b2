"""What is counted once in control.db: identities of records, runs and stages, counters."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from alert_bridge.messages.moments import lasting
from alert_bridge.model import Record
from alert_bridge.store.control.rows import pairs
from instrumentation import attributes as names

__all__ = ["FactRows"]

NS = 1_000_000_000
DEAD_LETTERS_KEPT = 1_000
DEAD_LETTER_BYTES = 4_096
UIDS_PER_STATEMENT = 500  # SQLite before 3.32 takes 999 values


class FactRows:
    """Statements over seen records, runs, steps, counters and dead letters, within one transaction."""

    connection: sqlite3.Connection

    def new_uids(self, uids: Sequence[str], *, now: int) -> set[str]:
        """Mark these identities as counted; returns those that were not before."""
        known: set[str] = set()
        for start in range(0, len(uids), UIDS_PER_STATEMENT):
            part = uids[start : start + UIDS_PER_STATEMENT]
            places = ", ".join("?" * len(part))
            rows = self.connection.execute(f"SELECT uid FROM seen WHERE uid IN ({places})", part)  # noqa: S608 - only places
            known.update(row["uid"] for row in rows)
        fresh = {uid for uid in uids if uid not in known}
        self.connection.executemany(
            "INSERT INTO seen (uid, taken_at) VALUES (?, ?)", [(uid, now) for uid in sorted(fresh)]
        )
        return fresh

    def count(self, counts: Mapping[str, int]) -> None:
        """Add to counters that survive a restart."""
        self.connection.executemany(
            "INSERT INTO counters (name, value) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = counters.value + excluded.value",
            [(name, value) for name, value in counts.items() if value],
        )

    def enter(self, matched: Mapping[str, int]) -> None:
        """Enter pairs of record and recipient, per channel, as intake counted them."""
        self.connection.executemany(
            "INSERT INTO ledger (channel, matched) VALUES (?, ?)"
            " ON CONFLICT (channel) DO UPDATE SET matched = ledger.matched + excluded.matched",
            [(channel, count) for channel, count in matched.items() if count],
        )

    def bury_letters(self, letters: Iterable[tuple[str, bytes]], *, now: int) -> None:
        """Keep the beginning of what could not be taken, and why; the newest of them."""
        self.connection.executemany(
            "INSERT INTO dead_letters (at, why, excerpt) VALUES (?, ?, ?)",
            [(now, why, excerpt[:DEAD_LETTER_BYTES]) for why, excerpt in letters],
        )
        self.connection.execute(
            "DELETE FROM dead_letters WHERE id <= (SELECT max(id) FROM dead_letters) - ?", (DEAD_LETTERS_KEPT,)
        )

    def note_lifecycle(self, record: Record) -> None:
        """Write down what a lifecycle event says about its run and its stage."""
        if not record.run_id:
            return
        event = record.event_name
        stage = record.stage if event in (names.EVENT_STAGE_START, names.EVENT_STAGE_END) else ""
        started = record.time if event in (names.EVENT_RUN_START, names.EVENT_STAGE_START) else 0
        ended = record.time if event in (names.EVENT_RUN_END, names.EVENT_STAGE_END) else 0
        result = record.text(names.STAGE_RESULT if stage else names.RUN_RESULT) if ended else ""
        if started or ended:
            self._note_step(record, stage, started, ended, result)
        self.connection.execute(
            "INSERT INTO runs (run_id, pipeline, environment, trace_id, started, ended, result, facts, named)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id) DO UPDATE SET"
            " named = CASE WHEN excluded.named > runs.named THEN excluded.named ELSE runs.named END,"
            " trace_id = CASE WHEN runs.trace_id = '' THEN excluded.trace_id ELSE runs.trace_id END,"
            " started = CASE WHEN excluded.started > 0 THEN excluded.started ELSE runs.started END,"
            " ended = CASE WHEN excluded.ended > 0 THEN excluded.ended ELSE runs.ended END,"
            " result = CASE WHEN excluded.ended > 0 THEN excluded.result ELSE runs.result END,"
            " facts = CASE WHEN excluded.facts <> '[]' THEN excluded.facts ELSE runs.facts END",
            (
                record.run_id,
                record.pipeline,
                record.environment,
                record.trace_id,
                0 if stage else started,
                0 if stage else ended,
                "" if stage else result,
                pairs(_facts(record)),
                int(bool(record.text(names.PIPELINE_NAME))),
            ),
        )

    def facts_of_run(self, run_id: str, *, now: int) -> tuple[tuple[str, str], ...]:
        """What is known of a run, for people: how long it took or has been going, where, of which revision."""
        row = self.connection.execute("SELECT * FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        if row is None:
            return ()
        facts = [(label, text) for label, text in json.loads(row["facts"])]
        if row["started"]:
            seconds = max((row["ended"] or now) - row["started"], 0) / NS
            facts.insert(0, ("Took" if row["ended"] else "Running for", lasting(seconds)))
        return tuple(facts)

    def save_preview(
        self, channel: str, address: str, audiences: str, incident_id: str, payload: str, *, reference: str, now: int
    ) -> str:
        """Keep a message that would have been sent, in place of the one that ``reference`` names; returns its own."""
        if reference:
            changed = self.connection.execute(
                "UPDATE previews SET payload = ?, at = ?, edits = edits + 1 WHERE reference = ?",
                (payload, now, reference),
            )
            if changed.rowcount:
                return reference
        row = self.connection.execute("SELECT coalesce(max(id), 0) + 1 AS id FROM previews").fetchone()
        fresh = f"preview-{row['id']}"
        self.connection.execute(
            "INSERT INTO previews (id, reference, at, channel, address, audiences, incident_id, payload, edits)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
            (row["id"], fresh, now, channel, address, audiences, incident_id, payload),
        )
        return fresh

    def audiences_of(self, channel: str, address: str, incident_id: str) -> str:
        """The audiences behind an address, as the JSON that the column holds."""
        row = self.connection.execute(
            "SELECT audiences FROM conversations WHERE incident_id = ? AND channel = ? AND address = ?",
            (incident_id, channel, address),
        ).fetchone()
        return "[]" if row is None else str(row["audiences"])

    def meta(self, name: str, value: str) -> None:
        """Set one fact about ourselves."""
        self.connection.execute(
            "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    def _note_step(self, record: Record, stage: str, started: int, ended: int, result: str) -> None:
        self.connection.execute(
            "INSERT INTO steps (run_id, stage, pipeline, environment, started, ended, result)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id, stage) DO UPDATE SET"
            " started = CASE WHEN excluded.started > 0 THEN excluded.started ELSE steps.started END,"
            " result = CASE WHEN excluded.ended > steps.ended THEN excluded.result ELSE steps.result END,"
            " ended = CASE WHEN excluded.ended > steps.ended THEN excluded.ended ELSE steps.ended END",
            (record.run_id, stage, record.pipeline, record.environment, started, ended, result),
        )


def _facts(record: Record) -> tuple[tuple[str, str], ...]:
    if record.event_name not in (names.EVENT_RUN_START, names.EVENT_RUN_MANIFEST):
        return ()
    labelled = (("Host", names.HOST_NAME), ("Revision", names.VCS_REVISION), ("Command", names.COMMAND))
    return tuple((label, text) for label, name in labelled if (text := record.text(name)))
