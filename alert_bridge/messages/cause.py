"""What failed and why, in one line, from one record. For people who act; those who only need to know read `effects`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from alert_bridge.fingerprint.stacktrace import parse
from alert_bridge.messages.endings import ending_of, subject_of
from alert_bridge.messages.text import clean, clip, first_words, one_line, without_braces
from alert_bridge.model import Incident, Record
from instrumentation import attributes as names

__all__ = ["Cause", "body_of", "cause_of", "sentence", "stacktrace_of", "title_of", "where"]

MAX_REASON_CHARS = 240
MAX_WHERE_CHARS = 80
MAX_TYPE_CHARS = 60

MAX_COMMAND_CHARS = 40

_STAGE_ENDED = "%s ended: "
_TRACEBACK = "Traceback (most recent call last)"
# What `subprocess` says of a child; the end of it is the reason, and the command can be of any length.
_OF_COMMAND = re.compile(r"Command '(.+)' ((?:returned non-zero exit status|died with|timed out after) .+)", re.DOTALL)
_QUOTED = re.compile(r"""(['"])(.*?)(?<!\\)\1""")
_FAILING_EVENTS = (names.EVENT_RUN_END, names.EVENT_STAGE_END)


@dataclass(frozen=True, slots=True)
class Cause:
    """``verb`` joins place and reason: `failed: `, `: `, or a space where the pipeline itself did it."""

    verb: str
    reason: str


def cause_of(record: Record, fallback: str = "") -> Cause:
    """The death of a process, else the exception, else the first line of the text that says something."""
    ending = ending_of(record)
    if ending:
        who = clip(subject_of(record), MAX_WHERE_CHARS)
        return Cause(" ", ending) if who == one_line(record.pipeline) else Cause(": ", f"{who} {ending}")
    kind = _short(record.text(names.EXCEPTION_TYPE))
    message = _reason_line(record.text(names.EXCEPTION_MESSAGE))
    if kind:
        return Cause(" failed: ", clip(f"{kind}: {message}" if message else kind, MAX_REASON_CHARS))
    text = _reason_line(record.body) or message or one_line(fallback) or one_line(record.event_name)
    if record.event_name == names.EVENT_STAGE_END and record.text(names.TEMPLATE).startswith(_STAGE_ENDED):
        return Cause(" ", clip(text.removeprefix(f"{one_line(record.stage)} "), MAX_REASON_CHARS))
    about_itself = text.removeprefix(f"{one_line(record.pipeline)} ")
    if about_itself != text and about_itself[:1].isalpha():
        return Cause(" ", clip(about_itself, MAX_REASON_CHARS))
    failed = _TRACEBACK in record.body or record.event_name in _FAILING_EVENTS
    return Cause(" failed: " if failed and text else ": ", clip(text or "no text was given", MAX_REASON_CHARS))


def title_of(record: Record) -> str:
    """The problem in one line that stands alone in a list: the reason, and of whom it is told."""
    cause = cause_of(record)
    if cause.verb != " ":
        return cause.reason
    of_stage = record.event_name == names.EVENT_STAGE_END
    return f"{clip(one_line(record.stage if of_stage else record.pipeline), MAX_WHERE_CHARS)} {cause.reason}"


def where(incident: Incident) -> str:
    """`monthly_run / fetch_data`, as far as it is known."""
    parts = (one_line(incident.pipeline), one_line(incident.stage))
    return " / ".join(clip(part, MAX_WHERE_CHARS) for part in parts if part) or "unknown pipeline"


def sentence(incident: Incident, *, over: bool = False) -> str:
    """Place and reason: `monthly_run / fetch failed: ConnectionError: VPN is down`; no "failed" once it is over."""
    cause = cause_of(incident.sample, incident.title)
    verb = ": " if over and cause.verb.strip() else cause.verb
    return f"{where(incident)}{verb}{cause.reason}"


def body_of(record: Record) -> str:
    """The record's own text; empty if it is only a stack trace, which is shown as one."""
    return "" if _TRACEBACK in record.body[:400] else clean(without_braces(record.body))


def stacktrace_of(record: Record) -> str:
    """The stack trace as it came, also where it was logged as the message."""
    trace = record.text(names.EXCEPTION_STACKTRACE)
    return record.body if not trace and _TRACEBACK in record.body else trace


def _short(kind: str) -> str:
    """`requests.exceptions.ConnectionError` is `ConnectionError` to a reader."""
    return clip(one_line(kind).rpartition(".")[2], MAX_TYPE_CHARS)


def _with_short_command(text: str) -> str:
    """`Command '['/opt/bin/python', 'train.py', …]' died with …` as `Command 'python train.py …' died with …`."""
    found = _OF_COMMAND.fullmatch(text.strip()) if text.lstrip().startswith("Command '") else None
    if found is None:
        return text
    command, end = found.groups()
    words = [word for _, word in _QUOTED.findall(command)] if command.startswith("[") else command.split()
    words[:1] = [word.rpartition("/")[2] for word in words[:1]]
    return f"Command '{clip(one_line(' '.join(words)), MAX_COMMAND_CHARS)}' {end}"


def _reason_line(text: str) -> str:
    """Of a traceback the exception that ended it, named as one that is logged as such; else the first words."""
    if _TRACEBACK not in text:
        return first_words(_with_short_command(text))
    raised = [one for one in parse(text) if not one.carrier]
    if raised:
        kind, message = _short(raised[-1].type), first_words(_with_short_command(raised[-1].message))
        return f"{kind}: {message}" if message else kind
    told = [line for line in clean(text).split("\n") if line.strip() and not line.startswith((" ", "|", "+", '"'))]
    return one_line(told[-1]) if told and not told[-1].startswith(_TRACEBACK) else "Traceback without its last line"
