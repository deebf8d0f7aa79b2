"""export-NAME.db: how far each exporter followed the telemetry, and its books. One file and one writer per exporter."""

from __future__ import annotations

from alert_bridge.store.exports.ledger import Ledger, Tally
from alert_bridge.store.exports.reader import ExportBooks, ExportState, export_states

__all__ = ["ExportBooks", "ExportState", "Ledger", "Tally", "export_states"]
