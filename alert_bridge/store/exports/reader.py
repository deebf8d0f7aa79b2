"""Reading the exporters' books beside their writers: for `status`, the channel page and the metrics."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from alert_bridge.errors import SettingsError
from alert_bridge.store.sqlite import read_only

__all__ = ["ExportBooks", "ExportState", "export_states"]

_PREFIX, _SUFFIX = "export-", ".db"
_TELEMETRY = "telemetry.db"
_TABLES = ("logs", "spans", "points")


@dataclass(frozen=True, slots=True)
class ExportBooks:
    """One signal of one exporter, in items: stored since it began = sent + skipped + refused + dropped + waiting."""

    signal: str
    sent: int  # the target has it
    skipped: int  # not for this target: by policy, or told another way
    refused: int  # the target would not have it, ever
    dropped: int  # retention removed it before it could be sent
    waiting: int
    balance: int  # zero, or items are missing (positive) or counted twice (negative)


@dataclass(frozen=True, slots=True)
class ExportState:
    """One exporter: how it is set up, whether its target answers, its books. Times in ns; 0: never."""

    name: str
    setup: str
    url: str
    pid: int
    failing_since: int  # 0: the target answers
    next_try_at: int
    last_sent_at: int
    last_failed_at: int
    last_error: str
    books: tuple[ExportBooks, ...]


def export_states(state: Path) -> tuple[ExportState, ...]:
    """Every exporter that ever worked on this state directory, by name."""
    found = []
    for path in sorted(state.glob(f"{_PREFIX}*{_SUFFIX}")):
        try:
            with closing(read_only(path)) as connection:
                found.append(_state(state, path.name[len(_PREFIX) : -len(_SUFFIX)], connection))
        except (sqlite3.OperationalError, SettingsError):  # being created just now: locked, or still empty
            continue
    return tuple(found)


def _state(state: Path, name: str, connection: sqlite3.Connection) -> ExportState:
    facts = {row["name"]: row["value"] for row in connection.execute("SELECT name, value FROM health")}
    rows = {row["signal"]: row for row in connection.execute("SELECT * FROM cursors")}
    return ExportState(
        name=name,
        setup=facts.get("setup", ""),
        url=facts.get("url", ""),
        pid=int(facts.get("pid", 0)),
        failing_since=int(facts.get("failing_since", 0)),
        next_try_at=int(facts.get("next_try_at", 0)),
        last_sent_at=int(facts.get("last_sent_at", 0)),
        last_failed_at=int(facts.get("last_failed_at", 0)),
        last_error=facts.get("last_error", ""),
        books=tuple(_books(state, rows[signal]) for signal in _TABLES if signal in rows),
    )


def _books(state: Path, row: sqlite3.Row) -> ExportBooks:
    waiting, gone = _beyond(state, row["signal"], row["cursor"])
    done = row["sent"] + row["skipped"] + row["refused"] + row["dropped"]
    return ExportBooks(
        signal=row["signal"],
        sent=row["sent"],
        skipped=row["skipped"],
        refused=row["refused"],
        dropped=row["dropped"] + gone,
        waiting=waiting,
        balance=row["cursor"] - row["began"] - done,
    )


def _beyond(state: Path, signal: str, cursor: int) -> tuple[int, int]:
    """How many items wait behind the cursor, and how many are gone there that nobody has passed yet."""
    if not (state / _TELEMETRY).exists():
        return 0, 0
    with closing(read_only(state / _TELEMETRY)) as connection:
        connection.execute("BEGIN")  # both questions see the same moment
        head = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (signal,)).fetchone()
        waiting = connection.execute(f"SELECT count(*) FROM {signal} WHERE id > ?", (cursor,)).fetchone()[0]  # noqa: S608 - three fixed names
    return waiting, max((head[0] if head else 0) - cursor - waiting, 0)
