"""What people want, in control.db: silences and orders. Written by commands and pages, carried out by the bridge."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from alert_bridge.incidents import Case
from alert_bridge.policy.model import Match
from alert_bridge.silences import Silence
from alert_bridge.store.control.outbox import NEVER

__all__ = ["Order", "WishRows", "silence_of"]


@dataclass(frozen=True, slots=True)
class Order:
    """What a person wants of one incident: `acknowledge`, `assign` (to ``value``) or `resolve`."""

    id: int
    at: int
    kind: str
    incident_id: str
    author: str
    value: str


class WishRows:
    """Statements over silences and orders, within one transaction."""

    connection: sqlite3.Connection

    def case(self, incident_id: str) -> Case | None:
        raise NotImplementedError

    def add_silence(self, silence: Silence) -> None:
        """In force from the moment that this is committed."""
        self.connection.execute(
            "INSERT INTO silences (id, conditions, incident_id, critical, author, reason, created_at, ends_at,"
            " ended_by, applied_at, released_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', 0, 0)",
            (
                silence.id,
                json.dumps([list(pair) for pair in silence.match.conditions]),
                silence.incident_id,
                int(silence.critical),
                silence.author,
                silence.reason,
                silence.created_at,
                silence.ends_at,
            ),
        )

    def end_silence(self, silence_id: str, *, author: str, now: int) -> bool:
        """End it early; false if there is none in force with this id."""
        changed = self.connection.execute(
            "UPDATE silences SET ends_at = ?, ended_by = ? WHERE id = ? AND ends_at > ?", (now, author, silence_id, now)
        )
        return changed.rowcount > 0

    def silences_in_force(self, now: int) -> Sequence[Silence]:
        """Those that hold something back at this moment."""
        rows = self.connection.execute("SELECT * FROM silences WHERE released_at = 0 AND ends_at > ?", (now,))
        return [silence_of(row) for row in rows]

    def new_silences(self) -> Sequence[Silence]:
        """Those that nothing fell silent by yet."""
        rows = self.connection.execute("SELECT * FROM silences WHERE applied_at = 0 ORDER BY created_at, id")
        return [silence_of(row) for row in rows]

    def ended_silences(self, now: int) -> Sequence[Silence]:
        """Those that are over, and what they held back is not told yet."""
        rows = self.connection.execute(
            "SELECT * FROM silences WHERE released_at = 0 AND ends_at <= ? ORDER BY ends_at, id", (now,)
        )
        return [silence_of(row) for row in rows]

    def silence_applied(self, silence_id: str, *, now: int) -> None:
        """What was open already has fallen silent."""
        self.connection.execute("UPDATE silences SET applied_at = ? WHERE id = ?", (now, silence_id))

    def silence_released(self, silence_id: str, *, now: int) -> None:
        """What it held back is told."""
        self.connection.execute("UPDATE silences SET released_at = ? WHERE id = ?", (now, silence_id))

    def all_open_cases(self) -> Sequence[Case]:
        """Every open incident with its conversations."""
        rows = self.connection.execute("SELECT id FROM incidents WHERE state = 'open' AND kind = 'problem'").fetchall()
        return [case for row in rows if (case := self.case(row["id"])) is not None]

    def silent_cases(self) -> Sequence[Case]:
        """Every incident, open or over, of which a conversation is covered by a silence."""
        rows = self.connection.execute(
            "SELECT DISTINCT incident_id FROM conversations WHERE silent_until > 0"
        ).fetchall()
        return [case for row in rows if (case := self.case(row["incident_id"])) is not None]

    def wait_for_end_of_quiet(self, conversation_id: int, until: int) -> None:
        """The conversation's next message waits for the end of quiet hours; 0: it does not any more."""
        self.connection.execute("UPDATE conversations SET quiet_until = ? WHERE id = ?", (until, conversation_id))

    def quiet_over(self, now: int) -> Sequence[tuple[str, int]]:
        """(incident, conversation) of what waited for the end of quiet hours that are over, the gravest first."""
        rows = self.connection.execute(
            "SELECT c.incident_id, c.id FROM conversations c JOIN notices n ON n.conversation_id = c.id"
            " JOIN incidents i ON i.id = c.incident_id"
            " WHERE c.quiet_until > 0 AND c.quiet_until <= ? AND n.state = 'queued'"
            " AND n.due_at > c.quiet_until AND n.due_at < ? ORDER BY i.severity DESC, i.first_event, c.id",
            (now, NEVER),
        )
        return [(row["incident_id"], row["id"]) for row in rows]

    def held_for_quiet(self, now: int) -> Sequence[tuple[str, int]]:
        """(incident, conversation) of what waits for the end of quiet hours that go on."""
        rows = self.connection.execute("SELECT incident_id, id FROM conversations WHERE quiet_until > ?", (now,))
        return [(row["incident_id"], row["id"]) for row in rows]

    def silence_ran_out(self, now: int) -> bool:
        """Whether a conversation waits for a silence that is over."""
        rows = self.connection.execute(
            "SELECT 1 FROM conversations WHERE silent_until > 0 AND silent_until <= ? LIMIT 1", (now,)
        )
        return rows.fetchone() is not None

    def give_order(self, kind: str, incident_id: str, *, author: str, value: str = "", now: int) -> int:
        """Ask the bridge for something; returns the order's number."""
        cursor = self.connection.execute(
            "INSERT INTO orders (at, kind, incident_id, author, value, carried_out_at, outcome)"
            " VALUES (?, ?, ?, ?, ?, 0, '')",
            (now, kind, incident_id, author, value),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def waiting_orders(self) -> Sequence[Order]:
        """What nobody carried out yet, in the order in which it was asked for."""
        rows = self.connection.execute("SELECT * FROM orders WHERE carried_out_at = 0 ORDER BY id")
        return [
            Order(row["id"], row["at"], row["kind"], row["incident_id"], row["author"], row["value"]) for row in rows
        ]

    def order_carried_out(self, order_id: int, *, outcome: str, now: int) -> None:
        """Done, or found to be of no use; ``outcome`` says which."""
        self.connection.execute(
            "UPDATE orders SET carried_out_at = ?, outcome = ? WHERE id = ?", (now, outcome, order_id)
        )


def silence_of(row: sqlite3.Row) -> Silence:
    """The silence of a row."""
    return Silence(
        id=row["id"],
        match=Match(tuple((key, pattern) for key, pattern in json.loads(row["conditions"]))),
        author=row["author"],
        reason=row["reason"],
        created_at=row["created_at"],
        ends_at=row["ends_at"],
        incident_id=row["incident_id"],
        critical=bool(row["critical"]),
        ended_by=row["ended_by"],
        applied_at=row["applied_at"],
        released_at=row["released_at"],
    )
