"""The nouns of the design as frozen values. No I/O, no decisions; see DESIGN §3 for the words.

Times are integers: nanoseconds since the Unix epoch, UTC, as in OTLP.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from instrumentation import attributes as names

__all__ = [
    "AttributeValue",
    "Audience",
    "Conversation",
    "Decision",
    "Duty",
    "Fingerprint",
    "Incident",
    "IncidentState",
    "Message",
    "MetricPoint",
    "Notice",
    "NoticeState",
    "Reason",
    "Receipt",
    "Recipient",
    "Record",
    "Severity",
    "Span",
    "Story",
]

AttributeValue: TypeAlias = (
    "str | bool | int | float | bytes | tuple[AttributeValue, ...] | Mapping[str, AttributeValue] | None"
)


class Severity(enum.IntEnum):
    """OpenTelemetry severity numbers: the lower bound of each range, under the names our users read."""

    TRACE = 1
    DEBUG = 5
    INFO = 9
    WARNING = 13
    ERROR = 17
    CRITICAL = 21

    @classmethod
    def of(cls, number: int) -> Severity:
        """The range that an OTLP severity number (1-24) falls in; 0 (unspecified) reads as INFO."""
        if number <= 0:
            return cls.INFO
        return next(level for level in reversed(cls) if number >= level)


@dataclass(frozen=True, slots=True)
class Record:
    """One log record, as it came. ``uid`` makes it count once, by whatever route it arrives how often."""

    uid: str
    time: int
    observed: int
    severity: Severity
    severity_text: str
    body: str
    event_name: str = ""
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    resource: Mapping[str, AttributeValue] = field(default_factory=dict)
    scope: str = ""
    trace_id: str = ""  # 32 hex digits, or empty
    span_id: str = ""  # 16 hex digits, or empty
    severity_number: int = 0  # as it was sent: 1-24, or 0 where only the text, or nothing, said it

    def text(self, name: str) -> str:
        """The record's attribute, else the resource's, as text; empty if neither has it."""
        value = self.attributes.get(name, self.resource.get(name))
        return "" if value is None else str(value)

    @property
    def pipeline(self) -> str:
        return self.text(names.PIPELINE_NAME) or self.text(names.SERVICE_NAME) or "unknown"

    @property
    def run_id(self) -> str:
        """The run's id; a program that names none is told apart by its trace."""
        return self.text(names.RUN_ID) or self.trace_id

    @property
    def stage(self) -> str:
        return self.text(names.STAGE)

    @property
    def environment(self) -> str:
        return self.text(names.DEPLOYMENT_ENVIRONMENT)


