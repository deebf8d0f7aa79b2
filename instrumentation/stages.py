"""Named steps of a run. Without `run` or `configure()` nothing happens here.

A stage is an event at its start, an event and a span at its end, and a name on every record in between. It needs no
OpenTelemetry in the process; where that is loaded, the stage is the current span, so that other spans hang below it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar, cast, overload

from instrumentation import attributes as names
from instrumentation import events, thread_tasks, wandb
from instrumentation.child._pipeline_alerts_child import imports
from instrumentation.child._pipeline_alerts_child.context import Context
from instrumentation.child._pipeline_alerts_child.failures import qualified, stack_trace
from instrumentation.child._pipeline_alerts_child.names import POOL_MODULES
from instrumentation.child._pipeline_alerts_child.values import describe
from instrumentation.journal import Journal, current
from instrumentation.misuse import say_once, text_of
from instrumentation.moments import now_ns_after
from instrumentation.place import Active, Stay, current_stage, current_trace, innermost, outwards, parent_of
from instrumentation.running import journal as open_journal
from instrumentation.wrapping import as_stage

__all__ = ["Stage", "current_stage", "current_trace", "stage"]

INFO: Final = 20
ERROR: Final = 40
_LOGGER: Final = "instrumentation"
_INTERNAL_SPAN: Final = 1
_TOLD: Final = "_pipeline_alerts_told"  # on an exception: spans of the stages that need not tell it
_IN_CLASSES: Final = (staticmethod, classmethod, property)

P = ParamSpec("P")
R = TypeVar("R")


@overload
def stage(name: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def stage(name: str | None = None, /, *, model: str | None = None, upstream: str | Iterable[str] = ()) -> Stage: ...
def stage(name: Any = None, /, *, model: Any = None, upstream: Any = (), **unknown: object) -> Any:
    """A named step, for `with`, `async with` or as a decorator of a function: coroutine functions and generators too.

    Never raises: what is not as it should be is said once, as a WARNING of the run.

    Args:
        name: of the step; a decorated function's own name where it is left out.
        model: the model that it works on; stages within inherit it.
        upstream: names of the stages whose results it needs, so that its failure can be told as their consequence.
        unknown: is said once and ignored.
    """
    for each in unknown:
        say_once(f"stage() takes no {each}=")
    if name is None or isinstance(name, str) or not (callable(name) or isinstance(name, _IN_CLASSES)):
        return Stage(name, model, upstream)
    return Stage(None, model, upstream)(name)


class Stage:
    """What `stage` returns. Can be entered more than once, also within itself and by several threads."""

    def __init__(self, name: str | None, model: str | None = None, upstream: str | Iterable[str] = ()) -> None:
        self._name = None if name is None else text_of(name, "the name of a stage")
        self._model = None if model is None else text_of(model, "the model of a stage")
        self._upstream = _names(upstream)
        self._stays: list[Stay] = []

    def __reduce__(self) -> tuple[type[Stage], tuple[str | None, str | None, list[str]]]:
        """A copy, in another process say, is a stage that nobody is in."""
        return Stage, (self._name, self._model, self._upstream)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """The function, coroutine function or generator function as a stage; each call is one.

        Methods of classes can be decorated below or above `@staticmethod`, `@classmethod` and `@property`.
        """
        made: Any = function
        if isinstance(made, (staticmethod, classmethod)):
            made = type(made)(self(made.__func__))
        elif isinstance(made, property):
            made = made.getter(self(made.fget)) if made.fget is not None else made
        elif not callable(made) or isinstance(made, type):
            say_once(f"a stage is made of a function, not of {describe(made)}")
        else:
            name = self._name or getattr(made, "__name__", None) or type(made).__name__
            made = as_stage(made, lambda: Stage(name, self._model, self._upstream))
        return cast("Callable[P, R]", made)

    def __enter__(self) -> Self:
        journal = open_journal()
        if journal is not None:
            with contextlib.suppress(Exception):  # telling of a stage must never stop the stage
                self._begin(journal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stay = self._stay()
        if stay is None:
            return
        with contextlib.suppress(Exception):  # the same
            self._stays.remove(stay)
            stay.end()
            journal = open_journal()
            if journal is not None and stay.active.pid == os.getpid():  # a fork does not end what its parent began
                self._tell_end(journal, stay.active, error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def pause(self) -> None:
        """What runs until `resume` is not in the stage."""
        stay = self._stay()
        if stay is not None:
            with contextlib.suppress(Exception):  # the same
                stay.pause()

    def resume(self) -> None:
        """The stage goes on."""
        if self._stays:
            with contextlib.suppress(Exception):  # the same
                self._stays[-1].resume()

    def _stay(self) -> Stay | None:
        """The one that the caller's thread or task is in; the last where it was begun in another."""
        here = (one for one in reversed(self._stays) if one.is_here)
        return next(here, self._stays[-1] if self._stays else None)

    def _begin(self, journal: Journal) -> None:
        _watch_pools()
        outer = innermost()
        trace_id, parent_id = parent_of(outer)
        active = Active(
            name=self._name or "stage",
            model=self._model or (outer.model if outer else ""),
            run_id=os.urandom(8).hex(),
            trace_id=trace_id,
            span_id=os.urandom(8).hex(),
            parent_id=parent_id,
            started_ns=time.time_ns(),
            started=time.monotonic(),
            outer=outer,
        )
        facts = {names.UPSTREAM: self._upstream or None, names.PARENT_SPAN: active.parent_id}
        self._tell(journal, active, INFO, "%s started", names.EVENT_STAGE_START, facts)
        self._stays.append(Stay(active))

    def _tell_end(self, journal: Journal, active: Active, error: BaseException | None) -> None:
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
        level = ERROR if is_failure and error is not None and not _is_told(error, active) else INFO
        shown = error if level == ERROR else None
        self._tell(journal, active, level, f"%s ended: {result}", names.EVENT_STAGE_END, facts, shown)
        now_ns = now_ns_after(active.started_ns, duration)
        where = {names.STAGE: active.name, names.STAGE_RUN_ID: active.run_id, names.MODEL_NAME: active.model}
        where[names.WANDB_RUN_URL] = wandb.active_run_url()
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
                attributes={name: value for name, value in {**facts, **where}.items() if value not in (None, "")},
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
        active: Active,
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


