"""The seam where channels plug in: a folder per channel, its words for errors in one table, its templates beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from alert_bridge.model import Message

__all__ = ["Channel", "Delivered"]


@dataclass(frozen=True, slots=True)
class Delivered:
    """A channel took the message. ``reference`` is opaque to everyone else; it comes back with the next edit."""

    reference: str
    detail: str
    previewed: bool = False


class Channel(Protocol):
    """One way to reach people. Calls block: the outbox runs each channel in a thread of its own."""

    @property
    def name(self) -> str: ...

    @property
    def edits(self) -> bool:
        """Whether an earlier message can be changed in place."""

    @property
    def pause(self) -> float:
        """Seconds to leave between two messages to the same address."""

    def deliver(self, message: Message, address: str, earlier: str) -> Delivered:
        """Tell one recipient. ``earlier``: the reference of the message to edit, or empty for a new one.

        Raises:
            alert_bridge.errors.Permanent: trying again cannot help.
            alert_bridge.errors.Retryable: trying again later can.
            alert_bridge.errors.Ambiguous: it may have been delivered.
        """
