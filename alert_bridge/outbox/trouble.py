"""The bridge's own troubles as incidents like any other, told to the operator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from alert_bridge.errors import DeliveryError
from alert_bridge.fingerprint import fingerprint
from alert_bridge.incidents import Event, absorb, open_case
from alert_bridge.model import Duty, Incident, Recipient, Record, Severity
from alert_bridge.outbox.planning import Rules, replan
from alert_bridge.policy.model import Policy
from alert_bridge.routing import on_duty
from alert_bridge.store.control.cases import day_of
from alert_bridge.store.control.database import Book
from instrumentation import attributes as names

__all__ = ["OWN_PIPELINE", "broken_channel", "is_trouble_with", "operator", "report", "trouble_event"]

OWN_PIPELINE = "pipeline-alerts"
OPERATOR_AUDIENCE = "infrastructure"


def trouble_event(kind: str, text: str, *, recipients: tuple[Recipient, ...], now: int) -> Event:
    """An event about ourselves; the same ``kind`` is the same problem."""
    record = Record(
        uid=f"{OWN_PIPELINE}-{kind}-{now}",
        time=now,
        observed=now,
        severity=Severity.ERROR,
        severity_text="ERROR",
        body=text,
        attributes={names.OWN_TROUBLE: kind, names.FINGERPRINT: f"{OWN_PIPELINE}/{kind}"},
        resource={names.SERVICE_NAME: OWN_PIPELINE, names.PIPELINE_NAME: OWN_PIPELINE},
        scope="alert_bridge",
    )
    return Event(record, Severity.ERROR, fingerprint(record), text.split("\n", 1)[0], recipients)


def is_trouble_with(channel: str, incident: Incident) -> bool:
    """Whether an incident is about this channel not working."""
    return str(incident.sample.attributes.get(names.OWN_TROUBLE, "")).startswith(f"channel/{channel}/")


def broken_channel(
    book: Book,
    channel: str,
    address: str,
    error: DeliveryError,
    recipients: tuple[Recipient, ...],
    rules: Rules,
    *,
    new_id: Callable[[], str],
    now: int,
) -> set[str]:
    """Tell the operator that an address does not work; returns the channels that carry it.

    The same answer from several addresses is one problem: a revoked token breaks them all.
    """
    text = f"{channel} to {address} does not work and will not by itself: {error}. Mend it, then reload the bridge."
    event = trouble_event(f"channel/{channel}/{error.code}", text, recipients=recipients, now=now)
    return report(book, event, rules, new_id=new_id, now=now)


def report(book: Book, event: Event, rules: Rules, *, new_id: Callable[[], str], now: int) -> set[str]:
    """Count one event about ourselves into its incident, within the transaction that found the trouble."""
    mark = event.fingerprint.value
    episodes = book.episodes(mark)
    current = next((incident_id for incident_id, end in episodes if not end), "")
    book.save_issue(event, events=1, days=[(day_of(now), 1)], span=(now, now))
    case = book.case(current) if current else None
    if case is None:
        case = open_case(event, incident_id=new_id(), seen_before=len(episodes), now=now)
    saved = book.save_case(absorb(case, event, now=now))
    book.save_occurrences(saved.incident.id, [event.record])
    book.enter(Counter(recipient.channel for recipient in event.recipients))
    for talk in saved.talks:
        replan(book, saved, talk, rules, now=now)
    return {talk.recipient.channel for talk in saved.talks}


def operator(
    policy: Policy, *, without: frozenset[tuple[str, str]], now: int, avoid: str = ""
) -> tuple[Recipient, ...]:
    """Whoever looks after the bridge: `infrastructure`, else the first audience that can be reached.

    Args:
        policy: the policy in force.
        without: (channel, address) pairs that do not work.
        avoid: a channel that is in trouble, used only if there is no other way.
        now: nanoseconds since the epoch, for a rota.
    """
    for key in sorted(policy.audiences, key=lambda key: key != OPERATOR_AUDIENCE):
        contact = on_duty(key, policy, now)
        addresses = [("slack", contact.slack)] if contact.slack else []
        addresses += [("email", address) for address in contact.email]
        possible = [pair for pair in addresses if pair not in without]
        working = [pair for pair in possible if pair[0] != avoid] or possible
        if working:
            return tuple(
                Recipient(channel, address, (key,), Duty.ACT, "looks after the alerting itself")
                for channel, address in working
            )
    return ()
