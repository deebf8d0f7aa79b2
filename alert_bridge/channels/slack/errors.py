"""Slack's answers, and what each means for us. One table; anything that it does not know heals, until proven otherwise.

Sources: https://docs.slack.dev/reference/methods/chat.postMessage#errors, …/chat.update#errors,
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors, …/apis/web-api/rate-limits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from alert_bridge.errors import Ambiguous, DeliveryError, Permanent, Retryable

__all__ = ["DEFAULT_PAUSE_SECONDS", "FIX_PAYLOAD", "POST_NEW", "code_of", "error_for", "retry_after_seconds"]

DEFAULT_PAUSE_SECONDS = 10.0  # after a 429 that does not say how long
MAX_PAUSE_SECONDS = 3_600.0

RATE_LIMITED = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
MAYBE_POSTED = frozenset({"fatal_error", "internal_error"})
HEALS = frozenset({"service_unavailable", "request_timeout", "team_added_to_org", "accesslimited"})
FIX_PAYLOAD = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long"})
POST_NEW = frozenset({"message_not_found", "edit_window_closed", "cant_update_message", "cannot_reply_to_message"})

# What only a person can change, and what to change.
PERMANENT: Mapping[str, str] = {
    "invalid_auth": "the bot token is not valid: put a new one into SLACK_BOT_TOKEN",
    "not_authed": "no token reached Slack: set SLACK_BOT_TOKEN",
    "account_inactive": "the app's account was removed: install the app again and set its new token",
    "token_revoked": "the bot token was revoked: install the app again and set its new token",
    "token_expired": "the bot token has expired: install the app again and set its new token",
    "org_login_required": "the workspace moves to an organisation: ask its administrator",
    "ekm_access_denied": "the administrators suspended posting: ask them",
    "missing_scope": "the app lacks the scope chat:write: add it and install the app again",
    "no_permission": "the app may not post: its scopes need chat:write",
    "not_allowed_token_type": "this is not a bot token: use the one that begins with xoxb-",
    "channel_not_found": "there is no such channel, or it is private: invite the app, or correct the policy",
    "not_in_channel": "the app is not in the channel: invite it, or give it the scope chat:write.public",
    "is_archived": "the channel is archived: unarchive it, or name another in the policy",
    "restricted_action": "the workspace does not let the app post here: ask its administrator",
    "restricted_action_read_only_channel": "the channel is read-only: ask its administrator",
    "restricted_action_thread_only_channel": "the channel takes only replies: name another in the policy",
    "restricted_action_non_threadable_channel": "the channel takes no such message: name another in the policy",
    "user_not_found": "there is no such person in the workspace: correct the policy",
    "no_text": "Slack saw an empty message",
    "invalid_token": "the webhook's address is not valid any more: create a new webhook",
    "invalid_payload": "the webhook could not read the message",
    "action_prohibited": "the administrators do not let the webhook post: ask them",
    "no_service": "the webhook was removed: create a new one and set SLACK_WEBHOOK_URL",
    "no_service_id": "the webhook's address is incomplete: copy it again into SLACK_WEBHOOK_URL",
    "no_team": "the webhook's workspace is gone: create a new webhook",
    "team_disabled": "the webhook's workspace is disabled",
    "channel_is_archived": "the webhook's channel is archived: unarchive it, or create a webhook for another",
    "posting_to_general_channel_denied": "the webhook may not post to #general: create one for another channel",
}
_PERMANENT_PREFIXES = ("token_", "restricted_action", "invalid_arg", "invalid_auth")
_PERMANENT_STATUSES = frozenset({400, 401, 403, 404, 410})  # of a webhook or a proxy, without a code we know

_CODE = re.compile(r"[a-z][a-z0-9_]{1,60}")


def code_of(status: int, error: object) -> str:
    """Slack's own word, or `http_<status>` where the answer holds none: bodies of strangers go no further."""
    text = str(error).strip() if error is not None else ""
    return text if _CODE.fullmatch(text) else f"http_{status}"


def error_for(code: str, status: int, pause_seconds: float | None, address: str) -> DeliveryError:
    """What to raise for an answer. ``pause_seconds``: what `Retry-After` said, if it said something."""
    if status == 429 or code in RATE_LIMITED:  # noqa: PLR2004 - the status's number is its name
        pause = DEFAULT_PAUSE_SECONDS if pause_seconds is None else pause_seconds
        return Retryable(f"Slack asks to wait {pause:g} s before the next message", code=code, retry_after=pause)
    if code in PERMANENT:
        return Permanent(f"Slack refuses {address}: {code}: {PERMANENT[code]}", code=code)
    if code.startswith(_PERMANENT_PREFIXES) or (status in _PERMANENT_STATUSES and code == f"http_{status}"):
        return Permanent(f"Slack refuses {address}: {code}", code=code)
    if code in FIX_PAYLOAD or code in POST_NEW:
        return Permanent(f"Slack does not take this message for {address}: {code}", code=code)
    if code in HEALS or status == 503:  # noqa: PLR2004 - the same
        return Retryable(f"Slack is not available now: {code}", code=code, retry_after=pause_seconds)
    if code in MAYBE_POSTED or status >= 500:  # noqa: PLR2004 - the same
        return Ambiguous(f"Slack failed with {code} and may have posted the message", code=code)
    return Retryable(f"Slack answered {code} for {address}, which is unknown to us", code=code)


def retry_after_seconds(headers: Mapping[str, object]) -> float | None:
    """The header `Retry-After` in seconds, within reason; None if it is missing or not a number."""
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), None)
    try:
        seconds = float(str(value))
    except ValueError:
        return None
    return min(max(seconds, 0.0), MAX_PAUSE_SECONDS) if seconds == seconds else None  # noqa: PLR0124 - not a number
