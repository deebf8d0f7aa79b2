"""The bridge as a service: one address, supervised processes. `alerts` answers and tells, `telemetry` keeps the bulk.

The parent owns the listening socket, so that a process that dies is replaced without a refused connection.
"""

from __future__ import annotations

from alert_bridge.service.settings import ServiceSettings, service_settings

__all__ = ["ServiceSettings", "service_settings"]
