"""control.db: issues, incidents, conversations, the outbox, receipts, decisions. One writing process, many readers."""

from __future__ import annotations

from alert_bridge.store.control.asking import ControlWishes
from alert_bridge.store.control.database import ControlStore
from alert_bridge.store.control.outbox import Lease
from alert_bridge.store.control.reader import SqliteControlReader, open_reader
from alert_bridge.store.control.retention import Ages

__all__ = ["Ages", "ControlStore", "ControlWishes", "Lease", "SqliteControlReader", "open_reader"]
