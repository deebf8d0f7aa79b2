"""The shape of `alerting.yaml`, as pydantic models: what may stand where. What the parts mean together: `checks`.

Every scalar arrives as the text in the file. A custom error carries its suggestion in its context.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Annotated, Literal, NoReturn

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from alert_bridge.model import Duty, Severity
from alert_bridge.policy import addresses, durations, schedules

__all__ = [
    "AudienceShape",
    "ContactShape",
    "ExpectationShape",
    "PolicyShape",
    "RouteShape",
    "RuleShape",
    "RunShape",
    "reject",
]

CHANNELS = ("slack", "email", "prefect", "wandb")
MAX_TEXT_CHARACTERS = 500
LEVELS = ("INFO", "WARNING", "ERROR", "CRITICAL")
_LEVEL_SYNONYMS = {"WARN": "WARNING", "FATAL": "CRITICAL", "ERR": "ERROR", "CRIT": "CRITICAL"}


def reject(message: str, suggestion: str = "") -> NoReturn:
    """Raise an error whose text is ours, with what was probably meant."""
    raise PydanticCustomError("policy", "{message}", {"message": message, "suggestion": suggestion})


def _level(text: object) -> Severity:
    if not isinstance(text, str):
        reject("a severity must be one word", f"one of {', '.join(LEVELS)}")
    name = text.strip().upper()
    if name == "ALL":
        reject("'ALL' is not a severity", "leave min_severity out to let everything through")
    if name not in Severity.__members__:
        close = _LEVEL_SYNONYMS.get(name) or next(iter(get_close_matches(name, Severity.__members__, 1)), "")
        reject(f"unknown severity {text!r}", f"did you mean {close}?" if close else f"one of {', '.join(LEVELS)}")
    return Severity[name]


def _seconds(text: object) -> float:
    if not isinstance(text, str):
        reject("a duration is missing", "write 30s, 10m, 24h or 90d")
    try:
        return durations.seconds(text)
    except ValueError as error:
        message, _, suggestion = str(error).partition(": ")
        reject(message, suggestion)


def _positive_seconds(text: object) -> float:
    value = _seconds(text)
    if value <= 0:
        reject(f"{text!r} is no time at all", "write more than 0s")
    return value


def _resolve_after(text: object) -> float | Literal["next_success"]:
    if text == "next_success":
        return "next_success"
    if isinstance(text, str) and not re.match(r"\s*[\d.]", text):
        reject(f"unknown value {text!r}", "write next_success, or a duration such as 24h")
    return _positive_seconds(text)


def _hold(value: object) -> object:
    """One duration means the same for both channels that hold."""
    if isinstance(value, str):
        return {"slack": value, "email": value}
    return value


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _text(value: object) -> object:
    if isinstance(value, str) and not value.strip():
        reject("this is empty", "write something, or delete the line")
    if isinstance(value, str) and len(value) > MAX_TEXT_CHARACTERS:
        reject(f"this is longer than {MAX_TEXT_CHARACTERS} characters")
    return value


def _checked(check: Callable[[str], tuple[str, str]]) -> AfterValidator:
    """A check that answers with what is wrong and what was meant, or with two empty texts."""

    def apply(value: str) -> str:
        message, suggestion = check(value)
        if message:
            reject(message, suggestion)
        return value

    return AfterValidator(apply)


def _duty(value: object) -> object:
    if value not in tuple(Duty):
        reject(f"unknown duty {value!r}", "act (told the cause) or inform (told the effect)")
    return value


def _runbook(value: str) -> tuple[str, str]:
    if re.match(r"https?://\S+$", value):
        return "", ""
    return f"{value!r} is not a web address", "a runbook is a link: https://…"


def _condition(value: object) -> object:
    if isinstance(value, str) and len(value) > MAX_TEXT_CHARACTERS:
        reject(f"this is longer than {MAX_TEXT_CHARACTERS} characters")
    return value


_LEVEL_SCHEMA = {
    "anyOf": [{"enum": list(LEVELS)}, {"enum": [level.lower() for level in LEVELS]}, {"enum": ["TRACE", "DEBUG"]}]
}
_DURATION_SCHEMA = {"type": "string", "pattern": durations.PATTERN, "examples": ["30s", "10m", "24h", "90d"]}

Level = Annotated[Severity, BeforeValidator(_level), WithJsonSchema(_LEVEL_SCHEMA)]
Duration = Annotated[float, BeforeValidator(_seconds), WithJsonSchema(_DURATION_SCHEMA)]
PositiveDuration = Annotated[float, BeforeValidator(_positive_seconds), WithJsonSchema(_DURATION_SCHEMA)]
Text = Annotated[str, BeforeValidator(_text)]
Slack = Annotated[str, _checked(addresses.slack_problem)]
Email = Annotated[str, _checked(addresses.email_problem)]
Emails = Annotated[
    list[Email],
    Field(min_length=1),
    BeforeValidator(_one_or_many),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
Names = Annotated[list[str], Field(min_length=1)]
Month = Annotated[
    str, _checked(schedules.month_problem), WithJsonSchema({"type": "string", "pattern": schedules.MONTH_PATTERN})
]
AudienceKey = Annotated[str, _checked(addresses.key_problem)]
Glob = Annotated[str, BeforeValidator(_condition)]
Conditions = Annotated[
    dict[str, Glob],
    Field(min_length=1),
    WithJsonSchema(
        {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"type": ["string", "number", "boolean"]},
            "properties": {
                key: {"type": "string"}
                for key in ("severity", "body", "event_name", "pipeline", "environment", "stage", "scope")
            },
        }
    ),
]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)


class ContactShape(_Shape):
    """One month's person."""

    name: Text = ""
    slack: Slack | None = Field(None, description="A member id (@U…) or a channel.")
    email: Emails = Field(default_factory=list)


