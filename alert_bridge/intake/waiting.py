"""Requests that wait for the one thread that takes them: bounded in number and in bytes, taken many at a time.

Both lanes work like this: what waits is decoded, written in one transaction, and answered after the commit. Small
requests and large ones take turns, so that one run's error does not wait for all batches of another run's storm.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from concurrent.futures import Future
from typing import Any, Generic, Protocol, TypeVar

from alert_bridge.errors import IntakeError, StoreBusy

__all__ = ["Taker", "Waiting", "weight_of"]

SMALL_BYTES = 32 * 1024  # unpacked: an error with its traceback, not a batch of them
GZIP_RATIO = 8  # what a batch of log records unpacks to, about; exactly would take as long as unpacking it

log = logging.getLogger(__name__)


class _Request(Protocol):
    """What may wait: a body, and the answer that its sender waits for."""

    @property
    def body(self) -> bytes: ...
    @property
    def content_encoding(self) -> str: ...
    @property
    def answer(self) -> Future[Any]: ...


R = TypeVar("R", bound=_Request)
D = TypeVar("D")


def weight_of(request: _Request) -> int:
    """How many bytes of work a request is, about."""
    return len(request.body) * (GZIP_RATIO if "gzip" in request.content_encoding.lower() else 1)


class Waiting(Generic[R]):
    """Two queues for one taker; whoever finds them full must tell the sender to come again."""

    def __init__(self, *, requests_most: int, bytes_most: int) -> None:
        self._requests_most, self._bytes_most = requests_most, bytes_most
        self._changed = threading.Condition()
        self._small: deque[R] = deque()
        self._large: deque[R] = deque()
        self._is_turn_of_large = False
        self._has_ended = False
        self._bytes = 0

    @property
    def requests(self) -> int:
        """How many wait."""
        return len(self._small) + len(self._large)

    def put(self, request: R) -> bool:
        """Let it wait; false if too much waits already. One request, however large, fits where nothing waits."""
        size = len(request.body)
        with self._changed:
            waits = self.requests
            over = self._bytes + size > self._bytes_most and waits > 0
            if over or waits >= self._requests_most or self._has_ended:
                return False
            self._bytes += size
            (self._small if weight_of(request) <= SMALL_BYTES else self._large).append(request)
            self._changed.notify()
        return True

    def end(self) -> None:
        """Nothing comes after what waits now."""
        with self._changed:
            self._has_ended = True
            self._changed.notify()

    def gather(self, most: int, *, weight_most: int) -> tuple[list[R], bool]:
        """Some of what waits, at least one and not more than this, and whether the end has come."""
        requests: list[R] = []
        weight = 0
        with self._changed:
            self._changed.wait_for(lambda: self.requests or self._has_ended)
            line = self._whose_turn()
            while line and len(requests) < most and weight < weight_most:
                item = line.popleft()
                self._bytes -= len(item.body)
                if item.answer.set_running_or_notify_cancel():  # else the sender is gone, and will send it again
                    requests.append(item)
                    weight += weight_of(item)
            return requests, self._has_ended and not self.requests

    def _whose_turn(self) -> deque[R]:
        """Both get every other turn where both wait, so that neither waits for all of the other."""
        is_large = bool(self._large) and (self._is_turn_of_large or not self._small)
        self._is_turn_of_large = not is_large
        return self._large if is_large else self._small


class Taker(threading.Thread, Generic[R, D]):
    """The thread that takes what waits. ``decode`` and ``commit`` are the lane's own.

    Args:
        name: of the thread.
        waiting: where requests wait for it.
        requests_at_once: in one commit; a request is never split.
        weight_at_once: the same in bytes of work.
    """

    def __init__(self, name: str, waiting: Waiting[R], *, requests_at_once: int, weight_at_once: int) -> None:
        super().__init__(name=name, daemon=True)
        self.totals: Counter[str] = Counter()
        self._waiting = waiting
        self._requests_at_once, self._weight_at_once = requests_at_once, weight_at_once

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
            requests, ended = self._waiting.gather(self._requests_at_once, weight_most=self._weight_at_once)
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
