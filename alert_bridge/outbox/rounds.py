"""A thread that looks at the clock and the store again and again; no trouble of one round is the end of it."""

from __future__ import annotations

import logging
import threading

from alert_bridge.errors import StoreBusy

__all__ = ["Rounds"]

log = logging.getLogger(__name__)


class Rounds(threading.Thread):
    """Does its ``step`` every so many seconds until it is stopped."""

    def __init__(self, name: str, *, every_s: float) -> None:
        super().__init__(name=name, daemon=True)
        self._every_s = every_s
        self._stopped = threading.Event()

    def step(self) -> None:
        """Do what is due."""
        raise NotImplementedError

    def stop(self) -> None:
        """End after the step that runs."""
        self._stopped.set()

    def run(self) -> None:
        while not self._stopped.wait(self._every_s):
            try:
                self.step()
            except StoreBusy as error:
                log.warning("The %s waits for the store: %s", self.name, error)
            except Exception:  # it must not end: incidents would stay open and silences would never be lifted
                log.exception("The %s failed", self.name)
