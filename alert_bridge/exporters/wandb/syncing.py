"""Brings finished runs from disk to W&B with `wandb sync`, one at a time, in a process of its own.

Its exit code says nothing: it is 0 for a refused key or a damaged file, too. Only the mark that it leaves beside the
file of a run that it brought to W&B as a whole counts (tried with wandb 0.31).
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alert_bridge.exporters.wandb.library import SYNCED_MARK, clean_environment
from alert_bridge.exporters.wandb.settings import WandbSettings

__all__ = ["Syncing"]

SYNC_WITHIN_S = 300.0  # then it is ended and tried again later
FIRST_PAUSE_S = 30.0
LONGEST_PAUSE_S = 3600.0
NS = 1_000_000_000

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Under:
    folder: str
    process: subprocess.Popen[bytes]
    began: int


class Syncing:
    """A queue that somebody else keeps: `step` is told what W&B does not have yet, and answers what it has now.

    Args:
        settings: where to and with which key.
        environ: of this process.
    """

    def __init__(self, settings: WandbSettings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = clean_environment(environ) | {"WANDB_API_KEY": settings.key}
        if settings.base_url:
            self._environ["WANDB_BASE_URL"] = settings.base_url
        self._environ.pop("WANDB_MODE", None)  # it would stay offline
        self._under: _Under | None = None
        self._failures = 0
        self._next_at = 0
        self._lock = threading.Lock()  # `close` comes from another thread

    def step(self, waiting: Sequence[str], now: int) -> str:
        """Go on; the folder that is with W&B since the last step and was removed here, or nothing.

        Args:
            waiting: names of folders, the oldest first.
            now: ns since the epoch.
        """
        if self._under is not None:
            return self._look(self._under, now)
        if waiting and now >= self._next_at and self._settings.syncs:
            self._start(waiting[self._failures % len(waiting)], now)  # one that never works must not hold the others
        return ""

    def close(self) -> None:
        """End what runs: it is begun anew next time."""
        with self._lock:
            if self._under is not None and self._under.process.poll() is None:
                self._under.process.kill()

    def _start(self, folder: str, now: int) -> None:
        path = self._settings.directory / "wandb" / folder
        for mark in path.glob(SYNCED_MARK):  # of an earlier time, when there was less in it
            mark.unlink()
        command = [sys.executable, "-m", "wandb", "sync", "--include-online", "--include-synced", str(path)]
        with self._lock:
            process = subprocess.Popen(  # noqa: S603 - W&B's own command on our own folder
                command,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            self._under = _Under(folder, process, now)

    def _look(self, under: _Under, now: int) -> str:
        code = under.process.poll()
        if code is None:
            if now - under.began >= SYNC_WITHIN_S * NS:
                under.process.kill()
            return ""
        self._under = None
        path = self._settings.directory / "wandb" / under.folder
        if not path.is_dir():
            log.warning("%s is gone before it was brought to W&B", path)
            return under.folder
        if any(path.glob(SYNCED_MARK)):
            self._failures = self._next_at = 0
            with contextlib.suppress(OSError):
                shutil.rmtree(path)
            return under.folder
        pause = min(FIRST_PAUSE_S * 2.0 ** min(self._failures, 10), LONGEST_PAUSE_S)
        self._failures += 1
        self._next_at = now + int(pause * NS)
        log.warning("`wandb sync` did not bring %s to W&B (exit code %d); again in %d s", under.folder, code, pause)
        return ""
