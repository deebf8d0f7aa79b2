"""One OTLP/HTTP request with a few log records, for commands; every way it can fail is one clear sentence."""

from __future__ import annotations

import http.client
import json
import socket
import urllib.error
import urllib.request
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from alert_bridge.errors import UsageError

__all__ = ["post_logs", "require_listener"]

TIMEOUT_S: Final = 5.0

_PORTS = {"http": 80, "https": 443}
_MAX_ANSWER_BYTES = 4_096


def require_listener(endpoint: str) -> None:
    """Make sure that something listens there, before anything is sent.

    Raises:
        UsageError: nothing does, or it is no address.
    """
    host, port = _host_and_port(endpoint)
    try:
        socket.create_connection((host, port), TIMEOUT_S).close()
    except ConnectionRefusedError as error:
        raise UsageError(
            f"nothing listens at {endpoint}: start a Collector with `pipeline-alerts collector run`,"
            " or name the bridge itself: --endpoint http://127.0.0.1:4319"
        ) from error
    except OSError as error:
        raise UsageError(f"{endpoint} cannot be reached: {error}") from error


def post_logs(endpoint: str, body: dict[str, Any], token: str) -> None:
    """Send an OTLP/JSON `ExportLogsServiceRequest` to `<endpoint>/v1/logs`.

    Raises:
        UsageError: it turned the records away, does not answer, or is no OTLP endpoint.
    """
    _host_and_port(endpoint)
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    url = f"{endpoint.rstrip('/')}/v1/logs"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310 - http and https only, above
    # No proxy: this is about the path that this machine's pipelines take.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            _require_all_taken(url, answer.read(_MAX_ANSWER_BYTES))
    except urllib.error.HTTPError as error:
        raise UsageError(_turned_away(url, error.code)) from error
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise UsageError(
            f"{endpoint} does not answer as an OTLP endpoint does: {str(getattr(error, 'reason', error)).strip()}"
        ) from error


def _host_and_port(endpoint: str) -> tuple[str, int]:
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        host, port = "", 0
    if not host:
        raise UsageError(f"{endpoint!r} is not an address: write http://127.0.0.1:4318")
    return host, port


def _turned_away(url: str, status: int) -> str:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return f"{url} answered {status}: set PIPELINE_ALERTS_INGEST_TOKEN (or its _FILE) to the token that it expects"
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return f"{url} answered 503: it is busy, or the token in PIPELINE_ALERTS_INGEST_TOKEN is not the one it expects"
    if status == HTTPStatus.NOT_FOUND:
        return f"{url} answered 404: this is no OTLP/HTTP endpoint; a Collector's listens on port 4318"
    return f"{url} answered {status}"


def _require_all_taken(url: str, answer: bytes) -> None:
    try:
        content = json.loads(answer or b"{}")
    except ValueError:
        content = None
    if not isinstance(content, dict) or content.keys() - {"partialSuccess"}:
        raise UsageError(f"{url} did not answer as an OTLP endpoint does: what listens there?")
    partial = content.get("partialSuccess") or {}
    if int(partial.get("rejectedLogRecords", 0)):
        raise UsageError(f"{url} turned the record away: {partial.get('errorMessage', 'without a reason')}")
