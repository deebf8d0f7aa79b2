"""When something ended, on a clock that may be set meanwhile: by a person, by NTP after the start of the machine."""

from __future__ import annotations

import time
from typing import Final

__all__ = ["now_ns_after"]

_NS_PER_S: Final = 1_000_000_000


def now_ns_after(started_ns: int, lasted_s: float) -> int:
    """Nanoseconds since the epoch; never before what began at ``started_ns`` and lasted so many monotonic seconds."""
    return max(time.time_ns(), started_ns + round(lasted_s * _NS_PER_S))
