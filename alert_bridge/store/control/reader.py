"""Reading control.db, beside its writer or without one: for pages, `status` and scripts."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from alert_bridge.fingerprint.aliases import Merge
from alert_bridge.model import Decision, Fingerprint, Incident, NoticeState, Receipt, Severity
from alert_bridge.silences import Silence
from alert_bridge.store.control.aliasing import merges_in, merges_of
from alert_bridge.store.control.database import FILE_NAME
from alert_bridge.store.control.outbox import NEVER
from alert_bridge.store.control.rows import conversation_of, incident_of, text_list
from alert_bridge.store.control.wishes import silence_of
from alert_bridge.store.interface import Books, ChannelHealth, Delivery, Folded, Occurrence, Previewed
from alert_bridge.store.sqlite import read_only

__all__ = ["SqliteControlReader", "open_reader"]

RECEIPTS_PER_DELIVERY = 20  # the newest
DECISIONS_PER_SUBJECT = 500  # the oldest
FOLDED_SHOWN = 200  # per incident, the earliest


def open_reader(state: Path) -> SqliteControlReader:
    """Read the control.db of a state directory.

    Raises:
        SettingsError: there is none.
    """
    return SqliteControlReader(state / FILE_NAME)


class SqliteControlReader:
    """A `ControlReader` over one file; each thread gets a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._connection()  # a missing file is said now, not at the first page

    def incidents(self, *, open_only: bool = True, limit: int = 200) -> Sequence[Incident]:
        """Incidents by their last event, newest first; folded ones stand in their root."""
        which = "kind = 'problem'" + (" AND state = 'open' AND root_id = ''" if open_only else "")
        return self._incidents(f"SELECT * FROM incidents WHERE {which} ORDER BY last_event DESC LIMIT ?", (limit,))  # noqa: S608 - no input in it

    def incident(self, incident_id: str) -> Incident | None:
        """One incident."""
        found = self._incidents("SELECT * FROM incidents WHERE id = ?", (incident_id,))
        return found[0] if found else None

    def incidents_of_run(self, run_id: str) -> Sequence[Incident]:
        """Incidents that this run has part in, oldest first."""
        return self._incidents(
            "SELECT i.* FROM incidents i JOIN incident_runs r ON r.incident_id = i.id WHERE r.run_id = ?"
            " AND i.kind = 'problem' ORDER BY i.first_event",
            (run_id,),
        )

    def models_of(self, incident_id: str) -> Sequence[str]:
        """Names of the models that reported an incident, in any of its runs."""
        rows = self._rows("SELECT models FROM incidents WHERE id = ?", (incident_id,))
        return text_list(rows[0]["models"]) if rows else ()

    def incidents_changed(self, since: int, *, opened_until: int) -> Iterator[tuple[int, str, str]]:
        """What changed at or after ``since`` (ns), in that order: when, a mark of how it stands, the incident's id.

        Incidents that opened after ``opened_until`` are left for later: what causes them may be about to be known.
        """
        yield from (
            (row["at"], row["mark"], row["id"])
            for row in self._rows(
                "SELECT id, CASE WHEN resolved_at > last_taken_at THEN resolved_at ELSE last_taken_at END AS at,"
                " count || ' ' || severity || ' ' || state || ' ' || root_id || ' ' || acknowledged_by AS mark"
                " FROM incidents WHERE (last_taken_at >= ? OR resolved_at >= ?) AND opened_at <= ? AND kind = 'problem'"
                " ORDER BY at, id",
                (since, since, opened_until),
            )
        )

    def folded(self, incident_id: str) -> Sequence[Folded]:
        """What is told as part of this incident, by its first event."""
        rows = self._rows(
            "SELECT title, rule, stage, severity, run_id, first_event, events, '' AS incident_id FROM folds"
            " WHERE root_id = ? AND title <> '' UNION ALL"
            " SELECT title, 'later' AS rule, stage, severity, '' AS run_id, first_event, count AS events, id"
            " FROM incidents WHERE root_id = ? ORDER BY first_event, title LIMIT ?",
            (incident_id, incident_id, FOLDED_SHOWN),
        )
        return [
            Folded(
                title=row["title"],
                rule=row["rule"],
                stage=row["stage"],
                severity=Severity.of(row["severity"]),
                run_id=row["run_id"],
                first_event=row["first_event"],
                events=row["events"],
                incident_id=row["incident_id"],
            )
            for row in rows
        ]

    def occurrences(self, incident_id: str, *, limit: int = 50) -> Sequence[Occurrence]:
        """The newest counted records of an incident, newest first."""
        rows = self._rows(
            "SELECT * FROM occurrences WHERE incident_id = ? ORDER BY time DESC, record_uid DESC LIMIT ?",
            (incident_id, limit),
        )
        return [
            Occurrence(
                record_uid=row["record_uid"],
                time=row["time"],
                run_id=row["run_id"],
                stage=row["stage"],
                trace_id=row["trace_id"],
                span_id=row["span_id"],
                body=row["body"],
            )
            for row in rows
        ]

    def days(self, fingerprint: str, *, last: int = 14) -> Sequence[tuple[str, int]]:
        """Events of the issue per UTC day (ISO date, count), oldest first, zeros included."""
        today = datetime.now(UTC).date()
        wanted = [(today - timedelta(days=back)).isoformat() for back in reversed(range(last))]
        rows = self._rows(
            "SELECT day, events FROM issue_days WHERE fingerprint = ? AND day >= ?", (fingerprint, wanted[0])
        )
        counts = {row["day"]: row["events"] for row in rows}
        return [(day, counts.get(day, 0)) for day in wanted]

    def deliveries(self, incident_id: str) -> Sequence[Delivery]:
        """Everybody this incident concerns: how far they were told, and what is planned next."""
        conversations = self._rows(
            "SELECT * FROM conversations WHERE incident_id = ? ORDER BY channel, address", (incident_id,)
        )
        return [self._delivery(row) for row in conversations]

    def decisions(self, subject: str) -> Sequence[Decision]:
        """Why a record or an incident was, or was not, told; oldest first."""
        rows = self._rows(
            "SELECT * FROM decisions WHERE subject = ? ORDER BY at, id LIMIT ?", (subject, DECISIONS_PER_SUBJECT)
        )
        return [Decision(row["at"], row["subject"], row["step"], row["text"]) for row in rows]

    def previewed(self, *, limit: int = 100) -> Sequence[Previewed]:
        """Messages that would have been sent, newest first."""
        rows = self._rows("SELECT * FROM previews ORDER BY id DESC LIMIT ?", (limit,))
        return [
            Previewed(
                id=row["id"],
                at=row["at"],
                channel=row["channel"],
                address=row["address"],
                audiences=text_list(row["audiences"]),
                incident_id=row["incident_id"],
                payload=row["payload"],
                edits=row["edits"],
            )
            for row in rows
        ]

    def books(self) -> Sequence[Books]:
        """The books of every channel.

        ``matched`` is what intake counted; the rest is what the conversations say became of it, and the ledger of those
        that are gone. A record counts as
        queued only while a notice waits for it, so what nobody will ever send shows as missing.
        """
        rows = self._rows(
            "SELECT l.channel, l.matched, l.told + coalesce(sum(c.told), 0) AS told,"
            " l.suppressed + coalesce(sum(c.suppressed), 0) AS suppressed, l.dead + coalesce(sum(c.dead), 0) AS dead,"
            " coalesce(sum(CASE WHEN EXISTS (SELECT 1 FROM notices n WHERE n.conversation_id = c.id"
            " AND n.state IN ('queued', 'sending')) THEN c.queued ELSE 0 END), 0) AS queued"
            " FROM ledger l LEFT JOIN conversations c ON c.channel = l.channel"
            " GROUP BY l.channel, l.matched, l.told, l.suppressed, l.dead ORDER BY l.channel"
        )
        return [
            Books(row["channel"], row["matched"], row["told"], row["queued"], row["suppressed"], row["dead"])
            for row in rows
        ]

    def channel_health(self) -> Sequence[ChannelHealth]:
        """Every channel that ever answered, by name."""
        rows = self._rows("SELECT * FROM health ORDER BY channel, last_failed_at")
        by_channel: defaultdict[str, list[sqlite3.Row]] = defaultdict(list)
        for row in rows:
            by_channel[row["channel"]].append(row)
        return [
            ChannelHealth(
                channel=channel,
                last_delivered_at=max(row["last_delivered_at"] for row in addresses),
                last_failed_at=addresses[-1]["last_failed_at"],
                last_error=addresses[-1]["last_error"],
            )
            for channel, addresses in by_channel.items()
        ]

    def broken(self) -> Sequence[tuple[str, str, int, str]]:
        """Addresses that do not work: channel, address, since when, what the channel said."""
        rows = self._rows("SELECT * FROM health WHERE broken_since > 0 ORDER BY channel, address")
        return [(row["channel"], row["address"], row["broken_since"], row["last_error"]) for row in rows]

    def queues(self) -> Sequence[tuple[str, int, int]]:
        """Per channel: notices that should have been sent by now, and since when the oldest of them should."""
        rows = self._rows(
            "SELECT c.channel, count(*) AS waiting, min(n.wanted_at) AS oldest FROM notices n"
            " JOIN conversations c ON c.id = n.conversation_id WHERE n.state IN ('queued', 'sending') AND n.due_at <= ?"
            " GROUP BY c.channel ORDER BY c.channel",
            (int(datetime.now(UTC).timestamp() * 1_000_000_000),),
        )
        return [(row["channel"], row["waiting"], row["oldest"]) for row in rows]

    def merges(self, *, now: int) -> Sequence[Merge]:
        """Texts that are one problem because they differ in one word, or soon will be."""
        return merges_in(self._connection(), now=now)

    def merges_of(self, fingerprint: str, *, now: int) -> Sequence[Merge]:
        """The same for the text of one issue."""
        rung, version, components = self.fingerprint_of(fingerprint)
        return merges_of(self._connection(), Fingerprint(fingerprint, version, rung, components), now=now)

    def counters(self) -> dict[str, int]:
        """Counters that survive restarts, by name."""
        return {row["name"]: row["value"] for row in self._rows("SELECT name, value FROM counters ORDER BY name")}

    def meta(self) -> dict[str, str]:
        """Facts about the service, by name."""
        return {row["name"]: row["value"] for row in self._rows("SELECT name, value FROM meta ORDER BY name")}

    def last_accepted(self) -> int:
        """When the last record was taken; 0: never."""
        row = self._rows("SELECT max(taken_at) AS at FROM seen")[0]
        return int(row["at"] or 0)

    def silences(self, *, ended_since: int) -> Sequence[Silence]:
        """Silences in force, and those that ended at or after ``ended_since``; the newest first."""
        rows = self._rows("SELECT * FROM silences WHERE ends_at >= ? ORDER BY created_at DESC, id", (ended_since,))
        return [silence_of(row) for row in rows]

    def carried_out(self, order_id: int) -> str:
        """What became of an order; empty while it waits."""
        rows = self._rows("SELECT outcome FROM orders WHERE id = ? AND carried_out_at > 0", (order_id,))
        return str(rows[0]["outcome"]) if rows else ""

    def fingerprint_of(self, fingerprint: str) -> tuple[str, int, tuple[tuple[str, str], ...]]:
        """How an issue is recognised: which rung of the ladder, of which version, and the components in their order."""
        rows = self._rows("SELECT rung, version, components FROM issues WHERE fingerprint = ?", (fingerprint,))
        if not rows:
            return "", 0, ()
        pairs = tuple((str(name), str(value)) for name, value in json.loads(rows[0]["components"]))
        return rows[0]["rung"], rows[0]["version"], pairs

    def incident_of_record(self, uid: str) -> str:
        """The incident that counted this record, if it is one of its newest or first; empty: none that we know."""
        rows = self._rows("SELECT incident_id FROM occurrences WHERE record_uid = ?", (uid,))
        return str(rows[0]["incident_id"]) if rows else ""

    def planned(self, incident_id: str) -> Sequence[tuple[str, str, str, int]]:
        """What is said next: channel, address, reason, and when (ns); 0: when something else happens."""
        rows = self._rows(
            "SELECT c.channel, c.address, n.reason, n.due_at, n.retry_at FROM notices n"
            " JOIN conversations c ON c.id = n.conversation_id"
            " WHERE c.incident_id = ? AND n.state IN ('queued', 'sending') ORDER BY n.due_at, c.channel, c.address",
            (incident_id,),
        )
        return [(row["channel"], row["address"], row["reason"], _planned_at(row)) for row in rows]

    def has_taken_up(self, silence_id: str) -> bool:
        """Whether the bridge acts by this silence, and by its end where it has ended."""
        rows = self._rows(
            "SELECT 1 FROM silences WHERE id = ? AND applied_at > 0 AND (ended_by = '' OR released_at > 0)",
            (silence_id,),
        )
        return bool(rows)

    def close(self) -> None:
        """Close this thread's connection."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            del self._local.connection

    def _delivery(self, row: sqlite3.Row) -> Delivery:
        notices = self._rows(
            "SELECT * FROM notices WHERE conversation_id = ?"
            " ORDER BY state IN ('queued', 'sending') DESC, id DESC LIMIT 1",
            (row["id"],),
        )
        receipts = self._rows(
            "SELECT r.* FROM receipts r JOIN notices n ON n.id = r.notice_id WHERE n.conversation_id = ?"
            " ORDER BY r.id DESC LIMIT ?",
            (row["id"], RECEIPTS_PER_DELIVERY),
        )
        notice = notices[0] if notices else None
        waiting = notice is not None and notice["state"] in ("queued", "sending")
        return Delivery(
            conversation=conversation_of(row),
            state=_state(row),
            attempts=notice["attempts"] if notice is not None else 0,
            next_due_at=_planned_at(notice) if notice is not None and waiting else 0,
            last_error=notice["last_error"] if notice is not None else "",
            receipts=tuple(
                Receipt(receipt["notice_id"], receipt["at"], receipt["outcome"], receipt["detail"])
                for receipt in reversed(receipts)
            ),
        )

    def _incidents(self, statement: str, values: tuple[object, ...]) -> list[Incident]:
        rows = self._rows(statement, values)
        return [incident_of(row, self._runs(row["id"])) for row in rows]

    def _runs(self, incident_id: str) -> tuple[str, ...]:
        rows = self._rows(
            "SELECT run_id FROM incident_runs WHERE incident_id = ? ORDER BY first_event, run_id", (incident_id,)
        )
        return tuple(row["run_id"] for row in rows)

    def _rows(self, statement: str, values: tuple[object, ...] = ()) -> list[sqlite3.Row]:
        return self._connection().execute(statement, values).fetchall()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = read_only(self._path)
        return connection


def _planned_at(notice: sqlite3.Row) -> int:
    """When a notice is sent; 0 if that hangs on something that may never happen."""
    return 0 if notice["due_at"] == NEVER else max(notice["due_at"], notice["retry_at"])


def _state(row: sqlite3.Row) -> NoticeState:
    """How a conversation stands: what waits comes first, then what will never be told."""
    if row["queued"]:
        return NoticeState.QUEUED
    if row["dead"]:
        return NoticeState.DEAD
    return NoticeState.DELIVERED if row["told"] else NoticeState.SUPPRESSED
