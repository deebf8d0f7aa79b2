"""The inbox: every message that would have been sent, as its reader would have seen it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from alert_bridge.store.interface import Previewed
from alert_bridge.web.security import EMAIL_POLICY
from alert_bridge.web.site import NotFound, Site
from alert_bridge.web.slack_preview import Block, slack_blocks
from alert_bridge.web.wording import visible

__all__ = ["show_email", "show_inbox", "show_message"]

MAX_MESSAGES: Final = 100
_TEXT_CHARS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Item:
    """One previewed message, ready to draw. ``blocks`` for Slack; the mail fields for email; else ``text`` as it is."""

    message: Previewed
    blocks: tuple[Block, ...]
    subject: str
    sender: str
    to: str
    text: str
    has_html: bool


def _payload(message: Previewed) -> dict[str, Any]:
    try:
        payload = json.loads(message.payload)
    except ValueError:
        return {"text": message.payload}
    return payload if isinstance(payload, dict) else {"text": message.payload}


def _item(message: Previewed) -> Item:
    payload = _payload(message)
    to = payload.get("to", message.address)
    return Item(
        message=message,
        blocks=slack_blocks(payload) if message.channel == "slack" else (),
        subject=visible(str(payload.get("subject", ""))),
        sender=visible(str(payload.get("from", ""))),
        to=visible(", ".join(map(str, to)) if isinstance(to, list) else str(to)),
        text=visible(str(payload.get("text", ""))[:_TEXT_CHARS]),
        has_html=bool(payload.get("html")),
    )


def _chosen(messages: Sequence[Previewed], channel: str, audience: str) -> list[Previewed]:
    return [
        message
        for message in messages
        if (not channel or message.channel == channel) and (not audience or audience in message.audiences)
    ]


def show_inbox(site: Site, request: Request) -> Response:
    """The latest previewed messages; `channel` and `audience` choose among them."""
    messages = site.control.previewed(limit=MAX_MESSAGES)
    channel, audience = (request.query_params.get(name, "") for name in ("channel", "audience"))
    return site.page(
        request,
        "inbox.html",
        items=[_item(message) for message in _chosen(messages, channel, audience)],
        total=len(messages),
        channels=sorted({message.channel for message in messages}),
        audiences=sorted({key for message in messages for key in message.audiences}),
        channel=channel,
        audience=audience,
        first_audience=next(iter(site.settings.audiences), "infrastructure"),
    )


def _found(site: Site, request: Request) -> Previewed:
    number = request.path_params["message_id"]
    for message in site.control.previewed(limit=MAX_MESSAGES):
        if message.id == number:
            return message
    raise NotFound(
        f"There is no previewed message {number}",
        f"The inbox shows the latest {MAX_MESSAGES}. What was really sent is listed on its incident's page.",
    )


def show_message(site: Site, request: Request) -> Response:
    """One previewed message by itself."""
    return site.page(request, "message.html", item=_item(_found(site, request)))


def show_email(site: Site, request: Request) -> Response:
    """The email's HTML alone, for a sandboxed frame: no script, no form, nothing loaded from anywhere."""
    message = _found(site, request)
    html = str(_payload(message).get("html", ""))
    if message.channel != "email" or not html:
        raise NotFound("This message has no HTML part", "Its text is shown in the inbox.")
    answer = Response(html.encode("utf-8", "replace"), media_type="text/html")
    answer.headers["Content-Security-Policy"] = EMAIL_POLICY
    answer.headers["X-Frame-Options"] = "SAMEORIGIN"
    return answer
