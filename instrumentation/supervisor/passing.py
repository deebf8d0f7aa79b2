"""Whose end the program's own is: a shell, or `conda run`, ends as the last process in it did. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from instrumentation.supervisor.descendants import Death
from instrumentation.supervisor.ending import Ending

__all__ = ["PASSED_ON_WITHIN_S", "LastEnds"]

PASSED_ON_WITHIN_S: Final = 5.0  # from noticing a process's end to noticing the program's: a look, and a busy machine
MAX_ENDS: Final = 16  # shells in shells, and the processes side by side in the innermost


@dataclass(slots=True)
class LastEnds:
    """How the Python processes below the program ended that ended last. Times are monotonic seconds."""

    _ends: deque[tuple[float, int, int]] = field(default_factory=lambda: deque(maxlen=MAX_ENDS))

    def add(self, death: Death, now: float) -> None:
        """A process is gone. Workers are left out: their parent ends as it likes, and some outlive it."""
        if death.status is not None and not death.is_worker:
            self._ends.append((now, death.pid, Ending.of(death.status).exit_code))

    def passed_on(self, exit_code: int, ended: float) -> list[int]:
        """The pids of those that ended last, all as the program did, shortly before it; the last first."""
        found = []
        for at, pid, code in reversed(self._ends):
            if code != exit_code or ended - at > PASSED_ON_WITHIN_S:
                break
            found.append(pid)
        return found