class AudienceShape(_Shape):
    """People who are told, and how they are reached."""

    name: Text = Field("", description="As messages call them.")
    duty: Annotated[Duty, BeforeValidator(_duty)] = Field(
        Duty.ACT, description="act: told the cause and the place. inform: told the effect in plain language."
    )
    slack: Slack | None = Field(None, description="A channel (#name or its id), or a member id (@U…).")
    email: Emails = Field(default_factory=list)
    rota: dict[Month, ContactShape] | None = Field(None, description="Year and month (2026-11) to a person.")


class RouteShape(_Shape):
    """One row of the table: this channel, from this severity, to these audiences."""

    channel: Literal["slack", "email", "prefect", "wandb"]
    min_severity: Level = Severity.TRACE
    audiences: Names


class SettingsShape(_Shape):
    """What a rule changes."""

    severity: Level | None = None
    audiences: Names | None = None
    owner: Text | None = None
    runbook: Annotated[Text, _checked(_runbook)] | None = None
    effect: Text | None = Field(None, description="What it means for those who only need to know, in plain words.")
    fingerprint: Text | None = Field(None, description="Records with the same text are the same problem.")
    drop: bool = Field(False, description="Recorded and counted, never told.")

    @model_validator(mode="after")
    def _changes_something(self) -> SettingsShape:
        if not self.model_fields_set:
            reject("this rule sets nothing", f"set one of {', '.join(type(self).model_fields)}")
        return self


class RuleShape(_Shape):
    """Records that match all conditions are treated as `set` says."""

    match: Conditions
    set: SettingsShape


class ExpectationShape(_Shape):
    """What must happen; its absence is an incident."""

    pipeline: Text
    record: Text
    min: Annotated[int, Field(ge=1)] = 1
    by: Literal["run_end"] = "run_end"
    otherwise: Level = Field(Severity.ERROR, alias="else")
    audiences: Names | None = None


class HoldShape(_Shape):
    """How long to gather equal errors before the first message."""

    slack: Duration = 1.0
    email: Duration = 10.0


class GroupingShape(_Shape):
    """How many messages a problem makes."""

    hold: Annotated[
        HoldShape,
        BeforeValidator(_hold),
        WithJsonSchema(
            {
                "anyOf": [
                    _DURATION_SCHEMA,
                    {
                        "type": "object",
                        "properties": {"slack": _DURATION_SCHEMA, "email": _DURATION_SCHEMA},
                        "additionalProperties": False,
                    },
                ]
            }
        ),
    ] = HoldShape()
    repeat_after: PositiveDuration = 86_400.0
    resolve_after: Annotated[
        float | Literal["next_success"],
        BeforeValidator(_resolve_after),
        WithJsonSchema({"anyOf": [{"const": "next_success"}, _DURATION_SCHEMA]}),
    ] = "next_success"


class RunShape(_Shape):
    """When a pipeline must run, and how long it may be late or silent."""

    schedule: Annotated[str, _checked(schedules.cron_problem)] | None = None
    late_after: PositiveDuration | None = None
    silent_after: PositiveDuration | None = None


class RetentionShape(_Shape):
    """How long things are kept."""

    logs: PositiveDuration = 90 * 86_400.0
    traces: PositiveDuration = 90 * 86_400.0
    issues: PositiveDuration = 5 * 365 * 86_400.0


def _version(value: object) -> object:
    if value != "1":
        reject(f"version {value!r} is not known", "write version: 1")
    return 1


class PolicyShape(_Shape):
    """Who is told of what, where, and when."""

    model_config = ConfigDict(title="Policy of pipeline-alerts", extra="forbid", frozen=True)

    version: Annotated[int, BeforeValidator(_version), WithJsonSchema({"const": 1})]
    audiences: Annotated[dict[AudienceKey, AudienceShape], Field(min_length=1)]
    routes: Annotated[list[RouteShape], Field(min_length=1)]
    rules: list[RuleShape] = Field(default_factory=list)
    expect: list[ExpectationShape] = Field(default_factory=list)
    grouping: GroupingShape = GroupingShape()
    runs: dict[str, RunShape] = Field(default_factory=dict)
    retention: RetentionShape = RetentionShape()
