"""The one place that calls W&B: opens runs, logs rows, alerts, finishes. Loaded when first used, never waited for long.

What W&B sends of itself is switched off: no console, code, git, packages, machine, statistics or error reports. Its
error reports would also carry what `OTEL_*` variables hold (wandb 0.31), which therefore are taken out first.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from alert_bridge.errors import DeliveryError, Permanent, Retryable
from alert_bridge.exporters.wandb.calls import Calls
from alert_bridge.exporters.wandb.histograms import Bins
from alert_bridge.exporters.wandb.rows import STEP, TIME, Row
from alert_bridge.exporters.wandb.settings import WandbSettings

__all__ = ["SYNCED_MARK", "Library", "Opening", "clean_environment"]

INIT_TIMEOUT_S = 5.0  # the default, 90 s, would hold everything behind it
FINISH_TIMEOUT_S = 5.0  # the default waits for ever; what is not sent by then stays on disk and is synced
LOAD_WITHIN_S = 30.0  # the import, and the start of its own process, on a busy machine
LOG_WITHIN_S = 30.0  # a batch of rows, a local matter
FLUSH_INTERVAL_S = 1  # what a kill can take; the default is 15 s
TRANSMIT_INTERVAL_S = 2.0  # the server takes two requests a second and run
LEAVE_WITHIN_S = 0.6  # at the end of the process
ALERT_TITLE_CHARACTERS = 63
NO_REPEAT_PAUSE = timedelta(milliseconds=1)  # zero would be read as "not given", which is a minute
NS_PER_S = 1e9
SYNCED_MARK = "*.wandb.synced"  # what `wandb sync` leaves beside the file of a run that it brought to W&B as a whole
_SHOWN_AS = "pipeline-alerts"  # in place of host and user names

# Of whoever started the bridge: they would be taken for settings of every run.
_NOT_OURS = (
    "WANDB_SERVICE", "WANDB_RUN_ID", "WANDB_RUN_GROUP", "WANDB_JOB_TYPE", "WANDB_NAME", "WANDB_NOTES", "WANDB_TAGS",
    "WANDB_RESUME", "WANDB_SWEEP_ID", "WANDB_CONFIG_PATHS",
)  # fmt: skip

log = logging.getLogger(__name__)


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment that W&B may see."""
    kept = {name: value for name, value in environ.items() if not name.startswith("OTEL_") and name not in _NOT_OURS}
    return kept | {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}


@dataclass(frozen=True, slots=True)
class Opening:
    """What a W&B run is opened with."""

    id: str
    name: str
    group: str
    project: str
    config: Mapping[str, str]


@dataclass(slots=True)
class _Opened:
    run: Any
    folder: Path
    axes: dict[str, str] = field(default_factory=dict)  # by key, as W&B was told
    rows: int = 0
    last: float = 0.0  # time of the last row, in seconds


