"""The moments of a schedule: cron's five fields, UTC, as crontab(5) reads them. Pure.

A day matches by its date or by its weekday where both are restricted, as in every cron since 1987.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

__all__ = ["following", "latest"]

SEARCHED_DAYS = 8 * 366  # the 29th of February comes again within eight years
_NS = 1_000_000_000
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


@dataclass(frozen=True, slots=True)
class _Fields:
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    fits_day: Callable[[datetime], bool]


def latest(schedule: str, now_ns: int) -> int:
    """The last moment at or before ``now_ns`` (nanoseconds since the epoch); 0 if there was none in eight years.

    ``schedule`` must be one that `alert_bridge.policy.schedules.cron_problem` has no objection to.
    """
    return _search(_parsed(schedule), now_ns, -1)


def following(schedule: str, now_ns: int) -> int:
    """The first moment after ``now_ns``; 0 if there is none in eight years."""
    return _search(_parsed(schedule), now_ns, 1)


def _search(fields: _Fields, now_ns: int, direction: int) -> int:
    now = datetime.fromtimestamp(now_ns // _NS, UTC)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    for _ in range(SEARCHED_DAYS):
        if fields.fits_day(day):
            moments = (day.replace(hour=hour, minute=minute) for hour in fields.hours for minute in fields.minutes)
            if direction < 0:
                found = max((moment for moment in moments if moment <= now), default=None)
            else:
                found = min((moment for moment in moments if moment > now), default=None)
            if found is not None:
                return int(found.timestamp()) * _NS
        day += timedelta(days=direction)
    return 0


@lru_cache(maxsize=64)
def _parsed(schedule: str) -> _Fields:
    texts = schedule.split()
    minutes, hours, dates, months, weekdays = (
        _numbers(text, least, most) for text, (least, most) in zip(texts, _RANGES, strict=True)
    )
    every_date, every_weekday = texts[2].startswith("*"), texts[4].startswith("*")
    sundays = {0, 7}

    def fits_day(day: datetime) -> bool:
        weekday = day.isoweekday()
        by_date = day.day in dates
        by_weekday = weekday in weekdays or (weekday in sundays and bool(sundays & weekdays))
        either = by_date and by_weekday if every_date or every_weekday else by_date or by_weekday
        return day.month in months and either

    return _Fields(tuple(sorted(minutes)), tuple(sorted(hours)), fits_day)


def _numbers(text: str, least: int, most: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        start, end = (least, most) if span == "*" else (int(first), int(last or first))
        found.update(range(start, end + 1, int(step or 1)))
    return frozenset(found)
