"""The shape of `alerting.yaml`: which keys stand where. Single values: `values`; what parts mean together: `checks`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from alert_bridge.model import Duty, Severity
from alert_bridge.policy.values import (
    CLOCK_SCHEMA,
    DURATION_SCHEMA,
    MANY_SCHEMA,
    AudienceKey,
    AudienceNames,
    Clock,
    Conditions,
    Cron,
    Days,
    Due,
    Duration,
    DutyWord,
    Emails,
    Level,
    Month,
    PositiveDuration,
    ResolveAfter,
    Runbook,
    Slack,
    Text,
    Version,
    Zone,
    reject,
)
from alert_bridge.quiet import DAYS

__all__ = [
    "OPTIONAL_SECTIONS",
    "AudienceShape",
    "ContactShape",
    "ExpectationShape",
    "PolicyShape",
    "QuietShape",
    "RouteShape",
    "RuleShape",
    "RunShape",
]

OPTIONAL_SECTIONS = ("rules", "expect", "grouping", "runs", "quiet_hours", "retention")

_DAY_SECONDS = 86_400.0


class _Shape(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, model_title_generator=lambda shape: shape.__name__.removesuffix("Shape")
    )


class ContactShape(_Shape):
    """One month's person."""

    name: Text = ""
    slack: Slack | None = Field(None, description="A member id (@U…) or a channel.")
    email: Emails = Field(default_factory=list)


class AudienceShape(_Shape):
    """People who are told, and how they are reached."""

    name: Text = Field("", description="As messages call them.")
    duty: DutyWord = Field(
        Duty.ACT, description="act: told the cause and the place. inform: told the effect in plain language."
    )
    slack: Slack | None = Field(None, description="A channel (#name or its id), or a member id (@U…).")
    email: Emails = Field(default_factory=list)
    rota: dict[Month, ContactShape] | None = Field(None, description="Year and month (2026-11) to a person.")
    digest: bool | None = Field(None, description="A summary when a run ends. Left out: yes, if there is a rota.")


class RouteShape(_Shape):
    """One row of the table: this channel, from this severity, to these audiences."""

    channel: Literal["slack", "email", "prefect", "wandb", "wandb_alert"]
    min_severity: Level = Severity.TRACE
    audiences: AudienceNames


class SettingsShape(_Shape):
    """What a rule changes."""

    severity: Level | None = None
    audiences: AudienceNames | None = Field(None, description="Narrows the routes to these; never widens them.")
    owner: Text | None = None
    runbook: Runbook | None = None
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
    record: Text = Field(description="A glob over the record's text.")
    min: Annotated[int, Field(ge=1)] = 1
    by: Due = Field("run_end", description="run_end, or a schedule (cron, five fields, UTC) for a fixed time.")
    otherwise: Level = Field(Severity.ERROR, alias="else")
    audiences: AudienceNames | None = None
    owner: Text | None = None
    runbook: Runbook | None = None
    effect: Text | None = Field(None, description="What its absence means, in plain words.")


class HoldShape(_Shape):
    """How long to gather equal errors before the first message; never for CRITICAL."""

    slack: Duration = 1.0
    email: Duration = 10.0


def _for_both(value: object) -> object:
    return {"slack": value, "email": value} if isinstance(value, str) else value


_HOLD_SCHEMA = {
    "anyOf": [
        DURATION_SCHEMA,
        {
            "type": "object",
            "properties": dict.fromkeys(HoldShape.model_fields, DURATION_SCHEMA),
            "additionalProperties": False,
        },
    ]
}


class GroupingShape(_Shape):
    """How many messages a problem makes."""

    hold: Annotated[HoldShape, BeforeValidator(_for_both), WithJsonSchema(_HOLD_SCHEMA)] = HoldShape()
    repeat_after: PositiveDuration = _DAY_SECONDS
    resolve_after: ResolveAfter = "next_success"


class RunShape(_Shape):
    """When a pipeline must run, and how long it may be late or silent."""

    schedule: Cron | None = Field(None, description="Cron, five fields, UTC.")
    late_after: PositiveDuration | None = None
    silent_after: PositiveDuration | None = None


class QuietShape(_Shape):
    """When an audience does not want to be woken, by its own clock; CRITICAL comes through."""

    start: Clock = Field(alias="from")
    end: Clock = Field(alias="to")
    zone: Zone = "UTC"
    days: Days = Field(default_factory=lambda: list(DAYS), description="Days on which it begins; left out: every day.")


_QUIET_SCHEMA = {
    "type": "object",
    "properties": {
        "from": CLOCK_SCHEMA,
        "to": CLOCK_SCHEMA,
        "zone": {"type": "string", "examples": ["Europe/Oslo", "UTC"]},
        "days": MANY_SCHEMA,
    },
    "required": ["from", "to"],
    "additionalProperties": False,
}
QuietTimes = Annotated[
    list[QuietShape],
    Field(min_length=1),
    WithJsonSchema({"anyOf": [_QUIET_SCHEMA, {"type": "array", "items": _QUIET_SCHEMA, "minItems": 1}]}),
]


class RetentionShape(_Shape):
    """How long things are kept."""

    logs: PositiveDuration = 90 * _DAY_SECONDS
    traces: PositiveDuration = 90 * _DAY_SECONDS
    incidents: PositiveDuration = Field(
        400 * _DAY_SECONDS, description="That are over, with what was told of them; the counts of a problem stay."
    )
    issues: PositiveDuration = 5 * 365 * _DAY_SECONDS


class PolicyShape(_Shape):
    """Who is told of what, where, and when."""

    version: Version
    audiences: Annotated[dict[AudienceKey, AudienceShape], Field(min_length=1)]
    routes: Annotated[list[RouteShape], Field(min_length=1)]
    rules: list[RuleShape] = Field(default_factory=list)
    expect: list[ExpectationShape] = Field(default_factory=list)
    grouping: GroupingShape = GroupingShape()
    runs: dict[Text, RunShape] = Field(default_factory=dict)
    quiet_hours: dict[AudienceKey, QuietTimes] = Field(default_factory=dict)
    retention: RetentionShape = RetentionShape()
