"""The writer of control.db: one connection, one lock, whole transactions."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alert_bridge.store.control.aliasing import AliasRows, Families
from alert_bridge.store.control.cases import CaseRows
from alert_bridge.store.control.ends import EndRows
from alert_bridge.store.control.facts import FactRows
from alert_bridge.store.control.lineage import LineageRows
from alert_bridge.store.control.outbox import OutboxRows
from alert_bridge.store.control.retention import RetentionRows, give_back
from alert_bridge.store.control.reviews import ReviewRows
from alert_bridge.store.control.wishes import WishRows
from alert_bridge.store.sqlite import connect, migrate, transaction

__all__ = ["Book", "ControlStore"]

FILE_NAME = "control.db"


class Book(AliasRows, CaseRows, EndRows, FactRows, LineageRows, OutboxRows, WishRows, ReviewRows, RetentionRows):
    """What may be read and written within one transaction, in the words of the engine."""

    def __init__(self, connection: sqlite3.Connection, families: Families) -> None:
        CaseRows.__init__(self, connection)
        self.families = families


class ControlStore:
    """control.db in one state directory. Threads take turns: SQLite has one writer, and its own waiting is by sleep."""

    def __init__(self, state: Path) -> None:
        self.path = state / FILE_NAME
        self._lock = threading.Lock()
        self._connection = connect(self.path)
        migrate(self._connection, "control")
        self._families = Families()

    @contextmanager
    def writing(self) -> Iterator[Book]:
        """One transaction, on disk when the block ends.

        Raises:
            alert_bridge.errors.StoreBusy: nothing was written.
        """
        with self._lock:
            try:
                with transaction(self._connection) as connection:
                    yield Book(connection, self._families)
            except BaseException:
                self._families.clear()
                raise

    def give_back(self) -> None:
        """Return some of the pages that are free to the file system."""
        with self._lock:
            give_back(self._connection)

    def close(self) -> None:
        """Wait for the transaction that runs, then close."""
        with self._lock:
            self._connection.close()
