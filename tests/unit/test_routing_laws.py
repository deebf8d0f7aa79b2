"""Laws of routing, for any policy and any judgement: order does not matter, nobody twice, rules only narrow."""

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from alert_bridge.model import Audience, Duty, Severity
from alert_bridge.policy.model import Contact, Grouping, Match, Policy, Route, Rule, Settings
from alert_bridge.routing import Judgement, judge, recipients, value_of
from tests.servers.routed import NOVEMBER, policy, record

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
