"""Silences, acknowledging and assigning on a real control.db under a moved clock (B14, B17)."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from alert_bridge.incidents import TalkState
from alert_bridge.model import IncidentState, Reason, Severity
from alert_bridge.policy.model import Match
from alert_bridge.silences import Silence
from tests.servers.engine import NS, Engine, a_policy, a_record, a_success

_ids = count(1)


def silence(engine, *, for_s: float = 600, incident: str = "", critical: bool = False, **conditions) -> str:
    silence_id = f"s{next(_ids)}"
    wanted = Silence(
        silence_id,
        Match(tuple(sorted(conditions.items()))),
        "kim",
        "planned work",
        engine.now,
        engine.now + int(for_s * NS),
        incident,
        critical,
    )
    with engine.store.writing() as book:
        book.add_silence(wanted)
    return silence_id


def end(engine, silence_id: str) -> None:
    with engine.store.writing() as book:
        assert book.end_silence(silence_id, author="kim", now=engine.now)


def order(engine, kind: str, value: str = "", incident: int = 0) -> None:
    with engine.store.writing() as book:
        book.give_order(kind, engine.incidents()[incident].id, author="kim", value=value, now=engine.now)
    engine.at(engine.seconds)


def reasons(engine) -> list[Reason]:
    return [told.message.reason for told in engine.slack.told]


def book(engine):
    books = engine.books()["slack"]
    assert books.balance == 0
    return books


def test_b14_a_silence_mutes_only_what_matches(engine):
    silence(engine, body="*disk*")

    engine.post(a_record("the disk is full"), a_record("value is missing"))
    engine.at(30)

    assert [told.message.headline.rpartition(": ")[2] for told in engine.slack.told] == ["value is missing"]
    assert (book(engine).matched, book(engine).delivered, book(engine).suppressed) == (2, 1, 1)


def test_b14_a_silence_expires_by_itself_and_what_is_still_open_is_told_once(engine):
    engine.longest_step = 1.0
    silence(engine, for_s=600, body="*disk*")
    engine.post(a_record("the disk is full"), a_record("the disk is full"))

    engine.at(599)
    before = len(engine.slack.told)
    engine.at(1_200)

    assert before == 0
    assert reasons(engine) == [Reason.OPENED]
    (told,) = engine.slack.told
    assert told.at == pytest.approx(600, abs=1.5)
    assert "silence" in told.message.note
    assert told.message.late == ""
    assert (book(engine).delivered, book(engine).suppressed) == (2, 0)


def test_b14_ending_a_silence_early_tells_what_is_still_open(engine):
    wanted = silence(engine, for_s=36_000, body="*disk*")
    engine.post(a_record("the disk is full"))
    engine.at(100)

    end(engine, wanted)
    engine.at(101)

    assert reasons(engine) == [Reason.OPENED]
    assert engine.slack.told[0].at == pytest.approx(100, abs=1)


def test_b14_what_was_told_before_its_silence_is_told_again_once_when_it_ends(engine):
    engine.post(a_record("the disk is full"))
    engine.at(10)
    silence(engine, for_s=3 * 86_400, body="*disk*")
    engine.at(20)
    engine.post(*(a_record("the disk is full", at=engine.now) for _ in range(5)))

    engine.at(3 * 86_400)
    during = reasons(engine)
    engine.at(3 * 86_400 + 60)

    assert during == [Reason.OPENED]
    assert reasons(engine) == [Reason.OPENED, Reason.REMINDER]
    assert "6" in " ".join(engine.slack.told[-1].message.facts)
    assert book(engine).delivered == 6


def test_b14_an_incident_that_resolves_under_a_silence_and_comes_back_is_announced(engine):
    engine.post(a_record("the disk is full"))
    engine.at(10)
    silence(engine, for_s=100, body="*disk*")
    engine.at(20)
    engine.post(a_success("run-2", engine.now))
    engine.at(30)
    resolved = reasons(engine)

    engine.at(200)
    engine.post(a_record("the disk is full", at=engine.now, run="run-3"))
    engine.at(210)

    assert resolved == [Reason.OPENED, Reason.RESOLVED]  # whoever knew of it hears that it is over
    assert reasons(engine) == [Reason.OPENED, Reason.RESOLVED, Reason.REGRESSED]


def test_b14_what_opened_and_ended_within_a_silence_is_counted_and_never_told(engine):
    silence(engine, for_s=100, body="*disk*")
    engine.post(a_record("the disk is full"))
    engine.at(10)
    engine.post(a_success("run-2", engine.now))

    engine.at(500)

    assert engine.slack.told == []
    assert [one.state for one in engine.incidents()] == [IncidentState.RESOLVED]
    assert (book(engine).matched, book(engine).suppressed) == (1, 1)


def test_critical_comes_through_unless_the_silence_says_so(engine):
    silence(engine, body="*disk*")
    engine.post(a_record("the disk is full", Severity.CRITICAL))
    engine.at(10)
    loud = len(engine.slack.told)
    silence(engine, critical=True, body="*database*")

    engine.post(a_record("the database is gone", Severity.CRITICAL, at=engine.now))
    engine.at(60)

    assert loud == 1
    assert len(engine.slack.told) == 1


def test_an_incident_that_becomes_critical_under_a_silence_is_told(engine):
    silence(engine, for_s=1_000, body="*disk*")
    engine.post(a_record("the disk is full"))
    engine.at(60)

    engine.post(a_record("the disk is full", Severity.CRITICAL, at=engine.now))
    engine.at(70)

    assert len(engine.slack.told) == 1
    assert engine.slack.told[0].message.severity is Severity.CRITICAL


@pytest.mark.parametrize(
    "conditions",
    [
        {"pipeline": "monthly_*"},
        {"stage": "fetch"},
        {"severity": "ERROR"},
        {"pipeline.model.name": "brown_*"},
        {"environment": "test", "body": "*full"},
    ],
)
def test_a_silence_has_the_conditions_of_rules(engine, conditions):
    silence(engine, **conditions)

    engine.post(a_record("the disk is full", stage="fetch", attributes={"pipeline.model.name": "brown_heron"}))
    engine.at(60)

    assert engine.slack.told == []


def test_a_silence_by_fingerprint_or_incident_covers_that_problem_alone(engine):
    engine.post(a_record("the disk is full"), a_record("value is missing"))
    engine.at(10)
    first, second = engine.incidents()
    silence(engine, fingerprint=first.fingerprint)
    silence(engine, incident=second.id)
    engine.at(20)

    engine.post(a_record("the disk is full", at=engine.now), a_record("value is missing", at=engine.now))
    engine.post(a_record("cannot reach the store", at=engine.now))
    engine.at(60)

    assert reasons(engine) == [Reason.OPENED] * 3


def test_a_longer_silence_goes_on_when_a_shorter_one_ends(engine):
    engine.longest_step = 1.0
    silence(engine, for_s=100, body="*disk*")
    silence(engine, for_s=300, pipeline="monthly_run")
    engine.post(a_record("the disk is full"))

    engine.at(200)
    before = len(engine.slack.told)
    engine.at(310)

    assert before == 0
    assert [told.at for told in engine.slack.told] == [pytest.approx(300, abs=1.5)]


def test_b12_a_silence_survives_a_kill_at_once_and_ends_while_nobody_is_there(engine):
    silence(engine, for_s=100, body="*disk*")
    engine.restart()
    engine.post(a_record("the disk is full"))
    engine.at(50)
    assert engine.slack.told == []

    engine.now += 500 * NS
    engine.restart()
    engine.at(engine.seconds + 1)

    assert reasons(engine) == [Reason.OPENED]


def test_a_silence_holds_back_what_waits_for_a_channel_that_is_away(engine):
    from alert_bridge.errors import Retryable

    engine.slack.always = Retryable("away", code="connection")
    engine.post(a_record("the disk is full"))
    engine.at(10)

    silence(engine, for_s=1_000, body="*disk*")
    engine.at(11)
    engine.slack.always = None
    engine.at(900)

    assert engine.slack.told == []
    assert book(engine).suppressed == 1


def test_why_it_was_silent_is_written_down(engine):
    wanted = silence(engine, for_s=100, body="*disk*")
    record = a_record("the disk is full")
    engine.post(record)
    engine.at(200)

    by_record = [one.text for one in engine.reader.decisions(record.uid) if one.step == "silence"]
    by_incident = [one.text for one in engine.reader.decisions(engine.incidents()[0].id) if one.step == "silence"]
    assert by_record == [f"held back by silence {wanted} of kim: planned work"]
    assert by_incident[-1] == "no silence holds it back any more"


def test_an_acknowledged_incident_is_edited_to_say_so_and_not_reminded_of(engine):
    engine.post(a_record("the disk is full"))
    engine.at(10)

    order(engine, "acknowledge")
    engine.at(5 * 86_400)

    assert reasons(engine) == [Reason.OPENED, Reason.REPEATED]
    assert engine.slack.told[1].earlier == engine.slack.told[0].reference
    assert "acknowledged by kim" in engine.slack.told[1].message.facts


def test_an_escalation_is_told_although_somebody_is_on_it(engine):
    engine.post(a_record("the disk is full"))
    engine.at(10)
    order(engine, "acknowledge")
    engine.at(60)

    engine.post(a_record("the disk is full", Severity.CRITICAL, at=engine.now))
    engine.at(70)

    assert reasons(engine)[-1] is Reason.ESCALATED


def test_mail_is_not_sent_for_what_comes_after_somebody_took_it_and_the_end_tells_the_count(tmp_path):
    engine = Engine(tmp_path, a_policy())
    engine.post(a_record("the disk is full"))
    engine.at(20)
    order(engine, "acknowledge")
    engine.post(a_record("the disk is full", at=engine.now))
    engine.at(5 * 86_400)
    assert [told.message.reason for told in engine.email.told] == [Reason.OPENED] * 2  # two addresses

    engine.post(a_success("run-2", engine.now))
    engine.at(engine.seconds + 60)

    assert [told.message.reason for told in engine.email.told][2:] == [Reason.RESOLVED] * 2
    assert engine.books()["email"].queued == 0
    assert engine.books()["email"].balance == 0
    engine.close()


def test_assigning_says_whose_it_is(engine):
    engine.post(a_record("the disk is full"))
    engine.at(10)

    order(engine, "assign", "ida")
    engine.at(20)

    assert "assigned to ida" in engine.slack.told[-1].message.facts
    assert engine.reader.incident(engine.incidents()[0].id).assigned_to == "ida"


def test_a_person_can_say_that_it_is_over(engine):
    engine.post(a_record("the disk is full"))
    engine.at(10)

    order(engine, "resolve")
    engine.at(20)

    assert reasons(engine) == [Reason.OPENED, Reason.RESOLVED]
    assert engine.incidents()[0].state is IncidentState.RESOLVED


def test_an_order_for_what_is_over_changes_nothing_and_says_so(engine):
    engine.post(a_record("the disk is full"))
    engine.at(10)
    order(engine, "resolve")

    with engine.store.writing() as wishes:
        number = wishes.give_order("acknowledge", engine.incidents()[0].id, author="kim", now=engine.now)
    engine.at(20)

    assert engine.reader.carried_out(number) == "it is over already"
    assert engine.incidents()[0].acknowledged_by == ""


def test_a_message_that_was_under_way_when_the_silence_came_counts_as_told(engine):
    engine.post(a_record("the disk is full"))
    engine.now += 2 * NS
    with engine.store.writing() as rows:
        lease = rows.lease("slack", now=engine.now)
    silence(engine, body="*disk*")
    engine.overseer.step()

    courier = engine.couriers[0]
    courier._tell(lease, ())

    assert (book(engine).delivered, book(engine).suppressed) == (1, 0)
    talk = engine.incident_case(0).talks[0]
    assert replace(talk, state=TalkState.OPEN).silenced == 0
