"""What must happen in a run: its absence is an incident, told once, once the log has had its time to arrive."""

from __future__ import annotations

import pytest

from alert_bridge.model import IncidentState, Severity
from alert_bridge.operations.reviewing import MISSED_SETTLE_S, SETTLE_S, WAIT_FOR_LOG_S
from alert_bridge.policy.globs import Glob
from alert_bridge.policy.model import Expectation, Match, Rule, Settings
from instrumentation import attributes as names
from tests.servers.engine import AUDIENCES, NS, START, a_policy, a_record, a_success, only_mdd
from tests.servers.two_lanes import UPLOADED, told


def a_run_that_ended_before_its_log_came(two_lanes):
    engine = two_lanes(a_policy(expectations=(UPLOADED,)))
    engine.bulk_is_away = True
    engine.start("run-1")
    engine.end("run-1")
    return engine


def test_a_record_that_must_exist_and_does_not_is_an_incident_at_the_end_of_the_run(two_lanes):
    engine = two_lanes(a_policy(expectations=(UPLOADED,)))
    engine.start("run-1")
    engine.send(a_record("Reconciled", Severity.INFO))
    engine.end("run-1")

    engine.at(20)

    (incident,) = engine.incidents()
    assert incident.title == "Not by the deadline: no record “Forecasts uploaded*” by the end of the run"
    assert (incident.severity, incident.pipeline, incident.run_ids) == (Severity.ERROR, "monthly_run", ("run-1",))
    assert incident.owner == "Ida"
    assert sorted(one.address for one in told(engine)) == ["#infra", "#outreach"]


def test_a_record_that_exists_raises_nothing(two_lanes):
    engine = two_lanes(a_policy(expectations=(UPLOADED,)))
    engine.start("run-1")
    engine.send(a_record("Forecasts uploaded to the store: 12 files", Severity.INFO))
    engine.end("run-1")

    engine.at(20)

    assert engine.incidents() == []


def test_an_expectation_waits_until_the_bulk_lane_has_the_end_of_the_run(two_lanes):
    engine = a_run_that_ended_before_its_log_came(two_lanes)
    engine.at(60)
    before = engine.incidents()

    engine.bulk.append_logs([a_record("Forecasts uploaded", Severity.INFO)])
    engine.bulk.append_logs([a_success("run-1", engine.now)])
    engine.at(70)

    assert before == []
    assert engine.incidents() == []


def test_a_record_that_comes_seconds_after_the_end_of_its_run_is_not_called_missing(two_lanes):
    engine = a_run_that_ended_before_its_log_came(two_lanes)
    engine.at(30)

    engine.bulk.append_logs([a_success("run-1", engine.now)])
    engine.at(34)
    engine.bulk.append_logs([a_record("Training done", Severity.INFO)])
    engine.at(38)
    engine.bulk.append_logs([a_record("Forecasts uploaded", Severity.INFO)])
    engine.at(60)

    assert engine.incidents() == []


def an_end_of(written: int, at: int):
    """Of a run whose processes had written so many records before."""
    return a_success("run-1", at, **{names.RUN_RECORDS: written})


def test_nothing_is_called_missing_before_as_many_records_are_there_as_the_run_says(two_lanes):
    engine = a_run_that_ended_before_its_log_came(two_lanes)
    engine.bulk.append_logs([an_end_of(3, engine.now), a_record("Training done", Severity.INFO)])

    engine.at(90)
    before = engine.incidents()
    engine.bulk.append_logs([a_record("Forecasts uploaded", Severity.INFO)])
    engine.at(100)

    assert before == []
    assert engine.incidents() == []


def test_what_is_missing_of_a_whole_log_is_told_without_waiting_for_more(two_lanes):
    engine = two_lanes(a_policy(expectations=(UPLOADED,)))
    engine.start("run-1")
    engine.send(a_record("Training done", Severity.INFO), an_end_of(2, engine.now))

    engine.at(SETTLE_S + 1.5)

    (incident,) = engine.incidents()
    assert "Not by the deadline" in incident.title
    assert SETTLE_S + 1.5 < MISSED_SETTLE_S


