"""The outbox in control.db: notices planned, leased, settled. At most one per conversation waits or is being sent."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from alert_bridge.incidents import Case, Planned, Talk
from alert_bridge.incidents.storm import Gathered, described, is_storm
from alert_bridge.model import NoticeState, Reason

__all__ = ["Lease", "OutboxRows"]

NEVER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Lease:
    """One notice taken out to be sent, with the incident and the conversation as they stand now."""

    notice_id: int
    reason: Reason
    wanted_at: int
    attempts: int  # with this one
    case: Case
    talk: Talk
    part_of: str = ""  # title of the incident that this one is told as part of


class OutboxRows:
    """Statements over notices, receipts and the health of addresses, within one transaction."""

    connection: sqlite3.Connection

    def case(self, incident_id: str) -> Case | None:
        raise NotImplementedError

    def gathered(self, root_id: str) -> Gathered:
        raise NotImplementedError

    def set_plan(self, talk: Talk, planned: Planned | None, *, now: int) -> None:
        """Make the plan the conversation's one waiting notice. What is being sent now is planned again when it is."""
        row = self.connection.execute(
            "SELECT * FROM notices WHERE conversation_id = ? AND state IN ('queued', 'sending')", (talk.id,)
        ).fetchone()
        if row is None or row["state"] == NoticeState.QUEUED.value:
            self._replace_plan(talk, row, planned, now)

    def lease(
        self,
        channel: str,
        *,
        now: int,
        without: Sequence[str] = (),
        after_others: Sequence[tuple[str, str]] = (),
    ) -> Lease | None:
        """The most urgent notice of a channel that is due, marked as being sent; None if there is none.

        First messages come before edits, the worse before the less bad, the older before the newer.
        ``without``: addresses that must not be written to yet; ``after_others``: (address, pipeline) that come after
        what else is as bad.
        """
        places = ", ".join("?" * len(without))
        pairs = ", ".join(["(?, ?)"] * len(after_others))
        row = self.connection.execute(
            "SELECT n.*, c.incident_id FROM notices n JOIN conversations c ON c.id = n.conversation_id"  # noqa: S608 - only places
            " JOIN incidents i ON i.id = c.incident_id"
            " WHERE n.state = 'queued' AND n.due_at <= ? AND n.retry_at <= ? AND c.channel = ?"
            f" AND c.address NOT IN ({places})"
            " ORDER BY n.reason = 'repeated', i.severity DESC,"
            f" (c.address, i.pipeline) IN (VALUES {pairs or '(NULL, NULL)'}), n.due_at, n.id LIMIT 1",
            (now, now, channel, *without, *(value for pair in after_others for value in pair)),
        ).fetchone()
        if row is None:
            return None
        case = self.case(row["incident_id"])
        assert case is not None, "a conversation has its incident"
        self.connection.execute(
            "UPDATE notices SET state = 'sending', attempts = attempts + 1 WHERE id = ?", (row["id"],)
        )
        if is_storm(case.incident.sample):
            case = described(case, self.gathered(case.incident.id))
        talk = next(talk for talk in case.talks if talk.id == row["conversation_id"])
        root = self.case(case.incident.root_id) if case.incident.root_id else None
        return Lease(
            row["id"],
            Reason(row["reason"]),
            row["wanted_at"],
            row["attempts"] + 1,
            case,
            talk,
            root.incident.title if root is not None else "",
        )

    def next_due(self, channel: str) -> int:
        """When the channel's next notice may be sent, as far as the outbox knows."""
        row = self.connection.execute(
            "SELECT min(CASE WHEN n.retry_at > n.due_at THEN n.retry_at ELSE n.due_at END) AS due"
            " FROM notices n JOIN conversations c ON c.id = n.conversation_id"
            " WHERE n.state = 'queued' AND c.channel = ?",
            (channel,),
        ).fetchone()
        return NEVER if row["due"] is None else int(row["due"])

    def settle(self, notice_id: int, state: NoticeState, *, now: int, covers: int = 0, error: str = "") -> None:
        """Close a notice."""
        self.connection.execute(
            "UPDATE notices SET state = ?, closed_at = ?, covers = ?, last_error = ? WHERE id = ?",
            (state.value, now, covers, error, notice_id),
        )

    def put_back(self, notice_id: int, *, retry_at: int, error: str) -> None:
        """Put a notice back for another try."""
        self.connection.execute(
            "UPDATE notices SET state = 'queued', retry_at = ?, last_error = ? WHERE id = ?",
            (retry_at, error, notice_id),
        )

    def try_now(self, channel: str) -> None:
        """The channel works again: nothing waits for a later try any more."""
        self.connection.execute(
            "UPDATE notices SET retry_at = 0 WHERE state = 'queued' AND retry_at > 0 AND conversation_id IN"
            " (SELECT id FROM conversations WHERE channel = ?)",
            (channel,),
        )

    def receipt(self, notice_id: int, *, now: int, outcome: str, detail: str) -> None:
        """Write down what the channel answered."""
        self.connection.execute(
            "INSERT INTO receipts (notice_id, at, outcome, detail) VALUES (?, ?, ?, ?)",
            (notice_id, now, outcome, detail),
        )

    def interrupted(self) -> Sequence[int]:
        """Notices that were being sent when the process ended, put back; they may have been delivered."""
        rows = self.connection.execute("SELECT id FROM notices WHERE state = 'sending'").fetchall()
        self.connection.execute("UPDATE notices SET state = 'queued' WHERE state = 'sending'")
        return [row["id"] for row in rows]

    def broken_addresses(self) -> Sequence[tuple[str, str]]:
        """(channel, address) of what does not work."""
        rows = self.connection.execute("SELECT channel, address FROM health WHERE broken_since > 0")
        return [(row["channel"], row["address"]) for row in rows]

    def given_up(self, *, opened_after: int) -> Sequence[tuple[str, int]]:
        """(incident, conversation) of what a channel refused and no other channel told in its place."""
        rows = self.connection.execute(
            "SELECT c.incident_id, c.id FROM conversations c WHERE c.state = 'dead' AND c.opened_at > ?"
            " AND NOT EXISTS (SELECT 1 FROM conversations s WHERE s.incident_id = c.incident_id"
            " AND s.stands_in_for = c.channel AND s.told > 0)",
            (opened_after,),
        )
        return [(row["incident_id"], row["id"]) for row in rows]

    def healthy(self, channel: str, address: str, *, now: int) -> bool:
        """The address took a message; returns whether it was broken before."""
        before = self.connection.execute(
            "SELECT broken_since FROM health WHERE channel = ? AND address = ?", (channel, address)
        ).fetchone()
        self.connection.execute(
            "INSERT INTO health (channel, address, broken_since, last_delivered_at, last_failed_at, last_error)"
            " VALUES (?, ?, 0, ?, 0, '') ON CONFLICT (channel, address) DO UPDATE SET broken_since = 0,"
            " last_delivered_at = excluded.last_delivered_at",
            (channel, address, now),
        )
        return before is not None and before["broken_since"] > 0

    def failed(self, channel: str, address: str, *, now: int, error: str, broken: bool) -> bool:
        """The address did not take a message; returns whether it is broken only since now."""
        before = self.connection.execute(
            "SELECT broken_since FROM health WHERE channel = ? AND address = ?", (channel, address)
        ).fetchone()
        self.connection.execute(
            "INSERT INTO health (channel, address, broken_since, last_delivered_at, last_failed_at, last_error)"
            " VALUES (?, ?, ?, 0, ?, ?) ON CONFLICT (channel, address) DO UPDATE SET"
            " broken_since = CASE WHEN health.broken_since > 0 THEN health.broken_since ELSE excluded.broken_since END,"
            " last_failed_at = excluded.last_failed_at, last_error = excluded.last_error",
            (channel, address, now if broken else 0, now, error),
        )
        return broken and (before is None or before["broken_since"] == 0)

    def _replace_plan(self, talk: Talk, row: sqlite3.Row | None, planned: Planned | None, now: int) -> None:
        if row is not None and planned is not None:
            if row["reason"] == planned.reason.value and row["due_at"] == planned.due_at:
                return
            if row["reason"] == planned.reason.value or not row["attempts"]:
                self.connection.execute(
                    "UPDATE notices SET reason = ?, due_at = ?, wanted_at = ? WHERE id = ?",
                    (planned.reason.value, planned.due_at, max(planned.due_at, now), row["id"]),
                )
                return
        retry_at = 0
        if row is not None:
            # It may have been delivered: what comes next is another message, not this one again.
            self.settle(row["id"], NoticeState.SUPPRESSED, now=now, error=f"overtaken; {row['last_error']}")
            retry_at = row["retry_at"]
        if planned is not None:
            self.connection.execute(
                "INSERT INTO notices (conversation_id, reason, state, due_at, wanted_at, retry_at, attempts, covers,"
                " last_error, created_at, closed_at) VALUES (?, ?, 'queued', ?, ?, ?, 0, 0, '', ?, 0)",
                (talk.id, planned.reason.value, planned.due_at, max(planned.due_at, now), retry_at, now),
            )
