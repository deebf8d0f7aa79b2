"""What a run may do before somebody is told or it is stopped."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["Limits", "seconds_of"]

_SECONDS_OF: Final = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_SHAPE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)?")


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds; 0 means no limit."""

    timeout_s: float = 0.0  # then it is stopped
    silent_after_s: float = 0.0  # then its silence is told


def seconds_of(duration: str) -> float | None:
    """The seconds of `90`, `90s`, `30m`, `6h` or `2d`; None if it is no duration."""
    found = _SHAPE.fullmatch(duration.strip().lower())
    return float(found[1]) * _SECONDS_OF[found[2] or ""] if found else None
