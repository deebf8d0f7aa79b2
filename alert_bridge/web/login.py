"""Sessions: a signed cookie instead of a token in every address. Only where a token is set.

The cookie says when it ends and is signed with a key made from the token, so a new token ends every session.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Final
from urllib.parse import urlencode

import anyio
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from alert_bridge.web.security import asks_for_known_host
from alert_bridge.web.site import Site

__all__ = ["COOKIE", "Guard", "log_in", "log_out", "session_is_valid", "session_value", "show_login"]

COOKIE: Final = "pipeline_alerts_session"
SESSION_SECONDS: Final = 7 * 86_400
WRONG_TOKEN_PAUSE_SECONDS: Final = 0.3  # makes guessing slow without keeping anyone out
_OPEN_PATHS: Final = ("/login", "/static/")
_LOCAL_PATH: Final = re.compile(r"/(?![/\\])[^\s\\]*")


def _signature(token: str, signed: str) -> str:
    key = hashlib.sha256(b"pipeline-alerts session\0" + token.encode()).digest()
    return hmac.new(key, signed.encode(), hashlib.sha256).hexdigest()


def session_value(token: str, ends_at: int) -> str:
    """A cookie that is good until ``ends_at`` (seconds since the Unix epoch)."""
    signed = f"{ends_at}.{secrets.token_hex(8)}"
    return f"{signed}.{_signature(token, signed)}"


def session_is_valid(token: str, value: str, now: int) -> bool:
    """Whether we signed this cookie with this token and it has not ended; compared in constant time."""
    signed, _, signature = value.rpartition(".")
    ends_at = signed.partition(".")[0]
    genuine = hmac.compare_digest(signature.encode("utf-8", "replace"), _signature(token, signed).encode())
    return genuine and ends_at.isdecimal() and int(ends_at) > now


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def _bearer(request: Request) -> str:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def _next_path(value: str) -> str:
    """Where to go after the login: only ever a path on this site."""
    return value if _LOCAL_PATH.fullmatch(value) else "/"


class Guard:
    """Lets a request through that has the token, in a session cookie or as a bearer; sends a browser to the login."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self.app = app
        self.site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._refusal(Request(scope))
        await (answer or self.app)(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        settings = self.site.settings
        if not settings.token:
            if asks_for_known_host(request.headers, settings.host_names):
                return None
            return self.site.problem(
                request,
                421,
                "This is not the address of these pages",
                "Without a token they answer only to their own names. Open them under "
                f"{settings.public_url or 'http://localhost'}, or set PIPELINE_ALERTS_PUBLIC_URL to this address.",
            )
        now = settings.clock() // 1_000_000_000
        if session_is_valid(settings.token, request.cookies.get(COOKIE, ""), now) or _same(
            _bearer(request), settings.token
        ):
            return None
        if request.url.path.startswith(_OPEN_PATHS):
            return None
        if request.method != "GET" or "text/html" not in request.headers.get("accept", "text/html"):
            return self.site.problem(request, 401, "Please sign in", "Open the pages in a browser and sign in first.")
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        if request.headers.get("sec-fetch-site") == "cross-site":
            # A link in Slack or in a web mailer: browsers keep a SameSite=Strict cookie back when another site leads
            # here. This page asks once more from our own site, with the cookie; whoever has none gets the login then.
            return self.site.page(request, "again.html", target=_next_path(path))
        return RedirectResponse(f"/login?{urlencode({'next': path})}", 303)


def show_login(site: Site, request: Request) -> Response:
    """The form; with nothing to protect, the way back."""
    if not site.settings.token:
        return RedirectResponse("/", 303)
    return site.page(request, "login.html", next=_next_path(request.query_params.get("next", "/")), wrong=False)


async def log_in(site: Site, request: Request) -> Response:
    """Take the token from the form, never from an address."""
    async with request.form(max_files=0, max_fields=4) as form:
        given, target = _field(form, "token"), _next_path(_field(form, "next"))
    if not site.settings.token:
        return RedirectResponse("/", 303)
    if not _same(given, site.settings.token):
        await anyio.sleep(WRONG_TOKEN_PAUSE_SECONDS)
        return site.page(request, "login.html", status=403, next=target, wrong=True)
    answer = RedirectResponse(target, 303)
    ends_at = site.settings.clock() // 1_000_000_000 + SESSION_SECONDS
    answer.set_cookie(
        COOKIE,
        session_value(site.settings.token, ends_at),
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=site.settings.is_https,
    )
    return answer


def _field(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def log_out(site: Site) -> Response:
    """End this browser's session."""
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=site.settings.is_https)
    return answer
