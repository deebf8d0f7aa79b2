"""The end of a process, a stage and a run is one problem with what caused it; a death from outside is always told."""

from __future__ import annotations

from itertools import permutations

import pytest

from alert_bridge.model import Severity
from tests.servers.engine import START, a_record

STAGE_FAILED = {"cicd.pipeline.task.run.result": "failure"}
RUN_FAILED = {"cicd.pipeline.result": "failure"}


def uncaught(run="run-1", pid="41"):
    return a_record(
        "KeyError: 'month'",
        Severity.CRITICAL,
        run=run,
        stage="fetch",
        attributes={"pipeline.uncaught": True, "process.pid": pid, "exception.type": "KeyError"},
    )


def died(run="run-1", pid="41", **how):
    return a_record(
        "the process ended",
        run=run,
        event="pipeline.process.died",
        attributes={"process.pid": pid, "process.exit.code": 1, **how},
    )


def stage_failed(run="run-1"):
    return a_record("stage fetch failed", run=run, stage="fetch", event="pipeline.stage.end", attributes=STAGE_FAILED)


def run_failed(run="run-1"):
    return a_record("the run failed", run=run, event="pipeline.run.end", attributes=RUN_FAILED)


@pytest.mark.parametrize("order", list(permutations(range(4))))
@pytest.mark.parametrize("batched", [True, False])
def test_an_exception_and_all_the_ends_it_causes_are_one_message(engine, order, batched):
    records = [[uncaught(), stage_failed(), died(), run_failed()][index] for index in order]

    if batched:
        engine.post(*records)
    else:
        for record in records:
            engine.post(record)
    engine.at(4)

    told = [message for message in engine.slack.posts if message.message.severity is Severity.CRITICAL]
    assert len({message.message.incident_id for message in told}) == 1
    roots = [incident for incident in engine.incidents() if not incident.root_id]
    assert len(roots) == 1
    assert engine.books()["slack"].balance == 0


def test_the_consequence_is_counted_but_not_told_again(engine):
    engine.post(uncaught())
    engine.at(5)
    engine.post(died(), run_failed())

    engine.at(60)

    (incident,) = engine.incidents()
    assert incident.count == 1
    assert len(engine.slack.told) == 1
    assert (engine.books()["slack"].delivered, engine.books()["slack"].suppressed) == (1, 2)


def test_a_death_by_signal_is_told_beside_an_exception(engine):
    engine.post(uncaught(), died(**{"pipeline.process.signal": "SIGKILL"}))

    engine.at(10)

    assert len(engine.slack.posts) == 2


def test_a_death_of_another_process_is_told_by_itself(engine):
    engine.post(uncaught(pid="41"), died(pid="42"))

    engine.at(10)

    assert len(engine.slack.posts) == 2


def test_a_death_without_a_known_cause_is_told(engine):
    engine.post(died())

    engine.at(10)

    assert len(engine.slack.posts) == 1


def test_an_end_that_was_told_before_its_cause_came_is_not_told_again(engine):
    engine.post(died())
    engine.at(10)

    engine.post(uncaught())
    engine.at(3 * 86_400)

    assert [message.message.incident_id for message in engine.slack.posts][:2] == ["incident-001", "incident-002"]
    assert engine.reader.incident("incident-001").root_id == "incident-002"
    assert engine.books()["slack"].balance == 0


def test_ends_of_several_runs_are_not_hidden_behind_the_cause_of_one(engine):
    engine.post(died(run="run-1"), died(run="run-2"))

    engine.post(uncaught(run="run-2"))
    engine.at(10)

    assert len(engine.slack.posts) == 2
    assert all(not incident.root_id for incident in engine.incidents())


def test_lifecycle_events_that_do_not_fail_make_no_incident(engine):
    engine.post(
        a_record("", Severity.INFO, event="pipeline.run.start"),
        a_record("", Severity.INFO, event="pipeline.stage.start", stage="fetch"),
        a_record(
            "",
            Severity.INFO,
            event="pipeline.stage.end",
            stage="fetch",
            attributes={"cicd.pipeline.task.run.result": "success"},
        ),
    )

    rows = engine.store._connection.execute("SELECT stage, result FROM steps ORDER BY stage").fetchall()
    assert engine.incidents() == []
    assert [tuple(row) for row in rows] == [("", ""), ("fetch", "success")]
    assert START > 0
