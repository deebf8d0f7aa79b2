"""Requests that wait for the one thread that takes them: bounded in number and in bytes, taken many at a time.

Both lanes work like this: what waits is decoded, written in one transaction, and answered after the commit.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import Counter
from concurrent.futures import Future
from typing import Any, Generic, Protocol, TypeVar

from alert_bridge.errors import IntakeError, StoreBusy

__all__ = ["Taker", "Waiting"]

log = logging.getLogger(__name__)


class _Request(Protocol):
    """What may wait: a body, and the answer that its sender waits for."""

    @property
    def body(self) -> bytes: ...
    @property
    def answer(self) -> Future[Any]: ...


R = TypeVar("R", bound=_Request)
D = TypeVar("D")


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


class Taker(threading.Thread, Generic[R, D]):
    """The thread that takes what waits. ``decode`` and ``commit`` are the lane's own.

    Args:
        name: of the thread.
        waiting: where requests wait for it.
        requests_at_once: in one commit; a request is never split.
        bytes_at_once: the same in bytes, as they came.
    """

    def __init__(self, name: str, waiting: Waiting[R], *, requests_at_once: int, bytes_at_once: int) -> None:
        super().__init__(name=name, daemon=True)
        self.totals: Counter[str] = Counter()
        self._waiting = waiting
        self._requests_at_once, self._bytes_at_once = requests_at_once, bytes_at_once

    @property
    def requests_waiting(self) -> int:
        return self._waiting.requests

    def decode(self, request: R) -> D:
        """What the request holds; raises what `decode_logs` and its like do."""
        raise NotImplementedError

    def commit(self, decoded: list[D]) -> None:
        """Write it all, and answer each request."""
        raise NotImplementedError

    def hand_in(self, request: R) -> R:
        """Let the request wait, or answer at once that too much waits already."""
        if not self._waiting.put(request):
            self.totals["turned_away"] += 1
            request.answer.set_exception(StoreBusy("Too much waits already"))
        return request

    def stop(self) -> None:
        """Take what waits, then end."""
        self._waiting.end()

    def run(self) -> None:
        ended = False
        while not ended:
            requests, ended = self._waiting.gather(self._requests_at_once, bytes_most=self._bytes_at_once)
            decoded = [item for request in requests if (item := self._decoded(request)) is not None]
            if decoded:
                self.commit(decoded)

    def _decoded(self, request: R) -> D | None:
        try:
            return self.decode(request)
        except IntakeError as error:
            self.totals["undecodable"] += 1
            request.answer.set_exception(error)
        except Exception as error:  # a decoder's bug is our trouble: 503, and the sender keeps it
            log.exception("A request could not be decoded")
            self.totals["failures"] += 1
            request.answer.set_exception(StoreBusy(f"The decoder failed: {type(error).__name__}"))
        return None
