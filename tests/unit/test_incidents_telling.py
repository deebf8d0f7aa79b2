"""What is told, when, and how often: the alerting behaviours of the engine under a clock that the test moves."""

from __future__ import annotations

import pytest

from alert_bridge.errors import Ambiguous, Permanent, Retryable
from alert_bridge.model import IncidentState, Reason, Severity
from alert_bridge.policy.model import Grouping, Match, Route, Rule, Settings
from tests.servers.engine import NS, START, Engine, a_policy, a_record, only_mdd

DAY_S = 86_400.0


def success(run: str, at: int, stage: str = ""):
    event, result = (
        ("pipeline.stage.end", "cicd.pipeline.task.run.result")
        if stage
        else ("pipeline.run.end", "cicd.pipeline.result")
    )
    more = {"stage": stage} if stage else {}
    return a_record("ended", Severity.INFO, at=at, run=run, event=event, attributes={result: "success"}, **more)


def test_b1_two_similar_errors_inside_the_hold_are_one_message_with_count_two(engine):
    engine.post(a_record())
    engine.at(0.5)
    engine.post(a_record())

    engine.at(4)

    assert [(told.at, told.message.reason) for told in engine.slack.told] == [(1.0, Reason.OPENED)]
    assert engine.books()["slack"].delivered == 2


def test_b2_an_error_after_the_first_message_edits_it_and_posts_nothing(engine):
    engine.post(a_record())
    engine.at(3)
    engine.post(a_record())

    engine.at(60)

    first, edit = engine.slack.told
    assert (edit.message.reason, edit.earlier) == (Reason.REPEATED, first.reference)
    assert len(engine.slack.posts) == 1


def test_the_last_edit_is_exact_within_ten_seconds_of_the_last_event(engine):
    for second in range(60):
        engine.at(second)
        engine.post(a_record())

    engine.at(69)

    assert engine.books()["slack"].delivered == 60
    assert engine.slack.told[-1].at <= 59 + 10
    assert len(engine.slack.told) <= 1 + 60 / 5 + 1


def test_b3_nothing_new_means_silence_until_one_reminder(engine):
    engine.post(a_record())

    engine.at(DAY_S + 60)

    assert [told.message.reason for told in engine.slack.told] == [Reason.OPENED, Reason.REMINDER]
    assert engine.slack.told[1].at == pytest.approx(DAY_S + 1, abs=1)
    assert engine.slack.told[1].earlier == ""


def test_reminders_without_news_come_ever_more_rarely(engine):
    engine.post(a_record())

    engine.at(31 * DAY_S)

    reminders = [round(told.at / DAY_S) for told in engine.slack.told if told.message.reason is Reason.REMINDER]
    assert reminders == [1, 3, 7, 15, 31][: len(reminders)]
    assert len(reminders) >= 4


def test_an_error_long_after_the_last_post_is_posted_anew_at_once(engine):
    engine.post(a_record())
    engine.at(10 * DAY_S)
    posts = len(engine.slack.posts)

    engine.post(a_record(at=engine.now))
    engine.at(10 * DAY_S + 5)

    assert len(engine.slack.posts) == posts + 1


def test_b3_and_b13_a_restart_resets_neither_hold_nor_reminder(engine):
    engine.post(a_record())
    engine.at(0.6)
    engine.restart()
    engine.at(10)
    engine.restart()

    engine.at(DAY_S + 10)

    assert [told.at for told in engine.slack.told] == pytest.approx([1.0, DAY_S + 1], abs=0.1)


def test_b4_first_seen_is_the_earliest_event_and_the_latest_text_wins(engine):
    engine.post(a_record("value 5 is out of range", at=START + 50 * NS))
    engine.post(a_record("value 7 is out of range", at=START + 20 * NS))

    (incident,) = engine.incidents()

    assert incident.first_event == START + 20 * NS
    assert incident.sample.body == "value 5 is out of range"


def test_b4_an_event_from_the_future_is_taken(engine):
    engine.post(a_record(at=START + 3_600 * NS))

    engine.at(5)

    assert len(engine.slack.posts) == 1


def test_b6_one_failing_channel_does_not_delay_or_double_the_other(everybody):
    everybody.slack.always = Retryable("away", code="connection")
    everybody.post(a_record())
    everybody.at(300)
    assert sorted(told.address for told in everybody.email.told) == ["infra@site.test", "mdd@site.test"]

    everybody.slack.always = None
    everybody.at(600)

    assert sorted(told.address for told in everybody.slack.told) == ["#infra", "#mdd", "#outreach"]
    assert len(everybody.email.told) == 2


def test_b7_a_channel_that_names_a_pause_is_left_alone_for_it(everybody):
    everybody.slack.errors.append(Retryable("slow down", code="ratelimited", retry_after=30.0))
    everybody.post(a_record())

    everybody.at(120)

    assert everybody.slack.tries[0] == 1.0
    assert 31.0 <= everybody.slack.tries[1] <= 32.0
    assert [told.at for told in everybody.email.told] == [10.0, 10.0]


