"""What one recipient must hear next about an incident, and when. A pure function of what they heard so far.

Nothing is remembered but the conversation itself, so a restart, a late record or a second look plans the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from alert_bridge.incidents.case import Talk, TalkState
from alert_bridge.incidents.folding import says_child_ended
from alert_bridge.model import Incident, IncidentState, Reason, Severity
from instrumentation import attributes as names

__all__ = ["EDIT_EVERY_S", "LATE_AFTER_S", "NEVER", "Planned", "late_since", "plan", "posts_anew"]

NS = 1_000_000_000
EDIT_EVERY_S = 5.0  # a message is edited at most this often, so the last edit is exact within this time
REMINDER_GROWTH = 2  # each reminder without news waits this much longer than the one before
MAX_REMINDER_DOUBLINGS = 10  # then it stays: a number, not an overflow
LATE_AFTER_S = 60.0  # told later than this after it was due is said to be late
NEVER = 2**63 - 1  # waits for something else to happen

_FIRST = frozenset({Reason.OPENED, Reason.REGRESSED, Reason.TEST, Reason.OPERATOR})
_EDITS = frozenset({Reason.REPEATED, Reason.RESOLVED})


@dataclass(frozen=True, slots=True)
class Planned:
    """The next thing to say, not before ``due_at``."""

    reason: Reason
    due_at: int


def plan(incident: Incident, talk: Talk, *, hold: float, repeat_after: float, edits: bool) -> Planned | None:
    """What this recipient must hear next; None if there is nothing to say, now or later.

    Args:
        incident: as it stands.
        talk: what they heard so far.
        hold: seconds to gather before the first message; a CRITICAL incident does not wait, unless all it says is that
            a child process ended: the supervisor is about to tell how.
        repeat_after: seconds after which an open incident is posted anew.
        edits: whether the channel can change its message in place.
    """
    if talk.state is TalkState.FOLDED:
        return _when_folded(talk, edits=edits)
    if talk.state is not TalkState.OPEN or _is_silent(incident, talk):
        return None
    if not talk.first_told_at:
        return _first(incident, talk, hold) if talk.queued else None
    if incident.state is IncidentState.RESOLVED:
        return _when_over(incident, talk, repeat_after, edits=edits)
    return _while_open(incident, talk, repeat_after, edits=edits)


def posts_anew(reason: Reason) -> bool:
    """Whether this is said in a message of its own, which notifies people, or by changing the earlier one."""
    return reason not in _EDITS


def late_since(talk: Talk, *, reason: Reason, wanted_at: int, hold: float, now: int) -> int:
    """When this should have been told, if that is long ago; 0 if it is in time.

    A first message is also late if its records were: a Collector may have kept them for hours. Counts and reminders are
    never late: they say how things stand now.
    """
    if reason in (Reason.REPEATED, Reason.REMINDER, Reason.DIGEST):
        return 0
    wanted = wanted_at
    if talk.retell_at or talk.quiet_until:
        return _if_late(max(wanted, talk.retell_at, talk.quiet_until), now)  # it was not to be told before
    if reason in _FIRST and not talk.first_told_at:
        known = talk.opened_at if talk.first_event <= 0 else min(talk.first_event, talk.opened_at)
        wanted = min(wanted, known + _ns(hold))
    return _if_late(wanted, now)


def _if_late(wanted: int, now: int) -> int:
    return wanted if now - wanted > _ns(LATE_AFTER_S) else 0


def _is_silent(incident: Incident, talk: Talk) -> bool:
    """Covered by a silence, with nothing to tell that the silence does not cover.

    Whoever was told that it is open hears that it is over, in spite of any silence.
    """
    over = incident.state is IncidentState.RESOLVED and talk.first_told_at and not talk.told_resolved
    return talk.silent_until > 0 and not talk.queued and not over


def _first(incident: Incident, talk: Talk, hold: float) -> Planned:
    if incident.sample.attributes.get(names.TEST_ALERT):
        return Planned(Reason.TEST, talk.opened_at)
    if incident.sample.attributes.get(names.OWN_TROUBLE):
        return Planned(Reason.OPERATOR, talk.opened_at)
    if incident.sample.attributes.get(names.DIGEST):
        return Planned(Reason.DIGEST, talk.opened_at)
    reason = Reason.REGRESSED if incident.seen_before else Reason.OPENED
    is_urgent = incident.severity >= Severity.CRITICAL and not _waits_for_its_cause(incident)
    return Planned(reason, max(talk.opened_at + _ns(0.0 if is_urgent else hold), talk.retell_at))


def _waits_for_its_cause(incident: Incident) -> bool:
    return not incident.sample.event_name and says_child_ended(incident.sample)


def _when_folded(talk: Talk, *, edits: bool) -> Planned | None:
    """Its message, if there is one, says once where the incident is told from now on."""
    if talk.told_folded or not (edits and talk.reference):
        return None
    return Planned(Reason.REPEATED, talk.last_told_at)


def _when_over(incident: Incident, talk: Talk, repeat_after: float, *, edits: bool) -> Planned | None:
    if not talk.told_resolved:
        return Planned(Reason.RESOLVED, max(incident.resolved_at, talk.last_told_at))
    if not talk.queued:
        return None
    # Late records of an episode that is over: the count is put right, quietly where the channel can.
    return Planned(Reason.REPEATED, talk.last_told_at + _ns(EDIT_EVERY_S if edits else repeat_after))


def _while_open(incident: Incident, talk: Talk, repeat_after: float, *, edits: bool) -> Planned | None:
    if talk.told_resolved:
        return Planned(Reason.REGRESSED, talk.last_told_at)  # the success was followed by an error of its own run
    if incident.severity > talk.told_severity:
        return Planned(Reason.ESCALATED, talk.last_told_at)
    if talk.retell_at > talk.last_told_at and not incident.acknowledged_by:
        return Planned(Reason.REMINDER, talk.retell_at)  # a silence ended, and it is still open
    edit_at, remind_at = talk.last_told_at + _ns(EDIT_EVERY_S), _remind_at(talk, repeat_after)
    if incident.acknowledged_at > talk.last_told_at and edits and talk.reference:
        return Planned(Reason.REPEATED, edit_at)  # says who is on it
    if talk.queued and edits and (edit_at < remind_at or incident.acknowledged_by):
        return Planned(Reason.REPEATED, edit_at)
    if incident.acknowledged_by:  # no reminders: what came meanwhile is told when it is over or gets worse
        return Planned(Reason.REPEATED, NEVER) if talk.queued else None
    return Planned(Reason.REMINDER, remind_at)


def _remind_at(talk: Talk, repeat_after: float) -> int:
    news = talk.told + talk.queued > talk.posted
    doublings = 0 if news else min(talk.reminders, MAX_REMINDER_DOUBLINGS)
    return talk.last_post_at + _ns(repeat_after * REMINDER_GROWTH**doublings)


def _ns(seconds: float) -> int:
    return int(seconds * NS)
