"""Tasks of `multiprocessing.pool` on their way from who submits them to the thread that hands them out.

All of them pass the queue of the pool, in sequences that may be endless: each task is a tuple.
"""

from __future__ import annotations

TYPE_CHECKING = False  # the real one costs every child the import of typing
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    Mark = Callable[[tuple[Any, ...]], tuple[Any, ...]]

_PARTS = 5  # job, number, function, arguments, keyword arguments


def watch_tasks(pool: Any, here: Callable[[], Mark | None], spared: type | tuple[()] = ()) -> None:
    """Has every task of a pool marked; what is not the pool that we know stays as it is.

    Args:
        pool: the class; its pools that are there already are watched too.
        here: asked where a task is submitted, there and then; answers with what marks it, or None. Its exceptions are
            swallowed.
        spared: subclass whose pools stay as they are.
    """

    def queue_of(self: Any) -> Any:
        queue = self.__dict__["_taskqueue"]
        return queue if isinstance(self, spared) else _Tasks(queue, here)

    def set_queue(self: Any, queue: Any) -> None:
        self.__dict__["_taskqueue"] = queue

    pool._taskqueue = property(queue_of, set_queue)  # noqa: SLF001 - the only place that every task passes


class _Tasks:
    """The queue of a pool's tasks, which notes where they come from."""

    def __init__(self, queue: Any, here: Callable[[], Mark | None]) -> None:
        self._queue = queue
        self._here = here

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    def put(self, item: Any, *args: Any, **kwargs: Any) -> None:
        self._queue.put(self._marked(item) if item else item, *args, **kwargs)

    def _marked(self, item: Any) -> Any:
        try:
            mark = self._here()
            tasks, set_length = item
        except Exception:  # the task comes first
            return item
        return item if mark is None else (_each(tasks, mark), set_length)


def _each(tasks: Iterable[Any], mark: Mark) -> Iterator[Any]:
    for task in tasks:
        is_known = type(task) is tuple and len(task) == _PARTS and type(task[-1]) is dict
        yield mark(task) if is_known else task
