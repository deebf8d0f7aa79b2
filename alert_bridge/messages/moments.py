"""Times, spans of time and amounts in words. Absolute, UTC; a date only where the reader could mistake the day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["clock", "lasting", "memory", "moment"]

NS_PER_SECOND = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_SECONDS = 253_402_300_799  # 9999-12-31, where datetime ends; senders' clocks may be further off
_GIB, _MIB = 2**30, 2**20


def moment(time: int, now: int = 0) -> str:
    """`11:06 UTC` on the day of ``now``, else `2026-11-25 11:06 UTC`. Nanoseconds since the epoch."""
    at, today = _datetime(time), _datetime(now)
    return f"{at:%H:%M} UTC" if at.date() == today.date() else f"{at:%Y-%m-%d %H:%M} UTC"


def clock(time: int) -> str:
    """`11:06:02` for a line of a log."""
    return f"{_datetime(time):%H:%M:%S}"


def lasting(seconds: float) -> str:
    """`less than 1 s`, `12 s`, `3 min 05 s`, `2 h 04 min`, `3 days 4 h`."""
    whole = max(0, round(min(seconds, float(_LATEST_SECONDS)))) if seconds == seconds else 0  # noqa: PLR0124 - NaN
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} day{'s' if days > 1 else ''}" + (f" {hour} h" if hour else "")
    if hours:
        return f"{hours} h {minute:02d} min" if minute else f"{hours} h"
    if minutes:
        return f"{minutes} min {second:02d} s" if second else f"{minutes} min"
    return f"{whole} s" if whole else "less than 1 s"


def memory(size: float) -> str:
    """`11.4 GiB` or `512 MiB` from bytes."""
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{size / _MIB:.0f} MiB"


def _datetime(time: int) -> datetime:
    return _EPOCH + timedelta(seconds=min(max(time // NS_PER_SECOND, 0), _LATEST_SECONDS))
