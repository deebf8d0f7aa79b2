"""Prefect's REST API, as far as the mirror needs it: documented endpoints over httpx, with time-outs of our own.

Not through `prefect` itself: importing it takes seconds and 80 MB, replaces the logging of this process, waits up to
60 s for an answer, and its `create_flow_run` has neither idempotency key nor labels, so that its `request()` would be
all that is left. httpx is here already, and the bridge needs no 330 MB installation to mirror (research: A1, 0).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import httpx

from alert_bridge.errors import DeliveryError, Permanent, Retryable
from alert_bridge.exporters.prefect.settings import PrefectSettings

__all__ = ["Api", "Rejected"]

CONNECT_TIMEOUT_S = 1.0
ANSWER_TIMEOUT_S = 5.0
PAGE_ROWS = 200  # what the server gives at most at once
EXCERPT_CHARS = 300
_ASKED_IN_VAIN = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PAYMENT_REQUIRED})
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT})


class Rejected(DeliveryError):
    """The server understood and will never take this one; it works otherwise. ``status``: HTTP's own number."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message, code=str(status))
        self.status = status


class Api:
    """One Prefect API. Used by one thread; `close` may come from another.

    Every method raises `Retryable` where the server is away or busy, `Permanent` where only a person can help, and
    `Rejected` where it says no to this request alone.
    """

    def __init__(self, settings: PrefectSettings) -> None:
        headers = {"user-agent": "pipeline-alerts"}
        if settings.key:
            headers["authorization"] = f"Bearer {settings.key}"
        user, _, password = settings.user.partition(":")
        self._client = httpx.Client(
            base_url=settings.api_url,
            headers=headers,
            auth=(user, password) if settings.user and not settings.key else None,
            timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            verify=settings.context(),
            trust_env=False,
        )
        self._url = settings.api_url
        self._csrf = ""
        self._csrf_client = str(uuid.uuid4())
        self.requests = 0

    def post(self, path: str, body: object) -> Any:
        """Create or change something."""
        return self._ask("POST", path, body)

    def created(self, path: str, body: object) -> tuple[Any, bool]:
        """Create something that may be there already; whether it was not."""
        answer = self._request("POST", path, body)
        return answer.json(), answer.status_code == HTTPStatus.CREATED

    def patch(self, path: str, body: object) -> Any:
        """Change something."""
        return self._ask("PATCH", path, body)

    def get(self, path: str) -> Any:
        """Read something."""
        return self._ask("GET", path, None)

    def delete(self, path: str) -> None:
        """Remove something; it may be gone already."""
        try:
            self._ask("DELETE", path, None)
        except Rejected as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def all(self, path: str, body: Mapping[str, object]) -> Sequence[Any]:
        """Every row that a filter finds, page by page."""
        rows: list[Any] = []
        while True:
            page = self._ask("POST", path, {**body, "limit": PAGE_ROWS, "offset": len(rows)})
            rows += page
            if len(page) < PAGE_ROWS:
                return rows

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _ask(self, method: str, path: str, body: object) -> Any:
        answer = self._request(method, path, body)
        return answer.json() if answer.content else None

    def _request(self, method: str, path: str, body: object) -> httpx.Response:
        answer = self._send(method, path, body)
        if answer.status_code == HTTPStatus.FORBIDDEN and "CSRF" in answer.text:  # a server that asks for a token
            self._csrf = self._send("GET", f"csrf-token?client={self._csrf_client}", None).json().get("token", "")
            answer = self._send(method, path, body)
        if answer.is_success:
            return answer
        raise self._error(method, path, answer)

    def _send(self, method: str, path: str, body: object) -> httpx.Response:
        headers = {}
        if self._csrf:
            headers = {"prefect-csrf-token": self._csrf, "prefect-csrf-client": self._csrf_client}
        self.requests += 1
        try:
            return self._client.request(method, path, json=body, headers=headers)
        except httpx.TimeoutException as error:
            raise Retryable(f"Prefect at {self._url} did not answer in time", code="timeout") from error
        except (httpx.TransportError, RuntimeError) as error:  # the second: closed by another thread
            raise Retryable(f"Prefect at {self._url} cannot be reached: {error}", code="unreachable") from error

    def _error(self, method: str, path: str, answer: httpx.Response) -> DeliveryError:
        status, said = answer.status_code, answer.text[:EXCERPT_CHARS]
        what = f"{method} {path}: {status} {said}"
        if status in _ASKED_IN_VAIN:
            return Permanent(
                f"Prefect at {self._url} refuses us ({what}): check PREFECT_API_KEY or PREFECT_API_AUTH_STRING",
                code=str(status),
            )
        if status in _BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            wait = answer.headers.get("retry-after", "")
            return Retryable(
                f"Prefect at {self._url} is in trouble ({what})",
                code=str(status),
                retry_after=float(wait) if wait.isdecimal() else None,
            )
        if status == HTTPStatus.NOT_FOUND and '"detail":"Not Found"' in answer.text.replace(" :", ":").replace(
            ": ", ":"
        ):
            return Permanent(f"There is no Prefect API at {self._url} ({what}): it ends with /api", code=str(status))
        return Rejected(f"Prefect does not take this: {what}", status)
