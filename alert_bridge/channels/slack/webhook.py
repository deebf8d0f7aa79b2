"""Slack by incoming webhook: for workspaces that allow no app with a token. It says what it cannot do.

* One webhook posts to one channel. All audiences' messages land there, each saying whom it is for.
* It cannot edit. Repeats post nothing: they are counted, and the next message about the incident tells the count.
  A resolution is a new message.
"""

from __future__ import annotations

from slack_sdk.webhook import WebhookClient

from alert_bridge.channels.base import Delivered
from alert_bridge.channels.slack.blocks import payload_of
from alert_bridge.channels.slack.bot import PAUSE_SECONDS
from alert_bridge.channels.slack.errors import FIX_PAYLOAD, code_of, error_for, retry_after_seconds
from alert_bridge.channels.slack.transport import TIMEOUT_SECONDS, calling, silent_logger, trust
from alert_bridge.model import Message, Reason

__all__ = ["SlackWebhook"]


class SlackWebhook:
    """The fallback. Its address is a secret and appears nowhere. Its references name nothing."""

    name = "slack"
    edits = False
    pause = PAUSE_SECONDS

    def __init__(self, url: str) -> None:
        self._client = WebhookClient(
            url, timeout=TIMEOUT_SECONDS, ssl=trust(url), logger=silent_logger(), retry_handlers=[]
        )
        self._client.proxy = None  # urllib's own rules for proxies apply: the SDK's know no exceptions (no_proxy)

    def __repr__(self) -> str:
        return "SlackWebhook()"

    def deliver(self, message: Message, address: str, earlier: str) -> Delivered:
        """Post; a repeat is only counted."""
        if message.reason is Reason.REPEATED and earlier:
            return Delivered(earlier, "a webhook cannot edit: counted, told with the next message")
        payload = payload_of(message, meant_for=address)
        code = self._post(payload.fields(), address, give_up_on=FIX_PAYLOAD)
        if code:
            self._post(payload.plain_fields(), address, give_up_on=frozenset())
        return Delivered(f"webhook:{message.key}", f"posted through the webhook, for {address}")

    def _post(self, fields: dict[str, object], address: str, *, give_up_on: frozenset[str]) -> str:
        """Empty if it was taken, else the code if it is one of ``give_up_on``; raises for every other answer."""
        answer = calling(lambda: self._client.send_dict(fields))
        if answer.status_code == 200 and answer.body.strip() == "ok":  # noqa: PLR2004 - the status's number is its name
            return ""
        code = code_of(answer.status_code, answer.body)
        if code in give_up_on:
            return code
        raise error_for(code, answer.status_code, retry_after_seconds(dict(answer.headers)), address)
