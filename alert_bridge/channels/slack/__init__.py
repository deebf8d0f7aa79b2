"""Slack: short summaries, by bot token (`bot`) or, with less, by incoming webhook (`webhook`)."""

from __future__ import annotations

from alert_bridge.channels.slack.blocks import Payload, payload_of

__all__ = ["Payload", "payload_of"]
