"""Runs that are late or silent (B21): told once, over when they speak, and not while the bridge was away."""

from __future__ import annotations

from dataclasses import replace

from alert_bridge.model import IncidentState, Reason, Severity
from alert_bridge.policy.model import RunPlan
from tests.servers.engine import NS, START, a_record, only_mdd
from tests.servers.two_lanes import told


def hourly(late_after: float | None = 600, silent_after: float | None = None) -> dict[str, RunPlan]:
    return {"monthly_run": RunPlan("monthly_run", "0 * * * *", late_after, silent_after, 40)}


NEXT_HOUR = 3_600 - START // NS % 3_600


def test_b21_a_run_that_must_have_started_and_did_not_is_an_incident_and_a_late_run_resolves_it(two_lanes):
    engine = two_lanes(only_mdd(runs=hourly()))
    engine.longest_step = 10.0
    engine.at(NEXT_HOUR + 590)
    before = engine.incidents()
    engine.at(NEXT_HOUR + 620)
    (incident,) = engine.incidents()
    engine.at(NEXT_HOUR + 1_500)
    again = len(told(engine))

    engine.start("late-run")
    engine.at(NEXT_HOUR + 1_600)

    assert before == []
    assert incident.title.startswith("monthly_run has not started: it was due")
    assert again == 1
    assert [one.state for one in engine.incidents()] == [IncidentState.RESOLVED]
    assert [one.message.reason for one in told(engine)] == [Reason.OPENED, Reason.RESOLVED]


def test_b21_a_run_in_time_or_shortly_before_it_is_no_incident(two_lanes):
    engine = two_lanes(only_mdd(runs=hourly()))
    engine.longest_step = 30.0
    engine.at(NEXT_HOUR - 300)
    engine.start("early")
    engine.at(NEXT_HOUR + 3_500)

    assert engine.incidents() == []


def test_b21_a_schedule_that_nobody_watched_is_nobodys_fault_and_one_that_was_missed_while_away_is_told(two_lanes):
    engine = two_lanes(only_mdd(runs=hourly()))
    engine.longest_step = 10.0
    engine.at(90)
    fresh = engine.incidents()

    engine.now += (NEXT_HOUR + 1_200) * NS  # the bridge was away when the run should have started
    engine.restart()
    engine.at(engine.seconds + 50)
    early = engine.incidents()
    engine.at(engine.seconds + 20)

    assert fresh == early == []
    assert len(engine.incidents()) == 1


def test_b21_a_silent_run_is_a_stall_incident_and_is_over_when_it_speaks(two_lanes):
    engine = two_lanes(only_mdd(runs=hourly(None, 300)))
    engine.longest_step = 10.0
    engine.start("run-1")
    engine.at(60)
    engine.send(a_record("loading", Severity.INFO, at=engine.now))
    for beat in range(70, 350, 30):
        engine.at(beat)
        engine.send(engine.event("pipeline.run.heartbeat", "run-1"))
        engine.send(replace(a_record("Retrying", Severity.WARNING, at=engine.now), scope="urllib3.connectionpool"))
    before = engine.incidents()

    engine.at(380)
    (incident,) = engine.incidents()
    engine.at(600)
    engine.send(a_record("loaded", Severity.INFO, at=engine.now))
    engine.at(640)

    assert before == []
    assert "monthly_run has said nothing for" in incident.title
    assert incident.run_ids == ("run-1",)
    assert [one.message.reason for one in told(engine)] == [Reason.OPENED, Reason.RESOLVED]


def test_b21_a_run_is_not_called_silent_for_the_time_in_which_the_bridge_was_away(two_lanes):
    engine = two_lanes(only_mdd(runs=hourly(None, 300)))
    engine.longest_step = 10.0
    engine.start("run-1")
    engine.now += 7_200 * NS
    engine.restart()

    engine.at(engine.seconds + 290)
    before = engine.incidents()
    engine.at(engine.seconds + 30)

    assert before == []
    assert len(engine.incidents()) == 1


def test_b21_silence_that_the_supervisor_saw_first_is_not_told_twice(two_lanes):
    engine = two_lanes(only_mdd(runs=hourly(None, 300)))
    engine.longest_step = 10.0
    engine.start("run-1")
    engine.at(290)
    engine.send(engine.event("pipeline.run.silent", "run-1", Severity.ERROR))

    engine.at(1_000)

    assert len(engine.incidents()) == 1


def test_b21_a_run_that_ended_is_not_silent(two_lanes):
    engine = two_lanes(only_mdd(runs=hourly(None, 300)))
    engine.longest_step = 10.0
    engine.start("run-1")
    engine.at(10)
    engine.end("run-1")

    engine.at(1_000)

    assert engine.incidents() == []
