"""Records as the lines of a log: one line each, the rest folded. Pure.

The markup of a line is made here and not in a template: a page has a thousand of them, and this is four times as fast.
What is cut here is cut for the eye only; the download has every character that was stored.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from markupsafe import Markup, escape

from alert_bridge.model import Record, Severity
from alert_bridge.web.wording import TRACEBACK_START, clock_time, first_line, iso, visible
from instrumentation import attributes as names

__all__ = ["LogLine", "LogView", "log_lines", "log_rows", "log_view"]

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


_TAILS = (names.STACK_DUMP, names.STDOUT_TAIL, names.STDERR_TAIL)


@lru_cache(maxsize=4096)  # few stages and processes write many lines
def _process(name: str, pid: str) -> str:
    return visible(f"{name} · {pid}" if name and pid else name or pid)


def _rest(record: Record, more: str) -> tuple[str, str]:
    """What is folded under a record's first line, and its label."""
    stack = record.attributes.get(names.EXCEPTION_STACKTRACE)
    tails = [record.text(name) for name in _TAILS] if record.event_name else []
    if not (more or stack or tails):
        return "", ""
    rest = "\n".join(part.strip("\n") for part in (more, str(stack or ""), *tails) if part)
    count = rest.count("\n") + 1
    return rest, f"{'stack trace, ' if stack else ''}{count:,} {'line' if count == 1 else 'lines'}" if rest else ""


def _line(record: Record, focus: str, occurrences: Collection[str]) -> LogLine:
    head, _, more = record.body.partition("\n")
    if head.startswith(TRACEBACK_START):  # a traceback logged as a message says what happened at its end
        head, more = first_line(record.body, HEAD_CHARS), record.body
    rest, label = _rest(record, more)
    name = record.text(names.MODEL_NAME) or record.text(names.SERVICE_NAME)
    return LogLine(
        uid=record.uid,
        iso=iso(record.time),
        clock=clock_time(record.time),
        level=record.severity.name,
        css=_LEVEL_CLASS[record.severity],
        stage=visible(record.stage),
        process=_process(name, record.text(names.PROCESS_PID)),
        head=visible(head[:HEAD_CHARS]) or record.event_name,
        rest=visible(rest[:REST_CHARS]),
        rest_label=label,
        left_out=max(len(head) - HEAD_CHARS, 0) + max(len(rest) - REST_CHARS, 0),
        is_focus=record.uid == focus,
        is_occurrence=record.uid in occurrences,
    )


def log_lines(records: Sequence[Record], *, focus: str = "", occurrences: Collection[str] = ()) -> tuple[LogLine, ...]:
    """One line per record, in order. ``focus``: uid of the record that is looked at."""
    return tuple(_line(record, focus, occurrences) for record in records)


_SPECIAL: Final = re.compile("[&<>\"']")
_HERE: Final = '<strong class="here"><span aria-hidden="true">▶</span> this record</strong> '


def _escaped(text: str) -> str:
    return str(escape(text)) if _SPECIAL.search(text) else text


def _row(line: LogLine) -> str:
    uid, place = _escaped(line.uid), ""
    if line.is_focus:
        place = " focus"
    elif line.is_occurrence:
        place = " counted"
    row = (
        f'<li id="r-{uid}" class="{line.css}{place}"><a class="at" href="#r-{uid}"><time datetime="{line.iso}">'
        f'{line.clock}</time></a> <span class="lv">{line.level}</span> <span class="in"><b>{_escaped(line.stage)}</b> '
        f'{_escaped(line.process)}</span> <span class="say">{_HERE if line.is_focus else ""}'
        f"<bdi>{_escaped(line.head)}</bdi>"
    )
    if line.rest:
        row += f"<details><summary>{line.rest_label}</summary><pre>{_escaped(line.rest)}</pre></details>"
    if line.left_out:
        row += f'<em class="cut">{line.left_out:,} more characters are in the download</em>'
    return row + "</span></li>\n"


def log_rows(lines: Iterable[LogLine]) -> Markup:
    """The lines as items of a list, every text in them escaped."""
    return Markup("".join(map(_row, lines)))  # noqa: S704  # each part is ours or went through `_escaped`


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
