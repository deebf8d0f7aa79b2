"""Who hears of what. Laws hold for any policy (Hypothesis); examples say it in the words of the decision record."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alert_bridge.model import Audience, Duty, Record, Severity
from alert_bridge.policy.model import Contact, Grouping, Match, Policy, Route, Rule, Settings
from alert_bridge.routing import MATCHED_CHARACTERS, Judgement, judge, on_duty, recipients, value_of


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


NOVEMBER = at("2026-11-25T12:00")
ACTS = ("mdd", "infrastructure", "outreach")


def record(**changes) -> Record:
    values = {"uid": "u-1", "time": 1, "observed": 1, "severity": Severity.ERROR, "severity_text": "ERROR", "body": "x"}
    return Record(**{**values, **changes})


def policy(*rules: Rule, routes: tuple[Route, ...] | None = None, **audiences: Audience) -> Policy:
    people = {
        "mdd": Audience("mdd", "MD&D", Duty.ACT, "#mdd", ("mdd@site.test",)),
        "infrastructure": Audience("infrastructure", "Infrastructure", Duty.ACT, "#infra", ("infra@site.test",)),
        "outreach": Audience("outreach", "Outreach", Duty.INFORM, "#outreach"),
        "monthly_run": Audience("monthly_run", "Monthly-Run Responsible"),
        **audiences,
    }
    table = (
        Route("slack", ACTS, Severity.ERROR, 1),
        Route("email", ("mdd", "infrastructure"), Severity.ERROR, 2),
        Route("prefect", ACTS, Severity.TRACE, 3),
        Route("wandb", ACTS, Severity.TRACE, 4),
    )
    return Policy(
        path=Path("alerting.yaml"),
        audiences=people,
        rotas={"monthly_run": {"2026-11": Contact("@U123", ("kim@site.test",)), "2026-12": Contact("@U456")}},
        routes=table if routes is None else routes,
        rules=rules,
        grouping=Grouping({"slack": 1.0, "email": 10.0}, 86_400.0, None),
    )


def rule(match: dict[str, str], line: int = 10, **settings) -> Rule:
    return Rule(Match(tuple(match.items())), Settings(**settings), line)


def told(record_: Record, policy_: Policy, now: int = NOVEMBER) -> dict[str, list[str]]:
    """Channel to the addresses that hear of the record."""
    result: dict[str, list[str]] = {}
    for recipient in recipients(judge(record_, policy_), record_, policy_, now):
        result.setdefault(recipient.channel, []).append(recipient.address)
    return result


# The table


@pytest.mark.parametrize("severity", [Severity.ERROR, Severity.CRITICAL])
def test_an_alert_reaches_the_table_and_the_person_of_the_month_on_top(severity):
    assert told(record(severity=severity), policy()) == {
        "slack": ["#infra", "#mdd", "#outreach", "@U123"],
        "email": ["infra@site.test", "kim@site.test", "mdd@site.test"],
    }


@pytest.mark.parametrize("severity", [Severity.TRACE, Severity.DEBUG, Severity.INFO, Severity.WARNING])
def test_what_is_below_error_reaches_nobody(severity):
    assert told(record(severity=severity), policy()) == {}


def test_only_slack_and_email_reach_people():
    only_exporters = policy(routes=(Route("prefect", ACTS, Severity.TRACE, 1), Route("wandb", ACTS, Severity.TRACE, 2)))

    assert told(record(), only_exporters) == {}


def test_the_person_of_the_month_changes_with_the_month_in_utc():
    last_second, first_second = at("2026-11-30T23:59:59"), at("2026-12-01T00:00:00")

    assert "@U123" in told(record(), policy(), last_second)["slack"]
    assert "@U456" in told(record(), policy(), first_second)["slack"]
    assert "kim@site.test" not in told(record(), policy(), first_second)["email"]


def test_a_month_without_a_person_reaches_the_audience_s_own_addresses_else_nobody():
    january = at("2027-01-05T08:00")
    stand_in = policy(monthly_run=Audience("monthly_run", "Monthly-Run Responsible", slack="#monthly"))

    assert told(record(), policy(), january)["slack"] == ["#infra", "#mdd", "#outreach"]
    assert told(record(), stand_in, january)["slack"] == ["#infra", "#mdd", "#monthly", "#outreach"]
    assert on_duty("monthly_run", stand_in, january) == Contact("#monthly")
    assert on_duty("monthly_run", stand_in, NOVEMBER) == Contact("@U123", ("kim@site.test",))


def test_the_person_of_the_month_hears_at_the_thresholds_of_the_routes():
    routes = (Route("slack", ("mdd",), Severity.CRITICAL, 1), Route("email", ("mdd",), Severity.ERROR, 2))

    assert told(record(), policy(routes=routes)) == {"email": ["kim@site.test", "mdd@site.test"]}


def test_a_rota_that_a_route_names_is_told_like_anybody():
    routes = (Route("slack", ("monthly_run",), Severity.ERROR, 7),)

    (recipient,) = recipients(Judgement(Severity.ERROR), record(), policy(routes=routes), NOVEMBER)

    assert recipient.why == "monthly_run: slack route at line 7, on duty in 2026-11"


# Rules


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


# What a condition sees

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


# What the program asks for


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


# Nobody twice


def test_two_audiences_behind_one_address_are_told_once_as_those_who_act():
    shared = policy(outreach=Audience("outreach", "Outreach", Duty.INFORM, "#mdd"))

    (recipient,) = [
        one for one in recipients(judge(record(), shared), record(), shared, NOVEMBER) if one.address == "#mdd"
    ]

    assert (recipient.audiences, recipient.duty) == (("mdd", "outreach"), Duty.ACT)
    assert recipient.why == "mdd: slack route at line 1; outreach: slack route at line 1"


def test_the_same_mailbox_in_other_letters_and_the_same_member_with_and_without_at_are_one():
    doubled = policy(
        infrastructure=Audience(
            "infrastructure", "Infrastructure", Duty.ACT, "U123", ("Kim@Site.test", "kim@site.test")
        )
    )

    assert told(record(), doubled) == {
        "slack": ["#mdd", "#outreach", "U123"],
        "email": ["Kim@Site.test", "mdd@site.test"],
    }


# Laws

KEYS = ("a", "b", "c", "monthly")
ADDRESSES = st.sampled_from(["", "#one", "#two", "U123"])
MAILS = st.lists(st.sampled_from(["x@site.test", "X@site.test", "y@site.test"]), max_size=2).map(tuple)
AUDIENCES = st.fixed_dictionaries(
    {key: st.builds(Audience, st.just(key), st.just(key), st.sampled_from(Duty), ADDRESSES, MAILS) for key in KEYS}
)
SUBSETS = st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique=True).map(tuple)
ROUTES = st.lists(
    st.builds(
        Route, st.sampled_from(["slack", "email", "prefect"]), SUBSETS, st.sampled_from(Severity), st.integers(1, 99)
    ),
    max_size=5,
).map(tuple)
ROTAS = st.one_of(
    st.just({}), st.builds(Contact, ADDRESSES, MAILS).map(lambda contact: {"monthly": {"2026-11": contact}})
)
POLICIES = st.builds(
    lambda audiences, routes, rotas: Policy(Path("p"), audiences, rotas, routes, (), Grouping({}, 1.0, None)),
    AUDIENCES,
    ROUTES,
    ROTAS,
)
JUDGEMENTS = st.builds(
    Judgement, severity=st.sampled_from(Severity), audiences=st.one_of(st.none(), SUBSETS), dropped=st.booleans()
)


def heard(found) -> set[tuple[str, str, str]]:
    return {(one.channel, one.address, audience) for one in found for audience in one.audiences}


@given(POLICIES, JUDGEMENTS, st.randoms())
def test_the_order_of_routes_does_not_matter(some, judgement, chance):
    shuffled = list(some.routes)
    chance.shuffle(shuffled)

    assert recipients(judgement, record(), replace(some, routes=tuple(shuffled)), NOVEMBER) == recipients(
        judgement, record(), some, NOVEMBER
    )


@given(POLICIES, JUDGEMENTS)
def test_nobody_is_told_twice_in_one_channel(some, judgement):
    found = recipients(judgement, record(), some, NOVEMBER)

    places = [(one.channel, one.address.casefold().removeprefix("@")) for one in found]
    assert len(places) == len(set(places))
    assert all(one.address for one in found)


@given(POLICIES, JUDGEMENTS, SUBSETS)
def test_a_rule_only_ever_narrows(some, judgement, subset):
    whole = recipients(replace(judgement, audiences=None), record(), some, NOVEMBER)
    narrowed = recipients(replace(judgement, audiences=subset), record(), some, NOVEMBER)

    audiences_reached = {(one.channel, audience) for one in narrowed for audience in one.audiences}
    assert audiences_reached == {
        (one.channel, audience) for one in whole for audience in one.audiences if audience in subset
    }


@given(POLICIES, JUDGEMENTS)
def test_a_higher_severity_reaches_at_least_the_same_people(some, judgement):
    higher = replace(judgement, severity=Severity.CRITICAL)

    reached = {(channel, audience) for channel, _, audience in heard(recipients(judgement, record(), some, NOVEMBER))}
    assert reached <= {(c, a) for c, _, a in heard(recipients(higher, record(), some, NOVEMBER))}


@given(POLICIES, JUDGEMENTS)
def test_one_who_acts_behind_an_address_makes_it_an_address_that_acts(some, judgement):
    for one in recipients(judgement, record(), some, NOVEMBER):
        acts = any(some.audiences[audience].duty is Duty.ACT for audience in one.audiences)
        assert (one.duty is Duty.ACT) == acts


@given(POLICIES, JUDGEMENTS)
def test_a_dropped_record_is_told_to_nobody(some, judgement):
    assert recipients(replace(judgement, dropped=True), record(), some, NOVEMBER) == ()


CONDITIONS = {
    "severity": ("ERROR", "WARN*"),
    "body": ("*disk*", "", "?"),
    "scope": ("lib.*", "app"),
    "stage": ("fetch", "st?p"),
    "exception.type": ("KeyError", "*Error"),
    "custom": ("1", "*"),
    "event_name": ("*end",),
    "environment": ("test",),
}


@st.composite
def rules_of_all_kinds(draw) -> Rule:
    keys = draw(st.sets(st.sampled_from(sorted(CONDITIONS)), min_size=1, max_size=3))
    match = Match(tuple((key, draw(st.sampled_from(CONDITIONS[key]))) for key in sorted(keys)))
    return Rule(match, Settings(owner="kim"), draw(st.integers(1, 99)))


RECORDS = st.builds(
    lambda severity, body, scope, attributes, event: record(
        severity=severity, body=body, scope=scope, attributes=attributes, event_name=event
    ),
    st.sampled_from((Severity.ERROR, Severity.WARNING)),
    st.sampled_from(("the disk is full", "", "x")),
    st.sampled_from(("lib.a", "app", "")),
    st.fixed_dictionaries(
        {},
        optional={
            "cicd.pipeline.task.name": st.sampled_from(("fetch", "step")),
            "exception.type": st.sampled_from(("KeyError", "builtins.KeyError", "Other")),
            "custom": st.sampled_from((1, "2")),
            "deployment.environment.name": st.just("test"),
        },
    ),
    st.sampled_from(("", "pipeline.run.end")),
)


@given(st.lists(rules_of_all_kinds(), max_size=6), st.lists(RECORDS, min_size=1, max_size=6))
def test_rules_that_are_sorted_out_by_logger_level_and_stage_match_what_each_by_itself_would(rules, records):
    """Twice over: the second time from memory."""
    some = policy(*rules)

    for one in (*records, *records):
        expected = [
            rule.line
            for rule in rules
            if all((value := value_of(one, key)) is not None and fits(value) for key, fits in rule.match.tests)
        ]
        assert [line for line, _ in judge(one, some).trail] == expected
