"""Exporters follow the telemetry store and mirror it elsewhere. A folder per target, one thread and one cursor each.

The store is the queue: nothing waits in memory, and what a target misses while it is away it gets later, with true
times. Nothing here can delay an alert: it is a process of its own, and it only reads.
"""

from __future__ import annotations

from alert_bridge.exporters.base import Batch, Exporter, Signal, Taken
from alert_bridge.exporters.follower import Follower
from alert_bridge.exporters.source import Source

__all__ = ["Batch", "Exporter", "Follower", "Signal", "Source", "Taken"]
