"""Messages in words, channel-neutral and pure: a story goes in, a message comes out. Channels only lay it out."""

from __future__ import annotations

from alert_bridge.messages.composition import compose

__all__ = ["compose"]
