"""Slack: short summaries, by bot token or, with less, by incoming webhook."""

from __future__ import annotations

from alert_bridge.channels.slack.blocks import Payload, payload_of
from alert_bridge.channels.slack.bot import SlackBot
from alert_bridge.channels.slack.webhook import SlackWebhook

__all__ = ["Payload", "SlackBot", "SlackWebhook", "payload_of"]
