"""What a person wants of one incident, carried out: somebody is on it, it is somebody's, it is over."""

from __future__ import annotations

from dataclasses import replace

from alert_bridge.incidents import Case, Success, resolve
from alert_bridge.model import IncidentState
from alert_bridge.outbox import Rules, replan
from alert_bridge.store.control.database import Book
from alert_bridge.store.control.wishes import Order

__all__ = ["ACKNOWLEDGE", "ASSIGN", "RESOLVE", "carry_out_orders"]

ACKNOWLEDGE, ASSIGN, RESOLVE = "acknowledge", "assign", "resolve"


def carry_out_orders(book: Book, rules: Rules, *, now: int) -> set[str]:
    """Carry out everything that waits; returns channels that have something new to say.

    Each order is done once, in the transaction that says so. One that cannot be done says why in its outcome.
    """
    channels: set[str] = set()
    for order in book.waiting_orders():
        case = book.case(order.incident_id)
        problem = _problem(order, case)
        if problem or case is None:
            book.order_carried_out(order.id, outcome=problem, now=now)
            continue
        changed, said = _changed(case, order, now)
        changed = book.save_case(changed)
        book.decide(now, changed.incident.id, order.kind, said)
        book.order_carried_out(order.id, outcome="done", now=now)
        for talk in changed.talks:
            replan(book, changed, talk, rules, now=now)
            channels.add(talk.recipient.channel)
    return channels


def _problem(order: Order, case: Case | None) -> str:
    if case is None:
        return f"there is no incident {order.incident_id}"
    if case.incident.state is IncidentState.RESOLVED:
        return "it is over already"
    return "" if order.kind in (ACKNOWLEDGE, ASSIGN, RESOLVE) else f"nobody knows how to {order.kind} it"


def _changed(case: Case, order: Order, now: int) -> tuple[Case, str]:
    incident = case.incident
    if order.kind == RESOLVE:
        success = Success(incident.pipeline, incident.environment, "", "", max(now, incident.last_event))
        return resolve(case, success, now=now), f"{order.author} says that it is over"
    if order.kind == ASSIGN:
        incident = replace(incident, assigned_to=order.value, acknowledged_at=now)
        return replace(case, incident=incident), f"{order.author} gave it to {order.value}"
    incident = replace(incident, acknowledged_by=order.author, acknowledged_at=now)
    return replace(case, incident=incident), f"{order.author} is on it: no reminders until it gets worse"
