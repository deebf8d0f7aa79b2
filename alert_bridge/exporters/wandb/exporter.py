"""The W&B exporter: sorts what is new by pipeline run, and keeps one W&B run for each.

A W&B run is only ever a copy: opened, it is written whole from the telemetry store, and then continued. So whatever
happens in between (a restart, a kill, a batch that failed half-way) it is opened again, in place of the one before,
and every value is in it once. One that W&B has as a whole is never written again: what comes after its end is in
another W&B run of the same group, because what a second `wandb sync` does to a run is W&B's to decide.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from urllib.parse import quote

from alert_bridge.exporters.base import Batch, Signal, Taken, Tally
from alert_bridge.exporters.wandb.library import Library, Opening
from alert_bridge.exporters.wandb.news import News, kept_of
from alert_bridge.exporters.wandb.rows import Row, rows
from alert_bridge.exporters.wandb.runs import Run, wandb_id
from alert_bridge.exporters.wandb.settings import WandbSettings
from alert_bridge.exporters.wandb.syncing import Syncing
from alert_bridge.model import Incident, IncidentState, MetricPoint, Severity, Span
from instrumentation import attributes as names

__all__ = ["WandbExporter"]

NS = 1_000_000_000
SETTLE_S = 2.0  # after a run's end, for what other processes of it still have to say; doubled each time that more came
LONGEST_SETTLE_S = 600.0
SILENT_AFTER_S = 3600.0  # without a word for so long, a run is not shown as going on
FORGOTTEN_AFTER_S = 24 * 3600.0
RUNS_MOST = 2_000  # remembered; beyond, those that are done go first
OPEN_MOST = 32  # W&B runs at a time; the one that was quiet longest is finished, and opened again if need be
ROWS_AT_ONCE = 2_000

_LEVELS = {Severity.CRITICAL: "ERROR", Severity.ERROR: "ERROR", Severity.WARNING: "WARN"}
_FINE = frozenset({names.RESULT_SUCCESS, names.RESULT_SKIP, ""})


class WandbExporter:
    """Writes runs to W&B. Implements `Exporter`.

    Args:
        settings: where W&B is.
        public_url: where our pages are, without a trailing slash.
        least: records and incidents below this severity are not counted, by the policy's routes; None: nothing is
            written at all.
        alerts_from: incidents from this severity on are W&B alerts too; None: none is. Online only: `wandb sync` would
            alert people of what is long over.
        points_of_run, spans_of_run: what the store has of a run, ``after`` one of its cursors ``until`` another.
    """

    name = "wandb"
    signals = frozenset({Signal.LOGS, Signal.SPANS, Signal.POINTS, Signal.INCIDENTS})

    def __init__(
        self,
        settings: WandbSettings,
        *,
        public_url: str,
        least: Callable[[], Severity | None],
        alerts_from: Callable[[], Severity | None],
        points_of_run: Callable[..., Iterable[MetricPoint]],
        spans_of_run: Callable[..., Iterable[Span]],
    ) -> None:
        self.setup = settings.setup
        self._settings = settings
        self._public_url = public_url
        self._least = least
        self._alerts_from = alerts_from
        self._points_of_run = points_of_run
        self._spans_of_run = spans_of_run
        self._library = Library(settings)
        self._syncing = Syncing(settings, os.environ)
        self._runs: dict[str, Run] = {}
        self._stored: dict[str, str] = {}

    @property
    def url(self) -> str:
        """Where the project is, once something was written there."""
        return self._library.url

    def recall(self, memory: Mapping[str, str]) -> None:
        """Take up what is known of runs; those that were open are written anew when there is news of them."""
        for key, text in memory.items():
            self._runs[key] = Run.from_json(text)
        self._stored = dict(memory)

    def close(self) -> None:
        """Nobody waits for W&B any more."""
        self._library.close()
        self._syncing.close()

    def take(self, batch: Batch) -> Taken:
        """Bring W&B up to date; see `Exporter`."""
        least = self._least()
        if least is None:
            return Taken({signal: Tally(skipped=count) for signal, count in _sizes(batch).items()})
        news = News(batch, self._runs, least)
        try:
            for key in news.wanted:
                self._bring(news.run(key), news, batch)
            self._finish_due(news, batch)
        except BaseException:
            # What W&B has of them now is anybody's guess.
            for key in [*news.wanted, *news.runs]:
                self._let_go(key)
            raise
        self._sync(news, batch.now)
        self._runs |= news.runs
        return Taken(news.tallies, self._memory(news, batch.now))

    def _bring(self, run: Run, news: News, batch: Batch) -> None:
        """Everything that is new about one run."""
        if run.is_done:
            if not self._is_unseen(run):
                if run.is_over and not news.values[run.key] and not news.incidents[run.key]:
                    return  # a log line too late to be counted is not worth a W&B run of its own
                run.begin_part(batch.after)
            run.is_done = False
            run.reopened += 1
        run.is_shown = True
        if not self._library.is_open(run.id):
            self._open(run, batch)
        else:
            new = rows(news.values[run.key])
            if news.incidents[run.key]:
                new.append(_alert_row(max(incident.opened_at for incident in news.incidents[run.key]), run))
            self._log(run, new)
        self._alert(run, news.incidents[run.key])

    def _is_unseen(self, run: Run) -> bool:
        """Whether its W&B run is only here, so that it can be written again."""
        if self._settings.is_online or self._settings.syncs or not run.unsynced:
            return False
        return self._library.has_unseen(run.unsynced[-1])

    def _open(self, run: Run, batch: Batch) -> None:
        """Open its W&B run and write all that the store has of it, up to the end of this batch."""
        self._make_room()
        self._library.open(
            Opening(
                id=run.id,
                name=run.key if run.part == 1 else f"{run.key} (part {run.part})",
                group=run.key,
                project=self._settings.project_of(run.pipeline or "unknown"),
                config=run.config(self._page(run)),
            )
        )
        run.unsynced = [folder for folder in run.unsynced if not folder.endswith(f"-{run.id}")]
        values = kept_of(
            self._spans_of_run(run.key, after=run.after.get(Signal.SPANS, 0), until=batch.until[Signal.SPANS]),
            self._points_of_run(run.key, after=run.after.get(Signal.POINTS, 0), until=batch.until[Signal.POINTS]),
        )
        while some := list(islice(values, ROWS_AT_ONCE)):
            self._log(run, rows(some))
        if run.incidents:
            self._log(run, [_alert_row(max(at for at, _ in run.incidents.values()), run)])

    def _log(self, run: Run, new: Sequence[Row]) -> None:
        run.rows = max(run.rows, self._library.log(run.id, new))

    def _make_room(self) -> None:
        is_open = [run for run in self._runs.values() if self._library.is_open(run.id)]
        if len(is_open) >= OPEN_MOST:
            quiet = min(is_open, key=lambda run: run.seen_at)
            self._library.finish(quiet.id, quiet.summary(self._page(quiet)), exit_code=0, rows_least=quiet.rows)

    def _let_go(self, key: str) -> None:
        run = self._runs.get(key)
        for part in (run.part, run.part + 1) if run else (1,):  # the batch that failed may have begun another
            self._library.abandon(wandb_id(key, part))

    def _alert(self, run: Run, incidents: Sequence[Incident]) -> None:
        least = self._alerts_from()
        if least is None or not self._settings.is_online:
            return
        for incident in incidents:
            is_told = incident.id in run.alerted or incident.state is not IncidentState.OPEN or incident.root_id
            if is_told or incident.severity < least:
                continue
            where = f" in {incident.stage}" if incident.stage else ""
            page = f"{self._public_url}/incidents/{quote(incident.id, safe='')}" if self._public_url else ""
            self._library.alert(
                run.id,
                title=f"{incident.severity.name}: {incident.title}",
                text=f"{incident.pipeline}{where}, run {run.key}\n{page}",
                level=_LEVELS.get(incident.severity, "INFO"),
            )
            run.alerted.append(incident.id)

    def _finish_due(self, news: News, batch: Batch) -> None:
        """Finish what is over, and what has said nothing for too long."""
        for key in self._runs.keys() | news.runs.keys():
            run = news.runs.get(key) or self._runs[key]
            if run.is_done or not run.is_shown or not batch.caught_up:
                continue
            quiet_s = (batch.now - run.seen_at) / NS
            settle_s = min(SETTLE_S * 2.0 ** min(run.reopened, 20), LONGEST_SETTLE_S)
            if quiet_s >= (settle_s if run.is_over else SILENT_AFTER_S):
                self._finish(news.run(key), batch)

    def _finish(self, run: Run, batch: Batch) -> None:
        if not self._library.is_open(run.id):
            self._open(run, batch)
        run.is_done = True
        summary = run.summary(self._page(run))
        is_fine = run.is_over and run.result in _FINE
        exit_code = 0 if is_fine else run.exit_code or 1
        folder = self._library.finish(run.id, summary, exit_code=exit_code, rows_least=run.rows)
        if folder:
            run.unsynced.append(folder)

    def _sync(self, news: News, now: int) -> None:
        current = {**self._runs, **news.runs}
        waiting = sorted((run.seen_at, folder, key) for key, run in current.items() for folder in run.unsynced)
        synced = self._syncing.step([folder for _, folder, _ in waiting], now)
        for _, folder, key in waiting:
            if folder == synced:
                news.run(key).unsynced.remove(folder)

    def _page(self, run: Run) -> str:
        return f"{self._public_url}/runs/{quote(run.key, safe='')}" if self._public_url else ""

    def _memory(self, news: News, now: int) -> dict[str, str | None]:
        """What changed in what must be remembered."""
        changes: dict[str, str | None] = {}
        for key, run in news.runs.items():
            text = run.to_json()
            if self._stored.get(key) != text:
                self._stored[key] = changes[key] = text
        oldest = sorted(self._runs.values(), key=lambda run: (not run.is_done, run.seen_at))
        surplus = len(oldest) - RUNS_MOST
        for position, run in enumerate(oldest):
            is_past = now - run.seen_at >= FORGOTTEN_AFTER_S * NS
            is_open = self._library.is_open(run.id)
            waits = run.unsynced and self._settings.syncs
            if position < surplus or (is_past and not is_open and not waits):
                del self._runs[run.key]
                if self._stored.pop(run.key, None) is not None:
                    changes[run.key] = None
        return changes


def _sizes(batch: Batch) -> dict[Signal, int]:
    return {
        Signal.LOGS: len(batch.logs),
        Signal.SPANS: len(batch.spans),
        Signal.POINTS: len(batch.points),
        Signal.INCIDENTS: len(batch.incidents),
    }


def _alert_row(at: int, run: Run) -> Row:
    return Row(at, None, {f"alerts/{severity}": float(count) for severity, count in run.alerts().items()})
