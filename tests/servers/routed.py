"""A policy with the table of the decision record, and who hears of a record by it."""

from datetime import UTC, datetime

from alert_bridge.model import Audience, Record, Severity
from alert_bridge.policy.model import Contact, Match, Policy, Route, Rule, Settings
from alert_bridge.routing import judge, recipients
from tests.servers.engine import AUDIENCES, NS, a_policy


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS


NOVEMBER = at("2026-11-25T12:00")
ALL = ("mdd", "infrastructure", "outreach")
TABLE = (
    Route("slack", ALL, Severity.ERROR, 1),
    Route("email", ("mdd", "infrastructure"), Severity.ERROR, 2),
    Route("prefect", ALL, Severity.TRACE, 3),
    Route("wandb", ALL, Severity.TRACE, 4),
)


def record(**changes) -> Record:
    values = {"uid": "u-1", "time": 1, "observed": 1, "severity": Severity.ERROR, "severity_text": "ERROR", "body": "x"}
    return Record(**{**values, **changes})


def policy(*rules: Rule, routes: tuple[Route, ...] = TABLE, **audiences: Audience) -> Policy:
    return a_policy(
        audiences={**AUDIENCES, "monthly_run": Audience("monthly_run", "Monthly-Run Responsible"), **audiences},
        rotas={"monthly_run": {"2026-11": Contact("@U123", ("kim@site.test",)), "2026-12": Contact("@U456")}},
        routes=routes,
        rules=rules,
    )


def rule(match: dict[str, str], line: int = 10, **settings) -> Rule:
    return Rule(Match(tuple(match.items())), Settings(**settings), line)


def told(record_: Record, policy_: Policy, now: int = NOVEMBER) -> dict[str, list[str]]:
    """Channel to the addresses that hear of the record."""
    result: dict[str, list[str]] = {}
    for recipient in recipients(judge(record_, policy_), record_, policy_, now):
        result.setdefault(recipient.channel, []).append(recipient.address)
    return result
