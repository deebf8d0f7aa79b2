"""Requests that wait for the one thread that takes them: bounded in number and in bytes, taken many at a time."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["Waiting"]


class _Request(Protocol):
    """What may wait: a body, and the answer that its sender waits for."""

    @property
    def body(self) -> bytes: ...
    @property
    def answer(self) -> Future[Any]: ...


R = TypeVar("R", bound=_Request)


class Waiting(Generic[R]):
    """A queue for one taker; whoever finds it full must tell the sender to come again."""

    def __init__(self, *, requests_most: int, bytes_most: int) -> None:
        self._requests_most, self._bytes_most = requests_most, bytes_most
        self._queue: queue.SimpleQueue[R | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._requests = self._bytes = 0

    @property
    def requests(self) -> int:
        """How many wait."""
        return self._requests

    def put(self, request: R) -> bool:
        """Let it wait; false if too much waits already. One request, however large, fits where nothing waits."""
        size = len(request.body)
        with self._lock:
            over = self._bytes + size > self._bytes_most and self._requests > 0
            if over or self._requests >= self._requests_most:
                return False
            self._requests += 1
            self._bytes += size
        self._queue.put(request)
        return True

    def end(self) -> None:
        """Nothing comes after what waits now."""
        self._queue.put(None)

    def gather(self, most: int, *, bytes_most: int) -> tuple[list[R], bool]:
        """What waits, at least one and not more than this, and whether the end has come."""
        requests: list[R] = []
        size = 0
        item = self._queue.get()
        while item is not None:
            with self._lock:
                self._requests -= 1
                self._bytes -= len(item.body)
            if item.answer.set_running_or_notify_cancel():  # else the sender is gone, and will send it again
                requests.append(item)
                size += len(item.body)
            if len(requests) >= most or size >= bytes_most:
                return requests, False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return requests, False
        return requests, True
