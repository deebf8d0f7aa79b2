"""Who hears of what, in the words of the decision record: its table, the person of the month, nobody twice."""

import pytest

from alert_bridge.model import Audience, Duty, Severity
from alert_bridge.policy.model import Contact, Route
from alert_bridge.routing import Judgement, judge, on_duty, recipients
from tests.servers.routed import ALL, NOVEMBER, at, policy, record, told


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
    only_exporters = policy(routes=(Route("prefect", ALL, Severity.TRACE, 1), Route("wandb", ALL, Severity.TRACE, 2)))

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
