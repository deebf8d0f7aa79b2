"""What became of one conversation: told, given up, folded, revived, handed to another channel. Books always balance."""

from __future__ import annotations

from dataclasses import replace

from alert_bridge.incidents.case import Talk, TalkState
from alert_bridge.model import Incident, IncidentState, Reason, Recipient

__all__ = ["buried", "hand_over", "resume", "revived", "suppress", "told"]


def told(talk: Talk, *, as_of: Incident, reason: Reason, covers: int, posted: bool, reference: str, now: int) -> Talk:
    """The channel took a message that answered for ``covers`` queued records and described ``as_of``.

    ``posted``: a new message, not an edit. Records that came while it was sent stay queued.
    """
    moved = min(covers, talk.queued)
    late = min(covers - moved, talk.silenced)  # a silence came while it was being sent
    total = talk.told + moved + late
    quiet = reason is Reason.REMINDER and total == talk.posted
    return replace(
        talk,
        told=total,
        queued=talk.queued - moved,
        suppressed=talk.suppressed - late,
        silenced=talk.silenced - late,
        quiet_until=0,
        reference=reference,
        first_told_at=talk.first_told_at or now,
        last_told_at=now,
        last_post_at=now if posted else talk.last_post_at,
        posted=total if posted else talk.posted,
        told_severity=max(talk.told_severity, as_of.severity),
        told_resolved=as_of.state is IncidentState.RESOLVED,
        told_folded=bool(as_of.root_id),
        reminders=(talk.reminders + 1 if quiet else 0) if posted else talk.reminders,
    )


def buried(talk: Talk) -> Talk:
    """The channel will not take it: what was queued is dead, and so is what comes."""
    return replace(talk, state=TalkState.DEAD, queued=0, dead=talk.dead + talk.queued)


def revived(talk: Talk) -> Talk:
    """A person mended the channel: what was dead is queued again."""
    return replace(talk, state=TalkState.OPEN, dead=0, queued=talk.queued + talk.dead)


def suppress(talk: Talk) -> Talk:
    """The incident is told as part of another: nothing more is said here; what was said stays said."""
    return replace(talk, state=TalkState.FOLDED, queued=0, suppressed=talk.suppressed + talk.queued)


def resume(talk: Talk) -> Talk:
    """The incident stands for itself after all: what was told as part of another is told here."""
    if talk.state is not TalkState.FOLDED:
        return talk
    back = talk.suppressed - talk.silenced
    return replace(talk, state=TalkState.OPEN, queued=talk.queued + back, suppressed=talk.silenced, told_folded=False)


def hand_over(talk: Talk, recipient: Recipient, *, records: int, now: int) -> Talk:
    """A conversation for ``recipient`` in place of ``talk``, which its channel refused, over the same records."""
    return Talk(
        recipient,
        opened_at=now,
        first_event=talk.first_event,
        matched=records,
        queued=records,
        stands_in_for=talk.recipient.channel,
    )
