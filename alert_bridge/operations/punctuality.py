"""Runs that should have started and did not, and runs that have fallen silent. The clock comes from outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from alert_bridge.messages.moments import lasting, moment
from alert_bridge.model import Severity
from alert_bridge.operations.noticing import Notice, end_of, notice, open_case_of
from alert_bridge.outbox import Rules
from alert_bridge.policy import cron
from alert_bridge.policy.model import Policy, RunPlan
from alert_bridge.store.control.database import Book
from alert_bridge.store.control.reviews import RunRow
from instrumentation import attributes as names

__all__ = ["Quietness", "watch_schedules", "watch_silence"]

NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Quietness:
    """A running run and when it last said something (ns)."""

    run: RunRow
    last_word: int


def watch_schedules(book: Book, policy: Policy, rules: Rules, *, now: int, new_id: Callable[[], str]) -> set[str]:
    """Tell of every scheduled run that has not started in time; end what is told when it does.

    A run counts for a moment of the schedule if it started up to ``late_after`` before it, or at any time after it:
    people start monthly runs by hand, and clocks differ.
    """
    channels: set[str] = set()
    for plan in policy.runs.values():
        if not plan.schedule or plan.late_after is None:
            continue
        since = book.watched_since(f"schedule/{plan.pipeline}/{plan.schedule}", now=now)
        due = cron.latest(plan.schedule, now)
        slack = int(plan.late_after * NS)
        overdue = cron.latest(plan.schedule, now - slack)
        started = book.runs_of(plan.pipeline, started_after=overdue - slack, limit=1) if overdue else ()
        said = _late(plan, overdue, now)
        if started:
            case = open_case_of(book, said)
            if case is not None and started[-1].started >= case.incident.first_event - slack:
                run = started[-1]
                behind = lasting(max(run.started - case.incident.first_event, 0) / NS)
                why = f"run {run.run_id} started {moment(run.started)}, {behind} after it was due"
                channels |= end_of(book, case, why, rules, now=now)
        elif overdue and overdue >= since and due >= overdue:
            channels |= notice(book, said, policy, rules, now=now, new_id=new_id)
    return channels


def watch_silence(
    book: Book,
    policy: Policy,
    rules: Rules,
    running: Sequence[Quietness],
    *,
    now: int,
    new_id: Callable[[], str],
) -> set[str]:
    """Tell of every running run that has said nothing for its ``silent_after``; end it when it speaks again or ends."""
    channels: set[str] = set()
    for one in running:
        plan = policy.runs.get(one.run.pipeline)
        if plan is None or plan.silent_after is None:
            continue
        last = max(one.last_word, one.run.started)
        said = _silent(plan, one, last, now)
        case = open_case_of(book, said)
        if now - last >= int(plan.silent_after * NS):
            if case is None and not book.is_silence_told(one.run.run_id):
                channels |= notice(book, said, policy, rules, now=now, new_id=new_id)
        elif case is not None:
            channels |= end_of(book, case, f"it spoke again {moment(last, now)}", rules, now=now)
    for case in book.silent_runs_that_ended():
        channels |= end_of(book, case, "the run has ended", rules, now=now)
    return channels


def _late(plan: RunPlan, due: int, now: int) -> Notice:
    behind = lasting(max(now - due, 0) / NS)
    return Notice(
        uid=f"pipeline-alerts/late/{plan.pipeline}/{due}",
        event_name=names.EVENT_RUN_LATE,
        kind="late",
        problem=f"late/{plan.pipeline}",
        text=f"{plan.pipeline} has not started: it was due {moment(due)}, {behind} ago",
        severity=Severity.ERROR,
        pipeline=plan.pipeline,
        environment="",
        time=due,
    )


def _silent(plan: RunPlan, one: Quietness, last: int, now: int) -> Notice:
    return Notice(
        uid=f"pipeline-alerts/silent/{one.run.run_id}/{last}",
        event_name=names.EVENT_RUN_SILENT,
        kind="silent",
        problem=f"silent/{plan.pipeline}/{one.run.run_id}",
        text=f"{plan.pipeline} has said nothing for {lasting((now - last) / NS)} and may hang; its last word was"
        f" {moment(last, now)}",
        severity=Severity.ERROR,
        pipeline=plan.pipeline,
        environment=one.run.environment,
        time=last,
        run_id=one.run.run_id,
        trace_id=one.run.trace_id,
    )
