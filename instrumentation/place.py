"""Where in the run this thread, task or process is: which stage, which span. Knows nothing of journals.

Needs no OpenTelemetry; where that is loaded, a stage is its current span.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from instrumentation.child._pipeline_alerts_child.context import parse_traceparent
from instrumentation.child._pipeline_alerts_child.names import ENV_STAGE, ENV_TRACEPARENT

__all__ = [
    "Active",
    "current_stage",
    "current_trace",
    "enter",
    "innermost",
    "leave",
    "parent_of",
    "pause",
    "watch_threads",
    "work_for",
]

# OpenTelemetry is not loaded, half loaded, of another version than those we know, or another thing of that name.
_NOT_AS_KNOWN: Final = (KeyError, AttributeError, TypeError, ValueError)
_STAGE: Final = "pipeline_alerts_stage"  # on our spans: the stage, and what was current before it


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
    told: list[BaseException] = field(default_factory=list)  # failures that a stage within told already
    has_ended: bool = False


class _Outside:
    """Submitted outside of any stage, which is not the same as not known."""


_current: ContextVar[Active | None] = ContextVar("pipeline_alerts_stage", default=None)
_task: ContextVar[Active | _Outside | None] = ContextVar("pipeline_alerts_task", default=None)


def innermost() -> Active | None:
    """The stage that this thread or task is in; those that ended out of order are passed over.

    A task of an executor is in the stage that submitted it. Another thread without any works for the main thread: it is
    in the stage that subprocesses are in.
    """
    active = _current.get()
    while active is not None and active.has_ended:
        active = active.outer
    if active is not None:
        return active
    task = _task.get()
    if task is not None:
        return task if isinstance(task, Active) else None
    return _environment.innermost if threading.get_ident() != threading.main_thread().ident else None


def current_stage() -> str:
    """The name of the stage that this thread or task is in; empty outside of any."""
    active = innermost()
    return active.name if active else ""


def current_trace() -> tuple[str, str] | None:
    """Trace id and span id of the stage that this thread or task is in."""
    active = innermost()
    return (active.trace_id, active.span_id) if active else None


class _Environment:
    """What subprocesses learn: the innermost stage of the main thread that is still under way.

    The environment is the whole process's, so only the main thread writes it: a stage in another thread would put its
    name on the subprocesses of all. Stages of concurrent tasks may end in any order; each takes out only itself, and
    what was there before the first comes back after the last.
    """

    def __init__(self) -> None:
        self._active: list[Active] = []
        self._before: dict[str, str | None] = {}

    @property
    def innermost(self) -> Active | None:
        """The one that subprocesses started now belong to."""
        active = self._active  # replaced, not changed, when one ends
        return active[-1] if active else None

    def enter(self, active: Active) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        if not self._active:
            self._before = {name: os.environ.get(name) for name in (ENV_STAGE, ENV_TRACEPARENT)}
        self._active = [*self._active, active]
        self._show()

    def leave(self, active: Active) -> None:
        if not any(one is active for one in self._active):
            return
        self._active = [one for one in self._active if one is not active]
        self._show()

    def replace(self, active: Active | None) -> None:
        """All that this process does is for this one stage of another process."""
        self._before = dict.fromkeys((ENV_STAGE, ENV_TRACEPARENT)) if not self._active else self._before
        self._active = [active] if active else []
        self._show()

    def _show(self) -> None:
        if self._active:
            innermost = self._active[-1]
            os.environ[ENV_STAGE] = innermost.name
            os.environ[ENV_TRACEPARENT] = f"00-{innermost.trace_id}-{innermost.span_id}-01"
            return
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


_environment: Final = _Environment()


def enter(active: Active) -> object:
    """This thread or task is in a stage, and so are subprocesses of the main thread; returns what `leave` needs."""
    _current.set(active)
    token = make_current_span(active)
    _environment.enter(active)
    return token


def leave(active: Active, token: object) -> None:
    """The stage is over."""
    active.has_ended = True
    _current.set(innermost())  # no token: it may have been entered in another context, or end out of order
    _environment.leave(active)
    _unmake_current_span(token)


def pause(active: Active, token: object) -> None:
    """What runs now is not in the stage, which goes on by another `enter`."""
    _unmake_current_span(token)
    _current.set(active.outer)
    _environment.leave(active)


def watch_threads(module: Any) -> None:
    """Tasks of `concurrent.futures.thread` are in the stage that submits them; no traceback has a frame of ours."""
    item = module._WorkItem  # noqa: SLF001 - the only place that every task passes
    make, run = item.__init__, item.run

    def submitted(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        self.__dict__[_STAGE] = innermost()

    def work(self: Any, *args: Any) -> Any:
        with _Working(self.__dict__.get(_STAGE)):
            return run(self, *args)

    item.__init__, item.run = submitted, work


def work_for(trace_id: str, span_id: str, name: str, model: str) -> None:
    """This process is a worker, and what it does from now on is for a stage of another process.

    Args:
        trace_id: of the run.
        span_id: of the stage, or of whatever submitted the work outside of any.
        name: of the stage; empty outside of any.
        model: that the stage works on.
    """
    active = Active(name, model, "", trace_id, span_id, "", time.time_ns(), time.monotonic(), None)
    _current.set(active if name else None)
    _environment.replace(active if name else None)
    make_current_span(active)


class _Working:
    """Around a task in a thread of an executor: it is in the stage that submitted it, also when that is over."""

    def __init__(self, submitted_in: Active | None) -> None:
        self._active = submitted_in

    def __enter__(self) -> None:
        _task.set(self._active or _Outside())
        self._token = make_current_span(self._active) if self._active else None

    def __exit__(self, *_: object) -> None:
        _unmake_current_span(self._token)
        _task.set(None)


def parent_of(outer: Active | None) -> tuple[str, str]:
    """Trace and parent span: OpenTelemetry's current span, else the stage around, else whoever started the process."""
    with contextlib.suppress(*_NOT_AS_KNOWN):
        context = sys.modules["opentelemetry.trace"].get_current_span().get_span_context()
        if context.is_valid:
            return f"{context.trace_id:032x}", f"{context.span_id:016x}"
    if outer is not None:
        return outer.trace_id, outer.span_id
    trace_id, span_id = parse_traceparent(os.environ.get(ENV_TRACEPARENT, ""))
    return (trace_id, span_id) if trace_id else (os.urandom(16).hex(), "")


def make_current_span(active: Active) -> object:
    """Makes the stage OpenTelemetry's current span, if that is loaded; importing it here would cost 50 ms."""
    with contextlib.suppress(*_NOT_AS_KNOWN):
        trace, context = sys.modules["opentelemetry.trace"], sys.modules["opentelemetry.context"]
        span_context = trace.SpanContext(
            trace_id=int(active.trace_id, 16),
            span_id=int(active.span_id, 16),
            is_remote=False,
            trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
        )
        span = trace.NonRecordingSpan(span_context)
        setattr(span, _STAGE, (active, context.get_current()))
        token: object = context.attach(trace.set_span_in_context(span))
        return token
    return None


def _unmake_current_span(token: object) -> None:
    with contextlib.suppress(*_NOT_AS_KNOWN):
        trace, context = sys.modules["opentelemetry.trace"], sys.modules["opentelemetry.context"]
        if token is not None:
            context.detach(token)
        # Stages may end out of order: what a token brings back can be a stage that ended meanwhile.
        while (found := getattr(trace.get_current_span(), _STAGE, None)) is not None and found[0].has_ended:
            context.attach(found[1])
