"""One OTLP/HTTP request with a few log records, for commands; every way it can fail is one clear sentence."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from alert_bridge.errors import UsageError

__all__ = ["post_logs"]

TIMEOUT_S: Final = 5.0

_MAX_ANSWER_BYTES = 4_096


def post_logs(endpoint: str, body: dict[str, Any], token: str) -> None:
    """Send an OTLP/JSON `ExportLogsServiceRequest` to `<endpoint>/v1/logs`.

    Raises:
        UsageError: nothing listens there, it turned the records away, or it is no OTLP endpoint.
    """
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{endpoint!r} is not an address: write http://127.0.0.1:4318")
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
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ConnectionRefusedError):
            raise UsageError(
                f"nothing listens at {endpoint}: start a Collector with `pipeline-alerts collector run`,"
                " or name the bridge itself: --endpoint http://127.0.0.1:4319"
            ) from error
        raise UsageError(f"{endpoint} cannot be reached: {reason}") from error


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
        partial = json.loads(answer or b"{}").get("partialSuccess") or {}
    except (ValueError, AttributeError) as error:
        raise UsageError(f"{url} did not answer as an OTLP endpoint does: what listens there?") from error
    if int(partial.get("rejectedLogRecords", 0)):
        raise UsageError(f"{url} turned the record away: {partial.get('errorMessage', 'without a reason')}")
