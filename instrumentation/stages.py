"""Named steps of a run, and values measured in them. Without `run` or `configure()` nothing happens here.

A stage is an event at its start, an event and a span at its end, and a name on every record in between. It needs no
OpenTelemetry in the process; where that is loaded, the stage is the current span, so that other spans hang below it.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import secrets
import sys
import threading
import time
from asyncio import CancelledError
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar, overload

from instrumentation import attributes as names
from instrumentation import events, wandb
from instrumentation.child._pipeline_alerts_child.context import parse_traceparent
from instrumentation.child._pipeline_alerts_child.failures import qualified, stack_trace
from instrumentation.child._pipeline_alerts_child.names import ENV_STAGE, ENV_TRACEPARENT
from instrumentation.child._pipeline_alerts_child.values import describe
from instrumentation.journal import Journal
from instrumentation.running import journal as open_journal

__all__ = ["current_stage", "current_trace", "log_metrics", "stage"]

INFO: Final = 20
ERROR: Final = 40
_LOGGER: Final = "instrumentation"
_INTERNAL_SPAN: Final = 1
_STAGE: Final = "pipeline_alerts_stage"  # on our spans: the stage, and what was current before it

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(slots=True)
class _Active:
    """A stage under way."""

    name: str
    model: str
    run_id: str
    trace_id: str
    span_id: str
    parent_id: str
    started_ns: int
    started: float
    outer: _Active | None
    told: list[BaseException] = field(default_factory=list)  # failures that a stage within told already
    has_ended: bool = False


_current: ContextVar[_Active | None] = ContextVar("pipeline_alerts_stage", default=None)


def _innermost() -> _Active | None:
    """The stage that this thread or task is in; those that ended out of order are passed over.

    A thread without any, such as an executor's, works for the main thread: it is in the stage that subprocesses are in.
    """
    active = _current.get()
    while active is not None and active.has_ended:
        active = active.outer
    if active is None and threading.get_ident() != threading.main_thread().ident:
        return _environment.innermost
    return active


def current_stage() -> str:
    """The name of the stage that this thread or task is in; empty outside of any."""
    active = _innermost()
    return active.name if active else ""


def current_trace() -> tuple[str, str] | None:
    """Trace id and span id of the stage that this thread or task is in."""
    active = _innermost()
    return (active.trace_id, active.span_id) if active else None


class _Environment:
    """What subprocesses learn: the innermost stage of the main thread that is still under way.

    The environment is the whole process's, so only the main thread writes it: a stage in another thread would put its
    name on the subprocesses of all. Stages of concurrent tasks may end in any order; each takes out only itself, and
    what was there before the first comes back after the last.
    """

    def __init__(self) -> None:
        self._active: list[_Active] = []
        self._before: dict[str, str | None] = {}

    @property
    def innermost(self) -> _Active | None:
        """The one that subprocesses started now belong to."""
        active = self._active  # replaced, not changed, when one ends
        return active[-1] if active else None

    def enter(self, active: _Active) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        if not self._active:
            self._before = {name: os.environ.get(name) for name in (ENV_STAGE, ENV_TRACEPARENT)}
        self._active = [*self._active, active]
        self._show()

    def leave(self, active: _Active) -> None:
        if not any(one is active for one in self._active):
            return
        self._active = [one for one in self._active if one is not active]
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


@overload
def stage(name: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def stage(name: str | None = None, /, *, model: str | None = None, upstream: str | Iterable[str] = ()) -> Stage: ...
def stage(name: Any = None, /, *, model: str | None = None, upstream: str | Iterable[str] = ()) -> Any:
    """A named step, for `with` or as a decorator of a function or coroutine function.

    Args:
        name: of the step; a decorated function's own name where it is left out.
        model: the model that it works on; stages within inherit it.
        upstream: names of the stages whose results it needs, so that its failure can be told as their consequence.
    """
    if callable(name):
        return Stage(None)(name)
    return Stage(name, model, (upstream,) if isinstance(upstream, str) else tuple(upstream))


class Stage:
    """What `stage` returns. Can be entered more than once, also within itself."""

    def __init__(self, name: str | None, model: str | None = None, upstream: Sequence[str] = ()) -> None:
        self._name = name
        self._model = model
        self._upstream = list(upstream)
        self._entered: list[tuple[_Active, object]] = []

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """The function as a stage; each call is one."""
        name = self._name or function.__name__

        def one() -> Stage:
            return Stage(name, self._model, self._upstream)

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def step(*args: Any, **kwargs: Any) -> Any:
                with one():
                    return await function(*args, **kwargs)

            return step  # type: ignore[return-value] # a coroutine function like the one that came

        @functools.wraps(function)
        def step_of(*args: P.args, **kwargs: P.kwargs) -> R:
            with one():
                return function(*args, **kwargs)

        return step_of

    def __enter__(self) -> Self:
        journal = open_journal()
        if journal is not None:
            with contextlib.suppress(Exception):  # telling of a stage must never stop the stage
                self._begin(journal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        journal = open_journal()
        if self._entered:
            active, span_token = self._entered.pop()
            with contextlib.suppress(Exception):  # the same
                self._leave(active, span_token)
                if journal is not None:
                    self._tell_end(journal, active, error)

    def _begin(self, journal: Journal) -> None:
        outer = _innermost()
        trace_id, parent_id = _parent(outer)
        active = _Active(
            name=self._name or "stage",
            model=self._model or (outer.model if outer else ""),
            run_id=secrets.token_hex(8),
            trace_id=trace_id,
            span_id=secrets.token_hex(8),
            parent_id=parent_id,
            started_ns=time.time_ns(),
            started=time.monotonic(),
            outer=outer,
            told=outer.told if outer else [],
        )
        place = {names.UPSTREAM: self._upstream or None, names.PARENT_SPAN: active.parent_id}
        self._tell(journal, active, INFO, "%s started", names.EVENT_STAGE_START, place)
        _current.set(active)
        self._entered.append((active, _make_current_span(active)))
        _environment.enter(active)

    @staticmethod
    def _leave(active: _Active, span_token: object) -> None:
        active.has_ended = True
        _current.set(_innermost())  # no token: it may have been entered in another context, or end out of order
        _environment.leave(active)
        _unmake_current_span(span_token)

    def _tell_end(self, journal: Journal, active: _Active, error: BaseException | None) -> None:
        duration = time.monotonic() - active.started
        result = _result_of(error)
        is_failure = result == names.RESULT_FAILURE
        facts: dict[str, object] = {
            names.STAGE_RESULT: result,
            names.DURATION: round(duration, 6),
            names.ERROR_TYPE: qualified(type(error)) if error is not None else "",
            names.UPSTREAM: self._upstream or None,
        }
        # The innermost stage tells the failure; those around it only that they failed too.
        is_told = any(error is one for one in active.told)
        level = ERROR if is_failure and not is_told else INFO
        if error is not None and is_failure and not is_told:
            active.told.append(error)
        shown = error if level == ERROR else None
        self._tell(journal, active, level, f"%s ended: {result}", names.EVENT_STAGE_END, facts, shown)
        now_ns = time.time_ns()
        place = {names.STAGE: active.name, names.STAGE_RUN_ID: active.run_id, names.MODEL_NAME: active.model}
        place[names.WANDB_RUN_URL] = wandb.active_run_url()
        journal.append(
            events.span_line(
                journal.next_number(),
                trace_id=active.trace_id,
                span_id=active.span_id,
                parent_id=active.parent_id,
                name=active.name,
                kind=_INTERNAL_SPAN,
                start_ns=active.started_ns,
                end_ns=now_ns,
                is_error=is_failure,
                status_message=describe(error)[:1000] if error is not None and is_failure else "",
                attributes={name: value for name, value in {**facts, **place}.items() if value not in (None, "")},
            )
        )
        point: dict[str, object] = {names.STAGE: active.name, names.STAGE_RESULT: result}
        if active.model:
            point[names.MODEL_NAME] = active.model
        if wandb.log({f"stage/{active.name}/duration_s": duration}, None):
            point[names.WANDB_MIRRORED] = True
        journal.append(
            events.metric_line(
                journal.next_number(), now_ns, name=names.STAGE_DURATION, unit="s", value=duration, attributes=point
            )
        )

    @staticmethod
    def _tell(
        journal: Journal,
        active: _Active,
        level: int,
        template: str,
        event: str,
        facts: Mapping[str, object],
        error: BaseException | None = None,
    ) -> None:
        journal.owns(None)
        line = events.log_line(
            journal.next_number(),
            time.time_ns(),
            level=level,
            template=template,
            arguments=[active.name],
            event=event,
            logger=_LOGGER,
            attributes={**facts, names.STAGE_RUN_ID: active.run_id, names.MODEL_NAME: active.model},
            trace_id=active.trace_id,
            span_id=active.span_id,
            stage=active.name,
            failure=(qualified(type(error)), describe(error), stack_trace(error)) if error is not None else None,
        )
        journal.append(line, level)


def log_metrics(values: Mapping[str, float], *, step: int | None = None) -> None:
    """Keeps each value as one gauge point: training curves and figures of merit, none aggregated away.

    Args:
        values: by name; what is not a number is left out.
        step: where on its axis (epoch, month …); the time alone where it is left out.
    """
    with contextlib.suppress(Exception):  # a figure that cannot be kept must not stop a training
        numbers = {str(name): number for name, value in values.items() if (number := _number(value)) is not None}
        is_mirrored = wandb.log(numbers, step)
        journal = open_journal()
        if journal is None:
            return
        journal.owns(None)
        now_ns = time.time_ns()
        active = _innermost()
        attributes: dict[str, object] = {} if step is None else {names.METRIC_STEP: int(step)}
        if active and active.model:
            attributes[names.MODEL_NAME] = active.model
        if is_mirrored:
            attributes[names.WANDB_MIRRORED] = True
        for name, number in numbers.items():
            line = events.metric_line(
                journal.next_number(),
                now_ns,
                name=name,
                unit="",
                value=number,
                attributes=attributes,
                stage=active.name if active else "",
            )
            journal.append(line)


def _number(value: object) -> float | None:
    """A Python number of the value: of numpy's and torch's scalars too, whose libraries are not imported for it."""
    if isinstance(value, (int, float)):
        return value
    item = getattr(value, "item", None)
    try:
        number = item() if callable(item) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        return None
    return number if isinstance(number, (int, float)) else None


def _result_of(error: BaseException | None) -> str:
    if error is None or (isinstance(error, SystemExit) and error.code in {None, 0}):
        return names.RESULT_SUCCESS
    if isinstance(error, (KeyboardInterrupt, CancelledError)):
        return names.RESULT_CANCELLATION
    if isinstance(error, GeneratorExit):
        return names.RESULT_SUCCESS
    return names.RESULT_FAILURE


def _parent(outer: _Active | None) -> tuple[str, str]:
    """Trace and parent span: OpenTelemetry's current span, else the stage around, else whoever started the process."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is not None:
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            return f"{context.trace_id:032x}", f"{context.span_id:016x}"
    if outer is not None:
        return outer.trace_id, outer.span_id
    trace_id, span_id = parse_traceparent(os.environ.get(ENV_TRACEPARENT, ""))
    return (trace_id, span_id) if trace_id else (secrets.token_hex(16), "")


def _make_current_span(active: _Active) -> object:
    """Makes the stage OpenTelemetry's current span, if that is loaded; importing it here would cost 50 ms."""
    trace = sys.modules.get("opentelemetry.trace")
    context = sys.modules.get("opentelemetry.context")
    if trace is None or context is None:
        return None
    span_context = trace.SpanContext(
        trace_id=int(active.trace_id, 16),
        span_id=int(active.span_id, 16),
        is_remote=False,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
    )
    span = trace.NonRecordingSpan(span_context)
    setattr(span, _STAGE, (active, context.get_current()))
    return context.attach(trace.set_span_in_context(span))


def _unmake_current_span(token: object) -> None:
    trace = sys.modules.get("opentelemetry.trace")
    context = sys.modules.get("opentelemetry.context")
    if token is None or trace is None or context is None:
        return
    context.detach(token)
    # Stages may end out of order: what a token brings back can be a stage that ended meanwhile.
    while (found := getattr(trace.get_current_span(), _STAGE, None)) is not None and found[0].has_ended:
        context.attach(found[1])
