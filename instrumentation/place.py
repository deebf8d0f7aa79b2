"""Where in the run this thread, task or process is: which stage, which span. Knows nothing of journals.

Needs no OpenTelemetry; where that is loaded, a stage is its current span.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from instrumentation import current_span
from instrumentation.child._pipeline_alerts_child.context import parse_traceparent
from instrumentation.child._pipeline_alerts_child.environment import Environment
from instrumentation.child._pipeline_alerts_child.names import ENV_TRACEPARENT
from instrumentation.current_span import CurrentSpan

__all__ = [
    "Active",
    "Stay",
    "Work",
    "current_stage",
    "current_trace",
    "innermost",
    "outwards",
    "parent_of",
    "work_for",
]


@dataclass(slots=True)
class Active:
    """A stage under way. Times in ns since the epoch, and in monotonic seconds."""

    name: str
    model: str
    run_id: str
    trace_id: str
    span_id: str
    parent_id: str
    started_ns: int
    started: float
    outer: Active | None
    has_ended: bool = False
    pid: int = field(default_factory=os.getpid)  # of the process that began it

    @property
    def traceparent(self) -> str:
        """Its span as the W3C header's value."""
        return f"00-{self.trace_id}-{self.span_id}-01"


class _Outside:
    """Submitted outside of any stage, which is not the same as not known."""


_current: ContextVar[Active | None] = ContextVar("pipeline_alerts_stage", default=None)
_task: ContextVar[Active | _Outside | None] = ContextVar("pipeline_alerts_task", default=None)
_environment: Final = Environment()
_work: Final[list[CurrentSpan]] = []  # what this process works for, if it is a worker; at most one


def innermost() -> Active | None:
    """The stage that this thread or task is in; those that ended out of order are passed over.

    A task of an executor is in the stage that submitted it. Another thread without any works for the main thread: it is
    in the stage that subprocesses are in.
    """
    active = _under_way(_current.get())
    if active is not None:
        return active
    task = _task.get()
    if task is not None:
        return task if isinstance(task, Active) else None
    if threading.get_ident() == threading.main_thread().ident:
        return None
    found: Active | None = _environment.innermost
    return found


def current_stage() -> str:
    """The name of the stage that this thread or task is in; empty outside of any."""
    active = innermost()
    return active.name if active else ""


def current_trace() -> tuple[str, str] | None:
    """Trace id and span id of the stage that this thread or task is in."""
    active = innermost()
    return (active.trace_id, active.span_id) if active else None


class Stay:
    """This thread or task is in a stage, and so are subprocesses of the main thread, until it ends or is paused."""

    def __init__(self, active: Active) -> None:
        self.active = active
        self._inside: Active | None = None  # the innermost when it was paused
        self._span = CurrentSpan(active.trace_id, active.span_id)
        _current.set(active)
        _environment.enter(active)

    @property
    def is_here(self) -> bool:
        """Whether it is this thread or task that is in the stage, itself or in one within."""
        return any(one is self.active for one in outwards(_current.get()))

    def end(self) -> None:
        """The stage is over."""
        self.active.has_ended = True
        _current.set(_under_way(_current.get()))  # no token: it may have been entered elsewhere, or end out of order
        _environment.leave(self.active)
        self._span.end()

    def pause(self) -> None:
        """What runs until `resume` is where the caller is, not in the stage nor in those that were begun within it."""
        self._inside = _current.get() if self.is_here else self.active
        for one in self._within():
            _environment.leave(one)
        _current.set(self.active.outer)
        self._span.pause()

    def resume(self) -> None:
        """The stage goes on, around it whoever lets it."""
        if not self.is_here:
            self.active.outer = _current.get()
        _current.set(self._inside)
        for one in reversed(self._within()):
            _environment.enter(one)
        self._span.resume()

    def _within(self) -> list[Active]:
        """The stages from the innermost one out to this one."""
        found: list[Active] = []
        for one in outwards(self._inside):
            found.append(one)
            if one is self.active:
                break
        return found


class Work:
    """A thread works for the stage that handed it a task, also when that is over, or for none if it is None."""

    def __init__(self, active: Active | None) -> None:
        _task.set(active or _Outside())
        self._span = CurrentSpan(active.trace_id, active.span_id) if active else None

    def end(self) -> None:
        """The task is done."""
        _task.set(None)
        if self._span is not None:
            self._span.end()


def work_for(trace_id: str, span_id: str, name: str, model: str) -> None:
    """This process is a worker, and what it does from now on is for a stage of another process.

    Args:
        trace_id: of the run.
        span_id: of the stage, or of whatever submitted the work outside of any.
        name: of the stage; empty outside of any.
        model: that the stage works on.
    """
    active = Active(name, model, "", trace_id, span_id, "", time.time_ns(), time.monotonic(), None) if name else None
    _current.set(active)
    _environment.replace(active)
    if _work:
        _work.pop().end()
    _work.append(CurrentSpan(trace_id, span_id))


def parent_of(outer: Active | None) -> tuple[str, str]:
    """Trace and parent span: OpenTelemetry's current span, else the stage around, else whoever started the process."""
    found = current_span.current()
    if found is not None:
        return found
    if outer is not None:
        return outer.trace_id, outer.span_id
    trace_id, span_id = parse_traceparent(os.environ.get(ENV_TRACEPARENT, ""))
    return (trace_id, span_id) if trace_id else (os.urandom(16).hex(), "")


def _under_way(active: Active | None) -> Active | None:
    return next((one for one in outwards(active) if not one.has_ended), None)


def outwards(active: Active | None) -> Iterator[Active]:
    """The stage, the one around it, and so on."""
    while active is not None:
        yield active
        active = active.outer
