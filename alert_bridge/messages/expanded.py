"""The expanded summary for people who act: what happened, where, the log around it, the stack trace, the facts."""

from __future__ import annotations

import re

from alert_bridge.incidents.storm import is_storm
from alert_bridge.messages.cause import body_of, cause_of, stacktrace_of, where
from alert_bridge.messages.effects import is_over
from alert_bridge.messages.endings import ending_of, last_output, stacks_of, subject_of
from alert_bridge.messages.moments import clock, moment
from alert_bridge.messages.text import claims, clip, first_words, one_line, outer_parts, visible
from alert_bridge.model import Incident, Reason, Record, Story
from instrumentation import attributes as names

__all__ = ["MAX_LOG_LINES", "closing_for_action", "log_around", "paragraphs_for_action", "trace_in_parts"]

MAX_BODY_CHARS = 1_500
MAX_LOG_LINES = 40
MAX_LINES_AFTER = 8
MAX_LOG_LINE_CHARS = 180
TRACE_HEAD_CHARS = 1_200
TRACE_TAIL_CHARS = 3_300
MAX_TRACE_LINE_CHARS = 400
STACKS_HEAD_CHARS = 2_400  # who hangs stands first; whoever waits for it, last
STACKS_TAIL_CHARS = 600
MAX_OUTPUT_CHARS = 1_500
MAX_FACTS = 14
MAX_FACT_CHARS = 240
MAX_PATH_CHARS = 400
RUN_SPAN = "RUN "  # before a pipeline's name in that of its root span, as the semantic conventions have it
OWN_LOGGERS = ("pipeline_alerts", "alert_bridge")  # what we say of a program: no place in it to look at

MAX_STACK_CHARS = 20_000  # from the end

_PLACE = re.compile(r'^\s*File "([^"]{1,4096})", line (\d{1,9}), in (.{1,300})$', re.MULTILINE)
_LIBRARY = re.compile(r"(?:^|[/\\])(?:site-packages|dist-packages|lib(?:64)?[/\\]python\d[^/\\]*|Lib)[/\\]|^<frozen ")
_LEVEL_WIDTH = len("CRITICAL")


def paragraphs_for_action(story: Story) -> tuple[tuple[str, str], ...]:
    """(heading, text) in reading order; a heading without anything to say is left out."""
    incident = story.incident
    candidates = (
        ("What happened", _what_happened(incident)),
        ("Where", _where(story)),
        ("Reported by", _listed(story.affected)),
        ("The worst of them" if is_storm(incident.sample) else "Also failed because of it", _folded(story)),
        (
            "Where it hangs",
            visible(outer_parts(stacks_of(incident.sample).strip(), STACKS_HEAD_CHARS, STACKS_TAIL_CHARS)),
        ),
        *((label, _last_lines(text)) for label, text in last_output(incident.sample)),
        ("What it means", clip(one_line(incident.effect), MAX_FACT_CHARS)),
    )
    return tuple((heading, text) for heading, text in candidates if text)


def closing_for_action(story: Story) -> tuple[tuple[str, str], ...]:
    """(heading, text) of what is read last."""
    candidates = (
        ("This run", _facts(story)),
        ("Also told", _listed(story.also_told)),
        ("Next", _next(story)),
    )
    return tuple((heading, text) for heading, text in candidates if text)


def log_around(story: Story) -> tuple[str, tuple[str, ...]]:
    """(title, lines): the end of the log up to the error and a little after it; `>` marks the error's own line."""
    records = story.log_tail
    if not records:
        return "", ()
    uid = story.incident.sample.uid
    position = next((index for index, record in enumerate(records) if record.uid == uid), len(records) - 1)
    stop = min(len(records), position + 1 + MAX_LINES_AFTER)
    start = max(0, stop - MAX_LOG_LINES)
    shown = records[start:stop]
    lines = tuple(_log_line(record, marked=record.uid == uid) for record in shown)
    if any(record.uid == uid for record in shown):
        title = f"Log of the run around the error: {_lines(len(shown))}, times in UTC; the full log has the rest"
    else:  # the bulk lane was slower than the alert
        title = (
            f"End of the run's log so far: {_lines(len(shown))}, times in UTC; the error's own line had not arrived yet"
        )
    return title, lines


def trace_in_parts(record: Record) -> str:
    """The stack trace in its own order; of a long one the beginning and the end, saying how much is left out."""
    lines = (clip(line, MAX_TRACE_LINE_CHARS) for line in stacktrace_of(record).strip().split("\n"))
    return visible(outer_parts("\n".join(lines), TRACE_HEAD_CHARS, TRACE_TAIL_CHARS))


def _what_happened(incident: Incident) -> str:
    record = incident.sample
    body = clip(body_of(record), MAX_BODY_CHARS)
    if ending := ending_of(record):
        return _how_it_ended(record, ending, body)
    reason = cause_of(record, incident.title).reason
    if not body:
        return reason
    if claims(record.attributes.get(names.UNCAUGHT)):
        return body.rstrip(": ")  # an exception without a text
    return body if reason in body or first_words(record.body) == reason else f"{body}\n{reason}"


