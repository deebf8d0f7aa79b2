"""What must happen: judged at the end of a run, or at a time; its absence is an incident, its coming ends it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice

from alert_bridge.operations.noticing import Notice, end_of, notice, open_case_of
from alert_bridge.outbox import Rules
from alert_bridge.policy.model import Expectation, Policy
from alert_bridge.store.control.database import Book
from alert_bridge.store.control.reviews import RunRow
from alert_bridge.store.interface import TelemetryReader
from instrumentation import attributes as names

__all__ = ["RUN_END", "due_at_end_of", "missed_at", "missing_in_words", "settle_expectation", "unmet"]

RUN_END = "run_end"
_KEY_DIGITS = 12


def due_at_end_of(run: RunRow, policy: Policy) -> Sequence[Expectation]:
    """The expectations that the end of this run is the deadline of."""
    return [one for one in policy.expectations if one.by == RUN_END and one.pipeline.matches(run.pipeline)]


def unmet(policy: Policy, run: RunRow, telemetry: TelemetryReader) -> Sequence[tuple[Expectation, int]]:
    """The expectations of a run that it does not fulfil, each with how many records there were instead."""
    due = due_at_end_of(run, policy)
    return [(one, found) for one in due if (found := count(one, (run.run_id,), telemetry)) < one.least]


def count(expectation: Expectation, run_ids: Sequence[str], telemetry: TelemetryReader) -> int:
    """How many records of these runs fit, counted no further than it needs."""
    fitting = (1 for run_id in run_ids for body in telemetry.run_bodies(run_id) if expectation.record.matches(body))
    return sum(islice(fitting, expectation.least))


def settle_expectation(
    book: Book,
    expectation: Expectation,
    run: RunRow,
    found: int | None,
    policy: Policy,
    rules: Rules,
    *,
    log_arrived: bool,
    now: int,
    new_id: Callable[[], str],
) -> set[str]:
    """Tell that it is missing, or end the incident about it.

    ``found`` records were there instead of enough; None: it is fulfilled. ``log_arrived``: the run's log was there when
    it was looked for.
    """
    said = _of_run(expectation, run, found or 0, log_arrived=log_arrived)
    if found is not None:
        return notice(book, said, policy, rules, now=now, new_id=new_id)
    case = open_case_of(book, said)
    if case is None or run.run_id in case.incident.run_ids:
        return set()
    return end_of(book, case, f"it happened in run {run.run_id}", rules, run_id=run.run_id, now=now)


def missed_at(expectation: Expectation, pipeline: str, moment: int, found: int) -> Notice:
    """What is said when it has not happened by a moment (ns)."""
    text = f"{_wanted(expectation, found)} since the deadline before it"
    return _missed(expectation, pipeline, str(moment), text, time=moment)  # of no run in particular


def missing_in_words(expectation: Expectation, found: int) -> str:
    """`a record “Forecasts uploaded*”`, for a list of what did not happen."""
    pattern = expectation.record.pattern
    if expectation.least == 1:
        return f"a record “{pattern}”"
    return f"{expectation.least} records “{pattern}”: there were {found or 'none'}"


def _of_run(expectation: Expectation, run: RunRow, found: int, *, log_arrived: bool) -> Notice:
    late = "" if log_arrived else ", as far as the run's log has arrived"
    said = _missed(
        expectation,
        run.pipeline,
        run.run_id,
        f"{_wanted(expectation, found)} by the end of the run{late}",
        time=run.ended,
    )
    return replace(said, environment=run.environment, run_id=run.run_id, trace_id=run.trace_id)


def _missed(expectation: Expectation, pipeline: str, deadline: str, text: str, *, time: int) -> Notice:
    problem = f"expect/{_key(expectation, pipeline)}"
    return Notice(
        uid=f"pipeline-alerts/{problem}/{deadline}",
        event_name=names.EVENT_EXPECTATION_MISSED,
        kind="expectation",
        problem=problem,
        text=f"Not by the deadline: {text}",
        severity=expectation.severity,
        pipeline=pipeline,
        environment="",
        time=time,
        audiences=expectation.audiences,
        owner=expectation.owner,
        runbook=expectation.runbook,
        effect=expectation.effect,
    )


def _wanted(expectation: Expectation, found: int) -> str:
    pattern = expectation.record.pattern
    if expectation.least == 1:
        return f"no record “{pattern}”"
    return f"{found} record{'' if found == 1 else 's'} “{pattern}” where {expectation.least} were expected"


def _key(expectation: Expectation, pipeline: str) -> str:
    """The same for the same wish, wherever it stands in the file."""
    parts = [pipeline, expectation.pipeline.pattern, expectation.record.pattern, expectation.by]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_KEY_DIGITS]
