"""What a run may do before somebody is told or it is stopped."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds; 0 means no limit."""

    timeout_s: float = 0.0  # then it is stopped
    silent_after_s: float = 0.0  # then its silence is told
