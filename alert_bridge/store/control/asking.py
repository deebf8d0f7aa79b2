"""Wishes of people on a page, each in a transaction of its own."""

from __future__ import annotations

from collections.abc import Sequence

from alert_bridge.silences import Silence
from alert_bridge.store.control.database import ControlStore
from alert_bridge.store.control.reader import SqliteControlReader

__all__ = ["ControlWishes"]


class ControlWishes:
    """`Wishes` over the writer of control.db."""

    def __init__(self, store: ControlStore, reader: SqliteControlReader) -> None:
        self._store = store
        self._reader = reader

    def silences(self, *, ended_since: int) -> Sequence[Silence]:
        """Silences in force, and those that ended since."""
        return self._reader.silences(ended_since=ended_since)

    def silence(self, silence: Silence) -> None:
        """In force from now on."""
        with self._store.writing() as book:
            book.add_silence(silence)

    def end_silence(self, silence_id: str, *, author: str, now: int) -> bool:
        """End it early."""
        with self._store.writing() as book:
            return book.end_silence(silence_id, author=author, now=now)

    def order(self, kind: str, incident_id: str, *, author: str, value: str, now: int) -> None:
        """Ask for it."""
        with self._store.writing() as book:
            book.give_order(kind, incident_id, author=author, value=value, now=now)
