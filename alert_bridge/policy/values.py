"""The single values of a policy file: what each may be, how it is read, and how an editor's schema says so.

Every scalar arrives as the text in the file. A wrong one raises with our own sentence and what was probably meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Annotated, Literal, NoReturn

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from alert_bridge.model import Duty, Severity
from alert_bridge.policy import addresses, durations, schedules

__all__ = [
    "CLOCK_SCHEMA",
    "DURATION_SCHEMA",
    "MANY_SCHEMA",
    "AudienceKey",
    "AudienceNames",
    "Clock",
    "Conditions",
    "Cron",
    "Days",
    "Due",
    "Duration",
    "DutyWord",
    "Emails",
    "Level",
    "Month",
    "PositiveDuration",
    "ResolveAfter",
    "Runbook",
    "Slack",
    "Text",
    "Version",
    "Zone",
    "reject",
]

MAX_TEXT_CHARACTERS = 500
LEVELS = ("INFO", "WARNING", "ERROR", "CRITICAL")
NAMED_FIELDS = ("severity", "body", "event_name", "pipeline", "environment", "stage", "scope")

_LEVEL_SYNONYMS = {"WARN": "WARNING", "ERR": "ERROR", "FATAL": "CRITICAL", "CRIT": "CRITICAL"}


def reject(message: str, suggestion: str = "") -> NoReturn:
    """Raise what pydantic collects: an error whose text is ours, with what was probably meant."""
    raise PydanticCustomError("policy", "{message}", {"message": message, "suggestion": suggestion})


def _checked(check: Callable[[str], tuple[str, str]]) -> AfterValidator:
    """A check that answers with what is wrong and what was meant, or with two empty texts."""

    def apply(value: str) -> str:
        message, suggestion = check(value)
        if message:
            reject(message, suggestion)
        return value

    return AfterValidator(apply)


def _level(value: object) -> Severity:
    name = value.strip().upper() if isinstance(value, str) else ""
    if name == "ALL":
        reject("'ALL' is not a severity", "leave min_severity out to let everything through")
    if name not in Severity.__members__:
        close = _LEVEL_SYNONYMS.get(name) or next(iter(get_close_matches(name, Severity.__members__, 1)), "")
        reject(f"unknown severity {value!r}", f"did you mean {close}?" if close else f"one of {', '.join(LEVELS)}")
    return Severity[name]


def _seconds(value: object) -> float:
    if not isinstance(value, str):
        reject("a duration is expected here", "write 30s, 10m, 24h or 90d")
    try:
        return durations.seconds(value)
    except ValueError as error:
        message, _, suggestion = str(error).partition(": ")
        reject(message, suggestion)


def _positive_seconds(value: object) -> float:
    result = _seconds(value)
    if result <= 0:
        reject(f"{value!r} is no time at all", "write more than 0s")
    return result


def _resolve_after(value: object) -> float | Literal["next_success"]:
    if value == "next_success":
        return "next_success"
    if isinstance(value, str) and not re.match(r"\s*[\d.]", value):
        reject(f"unknown value {value!r}", "write next_success, or a duration such as 24h")
    return _positive_seconds(value)


def _text(value: object) -> object:
    if isinstance(value, str) and not value.strip():
        reject("this is empty", "write something, or delete the line")
    return _short(value)


def _short(value: object) -> object:
    if isinstance(value, str) and len(value) > MAX_TEXT_CHARACTERS:
        reject(f"this is longer than {MAX_TEXT_CHARACTERS} characters", "say it shorter")
    return value


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _duty(value: object) -> object:
    if value not in tuple(Duty):
        reject(f"unknown duty {value!r}", "act (told the cause) or inform (told the effect)")
    return value


def _version(value: object) -> object:
    if value != "1":
        reject(f"version {value!r} is not known", "write version: 1")
    return 1


def _runbook_problem(value: str) -> tuple[str, str]:
    if re.fullmatch(r"https?://\S+", value):
        return "", ""
    return f"{value!r} is not a web address", "a runbook is a link: https://…"


_LEVEL_SCHEMA = {
    "anyOf": [{"enum": list(LEVELS)}, {"enum": [level.lower() for level in LEVELS]}, {"enum": ["TRACE", "DEBUG"]}]
}
MANY_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
_CONDITIONS_SCHEMA = {
    "type": "object",
    "minProperties": 1,
    "properties": {key: {"type": "string"} for key in NAMED_FIELDS},
    "additionalProperties": {"type": ["string", "number", "boolean"]},
}
CLOCK_SCHEMA = {"type": "string", "pattern": schedules.CLOCK_PATTERN}
DURATION_SCHEMA = {"type": "string", "pattern": durations.PATTERN, "examples": ["30s", "10m", "24h", "90d"]}

Text = Annotated[str, BeforeValidator(_text)]
Version = Annotated[int, BeforeValidator(_version), WithJsonSchema({"const": 1})]
Level = Annotated[Severity, BeforeValidator(_level), WithJsonSchema(_LEVEL_SCHEMA)]
DutyWord = Annotated[Duty, BeforeValidator(_duty)]
Duration = Annotated[float, BeforeValidator(_seconds), WithJsonSchema(DURATION_SCHEMA)]
PositiveDuration = Annotated[float, BeforeValidator(_positive_seconds), WithJsonSchema(DURATION_SCHEMA)]
ResolveAfter = Annotated[
    float | Literal["next_success"],
    BeforeValidator(_resolve_after),
    WithJsonSchema({"anyOf": [{"const": "next_success"}, DURATION_SCHEMA]}),
]
Cron = Annotated[str, _checked(schedules.cron_problem)]
Due = Annotated[
    str,
    _checked(schedules.due_problem),
    WithJsonSchema({"anyOf": [{"const": "run_end"}, {"type": "string", "examples": ["0 12 3 * *"]}]}),
]
Clock = Annotated[str, _checked(schedules.clock_problem), WithJsonSchema(CLOCK_SCHEMA)]
Zone = Annotated[str, _checked(schedules.zone_problem)]
Days = Annotated[
    list[Annotated[str, _checked(schedules.day_problem)]],
    Field(min_length=1),
    BeforeValidator(schedules.days_of),
    WithJsonSchema(MANY_SCHEMA),
]
Month = Annotated[
    str, _checked(schedules.month_problem), WithJsonSchema({"type": "string", "pattern": schedules.MONTH_PATTERN})
]
Slack = Annotated[str, _checked(addresses.slack_problem)]
Emails = Annotated[
    list[Annotated[str, _checked(addresses.email_problem)]],
    Field(min_length=1),
    BeforeValidator(_one_or_many),
    WithJsonSchema(MANY_SCHEMA),
]
Runbook = Annotated[Text, _checked(_runbook_problem)]
AudienceKey = Annotated[str, _checked(addresses.key_problem)]
AudienceNames = Annotated[list[str], Field(min_length=1)]
Conditions = Annotated[
    dict[str, Annotated[str, BeforeValidator(_short)]], Field(min_length=1), WithJsonSchema(_CONDITIONS_SCHEMA)
]
