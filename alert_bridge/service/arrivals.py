"""What every OTLP door of the bridge does first: read the body within its limits, and look at the token."""

from __future__ import annotations

import asyncio
import hmac
import signal
from collections.abc import Sequence
from types import FrameType

import h11
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

from alert_bridge.errors import StoreBusy, TooLarge
from alert_bridge.otlp import DEFAULT

__all__ = ["Arrivals", "Impatient", "end_by_signal", "has_token", "is_bulk_only", "serving"]

DRAINED_BYTES = 64 * 1024 * 1024
ARRIVING_BYTES_MOST = 128 * 1024 * 1024  # of all bodies that are not complete yet
SMALL_BYTES = 64 * 1024  # so much of a body is taken however many others are on their way
PAUSE_MOST_S = 30.0  # between two pieces of a body; a Collector gives up after as long
BODY_WITHIN_S = 300.0
HEAD_WITHIN_S = 30.0
LANE_HEADER, BULK_LANE = "x-pipeline-alerts-lane", "bulk"  # said by a Collector whose alert lane brings the errors


class Arrivals:
    """Bodies on their way in: bounded each, all together, and in time."""

    def __init__(
        self,
        *,
        bytes_most: int = ARRIVING_BYTES_MOST,
        pause_most_s: float = PAUSE_MOST_S,
        within_s: float = BODY_WITHIN_S,
    ) -> None:
        self._bytes_most, self._pause_most_s, self._within_s = bytes_most, pause_most_s, within_s
        self._bytes = 0

    @property
    def bytes_arriving(self) -> int:
        """Of all bodies that are not complete yet."""
        return self._bytes

    async def body(self, request: Request) -> bytes:
        """The body, up to the limit that is also said to the sender.

        Raises:
            TooLarge: there is more. Some of the rest is read and thrown away, because most senders read no answer
                before they have sent everything: they would see a broken connection, and try again for ever.
            StoreBusy: too much of others is on its way; what is small always gets in.
            TimeoutError: it did not come in time.
        """
        chunks: list[bytes] = []
        size = held = 0
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._within_s
        try:
            async with asyncio.timeout(self._pause_most_s) as patience:
                async for chunk in request.stream():
                    patience.reschedule(min(loop.time() + self._pause_most_s, deadline))
                    size += len(chunk)
                    if size <= DEFAULT.body_bytes:
                        held += len(chunk)
                        self._bytes += len(chunk)
                        if held > SMALL_BYTES and self._bytes > self._bytes_most and held < self._bytes:
                            raise StoreBusy("Too much is on its way in already")
                        chunks.append(chunk)
                    elif size > DEFAULT.body_bytes + DRAINED_BYTES:
                        break
        finally:
            self._bytes -= held
        if size > DEFAULT.body_bytes:
            raise TooLarge(f"The body has more than {DEFAULT.body_bytes:,} bytes: send less at once")
        return b"".join(chunks)


class Impatient(H11Protocol):
    """HTTP/1.1 that closes a connection whose next request does not begin in time, or never ends its head."""

    head_within_s = HEAD_WITHIN_S
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._look_at_head()

    def data_received(self, data: bytes) -> None:
        """Wait no more once the head is complete."""
        super().data_received(data)
        self._look_at_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to wait for."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _look_at_head(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(self.head_within_s, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def has_token(request: Request, tokens: Sequence[str]) -> bool:
    """Whether the request brings one of the tokens; yes where there are none."""
    if not tokens:
        return True
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return False
    # Every token is compared, so that the time taken says nothing about which one was close.
    return any([hmac.compare_digest(given.strip().encode(), token.encode()) for token in tokens])  # noqa: C419


def is_bulk_only(request: Request) -> bool:
    """Whether the errors in it come by another way too."""
    return request.headers.get(LANE_HEADER, "") == BULK_LANE


def serving(app: Starlette) -> uvicorn.Config:
    """How each process of the bridge serves its doors: quietly, impatiently, and ending soon when it is told to."""
    return uvicorn.Config(
        app,
        http=Impatient,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=1,
        server_header=False,
    )


def end_by_signal(server: uvicorn.Server) -> None:
    """Have SIGTERM and SIGINT end the server, also while what it serves is still being prepared.

    uvicorn obeys them only while it serves, and raises them again when it has ended: then our own end follows.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
