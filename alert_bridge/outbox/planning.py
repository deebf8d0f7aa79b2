"""The engine's plan for a conversation, put into the outbox; not before the end of quiet hours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from alert_bridge.channels.base import Channel
from alert_bridge.incidents import Case, Planned, Talk, plan, posts_anew
from alert_bridge.incidents.plan import NEVER
from alert_bridge.model import Reason, Severity
from alert_bridge.policy.model import Grouping, Policy
from alert_bridge.quiet import QuietTime, quiet_until
from alert_bridge.store.control.database import Book

__all__ = ["DIGEST_GRACE_S", "Rules", "replan", "rules_of"]

NS = 1_000_000_000
DIGEST_GRACE_S = 60.0  # after quiet hours, what was held is told in one message; what is not by then is told singly

_NOT_FOR_QUIET = frozenset(
    {Reason.TEST, Reason.OPERATOR}
)  # somebody waits for it, or the alerting itself is in trouble


@dataclass(frozen=True, slots=True)
class Rules:
    """What the engine must know of the policy and the channels."""

    grouping: Grouping
    edits: frozenset[str]  # channels that change a message in place
    quiet: Mapping[str, tuple[QuietTime, ...]] = field(default_factory=dict)  # by audience

    def hold(self, channel: str) -> float:
        """Seconds that a channel gathers before its first message."""
        return float(self.grouping.hold.get(channel, 0.0))

    def quiet_until(self, audiences: tuple[str, ...], now: int) -> int:
        """When these audiences may be woken again; 0: at once. Nanoseconds since the epoch."""
        if not self.quiet:
            return 0
        return quiet_until([self.quiet.get(key, ()) for key in audiences], now)


def rules_of(policy: Policy, channels: Mapping[str, Channel]) -> Rules:
    """The rules that follow from a policy and the channels there are."""
    return Rules(policy.grouping, frozenset(name for name, channel in channels.items() if channel.edits), policy.quiet)


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
    if planned is not None:
        planned, until = _after_quiet(planned, case, talk, rules, now)
        if until != talk.quiet_until and (until or talk.quiet_until > now):
            book.wait_for_end_of_quiet(talk.id, until)
    book.set_plan(talk, planned, now=now)


def _after_quiet(planned: Planned, case: Case, talk: Talk, rules: Rules, now: int) -> tuple[Planned, int]:
    """The plan, put off if it would wake people, and the end of what it waits for; 0: it does not wait."""
    if planned.reason in _NOT_FOR_QUIET or case.incident.severity >= Severity.CRITICAL or planned.due_at == NEVER:
        return planned, 0
    if not posts_anew(planned.reason) and talk.reference and talk.recipient.channel in rules.edits:
        return planned, 0  # a message that changes in its place wakes nobody
    until = rules.quiet_until(talk.recipient.audiences, max(planned.due_at, now))
    if not until:
        return planned, 0
    grace = 0 if planned.reason is Reason.DIGEST else int(DIGEST_GRACE_S * NS)
    return replace(planned, due_at=until + grace), until
