"""The way of bulk bodies: handed on unparsed to the telemetry process over its local socket, and its answer back."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from alert_bridge.service.answers import busy

if TYPE_CHECKING:
    import httpx  # a third of a second of processor time: loaded when the bridge already answers

__all__ = ["Relay"]

TIMEOUT_S = 25.0  # less than a Collector waits, so that it hears our answer and not silence
CONNECT_TIMEOUT_S = 1.0
CONNECTIONS_MOST = 16
PASSED_HEADERS = ("content-type", "content-encoding")
ANSWER_HEADERS = ("content-type", "retry-after")

log = logging.getLogger(__name__)


class Relay:
    """Speaks HTTP to one UNIX socket."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._client: httpx.AsyncClient | None = None
        self.was_reached = False

    async def hand_on(self, request: Request, body: bytes) -> Response:
        """The telemetry process's answer to this body; 503 if it gives none, so that the sender keeps it."""
        client = self._client or await self.prepare()
        headers = {name: request.headers[name] for name in PASSED_HEADERS if name in request.headers}
        try:
            answer = await client.post(request.url.path, content=body, headers=headers)
        except _http_error() as error:
            log.warning("The telemetry process did not answer: %s", type(error).__name__)
            return busy(request, "the telemetry store is away")
        passed = {name: answer.headers[name] for name in ANSWER_HEADERS if name in answer.headers}
        return Response(answer.content, answer.status_code, headers=passed)

    async def answers(self) -> bool:
        """Whether the telemetry process listens."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, writer = await asyncio.open_unix_connection(self._socket)
        except (OSError, TimeoutError):
            return False
        writer.close()
        self.was_reached = True
        return True

    async def prepare(self) -> httpx.AsyncClient:
        """Load the client, off the loop, so that nobody waits for it."""
        await asyncio.to_thread(_http_error)
        import httpx

        if self._client is None:
            transport = httpx.AsyncHTTPTransport(
                uds=str(self._socket), limits=httpx.Limits(max_connections=CONNECTIONS_MOST)
            )
            self._client = httpx.AsyncClient(
                transport=transport, base_url="http://telemetry", timeout=TIMEOUT_S, trust_env=False
            )
        return self._client


def _http_error() -> type[Exception]:
    import httpx

    return httpx.HTTPError