def test_a_log_that_never_becomes_whole_does_not_hide_that_nothing_was_delivered(two_lanes):
    engine = two_lanes(a_policy(expectations=(UPLOADED,)))
    engine.start("run-1")
    engine.send(an_end_of(3, engine.now))

    engine.at(WAIT_FOR_LOG_S + 10)

    (incident,) = engine.incidents()
    assert "as far as the run's log has arrived" in incident.title


def test_a_bulk_lane_that_stays_away_does_not_hide_that_nothing_was_delivered(two_lanes):
    engine = a_run_that_ended_before_its_log_came(two_lanes)

    engine.at(150)

    assert "as far as the run's log has arrived" in engine.incidents()[0].title


@pytest.mark.parametrize(("found", "words"), [(2, "2 records"), (1, "1 record"), (0, "0 records")])
def test_an_expectation_of_several_says_how_many_there_were(two_lanes, found, words):
    wanted = Expectation(Glob("*"), Glob("Model * saved"), 3, "run_end", Severity.CRITICAL, (), 5)
    engine = two_lanes(a_policy(expectations=(wanted,)))
    engine.start("run-1")
    engine.send(*(a_record(f"Model {number} saved", Severity.INFO) for number in range(found)))
    engine.end("run-1")

    engine.at(20)

    assert f" {words} “Model * saved” where 3 were expected" in engine.incidents()[0].title
    assert engine.incidents()[0].severity is Severity.CRITICAL


def test_an_unmet_expectation_is_told_once_over_restarts_and_ends_when_a_later_run_meets_it(two_lanes):
    engine = two_lanes(only_mdd(expectations=(UPLOADED,), audiences=AUDIENCES))
    engine.start("run-1")
    engine.end("run-1")
    engine.at(20)
    engine.restart()
    engine.at(40)
    engine.start("run-2")
    engine.end("run-2")  # missing again: the same incident, whatever the end of the run says
    engine.at(60)
    (incident,) = engine.incidents()
    assert (incident.state, incident.count) == (IncidentState.OPEN, 2)

    engine.start("run-3")
    engine.send(a_record("Forecasts uploaded", Severity.INFO, at=engine.now, run="run-3"))
    engine.end("run-3")
    engine.at(80)

    assert [one.state for one in engine.incidents()] == [IncidentState.RESOLVED]
    assert [one.text for one in engine.reader.decisions(incident.id) if one.step == "resolve"] == [
        "it happened in run run-3"
    ]


def test_a_rule_may_redirect_what_the_bridge_itself_says(two_lanes):
    rule = Rule(Match((("event_name", "pipeline.expectation.missed"),)), Settings(audiences=("mdd",)), 30)
    engine = two_lanes(a_policy(expectations=(UPLOADED,), rules=(rule,)))
    engine.start("run-1")
    engine.end("run-1")

    engine.at(20)

    assert [one.address for one in told(engine)] == ["#mdd"]


def test_an_expectation_with_a_time_is_judged_at_that_time(two_lanes):
    noon = Expectation(Glob("monthly_run"), Glob("Published*"), 1, "0 12 * * *", Severity.ERROR, (), 7)
    engine = two_lanes(only_mdd(expectations=(noon,)))
    engine.longest_step = 60.0
    engine.at(1)  # from here on it is watched
    first_noon = (START // (86_400 * NS) + 1) * 86_400 + 43_200
    first_noon -= 86_400 if first_noon - 86_400 > START // NS else 0
    engine.at(first_noon - START / NS - 120)
    before = engine.incidents()

    engine.at(first_noon - START / NS + 120)

    assert before == []
    assert engine.incidents()[0].title == "Not by the deadline: no record “Published*” since the deadline before it"

    engine.start("by-hand")
    engine.send(a_record("Published on the site", Severity.INFO, at=engine.now, run="by-hand"))
    engine.at(engine.seconds + 180)
    assert engine.incidents()[0].state is IncidentState.RESOLVED
