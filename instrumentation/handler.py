"""The handler for a `logging.yaml`, and for `configure()`: records go to this process's journal, by one write each.

    handlers:
      pipeline_alerts: {class: instrumentation.PipelineHandler}
    root: {handlers: [console, pipeline_alerts]}

Nothing to it under `pipeline-alerts run`, which sees the same records without a handler.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Iterable
from typing import Final

from instrumentation import journal as journals
from instrumentation import running
from instrumentation.child._pipeline_alerts_child.context import Context
from instrumentation.child._pipeline_alerts_child.records import Encoder
from instrumentation.journal import Journal

__all__ = ["OWN_THREAD_PREFIX", "QUIET_BELOW_WARNING", "QUIET_LOGGERS", "PipelineHandler"]

# Shipping makes these libraries log; a root logger at DEBUG turned 1 record into 55 in 12 s.
QUIET_LOGGERS: Final = ("opentelemetry",)
QUIET_BELOW_WARNING: Final = ("httpcore", "httpx", "requests", "slack_sdk", "urllib3", "wandb")
OWN_THREAD_PREFIX: Final = "pipeline-alerts"  # names of our threads; nothing that they log is the program's


class PipelineHandler(logging.Handler):
    """Keeps every record at its level or above. Never raises, waits or prints; can be closed and made again at will.

    Args:
        level: the lowest level to keep, by number or name.
        exclude: loggers to leave out with their children, beside those that shipping itself makes talk.
    """

    def __init__(self, level: int | str = logging.INFO, *, exclude: Iterable[str] = ()) -> None:
        super().__init__(level)
        self._excluded = (*QUIET_LOGGERS, *exclude)

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
        """Writes the record's line, unless `run` or a thread of ours is behind it, or another handler of ours did."""
        try:
            journal = None if _is_known(record) or self._is_ours(record) else _journal()
            if journal is not None:
                own = journal.owns(record.process)
                journal.append(_encoder.line(record, journal.next_number(), own), record.levelno)
        except Exception:  # noqa: BLE001 - the edge that must not fail; `handleError` would print
            return

    def _is_ours(self, record: logging.LogRecord) -> bool:
        if threading.current_thread().name.startswith(OWN_THREAD_PREFIX):
            return True
        return _is_below(record.name, self._excluded) or (
            record.levelno < logging.WARNING and _is_below(record.name, QUIET_BELOW_WARNING)
        )


_encoder: Final = Encoder(Context())
_thread: Final = threading.local()


def _is_known(record: logging.LogRecord) -> bool:
    """Whether `run` sees this record by itself, or another handler of ours, say on its parent logger, just did."""
    if journals.current() is not None:
        return True
    before = getattr(_thread, "before", None)
    if before is not None and before() is record:
        return True
    _thread.before = weakref.ref(record)
    return False


def _journal() -> Journal | None:
    found = running.journal()
    if found is None and not getattr(_thread, "is_starting", False):
        from instrumentation.own_run import ensure_started

        _thread.is_starting = True  # what starting makes somebody log must not start again
        try:
            found = ensure_started()
        finally:
            _thread.is_starting = False
    return found


def _is_below(name: str, parents: Iterable[str]) -> bool:
    return any(name == parent or name.startswith(parent + ".") for parent in parents)
