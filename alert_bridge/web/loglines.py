"""Records as the lines of a log: one line each, the rest folded. Pure.

What is cut here is cut for the eye only; the download has every character that was stored.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from alert_bridge.model import Record, Severity
from alert_bridge.web.wording import TRACEBACK_START, clock_time, first_line, iso, visible
from instrumentation import attributes as names

__all__ = ["LogLine", "LogView", "log_lines", "log_view"]

HEAD_CHARS: Final = 2000  # of a record's first line
REST_CHARS: Final = 20_000  # of what is folded below it
NEAR_BEFORE, NEAR_AFTER = 25, 15  # lines that stay unfolded around the record that is looked at
_LEVEL_CLASS: Final = {
    Severity.CRITICAL: "critical",
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.INFO: "info",
    Severity.DEBUG: "debug",
    Severity.TRACE: "debug",
}


@dataclass(frozen=True, slots=True)
class LogLine:
    """One record as a person reads it."""

    uid: str
    iso: str
    clock: str
    level: str
    css: str
    stage: str
    process: str
    head: str
    rest: str
    rest_label: str
    left_out: int  # characters that are only in the download
    is_focus: bool
    is_occurrence: bool
    span_id: str


def _process(record: Record) -> str:
    name = record.text(names.MODEL_NAME) or record.text(names.SERVICE_NAME)
    pid = record.text(names.PROCESS_PID)
    return f"{name} · {pid}" if name and pid else name or pid


def _line(record: Record, focus: str, occurrences: Collection[str]) -> LogLine:
    head, _, more = record.body.partition("\n")
    if head.startswith(TRACEBACK_START):  # a traceback logged as a message says what happened at its end
        head, more = first_line(record.body, HEAD_CHARS), record.body
    stack = record.attributes.get(names.EXCEPTION_STACKTRACE)
    stack = str(stack) if stack else ""
    tails = [record.text(name) for name in (names.STDOUT_TAIL, names.STDERR_TAIL)] if record.event_name else []
    rest = "\n".join(part.strip("\n") for part in (more, stack, *tails) if part)
    label = ""
    if rest:
        lines = rest.count("\n") + 1
        label = f"{'stack trace, ' if stack else ''}{lines:,} {'line' if lines == 1 else 'lines'}"
    return LogLine(
        uid=record.uid,
        iso=iso(record.time),
        clock=clock_time(record.time),
        level=record.severity.name,
        css=_LEVEL_CLASS[record.severity],
        stage=visible(record.stage),
        process=visible(_process(record)),
        head=visible(head[:HEAD_CHARS]) or record.event_name,
        rest=visible(rest[:REST_CHARS]),
        rest_label=label,
        left_out=max(len(head) - HEAD_CHARS, 0) + max(len(rest) - REST_CHARS, 0),
        is_focus=record.uid == focus,
        is_occurrence=record.uid in occurrences,
        span_id=record.span_id,
    )


def log_lines(records: Sequence[Record], *, focus: str = "", occurrences: Collection[str] = ()) -> tuple[LogLine, ...]:
    """One line per record, in order. ``focus``: uid of the record that is looked at."""
    return tuple(_line(record, focus, occurrences) for record in records)


@dataclass(frozen=True, slots=True)
class LogView:
    """A log in three parts: what is near the record that is looked at, and what lies before and after, folded."""

    earlier: tuple[LogLine, ...]
    near: tuple[LogLine, ...]
    later: tuple[LogLine, ...]


def log_view(lines: tuple[LogLine, ...]) -> LogView:
    """Cut around the focus; without one, the end of the log is near."""
    here = next((index for index, line in enumerate(lines) if line.is_focus), len(lines) - 1)
    first, last = max(here - NEAR_BEFORE, 0), here + NEAR_AFTER + 1
    return LogView(earlier=lines[:first], near=lines[first:last], later=lines[last:])
