"""A lane posts one batch at a time in a thread of its own, so that a slow answer to one never delays another.

What happens next is decided here without I/O; the thread only posts. A batch is cut into pieces of one signal; a piece
that is refused is halved until the one bad record is alone.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from instrumentation.sender.encoding import encode_request
from instrumentation.sender.entry import LOG, METRIC, SPAN
from instrumentation.sender.parcels import Parcel, count_of, halves
from instrumentation.sender.transport import Answer, Transport, Verdict

__all__ = ["Lane", "Settled"]

FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 15.0
MISCONFIGURED_PAUSE_S: Final = 15.0
_PATHS: Final = {LOG: "/v1/logs", SPAN: "/v1/traces", METRIC: "/v1/metrics"}


@dataclass(frozen=True, slots=True)
class Settled:
    """Parcels that need nothing more."""

    parcels: Sequence[Parcel]
    refusal: str = ""  # why the receiver will never take them
    is_unwanted: bool = False  # it takes logs, but not spans or metrics


class Lane:
    """One batch at a time to one receiver; ``wake`` is called from its thread when an answer is there."""

    def __init__(self, name: str, transport: Transport, wake: Callable[[], None]) -> None:
        self.name = name
        self.trouble = ""  # why the receiver does not take our data now; empty while it does
        self.not_before = 0.0  # monotonic seconds
        self._failures = 0
        self._pieces: deque[list[Parcel]] = deque()
        self._is_posting = False
        self._transport = transport
        self._wake = wake
        self._requests: queue.SimpleQueue[tuple[str, bytes] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def has_failed(self) -> bool:
        """Whether the last answer to what it still has was none, or no."""
        return bool(self._pieces) and not self._is_posting and bool(self.trouble)

    @property
    def is_free(self) -> bool:
        """Whether a new batch may be given to it."""
        return not self._pieces

    def give(self, batch: Sequence[Parcel]) -> None:
        """Takes a batch; only when free."""
        self._pieces.extend(list(of_kind) for _, of_kind in groupby(batch, key=lambda parcel: parcel.kind))

    def turn(self, now: float) -> list[Settled]:
        """Reads an answer if there is one, posts the next piece if it is time; returns what is settled."""
        settled = self._read_answer(now)
        if self._pieces and not self._is_posting and now >= self.not_before:
            self._post(self._pieces[0])
        return settled

    def wakes_at(self) -> float | None:
        """When it wants a turn by itself, in monotonic seconds; None while it waits for nothing but an answer."""
        return self.not_before if self._pieces and not self._is_posting else None

    def hurry(self) -> None:
        """Tries again at once: the end of the program is a reason not to wait."""
        self.not_before = 0.0
        self.trouble = ""

    def close(self) -> None:
        """Lets the thread end when its request is over; never waits for it."""
        self._requests.put(None)

    def _read_answer(self, now: float) -> list[Settled]:
        try:
            answer = self._answers.get_nowait()
        except queue.Empty:
            return []
        self._is_posting = False
        piece = self._pieces[0]
        if answer.verdict is Verdict.ACCEPTED:
            self._failures, self.trouble, self.not_before = 0, "", 0.0
            self._pieces.popleft()
            return [Settled(piece)]
        if answer.verdict is Verdict.MISCONFIGURED and piece[0].kind != LOG:
            self._pieces.popleft()  # a receiver for logs alone must not hold up the logs
            return [Settled(piece, is_unwanted=True)]
        if answer.verdict is Verdict.REFUSED:
            self._pieces.popleft()
            if count_of(piece) == 1:
                return [Settled(piece, answer.reason)]
            first, second = halves(piece)
            self._pieces.extendleft((second, first))
            return []
        self.trouble = answer.reason
        pause = min(FIRST_PAUSE_S * 2**self._failures, LONGEST_PAUSE_S)
        if answer.verdict is Verdict.MISCONFIGURED:
            pause = MISCONFIGURED_PAUSE_S
        self._failures = min(self._failures + 1, 16)
        self.not_before = now + (pause if answer.retry_after is None else answer.retry_after)
        return []

    def _post(self, piece: list[Parcel]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"pipeline-alerts-{self.name}", daemon=True)
            self._thread.start()
        self._is_posting = True
        body = encode_request([(parcel.journal.resource, parcel.scope, parcel.messages) for parcel in piece])
        self._requests.put((_PATHS[piece[0].kind], body))

    def _run(self) -> None:
        while (request := self._requests.get()) is not None:
            try:
                answer = self._transport.post(*request)
            except Exception as error:  # noqa: BLE001 - a lane that dies silently would hold back everything for ever
                self._transport.close()
                answer = Answer(Verdict.RETRY, type(error).__name__)
            self._answers.put(answer)
            self._wake()
        self._transport.close()
