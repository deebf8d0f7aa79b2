"""Tasks of process pools are in the stage that submitted them, though a worker lives through several stages.

A task takes the names along; the worker is told when it unpickles the task, before it calls it. So no frame of ours is
in any traceback, and a worker without us takes the task like any other. Only `multiprocessing.Pool` pickles nothing but
tuples: there the names travel in place of the keyword arguments, which the worker gets back as they were.
"""

from __future__ import annotations

import os
import sys

from . import names
from .pools import watch_tasks

TYPE_CHECKING = False  # the real one costs every child the import of typing
if TYPE_CHECKING:
    from typing import Any

    from .context import Context

    Place = tuple[str, str, str, str]  # trace id, span id, stage, model

_MARK = "_pipeline_alerts_place"
_STAGES = "instrumentation.stages"  # its presence says that the program has stages
_PLACE = "instrumentation.place"
_contexts: list[Context] = []  # of this process; at most one


def carry(module: Any, context: Context) -> None:
    """Has a module's pools carry it, once that is loaded.

    Args:
        module: `concurrent.futures.process`, loky's twin of it, or `multiprocessing.pool`.
        context: where this process is, be it the one that submits or a worker.
    """
    _contexts[:] = [context]
    if hasattr(module, "_CallItem"):
        _carry_in_executor(module)
    else:
        watch_tasks(module.Pool, _mark, spared=module.ThreadPool)  # a thread is where its process is


def _here() -> Place | None:
    """Where the caller is, to be carried; None while the program has no stages, so that nothing is."""
    context = _contexts[0]
    if _STAGES in sys.modules:
        active = sys.modules[_PLACE].innermost()
        if active is not None:
            return active.trace_id, active.span_id, active.name, active.model
    elif not context.has_moved:
        return None
    return (*context.place, "")


def _arrive(place: Place) -> None:
    """This worker works for that stage from now on, and so do the processes that it starts."""
    try:
        trace, span, stage, model = place
        if _contexts:
            _contexts[0].enter(trace, span, stage)
        if _PLACE in sys.modules:
            sys.modules[_PLACE].work_for(trace, span, stage, model)
        if trace:
            os.environ[names.ENV_TRACEPARENT] = "00-%s-%s-01" % (trace, span)
        if stage:
            os.environ[names.ENV_STAGE] = stage
        else:
            os.environ.pop(names.ENV_STAGE, None)
    except Exception:  # the task comes first
        pass


class _Leaving(dict):  # type: ignore[type-arg] # Python 3.8 cannot subscript it
    """Keyword arguments on their way from a submitter to the thread that sends them."""

    place: Place | None = None


def _carry_in_executor(module: Any) -> None:
    work, call = module._WorkItem, module._CallItem  # noqa: SLF001 - the only places that every task passes
    submit, make = work.__init__, call.__init__
    if not (_takes(submit, "future", "fn", "args", "kwargs") and _takes(make, "work_id", "fn", "args", "kwargs")):
        return

    def submitted(self: Any, future: Any, fn: Any, args: Any, kwargs: Any) -> None:
        submit(self, future, fn, args, _leaving(kwargs))

    def made(self: Any, work_id: Any, fn: Any, args: Any, kwargs: Any) -> None:
        place = kwargs.place if type(kwargs) is _Leaving else None
        make(self, work_id, fn, args, dict(kwargs) if place else kwargs)
        if place:
            setattr(self, _MARK, place)

    def unpickled(self: Any, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if _MARK in state:
            _arrive(state[_MARK])

    work.__init__, call.__init__, call.__setstate__ = submitted, made, unpickled


def _takes(method: Any, *parameters: str) -> bool:
    """Whether it is the method that we know; another version of the library may have another."""
    code = method.__code__
    return bool(code.co_varnames[: code.co_argcount] == ("self", *parameters))


def _leaving(kwargs: Any) -> Any:
    try:
        place = _here()
    except Exception:  # the same
        return kwargs
    if place is None or type(kwargs) is not dict:
        return kwargs
    leaving = _Leaving(kwargs)
    leaving.place = place
    return leaving


def _mark() -> Any:
    place = _here()
    return None if place is None else lambda task: (*task[:-1], _Carried(task[-1], place))


class _Carried(dict):  # type: ignore[type-arg] # the same
    """Keyword arguments that tell a worker where they come from when it unpickles them, and are plain ones then."""

    def __init__(self, kwargs: dict[str, Any], place: Place) -> None:
        super().__init__(kwargs)
        self._place = place

    def __reduce__(self) -> Any:
        return _arrived, (self._place, dict(self))


def _arrived(place: Place, kwargs: dict[str, Any]) -> dict[str, Any]:
    _arrive(place)
    return kwargs
