"""The engine's plan for a conversation, put into the outbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alert_bridge.channels.base import Channel
from alert_bridge.incidents import Case, Talk, plan
from alert_bridge.policy.model import Grouping, Policy
from alert_bridge.store.control.database import Book

__all__ = ["Rules", "replan", "rules_of"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What the engine must know of the policy and the channels."""

    grouping: Grouping
    edits: frozenset[str]  # channels that change a message in place

    def hold(self, channel: str) -> float:
        """Seconds that a channel gathers before its first message."""
        return float(self.grouping.hold.get(channel, 0.0))


def rules_of(policy: Policy, channels: Mapping[str, Channel]) -> Rules:
    """The rules that follow from a policy and the channels there are."""
    return Rules(policy.grouping, frozenset(name for name, channel in channels.items() if channel.edits))


def replan(book: Book, case: Case, talk: Talk, rules: Rules, *, now: int) -> None:
    """Make the conversation's one waiting notice what it must be now."""
    channel = talk.recipient.channel
    planned = plan(
        case.incident,
        talk,
        hold=rules.hold(channel),
        repeat_after=rules.grouping.repeat_after,
        edits=channel in rules.edits,
    )
    book.set_plan(talk, planned, now=now)
