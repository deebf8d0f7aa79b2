"""Preview: what would have been sent, kept for the pages, so that a first run needs no secret."""

from __future__ import annotations

from alert_bridge.channels.preview.channel import Preview, SavePreview, email_payload, slack_payload

__all__ = ["Preview", "SavePreview", "email_payload", "slack_payload"]
