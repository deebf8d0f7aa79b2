"""Telling while a channel refuses, pauses or is away: the other goes on, nothing is lost, late is said to be late."""

from __future__ import annotations

from alert_bridge.errors import Ambiguous, Permanent, Retryable
from alert_bridge.model import IncidentState, Reason, Severity
from alert_bridge.policy.model import Route
from tests.servers.engine import NS, START, Engine, a_policy, a_record, a_success, only_mdd


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
    engine.post(a_success("run-2", engine.now, "fetch"))
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


def test_a_channel_that_cannot_edit_tells_repeats_with_the_next_message(tmp_path):
    engine = Engine(tmp_path, a_policy(routes=(Route("email", ("mdd",), Severity.ERROR, 10),)))
    engine.post(a_record(stage="fetch"))
    engine.at(60)
    engine.post(a_record(stage="fetch"))
    engine.at(3_600)
    assert len(engine.email.told) == 1
    assert engine.books()["email"].queued == 1

    engine.post(a_success("run-2", engine.now, "fetch"))
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
