"""Calls into a library that may hang, on a thread of its own: the caller waits for so long and no longer."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from alert_bridge.errors import Retryable

__all__ = ["Calls"]

LOOK_S = 0.05  # how long an order to end may lie unnoticed

T = TypeVar("T")


@dataclass(slots=True)
class _Job:
    work: Callable[[], Any]
    done: threading.Event = field(default_factory=threading.Event)
    result: Any = None
    error: BaseException | None = None


class Calls:
    """One call at a time, in order. After one that hangs, nothing is called until that one has come back."""

    def __init__(self, library: str) -> None:
        self._library = library
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._hanging: _Job | None = None
        self._thread: threading.Thread | None = None

    def __call__(self, work: Callable[[], T], *, within_s: float) -> T:
        """What ``work`` returns or raises.

        Raises:
            Retryable: it takes too long, an earlier call still hangs, or `end` was called.
        """
        if self._hanging is not None and not self._hanging.done.is_set():
            raise Retryable(f"{self._library} still hangs in an earlier call", code="hangs")
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"calls-{self._library}", daemon=True)
            self._thread.start()
        job = _Job(work)
        self._jobs.put(job)
        deadline = time.monotonic() + within_s
        while not job.done.wait(LOOK_S):
            if self._ended.is_set():
                raise Retryable("the exporter ends", code="ends")
            if time.monotonic() >= deadline:
                self._hanging = job
                raise Retryable(f"{self._library} did not come back within {within_s:g} s", code="hangs")
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    def end(self) -> None:
        """Whoever waits stops waiting, from any thread."""
        self._ended.set()

    @property
    def is_ended(self) -> bool:
        return self._ended.is_set()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                if not self._ended.is_set():
                    job.result = job.work()
            except BaseException as error:  # noqa: BLE001 - handed to the caller, who waits for it
                job.error = error
            job.done.set()
