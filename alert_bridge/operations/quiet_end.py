"""The end of quiet hours: what an address was not to be woken for is told in one message."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

from alert_bridge.digests import QUIET, IncidentLine, QuietDigest
from alert_bridge.incidents import Case, Talk, digested
from alert_bridge.messages.effects import effect_of
from alert_bridge.model import IncidentState, Reason, Recipient, Severity
from alert_bridge.operations.telling import digest_record, tell_digest
from alert_bridge.outbox import Rules, replan
from alert_bridge.outbox.trouble import OWN_PIPELINE
from alert_bridge.store.control.database import Book
from instrumentation import attributes as names

__all__ = ["plan_anew", "tell_after_quiet"]

LINES_MOST = 200  # of one digest; a night with more has one problem, and the list of incidents shows the rest


def tell_after_quiet(book: Book, rules: Rules, *, now: int, new_id: Callable[[], str]) -> set[str]:
    """Tell what waited for the end of quiet hours that are over; returns channels that have something new to say.

    One incident is told in its own words; several are lines of one digest, and each goes on from there by itself.
    """
    waiting: defaultdict[tuple[str, str], list[tuple[Case, Talk]]] = defaultdict(list)
    for incident_id, conversation_id in book.quiet_over(now):
        case = book.case(incident_id)
        assert case is not None, "a conversation has its incident"
        talk = next(talk for talk in case.talks if talk.id == conversation_id)
        waiting[talk.key].append((case, talk))
    channels: set[str] = set()
    for held in waiting.values():
        if len(held) == 1:
            case, talk = held[0]
            replan(book, case, talk, rules, now=now)
            book.decide(now, case.incident.id, "quiet", f"quiet hours of {_who(talk)} are over: it is told now")
            channels.add(talk.recipient.channel)
        else:
            channels |= _digest(book, rules, held, now, new_id)
    return channels


def plan_anew(book: Book, rules: Rules, *, now: int) -> set[str]:
    """After a new policy: whatever waits for quiet hours waits for those of the new one, or not any more."""
    channels: set[str] = set()
    for incident_id, conversation_id in book.held_for_quiet(now):
        case = book.case(incident_id)
        assert case is not None, "a conversation has its incident"
        talk = next(talk for talk in case.talks if talk.id == conversation_id)
        replan(book, case, talk, rules, now=now)
        channels.add(talk.recipient.channel)
    return channels


def _digest(book: Book, rules: Rules, held: list[tuple[Case, Talk]], now: int, new_id: Callable[[], str]) -> set[str]:
    first = held[0][1].recipient
    audiences = tuple(sorted({key for _, talk in held for key in talk.recipient.audiences}))
    recipient = Recipient(first.channel, first.address, audiences, first.duty, "told together after quiet hours")
    until = max(talk.quiet_until for _, talk in held)
    since = min(talk.last_told_at or talk.opened_at for _, talk in held)
    content = QuietDigest(since, until, tuple(_line(case) for case, _ in held[:LINES_MOST]))
    worst = Severity(max(case.incident.severity for case, _ in held))
    record = digest_record(
        QUIET,
        f"{len(held)} incidents during quiet hours",
        content.to_value(),
        uid=f"{OWN_PIPELINE}/quiet/{first.channel}/{first.address}/{until}",
        resource={names.SERVICE_NAME: OWN_PIPELINE, names.PIPELINE_NAME: OWN_PIPELINE},
        severity=worst,
        now=now,
    )
    channels = tell_digest(book, rules, record, (recipient,), now=now, new_id=new_id)
    for case, talk in held:
        if not channels:  # it was told before a restart: what came after it is told singly
            replan(book, case, talk, replace(rules, quiet={}), now=now)
            continue
        told = book.save_talk(case.incident.id, digested(talk, case.incident, now=now))
        book.decide(now, case.incident.id, "quiet", f"told to {_who(talk)} in one message after their quiet hours")
        replan(book, case, told, rules, now=now)
    return channels or {first.channel}


def _line(case: Case) -> IncidentLine:
    incident = case.incident
    return IncidentLine(
        incident.id,
        int(incident.severity),
        incident.title,
        incident.stage,
        incident.count,
        incident.state is IncidentState.RESOLVED,
        pipeline=incident.pipeline,
        effect=effect_of(incident, Reason.OPENED),
    )


def _who(talk: Talk) -> str:
    return ", ".join(talk.recipient.audiences)
