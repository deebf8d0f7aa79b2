"""The handler for a `logging.yaml`: records go to this process's journal, by one write each.

    handlers:
      pipeline_alerts: {class: instrumentation.PipelineHandler}
    root: {handlers: [console, pipeline_alerts]}

Nothing to it under `pipeline-alerts run` and after `configure()`, which see the same records without a handler.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from instrumentation import capture, running
from instrumentation.capture import QUIET_LOGGERS, is_ours, keep
from instrumentation.child._pipeline_alerts_child.values import describe
from instrumentation.journal import Journal
from instrumentation.misuse import say_once

__all__ = ["PipelineHandler"]


class PipelineHandler(logging.Handler):
    """Keeps every record at its level or above. Never raises, waits or prints; can be closed and made again at will.

    Args:
        level: the lowest level to keep, by number or name.
        exclude: loggers to leave out with their children, beside those that shipping itself makes talk.
        unknown: is said once and ignored, as a level that there is not: a configuration must not stop a pipeline.
    """

    def __init__(
        self, level: int | str = logging.INFO, *, exclude: str | Iterable[str] = (), **unknown: object
    ) -> None:
        super().__init__()
        self._problems = [f"PipelineHandler takes no {name}" for name in unknown]
        try:
            self.setLevel(level)
        except (TypeError, ValueError):
            self._problems.append(f"there is no level {describe(level)}: PipelineHandler takes INFO")
            self.setLevel(logging.INFO)
        self._excluded = (*QUIET_LOGGERS, *self._names(exclude))

    def createLock(self) -> None:  # noqa: N802 - logging's name
        """No lock: the journal needs none, and a fork could leave one held."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Keeps the record if the filters let it pass; without the base class's lock."""
        passed = self.filter(record)
        if isinstance(passed, logging.LogRecord):  # since Python 3.12 a filter may answer with another record
            record = passed
        if passed:
            self.emit(record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the record's line, unless others see it, a thread of ours is behind it, or one of ours just did."""
        try:
            if capture.sees_all() or is_ours(record, self._excluded):
                return
            journal = _journal()
            if journal is not None:
                keep(record, journal)
                while self._problems:
                    say_once(self._problems.pop())
        except Exception:  # noqa: BLE001 - the edge that must not fail; `handleError` would print
            return

    def _names(self, exclude: object) -> list[str]:
        if isinstance(exclude, str):
            return [exclude]
        try:
            return [describe(name) for name in exclude]  # type: ignore[attr-defined]
        except Exception:  # noqa: BLE001 - whatever a stranger's iterator raises
            self._problems.append(f"PipelineHandler leaves out loggers by name, not {describe(exclude)}")
            return []


def _journal() -> Journal | None:
    found = running.journal()
    if found is None:
        from instrumentation.own_run import ensure_started

        found = ensure_started(again=False)
    return found
