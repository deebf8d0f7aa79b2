"""Tasks that a program hands to threads of a pool are in the stage that handed them over.

No traceback has a frame of ours: an executor's task is wrapped where it is run, not where it is called, and one of
`multiprocessing.pool.ThreadPool` tells its thread when that takes it apart, before it calls the function.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, Self

from instrumentation.child._pipeline_alerts_child.pools import watch_tasks
from instrumentation.place import Active, Work, innermost

__all__ = ["watch_executor", "watch_pool"]

_STAGE: Final = "pipeline_alerts_stage"
_thread: Final = threading.local()


def watch_executor(module: Any) -> None:
    """From now on, for `concurrent.futures.thread`."""
    item = module._WorkItem  # noqa: SLF001 - the only place that every task passes
    make, run = item.__init__, item.run

    def submitted(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        self.__dict__[_STAGE] = innermost()

    def work(self: Any, *args: Any) -> Any:
        task = Work(self.__dict__.get(_STAGE))
        try:
            return run(self, *args)
        finally:
            task.end()

    item.__init__, item.run = submitted, work


def watch_pool(module: Any) -> None:
    """From now on, for `multiprocessing.pool`; its processes are another's to watch."""
    watch_tasks(module.ThreadPool, _here)


def _here() -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    return partial(_Task, innermost())


class _Task(tuple[Any, ...]):  # noqa: SLOT001 - a tuple's subclass cannot have any
    """A task that says where it comes from to the thread that takes it apart."""

    _stage: Active | None

    def __new__(cls, stage: Active | None, task: tuple[Any, ...]) -> Self:
        made = super().__new__(cls, task)
        made._stage = stage
        return made

    def __iter__(self) -> Iterator[Any]:
        before: Work | None = getattr(_thread, "work", None)
        if before is not None:
            before.end()
        _thread.work = Work(self._stage)
        return super().__iter__()
