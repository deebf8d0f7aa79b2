"""What is told, when, and how often, while nothing is in the way: holds, edits, reminders, severities."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alert_bridge.model import Reason, Severity
from alert_bridge.policy.model import Grouping, Match, Route, Rule, Settings
from tests.servers.engine import DAY_S, NS, START, a_record, only_mdd


def spanned(record):
    """In the span of its run, as whatever is told under `pipeline-alerts run`."""
    return replace(record, span_id="00f067aa0ba902b7")


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


def test_a_critical_is_not_held(everybody):
    everybody.post(a_record(severity=Severity.CRITICAL))

    everybody.at(0.1)

    assert {told.at for told in [*everybody.slack.told, *everybody.email.told]} == {0.0}


def test_a_critical_that_only_says_that_a_child_ended_is_held_for_the_childs_own_death(engine):
    says = {"exception.type": "subprocess.CalledProcessError", "pipeline.uncaught": True}
    engine.post(spanned(a_record("uncaught: 'train.py' died with signal 9", Severity.CRITICAL, attributes=says)))
    engine.at(0.3)
    died = {"process.pid": "42", "pipeline.process.signal": "SIGKILL"}
    engine.post(spanned(a_record("killed", Severity.CRITICAL, event="pipeline.process.died", attributes=died)))

    engine.at(60)

    assert [told.message.headline for told in engine.slack.told] == [
        "CRITICAL · monthly_run was killed (SIGKILL), as the kernel does when memory runs out"
    ]


def test_a_critical_that_only_says_that_a_child_ended_is_told_after_the_hold_where_nothing_says_why(engine):
    engine.post(a_record("the training died with exit code 3", Severity.CRITICAL))

    engine.at(60)

    assert [told.at for told in engine.slack.told] == [1.0]


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
