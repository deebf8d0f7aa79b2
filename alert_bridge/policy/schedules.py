"""Months of a rota, schedules and times of day: how they are written."""

from __future__ import annotations

import re
import zoneinfo
from datetime import date
from difflib import get_close_matches

from alert_bridge.quiet import DAYS

__all__ = [
    "CLOCK_PATTERN",
    "MONTH_PATTERN",
    "clock_problem",
    "cron_problem",
    "day_problem",
    "days_of",
    "due_problem",
    "month_after",
    "month_of",
    "month_problem",
    "zone_problem",
]

MONTH_PATTERN = r"^\d{4}-(0[1-9]|1[0-2])$"
CLOCK_PATTERN = r"^([01]\d|2[0-3]):[0-5]\d$"

_FINE = ("", "")
_CRON_FIELDS = (
    ("a minute", 0, 59),
    ("an hour", 0, 23),
    ("a day of the month", 1, 31),
    ("a month", 1, 12),
    ("a weekday", 0, 7),
)


def month_of(day: date) -> str:
    return f"{day.year:04}-{day.month:02}"


def month_after(day: date) -> str:
    return month_of(date(day.year + day.month // 12, day.month % 12 + 1, 1))


def month_problem(text: str) -> tuple[str, str]:
    if re.match(MONTH_PATTERN, text):
        return _FINE
    parts = re.fullmatch(r"(\d{4})[-/. ]?(\d{1,2})(?:-\d{1,2})?", text)
    if parts and 1 <= int(parts[2]) <= 12:  # noqa: PLR2004 - months of a year
        return f"{text!r} is not a month", f"did you mean {parts[1]}-{int(parts[2]):02}?"
    if parts:
        return f"{text!r} is not a month", "months run from 01 to 12"
    return f"{text!r} is not a month", "write year and month: 2026-11"


def cron_problem(text: str) -> tuple[str, str]:
    """Five fields of numbers, `*`, lists, ranges and steps, as in crontab(5), without names of months and days."""
    fields = text.split()
    if len(fields) != len(_CRON_FIELDS):
        return f"{text!r} has {len(fields)} fields, a schedule has 5", '"minute hour day month weekday": "0 6 1 * *"'
    for field, (name, least, most) in zip(fields, _CRON_FIELDS, strict=True):
        if not all(_cron_part(part, least, most) for part in field.split(",")):
            return f"{field!r} is not {name}", f"*, or numbers from {least} to {most}, as in 1,15 or 1-5 or */2"
    return _FINE


def due_problem(text: str) -> tuple[str, str]:
    """`run_end`, or a schedule."""
    if text == "run_end":
        return _FINE
    if len(text.split()) != len(_CRON_FIELDS):
        return f"{text!r} is not a time", 'write run_end, or a schedule in UTC: "0 12 3 * *"'
    return cron_problem(text)


def clock_problem(text: str) -> tuple[str, str]:
    if re.match(CLOCK_PATTERN, text):
        return _FINE
    parts = re.fullmatch(r"(\d{1,2})(?:[:.h](\d{1,2}))?", text.strip())
    if text.strip() == "24:00":
        return f"{text!r} is not a time of day", 'midnight is "00:00"'
    if parts and int(parts[1]) < 24 and int(parts[2] or 0) < 60:  # noqa: PLR2004 - hours and minutes
        return f"{text!r} is not a time of day", f'did you mean "{int(parts[1]):02}:{int(parts[2] or 0):02}"?'
    return f"{text!r} is not a time of day", 'write hours and minutes: "20:00"'


def zone_problem(text: str) -> tuple[str, str]:
    try:
        zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        known = sorted(zoneinfo.available_timezones())
        close = get_close_matches(text, known, 1, 0.6) or [name for name in known if name.endswith(f"/{text}")][:1]
        return f"unknown time zone {text!r}", f"did you mean {close[0]}?" if close else "write Europe/Oslo, or UTC"
    return _FINE


def days_of(value: object) -> object:
    """Days and spans of days, in a list or with commas, one by one: `mon-fri`, `sat, sun`."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list):
        return value
    days: list[object] = []
    for part in parts:
        word = part.strip().lower() if isinstance(part, str) else part
        first, _, last = word.partition("-") if isinstance(word, str) else (word, "", "")
        if isinstance(word, str) and first[:3] in DAYS and last[:3] in DAYS:
            start, end = DAYS.index(first[:3]), DAYS.index(last[:3])
            days += [DAYS[number % 7] for number in range(start, end + 1 if end >= start else end + 8)]
        else:
            days.append(word)
    return days


def day_problem(text: str) -> tuple[str, str]:
    if text in DAYS:
        return _FINE
    close = next((day for day in DAYS if text.startswith(day)), "")
    return f"{text!r} is not a day", f"did you mean {close}?" if close else f"one of {', '.join(DAYS)}, or mon-fri"


def _cron_part(part: str, least: int, most: int) -> bool:
    found = re.fullmatch(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?", part)
    if found is None:
        return False
    low, high, step = (int(text) if text else None for text in found.groups())
    if step == 0 or (step is not None and low is not None and high is None):
        return False
    ends = [end for end in (low, high) if end is not None]
    return all(least <= end <= most for end in ends) and ends == sorted(ends)