def test_b7_no_address_is_written_to_twice_within_its_pause(engine):
    for number in range(5):
        engine.post(a_record(f"problem {chr(97 + number) * 5}"))

    engine.at(30)

    assert [round(told.at, 3) for told in engine.slack.told] == [1.0, 2.1, 3.2, 4.3, 5.4]


def test_b8_a_lost_answer_is_tried_again_after_a_while(engine):
    engine.slack.errors.append(Ambiguous("no answer", code="timeout"))
    engine.post(a_record())

    engine.at(60)

    assert len(engine.slack.tries) == 2
    assert engine.slack.tries[1] - engine.slack.tries[0] >= 5.0
    assert engine.books()["slack"].balance == 0


def test_b9_a_permanent_answer_uses_the_other_channel_and_tells_the_operator_once(everybody):
    everybody.policy = a_policy(routes=(Route("slack", ("mdd",), Severity.ERROR, 10),))
    everybody.slack.always = Permanent("it is archived", code="is_archived")
    everybody.post(a_record("first"), a_record("second"))

    everybody.at(3_600)

    told = [(told.address, told.message.reason) for told in everybody.email.told]
    assert sorted(told) == [
        ("infra@site.test", Reason.OPERATOR),
        ("mdd@site.test", Reason.OPENED),
        ("mdd@site.test", Reason.OPENED),
    ]
    attempts_at_mdd = [attempt for attempt in everybody.slack.tries if attempt < 60]
    assert len(attempts_at_mdd) == 2  # each incident once
    assert all(book.balance == 0 for book in everybody.books().values())
    assert everybody.books()["slack"].dead == 2


def test_b9_after_a_mend_and_a_reload_what_nobody_told_is_told_late(engine):
    engine.policy = only_mdd(
        audiences={"outreach": a_policy().audiences["outreach"]},
        routes=(Route("slack", ("outreach",), Severity.ERROR, 10),),
    )
    engine.slack.always = Permanent("token revoked", code="token_revoked")
    engine.post(a_record())
    engine.at(7_200)
    assert engine.books()["slack"].dead > 0

    engine.slack.always = None
    engine.reload(engine.policy)
    engine.at(7_300)

    assert engine.slack.told[0].message.late
    assert engine.books()["slack"].dead == 0


def test_b11_what_was_over_before_the_channel_came_back_is_still_told_and_said_to_be_late(engine):
    engine.slack.always = Retryable("away", code="connection")
    engine.post(a_record(stage="fetch"))
    engine.at(600)
    engine.post(success("run-2", engine.now, "fetch"))
    engine.at(3 * 3_600)

    engine.slack.always = None
    engine.at(3 * 3_600 + 60)

    (told,) = engine.slack.told
    assert told.message.late
    assert engine.incidents()[0].state is IncidentState.RESOLVED


def test_a_record_that_a_collector_kept_for_an_hour_is_told_late(engine):
    engine.post(a_record(at=START - 3_600 * NS))

    engine.at(5)

    assert engine.slack.told[0].message.late


def test_b17_a_short_error_that_nobody_is_told_of_is_recorded_and_counted(engine):
    engine.policy = only_mdd(routes=(Route("slack", ("mdd",), Severity.CRITICAL, 10),))
    engine.post(a_record())

    engine.at(60)

    (incident,) = engine.incidents()
    assert (incident.count, engine.slack.told) == (1, [])
    assert any(
        "nobody" in decision.text or "no route" in decision.text for decision in engine.reader.decisions(incident.id)
    )


def test_a_demoted_error_is_counted_with_its_issue_and_makes_no_incident(engine):
    demote = Rule(Match((("body", "*early stop*"),)), Settings(severity=Severity.INFO), 7)
    engine.policy = only_mdd(rules=(demote,))

    engine.post(a_record("early stop after epoch 4", uid="early"))

    assert engine.incidents() == []
    assert [decision.step for decision in engine.reader.decisions("early")] == ["rule"]
    assert engine.store._connection.execute("SELECT events FROM issues").fetchone()[0] == 1


def test_a_promoted_warning_becomes_an_incident(engine):
    promote = Rule(Match((("body", "*falls back*"),)), Settings(severity=Severity.ERROR), 7)
    engine.policy = only_mdd(rules=(promote,))

    engine.post(a_record("falls back to last month", Severity.WARNING))
    engine.at(5)

    assert len(engine.slack.posts) == 1


def test_an_info_is_never_told(engine):
    tally = engine.post(a_record("all well", Severity.INFO), a_record("careful", Severity.WARNING))

    engine.at(60)

    assert not tally
    assert engine.slack.told == []


def test_b18_silence_alone_never_resolves(engine):
    engine.post(a_record(stage="fetch"))

    engine.at(40 * DAY_S)

    assert engine.incidents()[0].state is IncidentState.OPEN


