"""What the rooms above may ask of the stores. Reading only: each writer is the store's own.

`TelemetryReader` is the seam for a second store; today's reads telemetry.db. What a Collector writes to ClickHouse as
well is read there, by SQL that serves both (docs/operations.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from alert_bridge.fingerprint.aliases import Merge
from alert_bridge.model import Conversation, Decision, Incident, NoticeState, Receipt, Record, Severity, Span
from alert_bridge.silences import Silence

__all__ = [
    "Books",
    "ChannelHealth",
    "ControlReader",
    "Delivery",
    "Folded",
    "LogPage",
    "Occurrence",
    "Previewed",
    "RunSummary",
    "TelemetryReader",
    "Wishes",
]


@dataclass(frozen=True, slots=True)
class Books:
    """One channel, counted per record and recipient: matched = delivered + queued + suppressed + dead."""

    channel: str
    matched: int
    delivered: int
    queued: int
    suppressed: int
    dead: int

    @property
    def balance(self) -> int:
        """Zero, or records are missing (positive) or counted twice (negative)."""
        return self.matched - self.delivered - self.queued - self.suppressed - self.dead


@dataclass(frozen=True, slots=True)
class ChannelHealth:
    """What one channel last answered, from its receipts. 0 and an empty text: never."""

    channel: str
    last_delivered_at: int
    last_failed_at: int
    last_error: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One conversation of an incident as a person reads it: to whom, how it stands, what the channel last said."""

    conversation: Conversation
    state: NoticeState
    attempts: int
    next_due_at: int  # 0: nothing planned
    last_error: str
    receipts: tuple[Receipt, ...]


@dataclass(frozen=True, slots=True)
class Folded:
    """One problem that is told as part of an incident, not by itself. ``rule`` says why; see `incidents.folding`."""

    title: str
    rule: str
    stage: str
    severity: Severity
    run_id: str
    first_event: int
    events: int
    incident_id: str = ""  # if it was an incident of its own before its cause came


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One counted record of an incident."""

    record_uid: str
    time: int
    run_id: str
    stage: str
    trace_id: str
    span_id: str
    body: str


@dataclass(frozen=True, slots=True)
class Previewed:
    """A message that would have been sent, exactly as its channel would have sent it."""

    id: int
    at: int
    channel: str
    address: str
    audiences: tuple[str, ...]
    incident_id: str
    payload: str  # JSON: Slack's {text, blocks}, or the email's {subject, from, to, headers, text, html}
    edits: int


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One execution of a pipeline as the telemetry shows it. ``ended`` is 0 while it runs."""

    run_id: str
    pipeline: str
    environment: str
    trace_id: str
    started: int
    ended: int
    result: str
    worst: Severity
    records: int


@dataclass(frozen=True, slots=True)
class LogPage:
    """A window of a log, oldest first, and whether there is more on either side."""

    records: tuple[Record, ...]
    more_before: bool
    more_after: bool


class ControlReader(Protocol):
    """Issues, incidents, conversations, receipts, decisions."""

    def incidents(self, *, open_only: bool = True, limit: int = 200) -> Sequence[Incident]: ...
    def incident(self, incident_id: str) -> Incident | None: ...
    def incidents_of_run(self, run_id: str) -> Sequence[Incident]: ...
    def models_of(self, incident_id: str) -> Sequence[str]:
        """Names of the models that reported an incident, in any of its runs."""
        ...

    def folded(self, incident_id: str) -> Sequence[Folded]:
        """What is told as part of this incident, by its first event."""
        ...

    def occurrences(self, incident_id: str, *, limit: int = 50) -> Sequence[Occurrence]: ...
    def days(self, fingerprint: str, *, last: int = 14) -> Sequence[tuple[str, int]]:
        """Events of the issue per UTC day (ISO date, count), oldest first, zeros included."""

    def merges_of(self, fingerprint: str, *, now: int) -> Sequence[Merge]:
        """Texts that are this issue although one word differs, or soon will be."""
        ...

    def deliveries(self, incident_id: str) -> Sequence[Delivery]: ...
    def decisions(self, subject: str) -> Sequence[Decision]: ...
    def previewed(self, *, limit: int = 100) -> Sequence[Previewed]: ...
    def books(self) -> Sequence[Books]: ...
    def channel_health(self) -> Sequence[ChannelHealth]:
        """Every channel that ever answered, by name."""


class Wishes(Protocol):
    """What people may ask for on a page; carried out within a second, and kept if nobody is there to do it."""

    def silences(self, *, ended_since: int) -> Sequence[Silence]:
        """Silences in force, and those that ended at or after ``ended_since`` (ns); the newest first."""

    def silence(self, silence: Silence) -> None:
        """In force from now on."""

    def end_silence(self, silence_id: str, *, author: str, now: int) -> bool:
        """End it early; false if there is none in force."""

    def order(self, kind: str, incident_id: str, *, author: str, value: str, now: int) -> None:
        """`acknowledge`, `assign` (to ``value``) or `resolve` an incident."""


class TelemetryReader(Protocol):
    """Logs and spans. Bound every question by a run or a trace: the store answers those in milliseconds."""

    def runs(self, *, limit: int = 50) -> Sequence[RunSummary]: ...
    def run(self, run_id: str) -> RunSummary | None: ...
    def run_spans(self, run_id: str) -> Sequence[Span]: ...
    def trace_spans(self, trace_id: str) -> Sequence[Span]: ...
    def run_log(
        self, run_id: str, *, around: str = "", least: Severity = Severity.TRACE, before: int = 500, after: int = 500
    ) -> LogPage:
        """The run's records of all processes by time; ``around`` a record's uid, else the end of the log.

        The window is ``before`` records older than ``around``, that record itself (whatever its level), and ``after``
        newer ones. An ``around`` that the run does not have reads as none.
        """

    def run_records(self, run_id: str, *, least: Severity = Severity.TRACE) -> Iterator[Record]:
        """All records of the run by time, read in batches while they are consumed: for a download of any size."""

    def run_events(self, run_id: str) -> Sequence[Record]:
        """The run's lifecycle events by time, heartbeats left out."""

    def run_bodies(self, run_id: str) -> Iterator[str]:
        """The texts of the run's records by time, and nothing else of them, read in batches while they are consumed."""

    def last_word(self, run_id: str) -> int:
        """When the run last said something (ns): INFO or more, no heartbeat, none of a library's; 0: never."""

    def trace_log(self, trace_id: str, *, least: Severity = Severity.TRACE, limit: int = 2000) -> LogPage:
        """The first ``limit`` records of the trace, of all its processes, by time."""

    def search(self, text: str, *, run_id: str = "", limit: int = 100) -> Sequence[Record]: ...
