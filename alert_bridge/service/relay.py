"""The way of bulk bodies: handed on unparsed to the telemetry process over its local socket, and its answer back."""

from __future__ import annotations

import logging
from pathlib import Path

import httpx
from starlette.requests import Request
from starlette.responses import Response

from alert_bridge.service.answers import busy

__all__ = ["Relay"]

TIMEOUT_S = 25.0  # less than a Collector waits, so that it hears our answer and not silence
CONNECTIONS_MOST = 16
PASSED_HEADERS = ("content-type", "content-encoding")
ANSWER_HEADERS = ("content-type", "retry-after")

log = logging.getLogger(__name__)


class Relay:
    """Speaks HTTP to one UNIX socket."""

    def __init__(self, socket: Path) -> None:
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(socket), limits=httpx.Limits(max_connections=CONNECTIONS_MOST)),
            base_url="http://telemetry",
            timeout=TIMEOUT_S,
            trust_env=False,
        )
        self.was_reached = False

    async def hand_on(self, request: Request, body: bytes) -> Response:
        """The telemetry process's answer to this body; 503 if it gives none, so that the sender keeps it."""
        headers = {name: request.headers[name] for name in PASSED_HEADERS if name in request.headers}
        try:
            answer = await self._client.post(request.url.path, content=body, headers=headers)
        except httpx.HTTPError as error:
            log.warning("The telemetry process did not answer: %s", type(error).__name__)
            return busy(request, "the telemetry store is away")
        passed = {name: answer.headers[name] for name in ANSWER_HEADERS if name in answer.headers}
        return Response(answer.content, answer.status_code, headers=passed)

    async def answers(self) -> bool:
        """Whether the telemetry process is there."""
        try:
            answer = await self._client.get("/healthz", timeout=1.0)
        except httpx.HTTPError:
            return False
        self.was_reached = self.was_reached or answer.is_success
        return answer.is_success

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
