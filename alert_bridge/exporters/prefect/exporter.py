"""The Prefect exporter: sorts what is new by run, and has each run mirrored or annotated."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from alert_bridge.errors import DeliveryError
from alert_bridge.exporters.base import Batch, Signal, Taken, Tally
from alert_bridge.exporters.prefect.annotations import Annotations
from alert_bridge.exporters.prefect.api import Api
from alert_bridge.exporters.prefect.mirror import Mirror
from alert_bridge.exporters.prefect.runs import (
    Run,
    close_left_open,
    fold_record,
    fold_span,
    stage_from_json,
    stage_to_json,
)
from alert_bridge.exporters.prefect.settings import PrefectSettings
from alert_bridge.exporters.prefect.texts import trouble_of
from alert_bridge.model import Incident, Record, Severity, Span
from instrumentation import attributes as names

__all__ = ["PrefectExporter"]

NS = 1_000_000_000
SETTLE_S = 2.0  # after a run's end, for what other processes of it still have to say
SILENT_AFTER_S = 5 * 60.0  # five signs of life that did not come
FORGOTTEN_AFTER_S = 24 * 3600.0
REASON_WAIT_S = 2.0  # an incident is known a second after its first record
RUNS_MOST = 2_000  # remembered; beyond, the oldest that are over go first
RUNS_OF_INCIDENT = 5  # the newest: older ones have been told

_FINE = frozenset({names.RESULT_SUCCESS, names.RESULT_SKIP, names.RESULT_CANCELLATION, ""})
_NOT_LOGGED = frozenset({names.EVENT_RUN_HEARTBEAT})

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _News:
    """What a batch brings for one run."""

    logs: list[Record] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)


class PrefectExporter:
    """Mirrors runs to one Prefect API. Implements `Exporter`.

    Args:
        settings: where Prefect is.
        public_url: where our pages are, without a trailing slash.
        least: records below this severity are not sent, by the policy's routes; None: nothing is.
        log_of_run: all records of a run, for one that was held back and has to be mirrored after all.
        silent_after_s: without a sign of life for so long, a run that gave them before is given up.
    """

    name = "prefect"
    signals = frozenset({Signal.LOGS, Signal.SPANS, Signal.INCIDENTS})

    def __init__(
        self,
        settings: PrefectSettings,
        *,
        public_url: str,
        least: Callable[[], Severity | None],
        log_of_run: Callable[[str], Iterable[Record]],
        silent_after_s: float = SILENT_AFTER_S,
    ) -> None:
        self.setup = settings.setup
        self.url = settings.ui_url
        self._api = Api(settings)
        self._mirror = Mirror(self._api)
        self._annotations = Annotations(self._api, self._mirror, public_url)
        self._least = least
        self._log_of_run = log_of_run
        self._silent_after_s = silent_after_s
        self._runs: dict[str, Run] = {}
        self._of_trace: dict[str, str] = {}
        self._native: set[str] = set()  # pipelines whose last run was made of Prefect flows
        self._plans: dict[str, int] = {}  # pipeline → stages of its last good run
        self._stored: dict[str, str] = {}

    @property
    def owes(self) -> bool:
        """Whether something is still to be said or checked about what is known."""
        return any(
            not run.is_gone and ((run.is_over and not run.is_summed_up) or run.unseen or _owes_stages(run))
            for run in self._runs.values()
        )

    def recall(self, memory: Mapping[str, str]) -> None:
        """Take up the runs that were under way, and what is known of pipelines."""
        self._stored = dict(memory)
        for key, text in sorted(memory.items()):
            kind, _, name = key.partition("/")
            match kind:
                case "run":
                    run = self._runs[name] = Run.from_json(text)
                    if run.trace_id:
                        self._of_trace[run.trace_id] = name
                case "stage":  # sorts after "run"
                    stage = stage_from_json(text)
                    run_key = name[: -len(stage.key) - 1]
                    if run_key in self._runs:
                        self._runs[run_key].stages[stage.key] = stage
                case "native":
                    self._native.add(name)
                case "plan":
                    self._plans[name] = int(text)
                case _:
                    log.debug("Something unknown is remembered: %s", kind)

    def close(self) -> None:
        """Let go of the connections."""
        self._api.close()

    def take(self, batch: Batch) -> Taken:
        """Bring Prefect up to date; see `Exporter`."""
        least = self._least()
        tallies = {signal: Counter[str]() for signal in self.signals}
        news = self._sort(batch)
        if least is None:
            news.clear()
        tallies[Signal.SPANS].update(self._fold_spans(batch, news))
        tallies[Signal.INCIDENTS]["sent"] = len(batch.incidents)
        done = 0
        for key, new in news.items():
            run = self._runs[key]
            try:
                sent, refused = self._bring(run, new, batch, least or Severity.TRACE)
            except DeliveryError:
                run.is_ours = False  # it may have taken what it did not confirm
                raise
            tallies[Signal.LOGS].update(sent=sent, refused=refused)
            done += sent + refused
        tallies[Signal.LOGS]["skipped"] = len(batch.logs) - done
        changing = {
            key for key, run in self._runs.items() if key in news or run.touched or run.unseen or not run.is_summed_up
        }
        for key, run in self._runs.items():
            if key not in news:
                self._keep_up(run, batch)
        return Taken({signal: Tally(**count) for signal, count in tallies.items()}, self._memory(changing, batch.now))

    def _sort(self, batch: Batch) -> dict[str, _News]:
        """Fold records and incidents in, and gather by run what has to be told."""
        news: defaultdict[str, _News] = defaultdict(_News)
        # Processes of a run are shipped one after the other; what they say belongs in the order of its making.
        for record in sorted(batch.logs, key=lambda record: record.time):
            run = self._fold(record, batch.now)
            if run is not None:
                news[run.key].logs.append(record)
        for incident in batch.incidents:
            if incident.sample.text(names.DIGEST) or incident.sample.text(names.OWN_TROUBLE):
                continue  # ours to people, in the form of incidents; a run's own summary says the same here
            for run_id in incident.run_ids[-RUNS_OF_INCIDENT:]:
                key = self._of_trace.get(run_id, run_id)
                if key not in self._runs and run_id == incident.sample.run_id:  # the fast lane knows of it before we do
                    self._fold(incident.sample, batch.now)
                if key in self._runs:
                    news[key].incidents.append(incident)
        return dict(news)

    def _fold_spans(self, batch: Batch, news: dict[str, _News]) -> Counter[str]:
        """Fold spans in; those that are stages count as sent, because stages are what Prefect shows."""
        counts: Counter[str] = Counter()
        for span in batch.spans:
            run = self._run(_named_run(span) or span.trace_id, span.trace_id, bool(_named_run(span)), batch.now)
            stage = fold_span(run, span) if run is not None else None
            if run is not None:
                news.setdefault(run.key, _News())
            counts["skipped" if stage is None else "sent"] += 1
        return counts

    def _fold(self, record: Record, now: int) -> Run | None:
        run = self._run(record.run_id, record.trace_id, bool(record.text(names.RUN_ID)), now)
        if run is not None:
            fold_record(run, record)
        return run

    def _run(self, run_id: str, trace_id: str, is_named: bool, now: int) -> Run | None:
        if not run_id:
            return None
        key = run_id if is_named else self._of_trace.get(trace_id, run_id)
        run = self._runs.get(key)
        if run is None:
            run = self._runs[key] = Run(key)
        if trace_id and is_named:
            self._of_trace.setdefault(trace_id, key)
        run.seen_at = now
        return run

    def _bring(self, run: Run, new: _News, batch: Batch, least: Severity) -> tuple[int, int]:
        """Everything that is new about one run; how many log lines were sent, and refused."""
        if run.ended and not run.ended_at:
            run.ended_at = batch.now
        incidents = [*run.held, *new.incidents]
        if run.is_gone:
            return 0, 0
        if run.is_native:
            self._annotate(run, incidents, batch)
            run.held.clear()
            return 0, 0
        records: Iterable[Record] = new.logs
        if not run.flow_run and run.pipeline in self._native:
            if not run.is_over:  # most likely about to say that it is a Prefect flow again
                run.held = incidents
                return 0, 0
            records = self._log_of_run(run.key)  # it was none this time: what was held back is told after all
        lines = [record for record in records if record.severity >= least and record.event_name not in _NOT_LOGGED]
        self._mirror.open(run, again=batch.again)
        if run.is_gone:
            return 0, 0
        run.is_given_up = False
        self._mirror.tell_stages(run, run.stages.values(), now=batch.now)
        refused = self._mirror.tell_logs(run, lines, again=batch.again)
        for incident in sorted(incidents, key=lambda incident: incident.first_event):  # a cause before what it caused
            self._annotations.tell_incident(run, incident, now=batch.now)
        if not self._waits_for_reason(run, batch.now):
            self._tell_state(run, caught_up=batch.caught_up)
        self._progress(run)
        for record in lines:
            run.levels[record.severity.name] = run.levels.get(record.severity.name, 0) + 1
        run.held.clear()
        self._native.discard(run.pipeline)
        sent = min(len(lines), len(new.logs)) - min(refused, len(new.logs))
        return sent, min(refused, len(new.logs))

    @staticmethod
    def _waits_for_reason(run: Run, now: int) -> bool:
        """A run that failed is told once, with the reason, which settles a moment after the end."""
        has_failed = run.is_over and run.result not in _FINE and not run.troubles
        return has_failed and now - run.ended_at < REASON_WAIT_S * NS

    def _tell_state(self, run: Run, *, caught_up: bool) -> None:
        self._mirror.tell_state(run, trouble_of(list(run.troubles.values())), caught_up=caught_up)

    def _annotate(self, run: Run, incidents: Sequence[Incident], batch: Batch) -> None:
        """A Prefect flow: its own picture is the right one, to which we add what we know."""
        if run.flow_run:
            log.info("Run %s turned out to be a Prefect flow; its mirror is taken away", run.key)
            self._mirror.remove(run)
        self._native.add(run.pipeline)
        if batch.again or not run.told_state:
            self._mirror.know_artifacts(run, run.flow_runs[0])
        if run.told_state != "annotated":
            self._annotations.tell_run(run)
            run.told_state = "annotated"
        for incident in incidents:
            self._annotations.tell_incident(run, incident, now=batch.now)

    def _keep_up(self, run: Run, batch: Batch) -> None:
        """What is due without news: ends that had to settle, a check, a summary, a run that fell silent."""
        if run.is_gone or not (run.flow_run or run.is_native):
            return
        now = batch.now
        settled = batch.caught_up and now - run.seen_at >= SETTLE_S * NS
        if not run.is_native:
            self._keep_mirror_up(run, batch, settled=settled)
        if run.is_over and settled and not run.is_summed_up:
            self._annotations.tell_run(run)
            run.is_summed_up = True
        self._annotations.look(run, now=now)
        if not run.is_native:
            self._mirror.verify(run, now=now)

    def _keep_mirror_up(self, run: Run, batch: Batch, *, settled: bool) -> None:
        if run.is_summed_up:
            return
        now = batch.now
        if settled:
            # What these were within is over, and nothing about them is on its way any more.
            for stage in close_left_open(run, before=run.ended or now - int(SETTLE_S * NS)):
                stage.known_at = 1
            silent = now - run.seen_at >= self._silent_after_s * NS
            run.is_given_up = run.is_given_up or (run.has_heartbeat and not run.is_over and silent)
        self._mirror.tell_stages(run, run.stages.values(), now=now)
        if (run.is_over or run.is_given_up) and not self._waits_for_reason(run, now):
            self._tell_state(run, caught_up=batch.caught_up)
        if run.is_over and settled:
            if run.result == names.RESULT_SUCCESS:
                self._plans[run.pipeline] = len(run.stages)
            self._progress(run)

    def _progress(self, run: Run) -> None:
        """How far it is, measured by the stages of the last good run of the same pipeline."""
        plan = self._plans.get(run.pipeline, 0)
        done = sum(1 for stage in run.stages.values() if stage.ended)
        if run.is_over and run.result == names.RESULT_SUCCESS:
            percent = 100
        elif plan:
            percent = min(100 * done // plan, 99)
        else:
            return
        if percent != run.told_progress and run.stages:
            self._mirror.put_artifact(run, run.flow_run, "progress", "progress", float(percent))
            run.told_progress = percent

    def _memory(self, changing: Iterable[str], now: int) -> dict[str, str | None]:
        """What changed in what must be remembered."""
        changes: dict[str, str | None] = {}
        for key in changing:
            run = self._runs[key]
            self._store(changes, f"run/{key}", run.to_json())
            for stage in [run.stages[name] for name in run.touched if name in run.stages]:
                self._store(changes, f"stage/{key}/{stage.key}", stage_to_json(stage))
            run.touched.clear()
        for pipeline in self._native:
            self._store(changes, f"native/{pipeline}", "1")
        for pipeline, stages in self._plans.items():
            self._store(changes, f"plan/{pipeline}", str(stages))
        for key in [key for key in self._stored if key.startswith("native/")]:
            if key.removeprefix("native/") not in self._native:
                del self._stored[key]
                changes[key] = None
        self._forget(now, changes)
        return changes

    def _store(self, changes: dict[str, str | None], key: str, text: str) -> None:
        if self._stored.get(key) != text:
            self._stored[key] = changes[key] = text

    def _forget(self, now: int, changes: dict[str, str | None]) -> None:
        oldest = sorted(self._runs.values(), key=lambda run: (not run.is_over, run.seen_at))
        surplus = len(self._runs) - RUNS_MOST
        for position, run in enumerate(oldest):
            if position >= surplus and now - run.seen_at < FORGOTTEN_AFTER_S * NS:
                continue
            if not run.is_over and run.has_heartbeat and not run.is_given_up and position >= surplus:
                continue
            del self._runs[run.key]
            self._of_trace.pop(run.trace_id, None)
            for key in [f"run/{run.key}", *(f"stage/{run.key}/{stage}" for stage in run.stages)]:
                if self._stored.pop(key, None) is not None:
                    changes[key] = None


def _named_run(span: Span) -> str:
    return str(span.attributes.get(names.RUN_ID) or span.resource.get(names.RUN_ID) or "")


def _owes_stages(run: Run) -> bool:
    return not run.is_native and any(
        stage.resent >= 0 or (stage.ended and not stage.told_end) for stage in run.stages.values()
    )
