"""One kept-alive HTTP connection to a receiver, and what its answers mean. Nothing is retried here."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from http.client import HTTPConnection

__all__ = ["Answer", "Transport", "Verdict"]

REQUEST_TIMEOUT_S: Final = 10.0
MAX_ANSWER_BYTES: Final = 65_536
MIN_COMPRESSED_BYTES: Final = 1024
MAX_RETRY_AFTER_S: Final = 300.0
_SPLITTABLE: Final = frozenset({400, 413, 422})
_BAD_SET_UP: Final = frozenset({401, 403, 404, 405, 407, 415})


class Verdict(enum.Enum):
    """What becomes of a batch."""

    ACCEPTED = "accepted"
    REFUSED = "refused"  # these bytes will never be taken: split the batch, or set the one record aside
    MISCONFIGURED = "misconfigured"  # the receiver takes nothing from us: a person must mend it, meanwhile keep all
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict, why, and how many seconds to wait where the receiver said so."""

    verdict: Verdict
    reason: str = ""
    retry_after: float | None = None


class Transport:
    """Posts bodies to one receiver. Not shared between threads, except for ``abort``."""

    def __init__(
        self, endpoint: str, token: str, *, compress: bool = False, timeout: float = REQUEST_TIMEOUT_S
    ) -> None:
        parts = urlsplit(endpoint)
        self._is_tls = parts.scheme == "https"
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port
        self._path = parts.path.rstrip("/")
        self._headers = {"Content-Type": "application/x-protobuf", "User-Agent": "pipeline-alerts"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._compress = compress
        self._timeout = timeout
        self._connection: HTTPConnection | None = None

    def post(self, path: str, body: bytes) -> Answer:
        """Sends one request, e.g. to ``/v1/logs``; again only if a kept-alive connection turned out to be closed."""
        from http.client import HTTPException, RemoteDisconnected

        headers = self._headers
        if self._compress and len(body) >= MIN_COMPRESSED_BYTES:
            import gzip

            body = gzip.compress(body, 1)
            headers = {**headers, "Content-Encoding": "gzip"}
        for attempt in (1, 2):
            was_open = self._connection is not None
            try:
                return self._exchange(path, body, headers)
            except (RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
                self.close()
                if attempt == 1 and was_open:
                    continue
                return Answer(Verdict.RETRY, _plain(error))
            except (OSError, HTTPException, ValueError) as error:
                self.close()
                return Answer(Verdict.RETRY, _plain(error))
        raise AssertionError("unreachable")

    def _exchange(self, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        from http.client import HTTPConnection, HTTPSConnection

        if self._connection is None:
            kind = HTTPSConnection if self._is_tls else HTTPConnection
            self._connection = kind(self._host, self._port, timeout=self._timeout)
        self._connection.request("POST", self._path + path, body, headers)
        response = self._connection.getresponse()
        answer = response.read(MAX_ANSWER_BYTES)
        if response.will_close or not response.isclosed():
            self.close()
        return judge(response.status, answer, response.headers.get("Retry-After"))

    def close(self) -> None:
        """Drops the connection; the next post opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def judge(status: int, body: bytes, retry_after: str | None) -> Answer:
    """What an HTTP answer means for the batch (OTLP/HTTP response codes, and what Collectors do with them)."""
    if 200 <= status < 300:  # noqa: PLR2004 - the class of successes
        return Answer(Verdict.ACCEPTED)
    reason = f"HTTP {status}"
    if status in _SPLITTABLE:
        text = body[:200].decode("utf-8", "replace").strip()
        return Answer(Verdict.REFUSED, f"{reason} {text}" if text.isprintable() else reason)
    if status in _BAD_SET_UP:
        return Answer(Verdict.MISCONFIGURED, reason)
    return Answer(Verdict.RETRY, reason, _seconds(retry_after))


def _seconds(retry_after: str | None) -> float | None:
    if not retry_after:
        return None
    try:
        return min(max(float(retry_after), 0.0), MAX_RETRY_AFTER_S)
    except ValueError:
        pass
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    try:
        wait = (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return None
    return min(max(wait, 0.0), MAX_RETRY_AFTER_S)


def _plain(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return getattr(error, "strerror", None) or type(error).__name__
