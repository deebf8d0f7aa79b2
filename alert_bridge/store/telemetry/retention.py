"""Letting old telemetry go, in steps small enough that writers hardly wait."""

from __future__ import annotations

import sqlite3

from alert_bridge.store.sqlite import transaction

__all__ = ["STEP_ROWS", "drop_step", "give_back"]

STEP_ROWS = 5_000  # deleted in one transaction: a few hundredths of a second
PAGES_GIVEN_BACK = 2_000  # of the file, after each step

# In this order: rows first, then what they refer to, so that every step leaves a readable store.
_OLD_LOGS = (
    "SELECT logs.id FROM runs CROSS JOIN logs ON logs.run = runs.id AND logs.time < :logs WHERE runs.first_seen < :logs"
)
_OLD_SPANS = (
    "SELECT spans.id FROM runs CROSS JOIN spans ON spans.run = runs.id AND spans.start_time < :traces "
    "WHERE runs.first_seen < :traces AND spans.end_time < :traces"
)
_OLD_POINTS = "SELECT points.id FROM series CROSS JOIN points ON points.series = series.id AND points.time < :logs"
_STEPS = (
    f"DELETE FROM logs WHERE id IN ({_OLD_LOGS} LIMIT :n)",  # noqa: S608 - fixed texts
    f"DELETE FROM spans WHERE id IN ({_OLD_SPANS} LIMIT :n)",  # noqa: S608
    f"DELETE FROM points WHERE id IN ({_OLD_POINTS} LIMIT :n)",  # noqa: S608
    "DELETE FROM series WHERE id IN (SELECT id FROM series WHERE last_seen < :logs LIMIT :n)",
    "DELETE FROM traces WHERE run IN (SELECT id FROM runs WHERE last_seen < min(:logs, :traces) LIMIT :n)",
    "DELETE FROM runs WHERE id IN (SELECT id FROM runs WHERE last_seen < min(:logs, :traces) LIMIT :n)",
    "DELETE FROM resources WHERE id IN (SELECT id FROM resources WHERE last_seen < min(:logs, :traces) LIMIT :n)",
    "DELETE FROM rejects WHERE id IN (SELECT id FROM rejects WHERE at < :logs LIMIT :n)",
)


def drop_step(connection: sqlite3.Connection, *, logs: int, traces: int) -> int:
    """Delete up to `STEP_ROWS` rows older than these times (ns) in one transaction; 0 when nothing old is left.

    A run that goes on loses its old records and keeps its counts. Runs go when their last record has.
    """
    for statement in _STEPS:
        with transaction(connection):
            gone = connection.execute(statement, {"logs": logs, "traces": traces, "n": STEP_ROWS}).rowcount
        if gone:
            return gone
    return 0


def give_back(connection: sqlite3.Connection) -> None:
    """Return free pages to the file system, a bounded number at a time."""
    # `execute` would step the pragma once and free a single page.
    connection.executescript(f"PRAGMA incremental_vacuum({PAGES_GIVEN_BACK})")
