"""The writer of one exporter's state: cursors, books, memory and health, each change one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from alert_bridge.store.sqlite import connect, migrate, transaction

__all__ = ["Cursor", "Ledger", "Tally", "file_name"]


def file_name(exporter: str) -> str:
    """The name of an exporter's file in the state directory."""
    return f"export-{exporter}.db"


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far one signal was followed. ``attempted`` lies beyond ``cursor`` only between an attempt and its outcome."""

    began: int
    cursor: int
    attempted: int


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of one signal's items in one batch; they add up to how far the cursor moves."""

    sent: int = 0
    skipped: int = 0
    refused: int = 0
    dropped: int = 0


class Ledger:
    """One exporter's file. Used by one thread.

    Raises:
        alert_bridge.errors.SettingsError: the file cannot be a store.
    """

    def __init__(self, state: Path, exporter: str) -> None:
        self._connection = connect(state / file_name(exporter))
        migrate(self._connection, "exports")

    def cursor(self, signal: str) -> Cursor | None:
        """How far the signal was followed; None: never."""
        row = self._connection.execute(
            "SELECT began, cursor, attempted FROM cursors WHERE signal = ?", (signal,)
        ).fetchone()
        return None if row is None else Cursor(row["began"], row["cursor"], row["attempted"])

    def begin(self, signal: str, *, at: int, attempted: int) -> Cursor:
        """Follow a signal from here. What lies up to ``attempted`` may have reached the target in an earlier life."""
        with transaction(self._connection):
            self._connection.execute(
                "INSERT INTO cursors (signal, began, cursor, attempted) VALUES (?, ?, ?, ?)",
                (signal, at, at, attempted),
            )
        return Cursor(at, at, attempted)

    def attempt(self, reach: Mapping[str, int]) -> None:
        """Write down, before the target sees anything, up to where it may have seen each signal."""
        with transaction(self._connection):
            self._connection.executemany(
                "UPDATE cursors SET attempted = max(attempted, ?) WHERE signal = ?",
                [(position, signal) for signal, position in reach.items()],
            )

    def settle(self, reach: Mapping[str, int], tallies: Mapping[str, Tally], memory: Mapping[str, str | None]) -> None:
        """Move on: cursors, books and what the exporter must remember (None: forget) are one change."""
        with transaction(self._connection):
            for signal, position in reach.items():
                tally = tallies.get(signal, Tally())
                self._connection.execute(
                    "UPDATE cursors SET cursor = ?, attempted = max(attempted, ?), sent = sent + ?,"
                    " skipped = skipped + ?, refused = refused + ?, dropped = dropped + ? WHERE signal = ?",
                    (position, position, tally.sent, tally.skipped, tally.refused, tally.dropped, signal),
                )
            self._remember(memory.items())

    def memory(self) -> dict[str, str]:
        """Everything that was to be remembered."""
        return {row["key"]: row["value"] for row in self._connection.execute("SELECT key, value FROM memory")}

    def note(self, facts: Mapping[str, str]) -> None:
        """Set facts about how the exporter stands, for `status` and the pages."""
        with transaction(self._connection):
            self._connection.executemany(
                "INSERT INTO health (name, value) VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                facts.items(),
            )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _remember(self, items: Iterable[tuple[str, str | None]]) -> None:
        for key, value in items:
            if value is None:
                self._connection.execute("DELETE FROM memory WHERE key = ?", (key,))
            else:
                self._connection.execute(
                    "INSERT INTO memory (key, value) VALUES (?, ?)"
                    " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    (key, value),
                )

    @property
    def connection(self) -> sqlite3.Connection:
        """For tests that look at the rows."""
        return self._connection
