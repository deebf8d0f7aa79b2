"""Stops a program that runs longer than allowed: politely, then for good."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from typing import Final

from instrumentation.supervisor.processes import below
from instrumentation.supervisor.spawning import Program

__all__ = ["TimeLimit"]

KILL_AFTER_S: Final = 10.0  # between the polite and the final signal


@dataclass(slots=True)
class TimeLimit:
    """``seconds`` from ``started`` on, which is monotonic; 0 means no limit."""

    seconds: float
    started: float
    _asked_at: float | None = None
    _is_killed: bool = False

    @property
    def is_over(self) -> bool:
        """Whether the program was asked to stop."""
        return self._asked_at is not None

    def keep(self, program: Program, now: float) -> None:
        """Stops the program and all below it if it is time to. To be called again and again."""
        if not self.seconds or now - self.started < self.seconds:
            return
        if self._asked_at is None:
            self._asked_at = now
            _signal_all(program, signal.SIGTERM)
        elif not self._is_killed and now - self._asked_at >= KILL_AFTER_S:
            self._is_killed = True
            _signal_all(program, signal.SIGKILL)


def _signal_all(program: Program, number: int) -> None:
    for pid in (program.pid, *below(program.pid)):
        with contextlib.suppress(OSError):
            os.kill(pid, number)