class Library:
    """W&B, as far as we need it. Used by one thread, but for `close`.

    Every method raises `Retryable` where W&B does not answer, `Permanent` where it refuses us.
    """

    def __init__(self, settings: WandbSettings) -> None:
        self._settings = settings
        self._call = Calls("wandb")
        self._wandb: Any = None
        self._opened: dict[str, _Opened] = {}
        self._most_rows: dict[str, int] = {}  # that a run ever had, by id
        self.url = ""  # of the project where people look; known once something was opened online

    def is_open(self, run_id: str) -> bool:
        return run_id in self._opened

    def open(self, opening: Opening) -> None:
        """Begin a W&B run from its first row, in place of an earlier one with this id."""
        within = LOAD_WITHIN_S + INIT_TIMEOUT_S
        self._opened[opening.id] = self._call(lambda: self._open(opening), within_s=within)

    def log(self, run_id: str, rows: Sequence[Row]) -> int:
        """Append rows, in their order; how many the run has now, or had before it was opened again."""
        opened = self._opened[run_id]
        try:
            self._call(lambda: self._log(opened, rows), within_s=LOG_WITHIN_S)
        finally:
            most = self._most_rows[run_id] = max(self._most_rows.get(run_id, 0), opened.rows)
        return most

    def has_unseen(self, folder: str) -> bool:
        """Whether the folder of a finished run is still here, and nobody brought it to W&B."""
        path = self._settings.directory / "wandb" / folder
        return path.is_dir() and not any(path.glob(SYNCED_MARK))

    def alert(self, run_id: str, *, title: str, text: str, level: str) -> None:
        """Have W&B tell people. ``level`` is INFO, WARN or ERROR; only the first characters of a title are shown."""
        run = self._opened[run_id].run
        title = title if len(title) <= ALERT_TITLE_CHARACTERS else title[: ALERT_TITLE_CHARACTERS - 1] + "…"
        self._call(
            lambda: run.alert(title=title, text=text, level=level, wait_duration=NO_REPEAT_PAUSE),
            within_s=LOG_WITHIN_S,
        )

    def finish(self, run_id: str, summary: Mapping[str, str | float], *, exit_code: int, rows_least: int = 0) -> str:
        """End a run; the folder that W&B does not have yet, relative to ours, or nothing if it has all.

        W&B keeps a row of the run before with the same number, unless there is one in its place: of those there are
        ``rows_least``.
        """
        opened = self._opened[run_id]
        folder: str = self._call(
            lambda: self._finish(opened, summary, exit_code, rows_least), within_s=LOG_WITHIN_S + FINISH_TIMEOUT_S
        )
        self._most_rows.pop(run_id, None)
        del self._opened[run_id]
        return folder

    def abandon(self, run_id: str) -> None:
        """Let go of a run that has to be written anew; never raises."""
        opened = self._opened.pop(run_id, None)
        if opened is not None and not self._call.is_ended:
            with contextlib.suppress(Exception):  # it is thrown away, whatever is wrong with it
                self._call(lambda: self._finish(opened, {}, 1, 0), within_s=FINISH_TIMEOUT_S)

    def close(self) -> None:
        """Nobody waits for W&B any more, from any thread."""
        self._call.end()

    def _load(self) -> Any:
        if self._wandb is None:
            kept = clean_environment(os.environ)
            for name in set(os.environ) - set(kept):
                del os.environ[name]
            os.environ.update(kept)
            self._settings.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            import wandb

            self._wandb = wandb
        return self._wandb

    def _open(self, opening: Opening) -> _Opened:
        wandb, settings = self._load(), self._settings
        for folder in (settings.directory / "wandb").glob(f"*run-*-{opening.id}"):
            shutil.rmtree(folder, ignore_errors=True)
        try:
            run = wandb.init(
                entity=settings.entity or None,
                project=opening.project,
                id=opening.id,
                name=opening.name,
                group=opening.group,
                job_type="otel",
                tags=["pipeline-alerts"],
                config=dict(opening.config),
                mode=settings.mode,
                dir=str(settings.directory),
                reinit="create_new",
                settings=self._quiet(wandb),
            )
        except Exception as error:
            raise _trouble(wandb, error) from error
        finally:
            self._leave_in_time()
        for axis in (TIME, STEP):
            run.define_metric(axis, hidden=True)
        if settings.is_online:
            self.url = str(run.url or "").partition("/runs/")[0]
        return _Opened(run, Path(run.dir).parent)

    def _quiet(self, wandb: Any) -> Any:
        settings = self._settings
        reached = {"base_url": settings.base_url} if settings.base_url else {}
        secret = {"api_key": settings.key} if settings.key else {}
        return wandb.Settings(
            console="off", silent=True, symlink=False, label_disable=True, disable_git=True, disable_code=True,
            save_code=False, disable_job_creation=True, x_disable_stats=True, x_disable_meta=True,
            x_disable_machine_info=True, x_save_requirements=False, host=_SHOWN_AS, username=_SHOWN_AS,
            email="", program="", init_timeout=INIT_TIMEOUT_S, finish_timeout=FINISH_TIMEOUT_S,
            finish_timeout_raises=True, x_transaction_log_flush_interval=FLUSH_INTERVAL_S,
            x_file_stream_transmit_interval=TRANSMIT_INTERVAL_S, **reached, **secret,
        )  # fmt: skip

    def _log(self, opened: _Opened, rows: Sequence[Row]) -> None:
        for row in rows:
            if self._call.is_ended:
                raise Retryable("the exporter ends", code="ends")
            for key in row.cells:
                known = opened.axes.get(key)
                if known is None or (known == TIME and row.axis == STEP):
                    opened.axes[key] = row.axis
                    opened.run.define_metric(key, step_metric=row.axis)
            seconds = row.time / NS_PER_S
            said: dict[str, Any] = {key: self._cell(cell) for key, cell in row.cells.items()}
            said |= {TIME: seconds, "_timestamp": seconds}
            if row.step is not None:
                said[STEP] = row.step
            opened.rows, opened.last = opened.rows + 1, seconds
            opened.run.log(said)  # without `step=`: W&B drops what is lower than the one before

    def _cell(self, cell: float | Bins) -> Any:
        if isinstance(cell, Bins):
            return self._wandb.Histogram(np_histogram=(list(cell.counts), list(cell.edges)))
        return cell

    def _finish(self, opened: _Opened, summary: Mapping[str, str | float], exit_code: int, rows_least: int) -> str:
        for _ in range(opened.rows, rows_least):
            opened.run.log({TIME: opened.last, "_timestamp": opened.last})
        opened.run.summary.update(dict(summary))
        folder = opened.folder.name
        try:
            opened.run.finish(exit_code=exit_code)
        except TimeoutError:  # W&B is away: what it does not have is on disk
            return folder
        return "" if self._settings.is_online else folder

    def _leave_in_time(self) -> None:
        """W&B waits for its uploads at exit. Ours runs before that, because it is registered later."""
        atexit.unregister(self._leave)
        atexit.register(self._leave)

    def _leave(self) -> None:
        self._call.end()
        thread = threading.Thread(target=self._tear_down, daemon=True)
        thread.start()
        thread.join(LEAVE_WITHIN_S)
        if thread.is_alive():  # what was not sent is on disk, and written anew next time
            logging.shutdown()
            os._exit(0)

    def _tear_down(self) -> None:
        with contextlib.suppress(Exception):
            self._wandb.teardown()


def _trouble(wandb: Any, error: Exception) -> DeliveryError:
    text = " ".join(str(error).split())[:300] or type(error).__name__
    if isinstance(error, wandb.errors.AuthenticationError | wandb.errors.UsageError):
        return Permanent(f"W&B refuses: {text}", code="refused")
    return Retryable(f"W&B does not answer: {text}", code="unreachable")
