"""How values read on a page: times, durations, severities, states. Pure; nothing here knows HTML."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from alert_bridge.model import NoticeState, Severity
from alert_bridge.store.interface import Delivery

__all__ = [
    "TRACEBACK_START",
    "ago",
    "bytes_in_words",
    "clock_time",
    "day_and_time",
    "delivery_state",
    "duration",
    "first_line",
    "is_web_link",
    "iso",
    "number",
    "percent",
    "severity_shape",
    "visible",
]

TRACEBACK_START: Final = "Traceback (most recent call last)"
NANOSECONDS: Final = 1_000_000_000
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400

SHAPES: Final = {
    Severity.CRITICAL: "◆",
    Severity.ERROR: "■",
    Severity.WARNING: "▲",
    Severity.INFO: "●",
    Severity.DEBUG: "○",
    Severity.TRACE: "○",
}

# Characters that would change how the text around them reads: bidirectional controls (Unicode TR9) and control codes.
_BIDI: Final = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_HIDDEN: Final = {
    **{code: chr(0x2400 + code) for code in range(0x20) if code not in (0x09, 0x0A)},
    0x0D: "",  # a carriage return only repeats the line break beside it
    0x7F: "␡",
    **{code: f"⟨{code:02X}⟩" for code in range(0x80, 0xA0)},
    **{code: f"⟨U+{code:04X}⟩" for code in _BIDI},
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),  # lone surrogates have no UTF-8
}
_NEEDS_CARE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_COLOUR_CODE: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def visible(text: str) -> str:
    """The text with terminal colours gone and every character that could hide or reorder others made visible."""
    if not _NEEDS_CARE.search(text):
        return text
    return _COLOUR_CODE.sub("", text).translate(_HIDDEN)


def first_line(text: str, limit: int = 300) -> str:
    """The first line that says something, cut at ``limit`` characters; of a bare traceback that is the last one."""
    line = next((part.strip() for part in text[: limit * 4].splitlines() if part.strip()), "")
    if line.startswith(TRACEBACK_START):
        line = text[-limit * 4 :].strip().splitlines()[-1].strip()
    return line if len(line) <= limit else f"{line[:limit].rstrip()}…"


def _utc(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds // NANOSECONDS, UTC)


@lru_cache(maxsize=4096)  # a log has many lines a second
def _second(seconds: int) -> tuple[str, str]:
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at:%Y-%m-%d}", f"{at:%H:%M:%S}"


def iso(nanoseconds: int) -> str:
    """For `datetime` attributes and downloads: `2026-11-25T19:53:03.123Z`."""
    day, clock = _second(nanoseconds // NANOSECONDS)
    return f"{day}T{clock}.{nanoseconds // 1_000_000 % 1000:03d}Z"


def clock_time(nanoseconds: int) -> str:
    """For a log line, where the day is known: `19:53:03.123`."""
    return f"{_second(nanoseconds // NANOSECONDS)[1]}.{nanoseconds // 1_000_000 % 1000:03d}"


def day_and_time(nanoseconds: int) -> str:
    """For everything else: `25 Nov 2026 19:53 UTC`."""
    return f"{_utc(nanoseconds):%-d %b %Y %H:%M} UTC"


def ago(then: int, now: int) -> str:
    """How long before ``now``: `12 min ago`; a time to come reads `in 12 min`."""
    seconds = (now - then) // NANOSECONDS
    span = abs(seconds)
    if span < _MINUTE:
        return "just now" if seconds >= 0 else f"in {span} s"
    if span < _HOUR:
        words = f"{span // _MINUTE} min"
    elif span < 2 * _DAY:
        words = f"{span // _HOUR} h"
    else:
        words = f"{span // _DAY} days"
    return f"{words} ago" if seconds >= 0 else f"in {words}"


def duration(nanoseconds: int) -> str:
    """Two significant parts at most: `830 µs`, `12.4 s`, `3 min 20 s`, `2 h 5 min`."""
    seconds = max(nanoseconds, 0) / NANOSECONDS
    if seconds < 0.001:  # noqa: PLR2004  # the unit changes here
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def number(value: int) -> str:
    return f"{value:,}"


def percent(share: float) -> str:
    """A share of one as an SVG length."""
    return f"{share * 100:.3f}%"


def bytes_in_words(count: float) -> str:
    """`1.5 GiB`, in powers of 1,024."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:  # noqa: PLR2004  # the step between units
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def severity_shape(severity: Severity) -> str:
    return SHAPES[severity]


def is_web_link(text: str) -> bool:
    """Whether a browser may follow it: `http` or `https` with a host, and nothing like `javascript:`."""
    try:
        parts = urlsplit(text.strip())
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def delivery_state(delivery: Delivery) -> tuple[str, str, str]:
    """(shape, word, CSS class) of one delivery, in the words of somebody who waits for it."""
    last = delivery.receipts[-1].outcome if delivery.receipts else ""
    if delivery.state is NoticeState.DELIVERED:
        return ("✓", "previewed", "fine") if last == "previewed" else ("✓", "told", "fine")
    if delivery.state is NoticeState.DEAD:
        return ("✕", "not delivered", "bad")
    if delivery.state is NoticeState.SUPPRESSED:
        return ("⊘", "held back by a rule", "quiet")
    if delivery.attempts:
        return ("↻", "retrying", "late")
    return ("…", "waiting", "quiet")
