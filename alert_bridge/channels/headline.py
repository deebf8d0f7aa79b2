"""The headline in two: what stands out, and the rest. The words are the message's; channels only set them apart."""

from __future__ import annotations

from alert_bridge.model import Duty, Message

__all__ = ["in_two"]


def in_two(message: Message) -> tuple[str, str, str]:
    """(what stands out, what lies between, the rest): `ERROR`, ` · `, `monthly_run / fetch_data failed: …`."""
    between = " · " if message.duty is Duty.ACT else ": "
    first, between, rest = message.headline.partition(between)
    return (first, between, rest) if rest else ("", "", message.headline)
