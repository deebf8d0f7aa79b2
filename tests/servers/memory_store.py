"""Both reading protocols over plain lists: for pages of any content, and to compare real stores with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from alert_bridge.errors import StoreBusy
from alert_bridge.fingerprint.aliases import Merge
from alert_bridge.model import Decision, Incident, IncidentState, Record, Severity, Span
from alert_bridge.store.interface import (
    Books,
    ChannelHealth,
    Delivery,
    Folded,
    LogPage,
    Occurrence,
    Previewed,
    RunSummary,
)


@dataclass
class MemoryControl:
    """A `ControlReader`. `busy` makes every question fail as a locked store does."""

    all_incidents: list[Incident] = field(default_factory=list)
    all_occurrences: dict[str, list[Occurrence]] = field(default_factory=dict)
    all_folded: dict[str, list[Folded]] = field(default_factory=dict)
    all_deliveries: dict[str, list[Delivery]] = field(default_factory=dict)
    all_decisions: list[Decision] = field(default_factory=list)
    all_days: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    all_merges: dict[str, list[Merge]] = field(default_factory=dict)
    all_previewed: list[Previewed] = field(default_factory=list)
    all_books: list[Books] = field(default_factory=list)
    all_health: list[ChannelHealth] = field(default_factory=list)
    busy: bool = False

    def incidents(self, *, open_only: bool = True, limit: int = 200) -> Sequence[Incident]:
        if self.busy:
            raise StoreBusy("control.db is locked")
        chosen = [
            each
            for each in self.all_incidents
            if not open_only or (each.state is IncidentState.OPEN and not each.root_id)
        ]
        return sorted(chosen, key=lambda each: -each.last_event)[:limit]

    def incident(self, incident_id: str) -> Incident | None:
        if self.busy:
            raise StoreBusy("control.db is locked")
        return next((each for each in self.all_incidents if each.id == incident_id), None)

    def incidents_of_run(self, run_id: str) -> Sequence[Incident]:
        return [each for each in self.all_incidents if run_id in each.run_ids]

    def models_of(self, incident_id: str) -> Sequence[str]:
        return [one.sample.text("pipeline.model.name") for one in self.all_incidents if one.id == incident_id]

    def folded(self, incident_id: str) -> Sequence[Folded]:
        return self.all_folded.get(incident_id, []) + [
            Folded(one.title, "later", one.stage, one.severity, "", one.first_event, one.count, one.id)
            for one in self.all_incidents
            if one.root_id == incident_id
        ]

    def occurrences(self, incident_id: str, *, limit: int = 50) -> Sequence[Occurrence]:
        return self.all_occurrences.get(incident_id, [])[:limit]

    def days(self, fingerprint: str, *, last: int = 14) -> Sequence[tuple[str, int]]:
        return self.all_days.get(fingerprint, [])[-last:]

    def merges_of(self, fingerprint: str, *, now: int) -> Sequence[Merge]:
        return self.all_merges.get(fingerprint, [])

    def deliveries(self, incident_id: str) -> Sequence[Delivery]:
        return self.all_deliveries.get(incident_id, [])

    def decisions(self, subject: str) -> Sequence[Decision]:
        return [each for each in self.all_decisions if each.subject == subject]

    def previewed(self, *, limit: int = 100) -> Sequence[Previewed]:
        return sorted(self.all_previewed, key=lambda each: -each.id)[:limit]

    def books(self) -> Sequence[Books]:
        return self.all_books

    def channel_health(self) -> Sequence[ChannelHealth]:
        return self.all_health


@dataclass
class MemoryTelemetry:
    """A `TelemetryReader`; a record's run is its own `run_id`, a span's the one of its resource."""

    records: list[Record] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    summaries: list[RunSummary] = field(default_factory=list)

    def runs(self, *, limit: int = 50) -> Sequence[RunSummary]:
        return sorted(self.summaries, key=lambda run: -run.started)[:limit]

    def run(self, run_id: str) -> RunSummary | None:
        return next((run for run in self.summaries if run.run_id == run_id), None)

    def run_spans(self, run_id: str) -> Sequence[Span]:
        run = self.run(run_id)
        return self.trace_spans(run.trace_id) if run else []

    def trace_spans(self, trace_id: str) -> Sequence[Span]:
        return sorted((span for span in self.spans if span.trace_id == trace_id), key=lambda span: span.start)

    def run_log(
        self, run_id: str, *, around: str = "", least: Severity = Severity.TRACE, before: int = 500, after: int = 500
    ) -> LogPage:
        log = [
            record for record in self._log_of(run_id) if record.severity >= least or (around and record.uid == around)
        ]
        here = next((index for index, record in enumerate(log) if around and record.uid == around), len(log))
        first, last = max(here - before, 0), here + after + 1
        return LogPage(tuple(log[first:last]), more_before=first > 0, more_after=last < len(log))

    def run_records(self, run_id: str, *, least: Severity = Severity.TRACE) -> Iterator[Record]:
        return iter([record for record in self._log_of(run_id) if record.severity >= least])

    def run_events(self, run_id: str) -> Sequence[Record]:
        return [each for each in self._log_of(run_id) if each.event_name not in ("", "pipeline.run.heartbeat")]

    def run_bodies(self, run_id: str) -> Iterator[str]:
        return (each.body for each in self._log_of(run_id))

    def last_word(self, run_id: str) -> int:
        spoken = [each.time for each in self._log_of(run_id) if each.event_name != "pipeline.run.heartbeat"]
        return max(spoken, default=0)

    def trace_log(self, trace_id: str, *, least: Severity = Severity.TRACE, limit: int = 2000) -> LogPage:
        log = sorted((each for each in self.records if each.trace_id == trace_id), key=lambda each: each.time)
        log = [record for record in log if record.severity >= least]
        return LogPage(tuple(log[:limit]), more_before=False, more_after=len(log) > limit)

    def search(self, text: str, *, run_id: str = "", limit: int = 100) -> Sequence[Record]:
        found = [
            each
            for each in self.records
            if text.casefold() in each.body.casefold() and (not run_id or each.run_id == run_id)
        ]
        return found[:limit]

    def _log_of(self, run_id: str) -> list[Record]:
        return sorted((record for record in self.records if record.run_id == run_id), key=lambda record: record.time)
