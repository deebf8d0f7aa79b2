"""Records of this process into the journal that it writes by itself: which ones, and how each is kept once.

Under `run` the child side does all of this.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, Final

from instrumentation import running
from instrumentation.child._pipeline_alerts_child import hook, names
from instrumentation.child._pipeline_alerts_child.context import Context
from instrumentation.child._pipeline_alerts_child.imports import Watch
from instrumentation.child._pipeline_alerts_child.records import Encoder
from instrumentation.journal import Journal, current

__all__ = [
    "OWN_THREAD_PREFIX",
    "QUIET_BELOW_WARNING",
    "QUIET_LOGGERS",
    "begin",
    "install",
    "is_ours",
    "keep",
    "sees_all",
]

# Shipping makes these libraries log; a root logger at DEBUG turned 1 record into 55 in 12 s.
QUIET_LOGGERS: Final = ("opentelemetry",)
QUIET_BELOW_WARNING: Final = ("httpcore", "httpx", "requests", "slack_sdk", "urllib3", "wandb")
OWN_THREAD_PREFIX: Final = "pipeline-alerts"  # names of our threads; nothing that they log is the program's

_thread: Final = threading.local()
_encoders: Final[list[tuple[Journal, Encoder]]] = []  # of the journal written now; at most one
_installed: Final[list[object]] = []  # at most one


def install(environ: Mapping[str, str] = os.environ) -> None:
    """Keeps what `logging` and loguru accept from now on, as long as this process writes a journal of its own.

    Adds no handler: one on root would turn `basicConfig()` into a no-op that costs the program its console, and the
    next `dictConfig` would take it away. Once per process; does nothing to a `logging` that is not the one we know.
    """
    original = hook.dispatch_of(logging)
    if _installed or original is None:
        return
    floor = hook.floor_of(logging, environ.get(names.ENV_LEVEL, ""))

    def callHandlers(self: Any, record: Any) -> Any:  # noqa: N802 - the method that it stands for
        with contextlib.suppress(Exception):  # the edge that must not fail
            _look(record, floor)
        return original(self, record)

    _installed.append(original)
    hook.stand_in(logging.Logger, callHandlers)
    Watch({"loguru": lambda _module: _watch_loguru(floor)})


def sees_all() -> bool:
    """Whether records reach the journal without a handler: under `run`, and after `configure()`."""
    return current() is not None or (bool(_installed) and running.journal() is not None)


def keep(record: logging.LogRecord, journal: Journal) -> None:
    """Writes the record's line, unless it was the last that this thread kept: it passes each handler on its way."""
    before = getattr(_thread, "before", None)
    if before is not None and before() is record:
        return
    _thread.before = weakref.ref(record)
    own = journal.owns(record.process)
    journal.write(_encoder(journal).encode(record, journal.next_number(), own), record.levelno)


def is_ours(record: logging.LogRecord, excluded: Iterable[str] = QUIET_LOGGERS) -> bool:
    """Whether shipping is behind the record, or its logger is to be left out."""
    if threading.current_thread().name.startswith(OWN_THREAD_PREFIX):
        return True
    return _is_below(record.name, excluded) or (
        record.levelno < logging.WARNING and _is_below(record.name, QUIET_BELOW_WARNING)
    )


def _look(record: logging.LogRecord, floor: int) -> None:
    journal = running.journal()
    if journal is None or record.levelno < floor or is_ours(record):
        return
    if hook.left_out is None or not hook.left_out(record):
        keep(record, journal)


def _watch_loguru(floor: int) -> None:
    from instrumentation.child._pipeline_alerts_child import loguru_records  # imports what the program has by then

    loguru_records.watch(sys.modules["loguru._handler"], lambda record: _look(record, floor))


def begin(journal: Journal) -> None:
    """Records go to this one from now on; where the process is outside of any stage, its environment says now."""
    _encoders[:] = [(journal, Encoder(Context()))]


def _encoder(journal: Journal) -> Encoder:
    if not _encoders or _encoders[0][0] is not journal:
        begin(journal)
    return _encoders[0][1]


def _is_below(name: str, parents: Iterable[str]) -> bool:
    return any(name == parent or name.startswith(parent + ".") for parent in parents)
