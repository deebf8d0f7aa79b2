"""Months of a rota and cron schedules: how they are written."""

from __future__ import annotations

import re
from datetime import date

__all__ = ["MONTH_PATTERN", "cron_problem", "month_after", "month_of", "month_problem"]

MONTH_PATTERN = r"^\d{4}-(0[1-9]|1[0-2])$"

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


def _cron_part(part: str, least: int, most: int) -> bool:
    found = re.fullmatch(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?", part)
    if found is None:
        return False
    low, high, step = (int(text) if text else None for text in found.groups())
    if step == 0 or (step is not None and low is not None and high is None):
        return False
    ends = [end for end in (low, high) if end is not None]
    return all(least <= end <= most for end in ends) and ends == sorted(ends)
