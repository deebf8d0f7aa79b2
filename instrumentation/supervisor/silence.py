"""When a program has been silent for too long. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["Silence"]

STOPPED_AFTER_S: Final = 2.0  # without a look: we were stopped from the terminal, and the program with us


@dataclass(slots=True)
class Silence:
    """``limit_s`` is what is allowed, 0 for any; ``since`` is when the watch began. All times are monotonic seconds."""

    limit_s: float
    since: float
    _last_look: float = 0.0
    _told_since: float = -1.0  # the sign of life that the silence followed that was told last

    def __post_init__(self) -> None:
        self._last_look = self.since

    def look(self, last_heard: float, now: float) -> float:
        """How long a silence is to be told now, 0 if none is: each one once. To be called again and again."""
        if now - self._last_look > STOPPED_AFTER_S:
            self.since = now
        self._last_look = now
        silent_for = now - max(last_heard, self.since)
        if not self.limit_s or silent_for < self.limit_s or self._told_since == last_heard:
            return 0.0
        self._told_since = last_heard
        return silent_for
