"""Ways to reach people. A folder per channel; `open_channels` picks the real one or its preview."""

from __future__ import annotations

from alert_bridge.channels.base import Channel, Delivered
from alert_bridge.channels.opening import ChannelState, channel_states, open_channels
from alert_bridge.channels.preview import SavePreview

__all__ = ["Channel", "ChannelState", "Delivered", "SavePreview", "channel_states", "open_channels"]
