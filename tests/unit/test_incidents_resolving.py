"""When an incident is over: the success that ends it, the time-out, and what comes back afterwards."""

from __future__ import annotations

from alert_bridge.model import IncidentState, Reason
from alert_bridge.policy.model import Grouping
from tests.servers.engine import DAY_S, NS, START, a_record, a_success, only_mdd


def test_b18_silence_alone_never_resolves(engine):
    engine.post(a_record(stage="fetch"))

    engine.at(40 * DAY_S)

    assert engine.incidents()[0].state is IncidentState.OPEN


def test_b18_the_next_success_of_the_same_stage_in_a_later_run_resolves(engine):
    engine.post(a_record(stage="fetch"))
    engine.at(10)
    engine.post(a_success("run-1", engine.now, "fetch"))
    engine.post(a_success("run-2", engine.now, "train"))
    assert engine.incidents()[0].state is IncidentState.OPEN

    engine.post(a_success("run-2", engine.now, "fetch"))
    engine.at(20)

    first, resolved = engine.slack.told
    assert (resolved.message.reason, resolved.earlier) == (Reason.RESOLVED, first.reference)


def test_b18_a_whole_run_that_ends_well_resolves_what_has_no_stage(engine):
    engine.post(a_record())
    engine.at(10)

    engine.post(a_success("run-2", engine.now))

    assert engine.incidents()[0].state is IncidentState.RESOLVED


def test_b18_a_run_that_logged_the_error_and_ended_well_resolves_nothing(engine):
    engine.post(a_record(run="run-1"), a_record(run="run-2"))
    engine.at(10)

    engine.post(a_success("run-2", engine.now))

    assert engine.incidents()[0].state is IncidentState.OPEN


def test_b18_the_time_out_of_the_policy_resolves(engine):
    engine.policy = only_mdd(grouping=Grouping({"slack": 1.0}, DAY_S, 600.0))
    engine.post(a_record())

    engine.at(700)

    assert engine.incidents()[0].state is IncidentState.RESOLVED
    assert engine.slack.told[-1].message.reason is Reason.RESOLVED


def test_b18_an_end_that_nobody_is_told_of_still_clears_the_incident(engine):
    test_alert = {"attributes": {"pipeline.test": True}}
    engine.post(a_record("is anybody there", **test_alert))
    engine.at(700)
    engine.at(705)
    told = len(engine.slack.told)

    engine.post(a_record("is anybody there", at=engine.now, **test_alert))
    engine.at(710)

    assert told == 1, "the test itself, and not that it is over"
    assert [incident.state for incident in engine.incidents()] == [IncidentState.RESOLVED, IncidentState.OPEN]
    assert len(engine.slack.posts) == 2


def test_a_success_that_arrived_before_the_error_it_ends_still_ends_it(engine):
    engine.post(a_success("run-2", START + 100 * NS, "fetch"))
    engine.post(a_record(stage="fetch", at=START))

    engine.at(5)

    assert engine.incidents()[0].state is IncidentState.RESOLVED
    assert len(engine.slack.posts) == 1  # told once, and that it is over


def test_a_late_error_of_the_run_whose_success_ended_an_incident_opens_it_again(engine):
    engine.post(a_record(stage="fetch", run="run-1"))
    engine.at(10)
    engine.post(a_success("run-2", START + 9 * NS, "fetch"))
    engine.at(12)

    engine.post(a_record(stage="fetch", run="run-2", at=START + 8 * NS))
    engine.at(30)

    (incident,) = engine.incidents()
    assert (incident.state, incident.count) == (IncidentState.OPEN, 2)
    assert [told.message.reason for told in engine.slack.told] == [Reason.OPENED, Reason.RESOLVED, Reason.REGRESSED]


def test_an_error_after_the_resolution_is_a_new_incident_said_to_be_back(engine):
    engine.post(a_record(stage="fetch"))
    engine.at(10)
    engine.post(a_success("run-2", engine.now, "fetch"))
    engine.at(20)

    engine.post(a_record(stage="fetch", run="run-3", at=engine.now))
    engine.at(30)

    assert len(engine.incidents()) == 2
    assert engine.slack.told[-1].message.reason is Reason.REGRESSED
    assert engine.slack.told[-1].earlier == ""