@functools.cache
def _watch_pools() -> None:
    """Once, and not before a program has stages."""
    imports.Watch(
        {"concurrent.futures.thread": thread_tasks.watch_executor, "multiprocessing.pool": thread_tasks.watch_pool}
    )
    if current() is None:  # `run` does this for its processes itself, also for stages that are not ours
        outside = Context()  # now: the pools are loaded within a stage, perhaps
        imports.Watch(dict.fromkeys(POOL_MODULES, lambda module: _carry(module, outside)))


def _carry(module: Any, outside: Context) -> None:
    from instrumentation.child._pipeline_alerts_child.carrying import carry

    carry(module, outside)


def _names(upstream: Any) -> list[str]:
    try:
        given = [upstream] if isinstance(upstream, str) else list(() if upstream is None else upstream)
    except Exception:  # noqa: BLE001 - whatever a stranger's iterator raises
        given = [upstream]
    return [text_of(one, "what is upstream of a stage") for one in given]


def _is_told(error: BaseException, active: Active) -> bool:
    """Whether a stage within told this failure already; notes on it that this one and those around it know it now.

    Keeping the exception instead would keep what its frames hold, for as long as the outermost stage. Nothing but
    text, so that it can be pickled; one that is raised again elsewhere is told again.
    """
    noted = vars(error)
    if active.span_id in noted.get(_TOLD, ()):
        return True
    noted[_TOLD] = tuple(one.span_id for one in outwards(active))
    return False


def _is_cancelled(error: BaseException) -> bool:
    """Whether asyncio cancelled it; importing it for that would cost a program without tasks 50 ms."""
    asyncio = sys.modules.get("asyncio.exceptions")
    return asyncio is not None and isinstance(error, asyncio.CancelledError)


def _result_of(error: BaseException | None) -> str:
    if error is None or (isinstance(error, SystemExit) and error.code in {None, 0}):
        return names.RESULT_SUCCESS
    if isinstance(error, KeyboardInterrupt) or _is_cancelled(error):
        return names.RESULT_CANCELLATION
    if isinstance(error, GeneratorExit):
        return names.RESULT_SUCCESS
    return names.RESULT_FAILURE
