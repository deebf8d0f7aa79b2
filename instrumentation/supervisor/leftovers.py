"""Processes that go on though what started them is gone: a time-out that ended a shell, and not what it ran.

Who made a session of its own meant to stay. Of the others, those are told that stay for some seconds, or at the end of
the program; each command once, for a pool leaves many.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from instrumentation.supervisor.processes import argv_of, is_tracker, was_started_in

__all__ = ["Leftover", "Leftovers"]

STAYS_AFTER_S: Final = 5.0  # many end a moment later by themselves, when their input or their parent is gone
MAX_TOLD: Final = 16


@dataclass(frozen=True, slots=True)
class Leftover:
    """Such a process."""

    pid: int
    argv: Sequence[str]


def _is_of_run(pid: int, folder: Path) -> bool:
    """Whether the program started it, not we; and it is no daemon, nor will it end by itself."""
    try:
        return os.getsid(pid) == os.getsid(0) and was_started_in(pid, folder) and not is_tracker(pid)
    except OSError:
        return False


@dataclass(slots=True)
class Leftovers:
    """Notices them. ``folder`` is the run's, which the environment of its processes names."""

    folder: Path
    is_of_run: Callable[[int, Path], bool] = _is_of_run
    _first_seen: dict[int, float] = field(default_factory=dict)
    _told: set[tuple[str, ...]] = field(default_factory=set)

    def look(self, orphans: Sequence[int], now: float, *, at_end: bool = False) -> list[Leftover]:
        """Those that are to be told now.

        Args:
            orphans: processes below us that nobody but us waits for.
            now: monotonic seconds.
            at_end: the program is over, so that nothing of it should run any more.
        """
        self._first_seen = {pid: self._first_seen.get(pid, now) for pid in orphans}
        found = []
        for pid, since in self._first_seen.items():
            if (now - since < STAYS_AFTER_S and not at_end) or len(self._told) >= MAX_TOLD:
                continue
            argv = argv_of(pid)
            if argv not in self._told and self.stay([pid]):
                self._told.add(argv)
                found.append(Leftover(pid, argv))
        return found

    def stay(self, orphans: Sequence[int]) -> bool:
        """Whether any of them still runs and is not meant to."""
        return any(argv_of(pid) and self.is_of_run(pid, self.folder) for pid in orphans)
