"""Letting old incidents go, a little at a time. Open incidents, promises and the books never go.

The order is that of the references: first what nobody asks for any more, then what it referred to.
"""

from __future__ import annotations

import sqlite3
from dataclasses import asdict, dataclass

__all__ = ["Ages", "RetentionRows"]

STEP_ROWS = 500  # of a kind, in one transaction: an incident takes its conversations, notices and receipts with it
PAGES_GIVEN_BACK = 1_000  # of the file, after each step


@dataclass(frozen=True, slots=True)
class Ages:
    """What is older than this goes; nanoseconds since the epoch."""

    seen: int  # identities: no copy of a record comes later
    trail: int  # decisions, digests, steps of runs, records of incidents that are over
    edits: int  # what was edited into a message; first messages and their receipts stay with their incident
    incidents: (
        int  # incidents that are over, runs, and what people asked for: who silenced what is still asked next year
    )
    issues: int  # problems that have no incident any more


# An incident that is over, tells nobody anything, and has no part that is still here.
_OVER = (
    "SELECT i.id FROM incidents i WHERE i.opened_at < :incidents AND i.state = 'resolved' AND i.resolved_at < {before}"
    " AND NOT EXISTS (SELECT 1 FROM conversations c JOIN notices n ON n.conversation_id = c.id"
    " WHERE c.incident_id = i.id AND n.state IN ('queued', 'sending'))"
    " AND NOT EXISTS (SELECT 1 FROM incidents part WHERE part.root_id = i.id) LIMIT :rows"
)
_OLD_INCIDENTS = _OVER.format(before=":incidents")
_OLD_DIGESTS = _OLD_INCIDENTS.replace(":incidents", ":trail").replace("i.state", "i.kind = 'digest' AND i.state")
_OLD_RUNS = (
    "SELECT run_id FROM runs WHERE started < :incidents AND ended < :incidents AND NOT EXISTS"
    " (SELECT 1 FROM incident_runs r WHERE r.run_id = runs.run_id)"
    " AND run_id NOT IN (SELECT run_id FROM reviews WHERE reviewed_at = 0) LIMIT :rows"
)
_EDITS = (
    "SELECT id FROM notices WHERE state IN ('delivered', 'suppressed') AND reason = 'repeated' AND closed_at < :edits"
)
_RECORDS = (
    "SELECT o.record_uid FROM occurrences o JOIN incidents i ON i.id = o.incident_id"
    " WHERE i.state = 'resolved' AND i.resolved_at < :trail LIMIT :rows"
)
_OPEN_RUNS = "SELECT r.run_id FROM incident_runs r JOIN incidents i ON i.id = r.incident_id WHERE i.state = 'open'"
_QUIET_RUNS = f"SELECT run_id FROM runs WHERE started < :trail AND ended < :trail AND run_id NOT IN ({_OPEN_RUNS})"  # noqa: S608 - fixed texts, here and below
_OLD_ISSUES = "SELECT fingerprint FROM issues WHERE last_seen < :issues"
_WITHOUT_INCIDENT = "NOT EXISTS (SELECT 1 FROM incidents i WHERE i.fingerprint = issues.fingerprint)"
_STEPS = (
    "DELETE FROM seen WHERE uid IN (SELECT uid FROM seen WHERE taken_at < :seen LIMIT :rows)",
    "DELETE FROM decisions WHERE id IN (SELECT id FROM decisions WHERE at < :trail LIMIT :rows)",
    f"DELETE FROM notices WHERE id IN ({_EDITS} LIMIT :rows)",  # noqa: S608
    f"DELETE FROM occurrences WHERE record_uid IN ({_RECORDS})",  # noqa: S608
    "DELETE FROM steps WHERE started < :trail AND ended < :trail",
    f"DELETE FROM stage_spans WHERE run_id IN ({_QUIET_RUNS})",  # noqa: S608
    "DELETE FROM silences WHERE released_at > 0 AND released_at < :incidents",
    "DELETE FROM orders WHERE carried_out_at > 0 AND carried_out_at < :incidents",
    f"DELETE FROM runs WHERE run_id IN ({_OLD_RUNS})",  # noqa: S608
    "DELETE FROM reviews WHERE reviewed_at > 0 AND run_id NOT IN (SELECT run_id FROM runs)",
    f"DELETE FROM issue_days WHERE fingerprint IN ({_OLD_ISSUES})",  # noqa: S608
    f"DELETE FROM loners WHERE fingerprint IN ({_OLD_ISSUES})",  # noqa: S608
    f"DELETE FROM issues WHERE fingerprint IN ({_OLD_ISSUES} AND {_WITHOUT_INCIDENT} LIMIT :rows)",  # noqa: S608
)
# What the conversations of these incidents say of the books stays in the ledger.
_TO_LEDGER = """
    UPDATE ledger SET
        told = told + (SELECT coalesce(sum(c.told), 0) FROM conversations c
            WHERE c.channel = ledger.channel AND c.incident_id IN ({ids})),
        suppressed = suppressed + (SELECT coalesce(sum(c.suppressed), 0) FROM conversations c
            WHERE c.channel = ledger.channel AND c.incident_id IN ({ids})),
        dead = dead + (SELECT coalesce(sum(c.dead), 0) FROM conversations c
            WHERE c.channel = ledger.channel AND c.incident_id IN ({ids}))
"""


class RetentionRows:
    """Statements that remove, within one transaction."""

    connection: sqlite3.Connection

    def prune_step(self, ages: Ages, *, previews_kept: int) -> int:
        """Remove some of what is old enough; how many rows, 0 when nothing is left to remove."""
        values = {**asdict(ages), "rows": STEP_ROWS}
        gone = sum(self.connection.execute(statement, values).rowcount for statement in _STEPS)
        for which in (_OLD_DIGESTS, _OLD_INCIDENTS):
            gone += self._drop_incidents([row["id"] for row in self.connection.execute(which, values)])
        gone += self.connection.execute(
            "DELETE FROM previews WHERE id <= (SELECT max(id) FROM previews) - ?", (previews_kept,)
        ).rowcount
        return gone

    def _drop_incidents(self, ids: list[str]) -> int:
        if ids:
            places = ", ".join(f":i{number}" for number in range(len(ids)))
            values = {f"i{number}": incident_id for number, incident_id in enumerate(ids)}
            self.connection.execute(_TO_LEDGER.format(ids=places), values)
            self.connection.execute(f"DELETE FROM incidents WHERE id IN ({places})", values)  # noqa: S608 - only places
        return len(ids)


def give_back(connection: sqlite3.Connection) -> None:
    """Return free pages to the file system, a bounded number at a time; outside of any transaction."""
    # `execute` would step the pragma once and free a single page.
    connection.executescript(f"PRAGMA incremental_vacuum({PAGES_GIVEN_BACK})")
