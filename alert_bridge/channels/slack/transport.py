"""One call to Slack, whatever way: connection troubles become our errors, and slack_sdk says nothing by itself.

slack_sdk logs the webhook's address at DEBUG and every failed connection at ERROR; the bridge would take those into its
own log, and the address is a secret. Its clients get a logger that drops everything.
"""

from __future__ import annotations

import http.client
import logging
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar
from urllib.error import URLError

from alert_bridge.errors import Ambiguous, Retryable

__all__ = ["TIMEOUT_SECONDS", "calling", "silent_logger", "trust"]

TIMEOUT_SECONDS = 10

_Answer = TypeVar("_Answer")


def silent_logger() -> logging.Logger:
    """A logger of no one: not registered, not propagating, above every level."""
    logger = logging.Logger("slack", logging.CRITICAL + 1)  # noqa: LOG001 - must not be found by others
    logger.disabled = True
    logger.propagate = False
    return logger


def trust(url: str) -> ssl.SSLContext | None:
    """One context for all calls, because loading the authorities takes longer than a call. None for plain HTTP."""
    return ssl.create_default_context() if url.startswith("https://") else None


def calling(call: Callable[[], _Answer]) -> _Answer:
    """Make the call.

    Raises:
        Retryable: the connection was not made, so nothing was posted.
        Ambiguous: the connection broke or stayed silent after the message was on its way.
    """
    try:
        return call()
    except URLError as error:  # raised by urllib for what happens before the answer is awaited
        if isinstance(error.reason, ConnectionResetError | BrokenPipeError):
            raise Ambiguous("the connection to Slack broke while sending", code="connection_broken") from None
        raise Retryable(f"Slack cannot be reached: {_reason(error)}", code="unreachable") from None
    except TimeoutError:
        raise Ambiguous(f"Slack did not answer within {TIMEOUT_SECONDS} s", code="timeout") from None
    except (OSError, http.client.HTTPException):
        raise Ambiguous("the connection to Slack broke before it answered", code="connection_broken") from None


def _reason(error: URLError) -> str:
    """Without the address: a webhook's is a secret."""
    if isinstance(error.reason, socket.gaierror):
        return "its name does not resolve"
    if isinstance(error.reason, TimeoutError):
        return f"no connection within {TIMEOUT_SECONDS} s"
    if isinstance(error.reason, ssl.SSLError):
        return f"the TLS handshake failed ({error.reason.reason})"
    return (error.reason.strerror or "no connection") if isinstance(error.reason, OSError) else "no connection"
