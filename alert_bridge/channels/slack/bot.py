"""Slack by bot token: one message per incident and recipient, edited in place (`chat.postMessage`, `chat.update`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from alert_bridge.channels.base import Delivered
from alert_bridge.channels.slack.blocks import payload_of
from alert_bridge.channels.slack.errors import FIX_PAYLOAD, POST_NEW, code_of, error_for, retry_after_seconds
from alert_bridge.channels.slack.transport import TIMEOUT_SECONDS, calling, silent_logger, trust
from alert_bridge.errors import DeliveryError
from alert_bridge.model import Message

__all__ = ["PAUSE_SECONDS", "SlackBot"]

PAUSE_SECONDS = 1.1  # Slack takes one post a second and channel; a tenth more, because it counts arrivals

_PERSON = re.compile(r"@([UW][A-Z0-9]+)")


class SlackBot:
    """The channel with everything: posts to any channel of the policy and edits what it posted.

    The reference of a message is `<channel id>:<ts>`: an edit needs the id that the post answered, not the name.
    """

    name = "slack"
    edits = True
    pause = PAUSE_SECONDS

    def __init__(self, token: str, api_url: str) -> None:
        self._client = WebClient(
            token=token,
            base_url=api_url,
            timeout=TIMEOUT_SECONDS,
            ssl=trust(api_url),
            logger=silent_logger(),
            retry_handlers=[],  # the outbox retries: it knows what else waits, and survives a restart
        )
        self._client.proxy = None  # urllib's own rules for proxies then apply; the SDK's know no exceptions (no_proxy)

    def __repr__(self) -> str:
        return f"SlackBot({self._client.base_url!r})"

    def deliver(self, message: Message, address: str, earlier: str) -> Delivered:
        """Post, or edit the earlier message; a message that can no longer be edited is posted anew."""
        payload = payload_of(message)
        channel, _, ts = earlier.rpartition(":")
        if not channel:
            return self._post(payload.fields(), payload.plain_fields(), address)
        try:
            self._call("chat.update", {"channel": channel, "ts": ts}, payload.fields(), payload.plain_fields(), address)
        except DeliveryError as error:
            if error.code not in POST_NEW:
                raise
            posted = self._post(payload.fields(), payload.plain_fields(), address)
            return Delivered(
                posted.reference, f"{posted.detail}, as the earlier message could not be edited ({error.code})"
            )
        return Delivered(earlier, f"edited {ts} in {address}")

    def _post(self, fields: Mapping[str, Any], plain: Mapping[str, Any], address: str) -> Delivered:
        person = _PERSON.fullmatch(address)
        answer = self._call("chat.postMessage", {"channel": person[1] if person else address}, fields, plain, address)
        return Delivered(
            f"{answer.get('channel', '')}:{answer.get('ts', '')}", f"posted {answer.get('ts')} to {address}"
        )

    def _call(
        self, method: str, target: Mapping[str, str], fields: Mapping[str, Any], plain: Mapping[str, Any], address: str
    ) -> Mapping[str, Any]:
        """One call; if Slack does not like the blocks, one more with the text alone."""
        try:
            return self._once(method, {**target, **fields}, address)
        except DeliveryError as error:
            if error.code not in FIX_PAYLOAD:
                raise
        return self._once(method, {**target, **plain}, address)

    def _once(self, method: str, arguments: dict[str, Any], address: str) -> Mapping[str, Any]:
        try:
            answer = calling(lambda: self._client.api_call(method, json=arguments))
        except SlackApiError as error:
            status, headers = error.response.status_code, error.response.headers
            code = code_of(status, error.response.get("error"))
            raise error_for(code, status, retry_after_seconds(headers), address) from None
        return answer.data if isinstance(answer.data, dict) else {}
