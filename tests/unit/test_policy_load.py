"""What a valid policy file becomes, the packaged one above all."""

import json
import re
from datetime import date
from pathlib import Path

import jsonschema
import pytest
import yaml

from alert_bridge.model import Audience, Duty, Severity
from alert_bridge.policy import schema
from alert_bridge.policy.globs import Glob
from alert_bridge.policy.load import load, packaged_path
from alert_bridge.policy.model import Contact, Expectation, Grouping, Match, Retention, RunPlan, Settings

ROOT = Path(__file__).parents[2]
POLICIES = [packaged_path(), *sorted((ROOT / "examples").glob("*/alerting.yaml"))]
TODAY = date(2026, 11, 25)

FULL = """\
version: 1
audiences:
  mdd: {name: "Model Development & Deployment", slack: "#alerts-mdd", email: [mdd@example.org]}
  infrastructure: {name: Infrastructure, slack: "#alerts-infra", email: infra@example.org}
  outreach: {slack: "#alerts-outreach", duty: inform}
  monthly_run: {name: Monthly-Run Responsible, rota: {2026-11: {slack: "@U123", email: [kim@example.org]}}}
routes:
  - {channel: slack, min_severity: ERROR, audiences: [mdd, infrastructure, outreach]}
  - {channel: prefect, audiences: [mdd]}
rules:
  - {match: {exception.type: EarlyStopping}, set: {severity: INFO}}
  - match: {process.exit.code: 137, severity: critical}
    set: {audiences: [infrastructure], owner: Ola, runbook: "https://wiki.test/oom", effect: Late, fingerprint: oom}
  - {match: {scope: pip}, set: {drop: true}}
expect:
  - {pipeline: monthly_*, record: "Forecasts uploaded*", min: 2, by: run_end, else: CRITICAL, audiences: [outreach]}
grouping: {hold: {email: 90s}, repeat_after: 1h30m, resolve_after: 12h}
runs: {monthly_run: {schedule: "0 6 1 * *", late_after: 3h, silent_after: 30m}}
retention: {logs: 2w, issues: 1y}
"""


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "alerting.yaml"
    path.write_text(FULL)
    return load(path, today=TODAY)


def table_of(markdown: str) -> list[tuple[str, str, frozenset[str]]]:
    """(channel, threshold, audience names) of each row of the document's first table with a Threshold column."""
    lines = markdown.splitlines()
    start = next(number for number, line in enumerate(lines) if re.match(r"\|\s*Channel\s*\|\s*Threshold", line))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        rows.append((cells[0], cells[1], frozenset(name.strip() for name in cells[3].split(","))))
    return rows


@pytest.mark.parametrize("document", ["README.md", "docs/audiences.md"])
def test_the_packaged_policy_is_the_table_that_the_documentation_shows(document):
    documented = table_of((ROOT / document).read_text())
    policy = load(packaged_path())
    channels = {"slack": "Slack", "email": "Email", "prefect": "Prefect", "wandb": "W&B"}
    short = {"Model Development & Deployment": "MD&D"}
    thresholds = {Severity.ERROR: "ERROR, CRITICAL", Severity.TRACE: "ALL"}

    packaged = [
        (
            channels[route.channel],
            thresholds[route.min_severity],
            frozenset(short.get(name, name) for name in (policy.audiences[key].name for key in route.audiences)),
        )
        for route in policy.routes
    ]

    assert len(documented) == 4
    assert packaged == documented


def test_the_packaged_policy_makes_no_exceptions_and_knows_the_month_s_person():
    policy = load(packaged_path())

    assert policy.rules == ()
    assert policy.expectations == ()
    assert policy.grouping == Grouping({"slack": 1.0, "email": 10.0}, 86_400.0, None)
    assert policy.audiences["outreach"].duty is Duty.INFORM
    assert list(policy.rotas) == ["monthly_run"]


def test_every_address_of_the_packaged_policy_is_a_placeholder():
    policy = load(packaged_path())

    addresses = {audience.slack for audience in policy.audiences.values()} | {
        address for audience in policy.audiences.values() for address in audience.email
    }

    assert set(policy.placeholders) == addresses - {""}


def test_addresses_of_one_s_own_are_no_placeholders(policy):
    assert policy.placeholders == ()


def test_audiences_become_people_with_addresses(policy):
    assert policy.audiences["infrastructure"] == Audience(
        "infrastructure", "Infrastructure", Duty.ACT, "#alerts-infra", ("infra@example.org",)
    )
    assert policy.audiences["outreach"] == Audience("outreach", "outreach", Duty.INFORM, "#alerts-outreach")
    assert policy.rotas == {"monthly_run": {"2026-11": Contact("@U123", ("kim@example.org",))}}


def test_routes_know_their_line_and_let_everything_through_unless_told_otherwise(policy):
    assert [(route.channel, route.min_severity, route.line) for route in policy.routes] == [
        ("slack", Severity.ERROR, 8),
        ("prefect", Severity.TRACE, 9),
    ]
    assert policy.routes_to("prefect") == policy.routes[1:]
    assert policy.routes_to("wandb") == ()


