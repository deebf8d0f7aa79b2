"""What a sender clears up beside its work: journals of the dead that are received, and what is above the disk cap."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from pathlib import Path
from typing import Final

from instrumentation.sender.journals import process_is_alive
from instrumentation.sender.reading import Reader
from instrumentation.sender.shedding import shed

__all__ = ["Tidier"]

REMOVE_AFTER_S: Final = 2.0  # a dead writer's journal stays this long after it was acknowledged


class Tidier:
    """Keeps a run's folder small."""

    def __init__(self, folder: Path, cap_bytes: int, reader: Reader, counts: Counter[str]) -> None:
        self._folder = folder
        self._cap_bytes = cap_bytes
        self._reader = reader
        self._counts = counts
        self._dead_since: dict[str, float] = {}

    def tidy(self, now: float) -> None:
        """Removes what may go at this moment, in monotonic seconds."""
        self._remove_finished(now)
        self._keep_below_cap()

    def _keep_below_cap(self) -> None:
        """Only during an outage: what the disk cap costs is counted, and told as soon as somebody listens."""
        journals = self._reader.journals.values()
        if sum(max(one.size() - one.acknowledged, 0) for one in journals) <= self._cap_bytes:
            return
        for level, count in shed(self._folder, journals, self._cap_bytes).items():
            self._counts["shed"] += count
            self._counts[f"shed at level {level}"] += count

    def _remove_finished(self, now: float) -> None:
        for name, journal in list(self._reader.journals.items()):
            is_done = journal.is_settled and journal.size() <= journal.seen
            if not is_done or journal.pid == os.getpid() or process_is_alive(journal.pid):
                self._dead_since.pop(name, None)
                continue
            since = self._dead_since.setdefault(name, now)
            if now - since >= REMOVE_AFTER_S and not journal.lost:
                self._reader.relays.remember(journal)
                with contextlib.suppress(OSError):
                    journal.path.unlink()
                del self._reader.journals[name]
                self._dead_since.pop(name, None)
