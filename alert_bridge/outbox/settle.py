"""What follows from a channel's answer, in one transaction: books, receipt, health, next notice, fallback, operator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from alert_bridge.channels.base import Delivered
from alert_bridge.errors import DeliveryError
from alert_bridge.incidents import Case, Success, Talk, TalkState, buried, hand_over, resolve, told
from alert_bridge.model import NoticeState, Recipient
from alert_bridge.outbox.planning import Rules, replan
from alert_bridge.outbox.trouble import OWN_PIPELINE, broken_channel, is_trouble_with, operator
from alert_bridge.policy.model import Policy
from alert_bridge.retry import Decision
from alert_bridge.routing import on_duty
from alert_bridge.store.control import Lease
from alert_bridge.store.control.database import Book

__all__ = ["settle_delivered", "settle_failed"]

NS = 1_000_000_000


def settle_delivered(
    book: Book, lease: Lease, delivered: Delivered, *, posted: bool, rules: Rules, now: int
) -> set[str]:
    """The channel took it: returns channels that have something new to say."""
    case, talk = _as_it_stands(book, lease)
    talk = told(
        talk,
        as_of=lease.case.incident,
        reason=lease.reason,
        covers=lease.talk.queued,
        posted=posted,
        reference=delivered.reference,
        now=now,
    )
    book.save_talk(case.incident.id, talk)
    book.settle(lease.notice_id, NoticeState.DELIVERED, now=now, covers=lease.talk.queued)
    outcome = "previewed" if delivered.previewed else "delivered"
    book.receipt(lease.notice_id, now=now, outcome=outcome, detail=delivered.detail)
    replan(book, case, talk, rules, now=now)
    channel, address = talk.key
    if book.healthy(channel, address, now=now):
        return _works_again(book, channel, address, rules, now)
    return set()


def settle_failed(
    book: Book,
    lease: Lease,
    error: DeliveryError,
    decision: Decision,
    *,
    policy: Policy,
    rules: Rules,
    new_id: Callable[[], str],
    now: int,
) -> set[str]:
    """The channel did not take it: again later, or never; returns channels that have something new to say."""
    case, talk = _as_it_stands(book, lease)
    channel, address = talk.key
    text = f"{error} ({error.code})"
    book.receipt(lease.notice_id, now=now, outcome=decision.outcome, detail=text)
    newly_broken = book.failed(channel, address, now=now, error=text, broken=decision.again_in is None)
    if decision.again_in is not None:
        book.put_back(lease.notice_id, retry_at=now + int(decision.again_in * NS), error=text)
        replan(book, case, talk, rules, now=now)
        return set()
    book.settle(lease.notice_id, NoticeState.DEAD, now=now, error=text)
    book.save_talk(case.incident.id, buried(talk))
    book.decide(now, case.incident.id, "send", f"{channel} to {address} will not work until it is mended: {text}")
    channels = _fall_back(book, case, talk, policy, rules, now)
    if newly_broken:
        without = frozenset(book.broken_addresses())
        recipients = operator(policy, without=without, now=now, avoid=channel)
        channels |= broken_channel(book, channel, address, error, recipients, rules, new_id=new_id, now=now)
    return channels


def _as_it_stands(book: Book, lease: Lease) -> tuple[Case, Talk]:
    """The incident and the conversation now; records may have come while the message was sent."""
    case = book.case(lease.case.incident.id)
    assert case is not None, "an incident is not removed while a notice of it is being sent"
    return case, next(talk for talk in case.talks if talk.id == lease.talk.id)


def _fall_back(book: Book, case: Case, talk: Talk, policy: Policy, rules: Rules, now: int) -> set[str]:
    """Tell the same audiences in their other channel, unless they hear of it there anyway."""
    records = talk.queued
    heard = {other.key for other in case.talks if other.state is not TalkState.DEAD}
    broken = set(book.broken_addresses())
    channels: set[str] = set()
    entered: Counter[str] = Counter()
    for recipient in _elsewhere(talk.recipient, policy, now):
        key = recipient.channel, recipient.address
        if not records or key in heard or key in broken:
            continue
        heard.add(key)
        stand_in = replace(hand_over(talk, recipient, records=records, now=now), opened_at=talk.opened_at)
        stand_in = book.save_talk(case.incident.id, stand_in)
        replan(book, case, stand_in, rules, now=now)
        entered[recipient.channel] += records
        channels.add(recipient.channel)
        book.decide(now, case.incident.id, "fallback", f"{recipient.channel} to {recipient.address}: {recipient.why}")
    book.enter(entered)
    return channels


def _elsewhere(recipient: Recipient, policy: Policy, now: int) -> list[Recipient]:
    found: list[Recipient] = []
    for key in recipient.audiences:
        if key not in policy.audiences:
            continue
        contact = on_duty(key, policy, now)
        pairs = [("slack", contact.slack)] if contact.slack else []
        pairs += [("email", address) for address in contact.email]
        found += [
            Recipient(channel, address, (key,), recipient.duty, f"in place of {recipient.channel}, which does not work")
            for channel, address in pairs
            if channel != recipient.channel
        ]
    return found


def _works_again(book: Book, channel: str, address: str, rules: Rules, now: int) -> set[str]:
    """The channel's last trouble is over: whoever was told of it hears so."""
    if any(broken == channel for broken, _ in book.broken_addresses()):
        return set()
    channels: set[str] = set()
    for case in book.open_cases(OWN_PIPELINE, ""):
        if not is_trouble_with(channel, case.incident):
            continue
        incident = case.incident
        success = Success(incident.pipeline, incident.environment, "", "", max(now, incident.last_event))
        over = book.save_case(resolve(case, success, now=now))
        book.decide(now, incident.id, "resolve", f"{channel} to {address} took a message")
        for talk in over.talks:
            replan(book, over, talk, rules, now=now)
            channels.add(talk.recipient.channel)
    return channels
