"""The digest at the end of a run: what the person of the month reads, once, and what is left out of it."""

from __future__ import annotations

from datetime import UTC, datetime

from alert_bridge.model import Audience, Reason, Severity
from alert_bridge.policy.model import Contact, Match, Rule, Settings
from tests.servers.engine import AUDIENCES, NS, START, a_policy, a_record, a_success
from tests.servers.two_lanes import UPLOADED, told

RESPONSIBLE = Audience("monthly_run", "Monthly-Run Responsible")
KIM = Contact("@U123", ("kim@site.test",), "Kim")


def with_rota(**changes):
    month = datetime.fromtimestamp(START / NS, UTC).strftime("%Y-%m")
    values = {
        "audiences": {**AUDIENCES, "monthly_run": RESPONSIBLE},
        "rotas": {"monthly_run": {month: KIM}},
        "digest_to": ("monthly_run",),
        **changes,
    }
    return a_policy(**values)


def digests(engine):
    return told(engine, Reason.DIGEST)


def test_a_good_run_is_told_in_one_digest_by_slack_and_email_to_the_person_of_the_month(two_lanes):
    engine = two_lanes(with_rota())
    engine.start("run-0")
    engine.stage("run-0", "fetch", 10)
    engine.stage("run-0", "train", 100, model="brown_heron")
    engine.now += 120 * NS
    engine.end("run-0")
    engine.at(engine.seconds + 10)
    engine.start("run-1")
    engine.stage("run-1", "fetch", 11)
    engine.stage("run-1", "train", 200, model="brown_heron")
    engine.stage("run-1", "train", 90, model="steady_oak")
    engine.send(a_record("W&B is away", Severity.WARNING, at=engine.now))
    engine.now += 300 * NS
    engine.end("run-1")

    engine.at(engine.seconds + 30)

    message = digests(engine)[-1].message
    assert [(one.address, one.message.reason) for one in engine.email.told] == [("kim@site.test", Reason.DIGEST)] * 2
    assert [one.address for one in digests(engine)] == ["@U123"] * 2
    assert message.headline == "FINISHED · monthly_run ended well after 5 min"
    assert message.note == "All is well: nothing needs you."
    assert message.resolved
    assert "3 min more than the last good run" in message.facts
    assert "2 models, none with errors" in message.facts
    parts = dict(message.paragraphs)
    assert parts["Stages"] == "• fetch: 11 s\n• train in 2 models: 4 min 50 s (3 min 10 s more than usual)"
    assert parts["Warnings, told only here"] == "• 1× W&B is away"  # noqa: RUF001 - the sign of times
    assert message.links[0] == ("The run", "http://bridge.test/runs/run-1")
    assert all(book.balance == 0 and book.queued == 0 for book in engine.books().values())


def test_a_digest_of_a_bad_run_says_what_failed_and_what_is_open(two_lanes):
    demote = Rule(Match((("body", "early stop*"),)), Settings(severity=Severity.INFO), 9)
    engine = two_lanes(with_rota(expectations=(UPLOADED,), rules=(demote,)))
    engine.start("run-1")
    engine.send(a_record("loss is NaN", stage="train", attributes={"pipeline.model.name": "brown_heron"}))
    engine.send(a_record("early stop after 3 epochs"))
    engine.stage("run-1", "train", 5, "failure", model="brown_heron")
    engine.stage("run-1", "train", 5, model="steady_oak")
    engine.now += 60 * NS
    engine.end("run-1", "failure")

    engine.at(engine.seconds + 30)

    message = digests(engine)[0].message
    parts = dict(message.paragraphs)
    assert message.headline == "FAILED · monthly_run failed after 1 min"
    assert message.note == "1 incident is open and 1 thing that should have happened did not."
    assert parts["Did not happen"] == "• a record “Forecasts uploaded*”"
    assert parts["Incidents"].startswith("1. ERROR train: loss is NaN")
    assert parts["Models with errors"] == "• brown_heron, in train"
    assert "1 failed" in parts["Stages"]
    assert parts["Without a message of their own"] == "records lowered or dropped by a rule: 1"
    assert message.severity is Severity.ERROR


def test_a_digest_names_every_model_that_reported_an_incident_not_only_the_last(two_lanes):
    engine = two_lanes(with_rota())
    engine.start("run-1")
    for number, model in enumerate(("brown_heron", "dry_river", "tall_reed", "steady_oak")):
        engine.stage("run-1", "train", 5, model=model)
        if number < 3:
            engine.send(a_record("target is all zero", stage="check", attributes={"pipeline.model.name": model}))
    engine.now += 60 * NS
    engine.end("run-1")

    engine.at(engine.seconds + 30)

    message = digests(engine)[0].message
    assert "4 models, 3 with errors" in message.facts
    listed = "• brown_heron, in check\n• dry_river, in check\n• tall_reed, in check"
    assert dict(message.paragraphs)["Models with errors"] == listed


def test_a_run_that_ends_well_with_something_open_is_not_called_well_and_its_quick_stages_are_only_counted(two_lanes):
    engine = two_lanes(with_rota(expectations=(UPLOADED,)))
    engine.start("run-1")
    for name in ("load", "check", "clean"):
        engine.stage("run-1", name, 0)
    engine.stage("run-1", "train", 20)
    engine.now += 60 * NS
    engine.end("run-1")

    engine.at(engine.seconds + 30)

    message = digests(engine)[0].message
    assert message.headline == "FINISHED · monthly_run ended after 1 min, but not all is well"
    assert message.subject == "[test] monthly_run ended, but not all is well: run run-1"
    assert dict(message.paragraphs)["Stages"] == "• train: 20 s\nand 3 more of less than a second"


def test_a_digest_is_told_once_over_kills_and_late_copies(two_lanes):
    engine = two_lanes(with_rota())
    engine.start("run-1")
    engine.end("run-1")
    engine.at(10)
    engine.restart()
    engine.end("run-1")  # another record of the same end
    engine.at(60)

    assert len(digests(engine)) == 1


def test_no_digest_for_a_program_without_a_pipeline_name_or_an_audience_that_turned_it_off(two_lanes):
    without_name = two_lanes(with_rota())
    unnamed = a_success("run-1", without_name.now)
    del unnamed.resource["cicd.pipeline.name"]
    without_name.send(unnamed)
    off = two_lanes(with_rota(digest_to=()))
    off.start("run-1")
    off.end("run-1")

    for engine in (without_name, off):
        engine.at(20)
        assert digests(engine) == []


def test_a_digest_waits_for_the_log_but_not_for_ever(two_lanes):
    engine = two_lanes(with_rota())
    engine.bulk_is_away = True
    engine.start("run-1")
    engine.end("run-1")
    engine.at(100)
    before = digests(engine)

    engine.at(140)

    assert before == []
    assert "the run's log has not arrived yet" in digests(engine)[0].message.facts


def test_digests_are_no_incidents(two_lanes):
    engine = two_lanes(with_rota())
    engine.start("run-1")
    engine.end("run-1")
    engine.at(20)

    assert digests(engine)
    assert engine.incidents() == []
    assert list(engine.reader.incidents_changed(0, opened_until=engine.now + NS)) == []


def test_runs_that_ended_before_the_bridge_knew_of_digests_are_history(two_lanes):
    engine = two_lanes(with_rota())
    engine.start("run-1")
    engine.end("run-1")
    engine.now += 8 * 86_400 * NS

    engine.at(engine.seconds + 10)

    assert digests(engine) == []
