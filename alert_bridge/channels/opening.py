"""Which channels there are, from the environment: the real one where its settings are, else its preview, saying why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from alert_bridge.channels.base import Channel
from alert_bridge.channels.email import Email, smtp_settings
from alert_bridge.channels.email.settings import is_loopback
from alert_bridge.channels.preview import Preview, SavePreview, email_payload, slack_payload
from alert_bridge.errors import SettingsError
from alert_bridge.settings import secret, setting

__all__ = ["ChannelState", "channel_states", "open_channels"]

SLACK_API_URL = "https://slack.com/api/"


@dataclass(frozen=True, slots=True)
class ChannelState:
    """How a channel stands before it sent anything, in words for `status` and `doctor`; holds no secret."""

    name: str
    configured: bool  # False: previewed
    why: str


def open_channels(environ: Mapping[str, str], save_preview: SavePreview) -> dict[str, Channel]:
    """Every channel by name, ready to deliver. Connects to nothing.

    Raises:
        SettingsError: settings contradict each other or cannot work.
    """
    return {"slack": _slack(environ, save_preview), "email": _email(environ, save_preview)}


def channel_states(environ: Mapping[str, str]) -> tuple[ChannelState, ...]:
    """Whether each channel is configured or previewed, and why.

    Raises:
        SettingsError: as `open_channels` would.
    """
    token, webhook = _slack_secrets(environ)
    if token:
        slack = ChannelState("slack", configured=True, why="by bot token: one message per incident, edited in place")
    elif webhook:
        why = "by incoming webhook: one channel for all audiences, no edits; counts are told with the next message"
        slack = ChannelState("slack", configured=True, why=why)
    else:
        why = "previewed: neither SLACK_BOT_TOKEN nor SLACK_WEBHOOK_URL is set"
        slack = ChannelState("slack", configured=False, why=why)
    settings = smtp_settings(environ)
    if settings is None:
        return slack, ChannelState("email", configured=False, why="previewed: SMTP_HOST is not set")
    login = "with login" if settings.username else "without login"
    why = f"by {settings.host}:{settings.port}, {settings.security}, {login}; repeats are counted in the next mail"
    return slack, ChannelState("email", configured=True, why=why)


def _slack(environ: Mapping[str, str], save_preview: SavePreview) -> Channel:
    token, webhook = _slack_secrets(environ)
    if token:
        from alert_bridge.channels.slack.bot import SlackBot  # slack_sdk only where it is used

        return SlackBot(token, _secure(setting(environ, "SLACK_API_URL", SLACK_API_URL), "SLACK_API_URL"))
    if webhook:
        from alert_bridge.channels.slack.webhook import SlackWebhook

        return SlackWebhook(webhook)
    return Preview("slack", slack_payload, save_preview, edits=True)


def _email(environ: Mapping[str, str], save_preview: SavePreview) -> Channel:
    settings = smtp_settings(environ)
    return Email(settings) if settings else Preview("email", email_payload, save_preview, edits=False)


def _slack_secrets(environ: Mapping[str, str]) -> tuple[str, str]:
    token, webhook = secret(environ, "SLACK_BOT_TOKEN"), secret(environ, "SLACK_WEBHOOK_URL")
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise SettingsError("SLACK_BOT_TOKEN holds characters that no token has: copy it again")
    return token, _secure(webhook, "SLACK_WEBHOOK_URL") if webhook else ""


def _secure(url: str, name: str) -> str:
    """The address if a secret may travel there. Never repeated in an error: a webhook's is itself a secret."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise SettingsError(f"{name} is not a web address") from None
    if not host or not url.isprintable() or parts.scheme not in {"https", "http"}:
        raise SettingsError(f"{name} is not a web address: it must begin with https://")
    if parts.scheme == "http" and not is_loopback(host):
        raise SettingsError(f"{name} begins with http://, which would send a secret for all to read: use https://")
    return url
