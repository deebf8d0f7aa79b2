"""What the bridge does by itself: carries out what people ask for, watches what does not happen, tells digests."""

from __future__ import annotations

from alert_bridge.operations.overseer import Overseer

__all__ = ["Overseer"]
