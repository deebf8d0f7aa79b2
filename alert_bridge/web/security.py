"""What protects a page apart from the login: response headers, and which host names we answer to."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["EMAIL_POLICY", "PAGE_POLICY", "SecurityHeaders", "asks_for_known_host"]

PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# A previewed email needs its own inline styles and nothing else; `sandbox` gives it no origin, no script and no form.
EMAIL_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)

_HEADERS: Final = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",  # logs do not belong in a browser's cache
}


class SecurityHeaders:
    """Puts the headers on every answer of a page; an answer that already has one keeps its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)


def asks_for_known_host(headers: Headers, known: frozenset[str]) -> bool:
    """Whether the browser asked for a name that is ours.

    Without a token, a foreign page whose name resolves to this machine (DNS rebinding) could otherwise read everything.
    """
    try:
        return (urlsplit(f"//{headers.get('host', '')}").hostname or "") in known
    except ValueError:
        return False
