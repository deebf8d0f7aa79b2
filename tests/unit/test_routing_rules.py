"""Rules: what their conditions see, what they set, and what a record may ask for itself."""

from dataclasses import replace

import pytest

from alert_bridge.model import Audience, Duty, Severity
from alert_bridge.routing import MATCHED_CHARACTERS, Judgement, judge, recipients
from tests.servers.routed import NOVEMBER, policy, record, rule, told


def test_the_later_rule_wins_and_what_it_leaves_alone_stays():
    rules = (
        rule({"body": "disk*"}, 10, severity=Severity.CRITICAL, owner="Ola", effect="Late"),
        rule({"body": "*full"}, 11, severity=Severity.ERROR, runbook="https://wiki.test/disk"),
        rule({"body": "other"}, 12, owner="nobody"),
    )

    assert judge(record(body="disk full"), policy(*rules)) == Judgement(
        severity=Severity.ERROR,
        owner="Ola",
        effect="Late",
        runbook="https://wiki.test/disk",
        trail=(
            (10, "severity ERROR → CRITICAL; owner 'Ola'; effect"),
            (11, "severity ERROR → ERROR; runbook 'https://wiki.test/disk'"),
        ),
    )


def test_a_rule_promotes_a_warning_into_an_alert():
    promoting = policy(rule({"body": "*falls back to*"}, severity=Severity.ERROR))

    assert told(record(severity=Severity.WARNING, body="store falls back to cache"), promoting) != {}
    assert told(record(severity=Severity.WARNING, body="all well"), promoting) == {}


def test_a_rule_narrows_the_table_and_leaves_the_person_of_the_month_out():
    narrowing = policy(rule({"body": "*"}, audiences=("infrastructure", "outreach")))

    assert told(record(), narrowing) == {"slack": ["#infra", "#outreach"], "email": ["infra@site.test"]}


def test_a_rule_that_names_the_person_of_the_month_keeps_them():
    narrowing = policy(rule({"body": "*"}, audiences=("outreach", "monthly_run")))

    assert told(record(), narrowing) == {"slack": ["#outreach", "@U123"], "email": ["kim@site.test"]}


def test_a_rule_cannot_bring_an_audience_into_a_channel_that_no_route_gives_it():
    widening = policy(
        rule({"body": "*"}, audiences=("outreach",)),
        outreach=Audience("outreach", "Outreach", Duty.INFORM, "#outreach", ("outreach@site.test",)),
    )

    assert told(record(), widening) == {"slack": ["#outreach"]}


def test_a_dropped_record_reaches_nobody_and_says_why():
    dropping = policy(rule({"scope": "pip.*"}, 31, drop=True))
    judgement = judge(record(scope="pip.subprocess"), dropping)

    assert (judgement.dropped, judgement.trail) == (True, ((31, "dropped"),))
    assert recipients(judgement, record(), dropping, NOVEMBER) == ()


SEEN = record(
    body="Fetched 0 rows",
    event_name="pipeline.run.end",
    scope="views.fetch",
    attributes={
        "cicd.pipeline.task.name": "fetch",
        "exception.type": "requests.exceptions.Timeout",
        "process.exit.code": 137,
        "degraded": True,
        "pipeline.model.name": "purple_alien",
    },
    resource={
        "cicd.pipeline.name": "monthly_run",
        "deployment.environment.name": "production",
        "pipeline.model.name": "of the process",
    },
)


@pytest.mark.parametrize(
    ("key", "glob", "fits"),
    [
        ("severity", "ERROR", True),
        ("severity", "CRIT*", False),
        ("body", "Fetched ? rows", True),
        ("event_name", "pipeline.run.*", True),
        ("pipeline", "monthly_run", True),
        ("environment", "prod*", True),
        ("stage", "fetch", True),
        ("scope", "views.*", True),
        ("cicd.pipeline.task.name", "fetch", True),
        ("exception.type", "Timeout", True),
        ("exception.type", "requests.exceptions.Timeout", True),
        ("exception.type", "exceptions.Timeout", False),
        ("process.exit.code", "137", True),
        ("degraded", "true", True),
        ("pipeline.model.name", "purple_alien", True),  # the record's own word goes before its process's
        ("deployment.environment.name", "production", True),
        ("not.there", "*", False),
    ],
)
def test_a_condition_sees_fields_by_name_and_any_attribute(key, glob, fits):
    assert bool(judge(SEEN, policy(rule({key: glob}, owner="x"))).owner) is fits


@pytest.mark.parametrize("key", ["event_name", "environment", "stage", "scope"])
def test_what_a_record_does_not_have_matches_nothing(key):
    assert judge(record(), policy(rule({key: "*"}, owner="x"))).trail == ()


def test_all_conditions_of_a_rule_must_hold():
    both = policy(rule({"stage": "fetch", "body": "*timed out*"}, owner="x"))

    assert judge(SEEN, both).trail == ()
    assert judge(replace(SEEN, body="it timed out"), both).owner == "x"


def test_a_rule_sees_the_beginning_of_a_long_body():
    tail = policy(rule({"body": "*needle*"}, owner="x"))

    assert judge(record(body="y" * (MATCHED_CHARACTERS - 6) + "needle"), tail).owner == "x"
    assert judge(record(body="y" * MATCHED_CHARACTERS + "needle"), tail).owner == ""


def test_conditions_see_the_severity_that_the_record_came_with():
    rules = (rule({"body": "*"}, severity=Severity.INFO), rule({"severity": "ERROR"}, owner="x"))

    assert judge(record(), policy(*rules)).owner == "x"


@pytest.mark.parametrize("asked", ["mdd, outreach", ("mdd", "outreach")])
def test_a_record_narrows_its_own_audiences(asked):
    judgement = judge(record(attributes={"pipeline.audience": asked}), policy())

    assert judgement.audiences == ("mdd", "outreach")
    assert judgement.trail == ((0, "asks for mdd, outreach"),)


def test_a_rule_has_the_last_word_over_the_record():
    ruled = policy(rule({"body": "*"}, audiences=("infrastructure",)))

    assert judge(record(attributes={"pipeline.audience": "mdd"}), ruled).audiences == ("infrastructure",)


def test_a_record_that_asks_for_somebody_unknown_still_reaches_the_table():
    asking = record(attributes={"pipeline.audience": "the board"})

    assert told(asking, policy()) == told(record(), policy())
    assert judge(asking, policy()).trail == ((0, "asks for the board, whom the policy does not know"),)


def test_a_test_alert_reaches_whom_it_names_whatever_the_rules_say():
    ruled = policy(rule({"body": "*"}, 10, audiences=("infrastructure",), severity=Severity.INFO, drop=True))
    test = record(attributes={"pipeline.audience": "outreach", "pipeline.test": True})

    assert told(test, ruled) == {"slack": ["#outreach"]}
    assert judge(test, ruled).trail[1] == (10, "matches, but a test alert goes where it was asked to go")


def test_a_test_alert_for_somebody_unknown_bothers_nobody():
    test = record(attributes={"pipeline.audience": "outraech", "pipeline.test": True})

    assert told(test, policy()) == {}


def test_a_test_alert_can_ask_for_one_channel():
    test = record(attributes={"pipeline.audience": "mdd", "pipeline.test": True, "pipeline.test.channel": "email"})

    assert told(test, policy()) == {"email": ["mdd@site.test"]}