@dataclass(frozen=True, slots=True)
class Span:
    """One finished span."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    start: int
    end: int
    status: int  # 0 unset, 1 ok, 2 error
    status_message: str = ""
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    resource: Mapping[str, AttributeValue] = field(default_factory=dict)
    events: tuple[Mapping[str, AttributeValue], ...] = ()
    scope: str = ""


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One point of one metric; ``kind`` is gauge, sum or histogram; ``value`` the number, or the histogram as JSON."""

    name: str
    unit: str
    kind: str
    time: int
    value: float | str
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    resource: Mapping[str, AttributeValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Same value, same problem. Pure and versioned; ``components`` say why, in the order they were hashed."""

    value: str
    version: int
    rung: str  # which rung of the ladder: user, stack, exception, template, location, program
    components: tuple[tuple[str, str], ...] = ()


class Duty(enum.StrEnum):
    """What an audience is told for: to act on the cause, or to know the effect."""

    ACT = "act"
    INFORM = "inform"


@dataclass(frozen=True, slots=True)
class Audience:
    """People with a duty or an interest."""

    key: str
    name: str
    duty: Duty = Duty.ACT
    slack: str = ""
    email: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipient:
    """One address in one channel and the audiences it stands for. Two audiences behind one address are told once."""

    channel: str
    address: str
    audiences: tuple[str, ...]
    duty: Duty
    why: str  # the route or rule that chose it, for the decision trail


class IncidentState(enum.StrEnum):
    OPEN = "open"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Incident:
    """One episode of an issue, from opening to resolving."""

    id: str
    fingerprint: str
    title: str
    pipeline: str
    environment: str
    stage: str
    severity: Severity
    state: IncidentState
    opened_at: int  # when we took the first record
    first_event: int  # earliest event time, even if it arrived later
    last_event: int
    count: int
    run_ids: tuple[str, ...]
    sample: Record  # the latest record: the text that is told
    owner: str = ""
    runbook: str = ""
    effect: str = ""  # what it means for those who only need to know, in plain words
    acknowledged_by: str = ""
    acknowledged_at: int = 0
    assigned_to: str = ""
    root_id: str = ""  # the incident this one is folded under
    resolved_at: int = 0
    seen_before: int = 0  # earlier incidents of the same issue
    flaps: int = 0  # times that it came back so soon that it is told as flapping


class Reason(enum.StrEnum):
    """Why a notice exists."""

    OPENED = "opened"
    REPEATED = "repeated"  # edits the earlier message with the new count; never a new post
    ESCALATED = "escalated"
    REMINDER = "reminder"
    REGRESSED = "regressed"
    RESOLVED = "resolved"
    TEST = "test"
    DIGEST = "digest"
    OPERATOR = "operator"  # about ourselves: a broken channel, a refused token


class NoticeState(enum.StrEnum):
    QUEUED = "queued"
    DELIVERED = "delivered"
    SUPPRESSED = "suppressed"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Conversation:
    """One incident with one recipient: how many records it concerns, how many were told, and where the message lies.

    The books balance per conversation: matched = told + queued + suppressed + dead.
    """

    id: int
    incident_id: str
    recipient: Recipient
    matched: int
    told: int
    suppressed: int
    dead: int
    reference: str = ""  # the channel's own, opaque: Slack channel and ts, a Message-ID
    first_told_at: int = 0
    last_told_at: int = 0


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to be told, in the outbox."""

    id: int
    conversation_id: int
    reason: Reason
    state: NoticeState
    due_at: int
    attempts: int = 0
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the channel answered to one attempt."""

    notice_id: int
    at: int
    outcome: str  # delivered, previewed, retryable, permanent, ambiguous
    detail: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Why a record or an incident was, or was not, told."""

    at: int
    subject: str  # a record's uid or an incident's id
    step: str  # rule, route, fingerprint, hold, fold, silence, send …
    text: str


@dataclass(frozen=True, slots=True)
class Story:
    """All that a message may need to say about one incident, gathered once, before a channel is called."""

    incident: Incident
    audience: Audience
    reason: Reason
    now: int
    public_url: str  # without a trailing slash
    count: int  # records this message answers for
    notice_key: str  # stable across retries: the same notice is the same message
    log_tail: tuple[Record, ...] = ()  # the run's records around the error, oldest first
    stage_path: tuple[str, ...] = ()  # names of the spans from the root to the failing one
    run_facts: tuple[tuple[str, str], ...] = ()  # host, revision, command line, duration so far …
    also_told: tuple[str, ...] = ()  # audience names
    late_since: int = 0  # when it should have been told, if a channel was away; 0: in time
    late_told_at: int = 0  # when it was told late, for an edit that must go on saying so; 0: now
    affected: tuple[str, ...] = ()  # names of the models (or else stages) that reported it, if more than one
    reminder_at: int = 0  # when the next reminder is due if it stays open; 0: unknown
    held: str = ""  # what held it back until now, in one sentence; empty: nothing did
    folded: tuple[tuple[str, int], ...] = ()  # (title, records) of what is told as part of it, the first ones
    folded_in_all: int = 0
    part_of: str = ""  # title of the incident that it is told as part of


@dataclass(frozen=True, slots=True)
class Message:
    """One message in words, channel-neutral. Channels turn it into blocks or MIME and add nothing of their own."""

    key: str
    incident_id: str
    reason: Reason
    severity: Severity
    duty: Duty
    headline: str  # what failed, in words; one line
    facts: tuple[str, ...]  # the short context line: environment, run, count, since, owner
    links: tuple[tuple[str, str], ...]  # (label, URL)
    subject: str  # constant for the incident, so that mail threads
    paragraphs: tuple[tuple[str, str], ...] = ()  # (heading, text) of the expanded summary, before the log
    closing: tuple[tuple[str, str], ...] = ()  # (heading, text) after the log: facts of the run, who else, what next
    log_tail: tuple[str, ...] = ()
    stacktrace: str = ""
    resolved: bool = False  # it is over; true also for an edit after the resolution
    late: str = ""  # said first if it is late, with both times
    note: str = ""  # what is special about this telling: a test, again, still failing, resolved; one sentence
    log_title: str = ""  # what ``log_tail`` shows and what it leaves out
