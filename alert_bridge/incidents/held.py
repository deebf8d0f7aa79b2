"""A conversation that is held back for a time, by a silence or by quiet hours, and what follows when that is over."""

from __future__ import annotations

from dataclasses import replace

from alert_bridge.incidents.case import Talk, TalkState
from alert_bridge.model import Incident, IncidentState

__all__ = ["digested", "hush", "release"]


def hush(talk: Talk, *, until: int) -> Talk:
    """A silence covers the incident until then: what waits to be told is held back with it."""
    if talk.state is not TalkState.OPEN:
        return talk
    return replace(
        talk,
        queued=0,
        suppressed=talk.suppressed + talk.queued,
        silenced=talk.silenced + talk.queued,
        silent_until=max(talk.silent_until, until),
    )


def release(talk: Talk, incident: Incident, *, still_until: int, now: int) -> Talk:
    """A silence ended. What is still open is told once; what was over meanwhile stays untold, and counted as that.

    ``still_until``: another silence goes on until then; 0: none does.
    """
    if still_until:
        return replace(talk, silent_until=still_until)
    told = talk.state is TalkState.OPEN and incident.state is IncidentState.OPEN
    back = talk.silenced if told else 0
    return replace(
        talk,
        queued=talk.queued + back,
        suppressed=talk.suppressed - back,
        silenced=0,
        silent_until=0,
        retell_at=now if told and talk.silent_until else talk.retell_at,
    )


def digested(talk: Talk, incident: Incident, *, now: int) -> Talk:
    """What waited for the end of quiet hours is told as a line of a digest; the conversation goes on from there."""
    return replace(
        talk,
        queued=0,
        suppressed=talk.suppressed + talk.queued,
        first_told_at=talk.first_told_at or now,
        last_told_at=now,
        last_post_at=now,
        posted=talk.told,
        told_severity=max(talk.told_severity, incident.severity),
        told_resolved=incident.state is IncidentState.RESOLVED,
        quiet_until=0,
    )