def _how_it_ended(record: Record, ending: str, body: str) -> str:
    """Who ended how, and what else was said of it; of a process below the program also which one it was."""
    lines = [f"{subject_of(record)} {ending.rstrip('.')}."]
    if not record.text(names.TEMPLATE):  # else it is our word for what was just said
        lines.append(body)
    if names.PROCESS_PID in record.attributes and not record.text(names.RUN_RESULT):
        command = one_line(record.text(names.COMMAND))
        lines.append(clip(f"Its command: {command}", MAX_FACT_CHARS) if command else "")
        lines.append(f"Its process id: {one_line(record.text(names.PROCESS_PID))}")
    return "\n".join(line for line in lines if line)


def _folded(story: Story) -> str:
    """What is told as part of this incident, so that nobody looks for it elsewhere."""
    lines = [
        f"• {clip(one_line(title), MAX_LOG_LINE_CHARS)}" + (f" ({count:,} times)" if count > 1 else "")
        for title, count in story.folded
    ]
    left = story.folded_in_all - len(story.folded)
    return "\n".join((*lines, f"and {left:,} more, on the page of this incident") if left > 0 else lines)


def _where(story: Story) -> str:
    record = story.incident.sample
    spans = " › ".join(one_line(name).removeprefix(RUN_SPAN) for name in story.stage_path)  # noqa: RUF001 - an arrow is meant
    path = spans or where(story.incident)
    file, line = one_line(record.text(names.CODE_FILE)), one_line(record.text(names.CODE_LINE))
    function = one_line(record.text(names.CODE_FUNCTION))
    code = f"{file}:{line}" if file and line else file
    if function:
        code = f"{code}, in {function}" if code else f"in {function}"
    own = _last_place_of_its_own(record, file)
    logger = f"logger {one_line(record.scope)}" if record.scope and record.scope not in OWN_LOGGERS else ""
    facts = (own, f"raised in {code}", "") if own else (code, logger)
    lines = (clip(path, MAX_PATH_CHARS), *(clip(fact, MAX_FACT_CHARS) for fact in facts))
    return "\n".join(line for line in lines if line)


def _last_place_of_its_own(record: Record, raised_in: str) -> str:
    """Of an exception that was raised in a library: where the program called it, as far as its stack trace tells."""
    if not _LIBRARY.search(raised_in):
        return ""
    trace = record.text(names.EXCEPTION_STACKTRACE)[-MAX_STACK_CHARS:]
    own = [place for place in _PLACE.findall(trace) if not _LIBRARY.search(place[0])]
    return one_line("{}:{}, in {}".format(*own[-1])) if own else ""


def _facts(story: Story) -> str:
    record = story.incident.sample
    known = (
        ("Model", record.text(names.MODEL_NAME)),
        ("Host", record.text(names.HOST_NAME)),
        ("Revision", record.text(names.VCS_REVISION)),
    )
    told = {label.casefold() for label, _ in story.run_facts}
    rows = [*story.run_facts, *((label, value) for label, value in known if label.casefold() not in told)]
    lines = [f"{one_line(label)}: {one_line(value)}" for label, value in rows if one_line(label) and one_line(value)]
    return "\n".join(clip(line, MAX_FACT_CHARS) for line in lines[:MAX_FACTS])


def _next(story: Story) -> str:
    if story.reason in {Reason.TEST, Reason.OPERATOR, Reason.DIGEST}:
        return ""
    if is_over(story):
        return "Nothing more will follow unless it comes back."
    reminder = f", or on {moment(story.reminder_at)} if it stays open" if story.reminder_at > story.now else ""
    return f"You hear again when it is resolved or gets worse{reminder}. Repeats are counted without a new message."


def _last_lines(text: str) -> str:
    cleaned = visible(text[-MAX_OUTPUT_CHARS * 2 :])
    if len(cleaned) <= MAX_OUTPUT_CHARS:
        return cleaned
    return "…\n" + cleaned[-MAX_OUTPUT_CHARS:].partition("\n")[2]


def _listed(items: tuple[str, ...]) -> str:
    return clip(", ".join(name for item in items if (name := one_line(item))), MAX_PATH_CHARS)


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count} lines"


def _log_line(record: Record, *, marked: bool) -> str:
    place = one_line(record.stage)
    more = record.body.count("\n")
    text = first_words(record.body) or one_line(record.event_name)
    line = f"{'>' if marked else ' '} {clock(record.time)} {record.severity.name:<{_LEVEL_WIDTH}} "
    line += f"{place}: {text}" if place else text
    return clip(line, MAX_LOG_LINE_CHARS) + (f" (+{more} lines)" if more and not text.endswith("…") else "")
