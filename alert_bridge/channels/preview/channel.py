"""The preview: takes the place of a channel without settings and keeps exactly what that channel would have sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Protocol

from alert_bridge.channels.base import Delivered
from alert_bridge.channels.email.mime import mail_of
from alert_bridge.channels.slack.blocks import payload_of
from alert_bridge.model import Message, Reason

__all__ = ["EMAIL_PREVIEW_SENDER", "Preview", "SavePreview", "email_payload", "slack_payload"]

EMAIL_PREVIEW_SENDER = "pipeline-alerts@localhost"


class SavePreview(Protocol):
    """Keeps a payload (JSON, see `alert_bridge.store.interface.Previewed`) and returns its reference.

    ``reference`` is that of the message to replace, which counts as an edit, or empty for a new one.
    """

    def __call__(self, channel: str, address: str, incident_id: str, payload: str, reference: str, /) -> str: ...


class Preview:
    """Behaves as the channel it stands for: edits where that edits, and sends nothing for a repeat where it cannot."""

    pause = 0.0

    def __init__(self, name: str, render: Callable[[Message, str], str], save: SavePreview, *, edits: bool) -> None:
        self.name = name
        self.edits = edits
        self._render = render
        self._save = save

    def __repr__(self) -> str:
        return f"Preview({self.name!r})"

    def deliver(self, message: Message, address: str, earlier: str) -> Delivered:
        """Keep the message; nothing leaves the machine."""
        if earlier and not self.edits and message.reason is Reason.REPEATED:
            return Delivered(earlier, f"{self.name} cannot edit: counted, told with the next message", previewed=True)
        reference = self._save(
            self.name, address, message.incident_id, self._render(message, address), earlier if self.edits else ""
        )
        return Delivered(reference, f"kept as a preview for {address}: {self.name} is not configured", previewed=True)


def slack_payload(message: Message, _address: str) -> str:
    """`{text, blocks}` as `chat.postMessage` would get it."""
    payload = payload_of(message)
    return json.dumps({"text": payload.text, "blocks": list(payload.blocks)}, ensure_ascii=False)


def email_payload(message: Message, address: str) -> str:
    """`{subject, from, to, headers, text, html}` as the mail would carry them."""
    mail = mail_of(message, address, EMAIL_PREVIEW_SENDER.rpartition("@")[2])
    fields = {
        "subject": mail.subject,
        "from": EMAIL_PREVIEW_SENDER,
        "to": address,
        "headers": dict(mail.headers),
        "text": mail.text,
        "html": mail.html,
    }
    return json.dumps(fields, ensure_ascii=False)