def test_b18_the_next_success_of_the_same_stage_in_a_later_run_resolves(engine):
    engine.post(a_record(stage="fetch"))
    engine.at(10)
    engine.post(success("run-1", engine.now, "fetch"))
    engine.post(success("run-2", engine.now, "train"))
    assert engine.incidents()[0].state is IncidentState.OPEN

    engine.post(success("run-2", engine.now, "fetch"))
    engine.at(20)

    first, resolved = engine.slack.told
    assert (resolved.message.reason, resolved.earlier) == (Reason.RESOLVED, first.reference)


def test_b18_a_whole_run_that_ends_well_resolves_what_has_no_stage(engine):
    engine.post(a_record())
    engine.at(10)

    engine.post(success("run-2", engine.now))

    assert engine.incidents()[0].state is IncidentState.RESOLVED


def test_b18_a_run_that_logged_the_error_and_ended_well_resolves_nothing(engine):
    engine.post(a_record(run="run-1"), a_record(run="run-2"))
    engine.at(10)

    engine.post(success("run-2", engine.now))

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
    engine.post(success("run-2", START + 100 * NS, "fetch"))
    engine.post(a_record(stage="fetch", at=START))

    engine.at(5)

    assert engine.incidents()[0].state is IncidentState.RESOLVED
    assert len(engine.slack.posts) == 1  # told once, and that it is over


def test_a_late_error_of_the_run_whose_success_ended_an_incident_opens_it_again(engine):
    engine.post(a_record(stage="fetch", run="run-1"))
    engine.at(10)
    engine.post(success("run-2", START + 9 * NS, "fetch"))
    engine.at(12)

    engine.post(a_record(stage="fetch", run="run-2", at=START + 8 * NS))
    engine.at(30)

    (incident,) = engine.incidents()
    assert (incident.state, incident.count) == (IncidentState.OPEN, 2)
    assert [told.message.reason for told in engine.slack.told] == [Reason.OPENED, Reason.RESOLVED, Reason.REGRESSED]


def test_an_error_after_the_resolution_is_a_new_incident_said_to_be_back(engine):
    engine.post(a_record(stage="fetch"))
    engine.at(10)
    engine.post(success("run-2", engine.now, "fetch"))
    engine.at(20)

    engine.post(a_record(stage="fetch", run="run-3", at=engine.now))
    engine.at(30)

    assert len(engine.incidents()) == 2
    assert engine.slack.told[-1].message.reason is Reason.REGRESSED
    assert engine.slack.told[-1].earlier == ""


def test_a_critical_is_not_held(everybody):
    everybody.post(a_record(severity=Severity.CRITICAL))

    everybody.at(0.1)

    assert {told.at for told in [*everybody.slack.told, *everybody.email.told]} == {0.0}


def test_a_critical_record_ends_the_hold_of_an_incident(engine):
    engine.policy = only_mdd(grouping=Grouping({"slack": 60.0}, DAY_S, None))
    engine.post(a_record())
    engine.at(5)

    engine.post(a_record(severity=Severity.CRITICAL))
    engine.at(6)

    assert [told.at for told in engine.slack.told] == [5.0]


def test_a_growing_severity_is_told_in_a_new_message(engine):
    engine.post(a_record())
    engine.at(10)

    engine.post(a_record(severity=Severity.CRITICAL))
    engine.at(12)

    escalated = engine.slack.told[-1]
    assert (escalated.message.reason, escalated.message.severity) == (Reason.ESCALATED, Severity.CRITICAL)
    assert escalated.earlier == ""


def test_an_audience_that_joins_later_is_told_and_nobody_else_again(engine):
    routes = (Route("slack", ("mdd",), Severity.ERROR, 10), Route("slack", ("outreach",), Severity.CRITICAL, 11))
    engine.policy = only_mdd(routes=routes)
    engine.post(a_record(severity=Severity.CRITICAL, body="old"))
    engine.at(10)
    engine.post(a_record(body="new"))
    engine.at(20)

    engine.post(a_record(body="new", severity=Severity.CRITICAL))
    engine.at(30)

    assert [told.address for told in engine.slack.told if told.at >= 20] == ["#mdd", "#outreach"]


def test_a_channel_that_cannot_edit_tells_repeats_with_the_next_message(tmp_path):
    engine = Engine(tmp_path, a_policy(routes=(Route("email", ("mdd",), Severity.ERROR, 10),)))
    engine.post(a_record(stage="fetch"))
    engine.at(60)
    engine.post(a_record(stage="fetch"))
    engine.at(3_600)
    assert len(engine.email.told) == 1
    assert engine.books()["email"].queued == 1

    engine.post(success("run-2", engine.now, "fetch"))
    engine.at(3_700)

    assert engine.email.told[-1].message.reason is Reason.RESOLVED
    assert engine.books()["email"].queued == 0
    engine.close()


def test_the_worst_and_the_first_messages_go_before_edits(engine):
    engine.slack.always = Retryable("away", code="connection")
    engine.post(a_record("one"), a_record("two"), a_record("three", Severity.CRITICAL))
    engine.at(30)

    engine.slack.always = None
    engine.at(120)

    assert engine.slack.told[0].message.severity is Severity.CRITICAL
