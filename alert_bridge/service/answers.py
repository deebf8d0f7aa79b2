"""The only answers that a Collector may get: 200, 400 and 503. It throws data away on 401, 403, 404, 413 and 500."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from alert_bridge.otlp import refusal, response

__all__ = ["RETRY_AFTER_S", "bad", "busy", "taken"]

RETRY_AFTER_S = 5  # our own trouble: soon enough to be in time, late enough not to make it worse


def taken(request: Request, rejected: int = 0) -> Response:
    """200: everything that could be kept is on disk."""
    message = f"{rejected} could not be read and are kept as dead letters" if rejected else ""
    body, content_type = response("logs", request.headers.get("content-type", ""), rejected, message)
    return Response(body, 200, headers={"content-type": content_type})


def bad(request: Request, reason: str) -> Response:
    """400: it is not what it claims to be, and would not be the next time."""
    body, content_type = refusal(request.headers.get("content-type", ""), reason)
    return Response(body, 400, headers={"content-type": content_type})


def busy(request: Request, reason: str, *, closes: bool = False) -> Response:
    """503: the sender keeps it and comes again; ``closes``: on another connection."""
    body, content_type = refusal(request.headers.get("content-type", ""), reason)
    headers = {"content-type": content_type, "retry-after": str(RETRY_AFTER_S)}
    return Response(body, 503, headers={**headers, "connection": "close"} if closes else headers)