def test_rules_set_what_they_name_and_nothing_else(policy):
    assert [rule.set for rule in policy.rules] == [
        Settings(severity=Severity.INFO),
        Settings(
            audiences=("infrastructure",),
            owner="Ola",
            runbook="https://wiki.test/oom",
            effect="Late",
            fingerprint="oom",
        ),
        Settings(drop=True),
    ]
    assert policy.rules[1].match == Match((("process.exit.code", "137"), ("severity", "CRITICAL")))
    assert [rule.line for rule in policy.rules] == [11, 12, 14]


def test_expectations_runs_and_retention_are_kept_as_values(policy):
    assert policy.expectations == (
        Expectation(
            Glob("monthly_*"), Glob("Forecasts uploaded*"), 2, "run_end", Severity.CRITICAL, ("outreach",), line=16
        ),
    )
    assert policy.runs == {"monthly_run": RunPlan("monthly_run", "0 6 1 * *", 10_800.0, 1_800.0, line=18)}
    assert policy.retention == Retention(logs=14 * 86_400.0, traces=90 * 86_400.0, issues=365 * 86_400.0)


def test_grouping_takes_one_hold_for_both_channels_or_one_each(tmp_path, policy):
    path = tmp_path / "at_once.yaml"
    path.write_text(FULL.replace("{email: 90s}", "0s"))

    assert policy.grouping == Grouping({"slack": 1.0, "email": 90.0}, 5_400.0, 43_200.0)
    assert load(path).grouping.hold == {"slack": 0.0, "email": 0.0}


def test_a_section_whose_lines_are_all_commented_out_means_nothing(tmp_path):
    path = tmp_path / "alerting.yaml"
    path.write_text(FULL[: FULL.index("rules:")] + "rules:\n#  - {}\nexpect:\ngrouping:\nruns:\nretention:\n")

    policy = load(path)

    assert (policy.rules, policy.expectations, dict(policy.runs)) == ((), (), {})


def test_the_digest_tells_two_versions_of_a_file_apart(tmp_path, policy):
    path = tmp_path / "other.yaml"
    path.write_text(FULL + "# a comment\n")

    assert load(path).digest != policy.digest


def test_a_rota_that_ends_this_month_is_warned_of(policy):
    assert [str(found).split(": ", 1)[1] for found in policy.warnings] == [
        "the rota of monthly_run has nobody for 2026-12: nobody will be told in their place (add a line 2026-12: {…})"
    ]


def test_a_rota_over_the_turn_of_the_year_is_complete(tmp_path):
    path = tmp_path / "alerting.yaml"
    path.write_text(FULL.replace('2026-11: {slack: "@U123"', '2027-01: {slack: "@U456"}, 2026-12: {slack: "@U123"'))

    assert load(path, today=date(2026, 12, 31)).warnings == ()


def test_an_audience_that_no_route_names_is_warned_of(tmp_path):
    path = tmp_path / "alerting.yaml"
    path.write_text(FULL.replace("routes:", '  board: {slack: "#board"}\nroutes:'))

    warnings = load(path, today=date(2026, 10, 1)).warnings

    assert "no route names board: it will never be told" in [warning.message for warning in warnings]


def test_a_rule_that_a_later_one_undoes_is_warned_of(tmp_path):
    path = tmp_path / "alerting.yaml"
    path.write_text(
        FULL.replace("expect:", "  - {match: {exception.type: EarlyStopping}, set: {severity: ERROR}}\nexpect:")
    )

    warnings = load(path, today=TODAY).warnings

    assert [(found.line, found.message) for found in warnings if "rule" in found.message] == [
        (11, "this rule has no effect: line 15 matches the same and sets all of it again")
    ]


def test_the_schema_for_editors_is_the_one_that_the_shape_gives():
    assert schema.packaged_path().read_text(encoding="utf-8") == schema.document()


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_policies_that_we_ship_load_and_satisfy_the_schema(path):
    validator = jsonschema.Draft202012Validator(json.loads(schema.document()))

    load(path)

    assert [error.message for error in validator.iter_errors(yaml.safe_load(path.read_text()))] == []


def test_the_schema_refuses_what_an_editor_can_see():
    validator = jsonschema.Draft202012Validator(json.loads(schema.document()))
    wrong = [
        FULL.replace("min_severity: ERROR", "min_severity: EROR"),
        FULL.replace("outreach: {slack", "outreach: {slak"),
        FULL.replace("2026-11:", "2026-1:"),
        FULL.replace("repeat_after: 1h30m", "repeat_after: soon"),
        FULL.replace("version: 1", "version: 2"),
    ]

    assert validator.is_valid(yaml.safe_load(FULL))
    assert [validator.is_valid(yaml.safe_load(text)) for text in wrong] == [False] * 5
