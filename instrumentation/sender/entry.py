"""An entry: one record, span or metric point, formatted, redacted and encoded, ready to go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

__all__ = ["LOG", "METRIC", "SPAN", "Entry", "shorten"]

LOG: Final = "log"
SPAN: Final = "span"
METRIC: Final = "metric"
MAX_TEXT_CHARACTERS: Final = 262_144  # of one body or stack trace; the middle of a longer one is left out


class Entry(NamedTuple):
    """One record, span or metric point, ready to go. ``log_line`` is what the structured log says of it."""

    kind: str
    time: int
    levelno: int
    is_urgent: bool
    scope: str
    message: bytes
    body: str
    event_name: str
    attributes: Mapping[str, object]
    trace_id: str = ""
    span_id: str = ""
    log_line: str = ""


def shorten(text: str) -> str:
    """The text, without its middle if it is too long for one attribute."""
    if len(text) <= MAX_TEXT_CHARACTERS:
        return text
    half = MAX_TEXT_CHARACTERS // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
