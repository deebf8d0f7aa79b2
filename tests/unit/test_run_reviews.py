"""What should have happened: expectations, late and silent runs (B21), and the digest at the end of a run."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from alert_bridge.model import Audience, IncidentState, Reason, Severity
from alert_bridge.policy.globs import Glob
from alert_bridge.policy.model import Contact, Expectation, Match, Rule, RunPlan, Settings
from alert_bridge.store.telemetry import Telemetry, TelemetryStore
from tests.servers.engine import AUDIENCES, NS, START, Engine, a_policy, a_record, only_mdd

UPLOADED = Expectation(
    Glob("monthly_*"),
    Glob("Forecasts uploaded*"),
    1,
    "run_end",
    Severity.ERROR,
    ("infrastructure", "outreach"),
    line=21,
    owner="Ida",
)
RESPONSIBLE = Audience("monthly_run", "Monthly-Run Responsible")
KIM = Contact("@U123", ("kim@site.test",), "Kim")


class Month(Engine):
    """The engine with a real telemetry store beside it: what is sent goes both ways, as from a Collector."""

    def __init__(self, folder: Path, policy) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.bulk = TelemetryStore(folder)
        super().__init__(folder, policy, Telemetry(folder))
        self.longest_step = 1.0
        self.bulk_is_away = False

    def send(self, *records) -> None:
        self.post(*records)
        if not self.bulk_is_away:
            self.bulk.append_logs(records)

    def start(self, run: str, **more) -> None:
        self.send(self.event("pipeline.run.start", run, **more))

    def end(self, run: str, result: str = "success", **more) -> None:
        self.send(self.event("pipeline.run.end", run, attributes={"cicd.pipeline.result": result}, **more))

    def stage(self, run: str, name: str, seconds: float, result: str = "success", model: str = "", **more) -> None:
        told = {"cicd.pipeline.task.run.result": result, "pipeline.duration": seconds, "pipeline.model.name": model}
        self.send(self.event("pipeline.stage.end", run, stage=name, attributes=told, **more))

    def event(self, name: str, run: str, severity: Severity = Severity.INFO, **more):
        return a_record(name, severity, at=self.now, run=run, event=name, **more)

    def close(self) -> None:
        super().close()
        self.telemetry.close()
        self.bulk.close()


def with_rota(**changes):
    month = datetime.fromtimestamp(START / NS, UTC).strftime("%Y-%m")
    values = {
        "audiences": {**AUDIENCES, "monthly_run": RESPONSIBLE},
        "rotas": {"monthly_run": {month: KIM}},
        "digest_to": ("monthly_run",),
        **changes,
    }
    return a_policy(**values)


@pytest.fixture
def months(tmp_path):
    opened = []

    def build(policy):
        opened.append(Month(tmp_path / str(len(opened)), policy))
        return opened[-1]

    yield build
    for month in opened:
        month.close()


def told(engine, reason=None):
    return [one for one in engine.slack.told if reason is None or one.message.reason is reason]


def test_a_record_that_must_exist_and_does_not_is_an_incident_at_the_end_of_the_run(months):
    engine = months(a_policy(expectations=(UPLOADED,)))
    engine.start("run-1")
    engine.send(a_record("Reconciled", Severity.INFO))
    engine.end("run-1")

    engine.at(20)

    (incident,) = engine.incidents()
    assert incident.title == "Not by the deadline: no record “Forecasts uploaded*” by the end of the run"
    assert (incident.severity, incident.pipeline, incident.run_ids) == (Severity.ERROR, "monthly_run", ("run-1",))
    assert incident.owner == "Ida"
    assert sorted(one.address for one in told(engine)) == ["#infra", "#outreach"]


def test_a_record_that_exists_raises_nothing(months):
    engine = months(a_policy(expectations=(UPLOADED,)))
    engine.start("run-1")
    engine.send(a_record("Forecasts uploaded to the store: 12 files", Severity.INFO))
    engine.end("run-1")

    engine.at(20)

    assert engine.incidents() == []


def test_an_expectation_waits_until_the_bulk_lane_has_the_end_of_the_run(months):
    engine = months(a_policy(expectations=(UPLOADED,)))
    engine.bulk_is_away = True
    engine.start("run-1")
    engine.end("run-1")
    engine.at(60)
    before = engine.incidents()

    engine.bulk.append_logs([a_record("Forecasts uploaded", Severity.INFO)])
    engine.bulk.append_logs([engine.event("pipeline.run.end", "run-1", attributes={"cicd.pipeline.result": "success"})])
    engine.at(70)

    assert before == []
    assert engine.incidents() == []


def test_a_record_that_comes_seconds_after_the_end_of_its_run_is_not_called_missing(months):
    engine = months(a_policy(expectations=(UPLOADED,)))
    engine.bulk_is_away = True
    engine.start("run-1")
    engine.end("run-1")
    engine.at(30)

    engine.bulk.append_logs([engine.event("pipeline.run.end", "run-1", attributes={"cicd.pipeline.result": "success"})])
    engine.at(34)
    engine.bulk.append_logs([a_record("Training done", Severity.INFO)])
    engine.at(38)
    engine.bulk.append_logs([a_record("Forecasts uploaded", Severity.INFO)])
    engine.at(60)

    assert engine.incidents() == []


def test_a_bulk_lane_that_stays_away_does_not_hide_that_nothing_was_delivered(months):
    engine = months(a_policy(expectations=(UPLOADED,)))
    engine.bulk_is_away = True
    engine.start("run-1")
    engine.end("run-1")

    engine.at(150)

    assert "as far as the run's log has arrived" in engine.incidents()[0].title


def test_an_expectation_of_several_says_how_many_there_were(months):
    wanted = Expectation(Glob("*"), Glob("Model * saved"), 3, "run_end", Severity.CRITICAL, (), 5)
    engine = months(a_policy(expectations=(wanted,)))
    engine.start("run-1")
    engine.send(*(a_record(f"Model {number} saved", Severity.INFO) for number in range(2)))
    engine.end("run-1")

    engine.at(20)

    assert "2 records “Model * saved” where 3 were expected" in engine.incidents()[0].title
    assert engine.incidents()[0].severity is Severity.CRITICAL


def test_an_unmet_expectation_is_told_once_over_restarts_and_ends_when_a_later_run_meets_it(months):
    engine = months(only_mdd(expectations=(UPLOADED,), audiences=AUDIENCES))
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


def test_a_rule_may_redirect_what_the_bridge_itself_says(months):
    rule = Rule(Match((("event_name", "pipeline.expectation.missed"),)), Settings(audiences=("mdd",)), 30)
    engine = months(a_policy(expectations=(UPLOADED,), rules=(rule,)))
    engine.start("run-1")
    engine.end("run-1")

    engine.at(20)

    assert [one.address for one in told(engine)] == ["#mdd"]


def test_an_expectation_with_a_time_is_judged_at_that_time(months):
    noon = Expectation(Glob("monthly_run"), Glob("Published*"), 1, "0 12 * * *", Severity.ERROR, (), 7)
    engine = months(only_mdd(expectations=(noon,)))
    engine.longest_step = 60.0
    engine.at(1)  # from here on it is watched
    first_noon = (START // (86_400 * NS) + 1) * 86_400 + 43_200
    first_noon -= 86_400 if first_noon - 86_400 > START // NS else 0
    engine.at(first_noon - START / NS - 120)
    before = engine.incidents()

    engine.at(first_noon - START / NS + 120)

    assert before == []
    assert "Not by the deadline: no record “Published*”" in engine.incidents()[0].title

    engine.start("by-hand")
    engine.send(a_record("Published on the site", Severity.INFO, at=engine.now, run="by-hand"))
    engine.at(engine.seconds + 180)
    assert engine.incidents()[0].state is IncidentState.RESOLVED


def hourly(late_after: float | None = 600, silent_after: float | None = None) -> dict[str, RunPlan]:
    return {"monthly_run": RunPlan("monthly_run", "0 * * * *", late_after, silent_after, 40)}


NEXT_HOUR = 3_600 - START // NS % 3_600


def test_b21_a_run_that_must_have_started_and_did_not_is_an_incident_and_a_late_run_resolves_it(months):
    engine = months(only_mdd(runs=hourly()))
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


def test_b21_a_run_in_time_or_shortly_before_it_is_no_incident(months):
    engine = months(only_mdd(runs=hourly()))
    engine.longest_step = 30.0
    engine.at(NEXT_HOUR - 300)
    engine.start("early")
    engine.at(NEXT_HOUR + 3_500)

    assert engine.incidents() == []


def test_b21_a_schedule_that_nobody_watched_is_nobodys_fault_and_one_that_was_missed_while_away_is_told(months):
    engine = months(only_mdd(runs=hourly()))
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


def test_b21_a_silent_run_is_a_stall_incident_and_is_over_when_it_speaks(months):
    engine = months(only_mdd(runs=hourly(None, 300)))
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


def test_b21_a_run_is_not_called_silent_for_the_time_in_which_the_bridge_was_away(months):
    engine = months(only_mdd(runs=hourly(None, 300)))
    engine.longest_step = 10.0
    engine.start("run-1")
    engine.now += 7_200 * NS
    engine.restart()

    engine.at(engine.seconds + 290)
    before = engine.incidents()
    engine.at(engine.seconds + 30)

    assert before == []
    assert len(engine.incidents()) == 1


def test_b21_silence_that_the_supervisor_saw_first_is_not_told_twice(months):
    engine = months(only_mdd(runs=hourly(None, 300)))
    engine.longest_step = 10.0
    engine.start("run-1")
    engine.at(290)
    engine.send(engine.event("pipeline.run.silent", "run-1", Severity.ERROR))

    engine.at(1_000)

    assert len(engine.incidents()) == 1


def test_b21_a_run_that_ended_is_not_silent(months):
    engine = months(only_mdd(runs=hourly(None, 300)))
    engine.longest_step = 10.0
    engine.start("run-1")
    engine.at(10)
    engine.end("run-1")

    engine.at(1_000)

    assert engine.incidents() == []


def digests(engine):
    return told(engine, Reason.DIGEST)


def test_a_good_run_is_told_in_one_digest_by_slack_and_email_to_the_person_of_the_month(months):
    engine = months(with_rota())
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


def test_a_digest_of_a_bad_run_says_what_failed_and_what_is_open(months):
    demote = Rule(Match((("body", "early stop*"),)), Settings(severity=Severity.INFO), 9)
    engine = months(with_rota(expectations=(UPLOADED,), rules=(demote,)))
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


def test_a_digest_names_every_model_that_reported_an_incident_not_only_the_last(months):
    engine = months(with_rota())
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


def test_a_run_that_ends_well_with_something_open_is_not_called_well_and_its_quick_stages_are_only_counted(months):
    engine = months(with_rota(expectations=(UPLOADED,)))
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


def test_a_digest_is_told_once_over_kills_and_late_copies(months):
    engine = months(with_rota())
    engine.start("run-1")
    engine.end("run-1")
    engine.at(10)
    engine.restart()
    engine.end("run-1")  # another record of the same end
    engine.at(60)

    assert len(digests(engine)) == 1


def test_no_digest_for_a_program_without_a_pipeline_name_or_an_audience_that_turned_it_off(months):
    without_name = months(with_rota())
    unnamed = without_name.event("pipeline.run.end", "run-1", attributes={"cicd.pipeline.result": "success"})
    del unnamed.resource["cicd.pipeline.name"]
    without_name.send(unnamed)
    off = months(with_rota(digest_to=()))
    off.start("run-1")
    off.end("run-1")

    for engine in (without_name, off):
        engine.at(20)
        assert digests(engine) == []


def test_a_digest_waits_for_the_log_but_not_for_ever(months):
    engine = months(with_rota())
    engine.bulk_is_away = True
    engine.start("run-1")
    engine.end("run-1")
    engine.at(100)
    before = digests(engine)

    engine.at(140)

    assert before == []
    assert "the run's log has not arrived yet" in digests(engine)[0].message.facts


def test_digests_are_no_incidents(months):
    engine = months(with_rota())
    engine.start("run-1")
    engine.end("run-1")
    engine.at(20)

    assert digests(engine)
    assert engine.incidents() == []
    assert list(engine.reader.incidents_changed(0, opened_until=engine.now + NS)) == []


def test_runs_that_ended_before_the_bridge_knew_of_digests_are_history(months):
    engine = months(with_rota())
    engine.start("run-1")
    engine.end("run-1")
    engine.now += 8 * 86_400 * NS

    engine.at(engine.seconds + 10)

    assert digests(engine) == []
