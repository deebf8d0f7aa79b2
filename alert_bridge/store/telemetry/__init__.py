"""telemetry.db: logs, spans, metric points and runs in plain tables. `TelemetryStore` writes, `Telemetry` reads."""

from __future__ import annotations

from alert_bridge.store.telemetry.reader import Telemetry
from alert_bridge.store.telemetry.writer import Appended, Appender, TelemetryStore

__all__ = ["Appended", "Appender", "Telemetry", "TelemetryStore"]
