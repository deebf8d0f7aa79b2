"""Durations as people write them: `30s`, `10m`, `1h30m`, `90d`, `5y`."""

from __future__ import annotations

import re

__all__ = ["MAX_SECONDS", "PATTERN", "seconds"]

MAX_SECONDS = 100 * 365 * 86_400.0  # nanoseconds since the epoch must still fit 64 bits
_UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_PART = r"\d{1,9}(?:\.\d{1,6})?(?:ms|s|m|h|d|w|y)"
PATTERN = rf"^(?:{_PART})+$"
"""For the JSON Schema: one or more numbers, each with its unit."""


def seconds(text: str) -> float:
    """The duration in seconds.

    Raises:
        ValueError: it is not one; the text says how to write it.
    """
    compact = text.replace(" ", "")
    if re.fullmatch(r"[\d.]+", compact):
        raise ValueError(f"{text!r} needs a unit: write {compact}s, {compact}m, {compact}h or {compact}d")
    if not re.fullmatch(PATTERN, compact):
        raise ValueError(f"{text!r} is not a duration: write 30s, 10m, 1h30m, 24h or 90d")
    total = sum(
        float(number) * _UNIT_SECONDS[unit] for number, unit in re.findall(r"([\d.]+)(ms|s|m|h|d|w|y)", compact)
    )
    if total > MAX_SECONDS:
        raise ValueError(f"{text!r} is longer than 100 years")
    return total
