"""The thread that lets old telemetry go, a little at a time, by the policy's retention."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from alert_bridge.errors import StoreBusy
from alert_bridge.policy.model import Policy
from alert_bridge.store.telemetry import TelemetryStore

__all__ = ["Sweeper"]

NS = 1_000_000_000
FIRST_AFTER_S = 60.0
EVERY_S = 3_600.0
PAUSE_S = 0.05  # between two steps, for the writer

log = logging.getLogger(__name__)


class Sweeper(threading.Thread):
    """Sweeps soon after the start, then every hour."""

    def __init__(self, store: TelemetryStore, *, policy: Callable[[], Policy], clock: Callable[[], int]) -> None:
        super().__init__(name="sweeper", daemon=True)
        self._store = store
        self._policy = policy
        self._clock = clock
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End after the step that runs."""
        self._stopped.set()

    def run(self) -> None:
        wait = FIRST_AFTER_S
        while not self._stopped.wait(wait):
            wait = EVERY_S
            try:
                gone = self.sweep()
            except StoreBusy as error:
                log.warning("Old telemetry stays for another hour: %s", error)
            else:
                log.info("%d rows of old telemetry are gone", gone)

    def sweep(self) -> int:
        """Delete everything that the policy does not keep; the number of rows."""
        retention, now = self._policy().retention, self._clock()
        logs, traces = (now - round(seconds * NS) for seconds in (retention.logs, retention.traces))
        total = 0
        while gone := self._store.drop_before(logs, traces=traces):
            total += gone
            if self._stopped.wait(PAUSE_S):
                break
        return total
