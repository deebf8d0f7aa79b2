"""`check-policy` and `init`, as their users call them."""

import json
import os
import re
from datetime import date
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from alert_bridge.cli import check_policy, init
from alert_bridge.errors import PolicyError, UsageError
from alert_bridge.policy.load import load, packaged_path
from alert_bridge.service import service_settings

ROOT = Path(__file__).parents[2]
VIEWS = ROOT / "examples" / "views"

POLICY = """\
version: 1
audiences:
  mdd: {name: Model Development, slack: "#mdd", email: [mdd@site.test]}
  outreach: {name: Outreach, duty: inform, slack: "#outreach"}
  monthly_run: {name: Monthly-Run Responsible, slack: "#stand-in", rota: {2026-11: {name: Kim, email: [kim@site.test]}}}
routes:
  - {channel: slack, min_severity: ERROR, audiences: [mdd, outreach]}
  - {channel: email, min_severity: CRITICAL, audiences: [mdd]}
  - {channel: wandb, audiences: [mdd]}
rules:
  - {match: {body: "*falls back*"}, set: {severity: ERROR, audiences: [mdd]}}
grouping: {hold: 90s, repeat_after: 36h, resolve_after: 2d}
"""


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "alerting.yaml"
    path.write_text(POLICY)
    return path


def call(command, *arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


# check-policy


def test_a_mistake_is_shown_with_its_line_and_a_caret(policy):
    policy.write_text(POLICY.replace("audiences: [mdd, outreach]", "audiences: [mdd, outraech]"))

    result = call(check_policy.command, policy)

    assert result.exit_code == 1
    assert result.stderr == (
        f"{policy}:7:60: error: unknown audience 'outraech'\n"
        "    7 |   - {channel: slack, min_severity: ERROR, audiences: [mdd, outraech]}\n"
        "      |                                                            ^\n"
        "        did you mean outreach?\n"
        f"{policy}: 1 mistake; the bridge would not start with it\n"
    )


def test_the_caret_stays_in_sight_on_a_very_long_line(policy):
    padding = "x" * 300
    policy.write_text(
        POLICY.replace("*falls back*", f"*{padding}*").replace("severity: ERROR, audiences: [mdd]}", "owwner: x}")
    )

    shown = call(check_policy.command, policy).stderr.split("\n")

    assert len(shown[1]) < 180
    assert shown[1][shown[2].index("^") :].startswith("owwner")


def test_a_valid_policy_says_in_a_few_lines_what_it_does(policy):
    result = call(check_policy.command, policy)

    assert result.exit_code == 0
    assert result.stdout == (
        f"{policy} is valid.\n"
        "  Slack: ERROR and worse to Model Development #mdd, Outreach #outreach (in plain language)\n"
        "  Email: CRITICAL and worse to Model Development mdd@site.test\n"
        "  Prefect: nothing; W&B: everything\n"
        f"  On top, every alert: Monthly-Run Responsible is {'Kim' if in_november() else '#stand-in'}\n"
        "  One message per problem: held 90 s in Slack, 90 s in Email (CRITICAL: not held), then edited;"
        " reminder after 36 h; over with 2 d without a new record. Exceptions: 1 rule\n"
        "  Watched: digest of each run to Monthly-Run Responsible\n"
    )


def in_november() -> bool:
    return date.today().strftime("%Y-%m") == "2026-11"  # noqa: DTZ011 - the command's own "this month"


def test_a_warning_is_shown_and_does_not_fail(policy):
    policy.write_text(POLICY.replace("2026-11", "2020-01"))

    result = call(check_policy.command, policy)

    assert result.exit_code == 0
    assert result.stderr.count("warning: the rota of monthly_run has nobody for") == 2


def test_a_policy_with_placeholders_says_that_it_is_not_for_real_yet():
    result = call(check_policy.command, packaged_path())

    assert "Not for real yet: #replace-me-mdd, replace-me-mdd@example.org" in result.stdout


def test_json_has_the_same_in_fields(policy):
    good = json.loads(call(check_policy.command, policy, "--json").stdout)
    policy.write_text(POLICY.replace("version: 1", "version: 7"))
    bad = json.loads(call(check_policy.command, policy, "--json").stdout)

    assert (good["valid"], good["errors"], len(good["summary"])) == (True, [], 6)
    assert (bad["valid"], bad["errors"]) == (
        False,
        [
            {
                "path": str(policy),
                "line": 1,
                "column": 10,
                "message": "version '7' is not known",
                "suggestion": "write version: 1",
            }
        ],
    )


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path):
    result = call(check_policy.command, tmp_path / "alerting.yaml")

    assert isinstance(result.exception, UsageError)
    assert "`pipeline-alerts init` writes one" in str(result.exception)


def test_without_a_file_the_setting_is_used_then_the_folder_then_the_package(policy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PIPELINE_ALERTS_POLICY", raising=False)
    here = call(check_policy.command).stdout
    monkeypatch.setenv("PIPELINE_ALERTS_POLICY", str(VIEWS / "alerting.yaml"))
    named = call(check_policy.command).stdout
    policy.unlink()
    monkeypatch.delenv("PIPELINE_ALERTS_POLICY")
    packaged = call(check_policy.command).stdout

    assert here.startswith("alerting.yaml is valid")
    assert named.startswith(f"{VIEWS / 'alerting.yaml'} is valid")
    assert packaged.startswith(f"{packaged_path()} is valid")


@pytest.mark.parametrize("named", ["named", "told", "here", "nowhere"])
def test_serve_takes_the_file_that_check_policy_checks(tmp_path, monkeypatch, named):
    good = packaged_path().read_text(encoding="utf-8")
    for name in ("named", "told", "alerting"):
        (tmp_path / f"{name}.yaml").write_text(good, encoding="utf-8")
    if named == "nowhere":
        (tmp_path / "alerting.yaml").unlink()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PIPELINE_ALERTS_POLICY", raising=False)
    if named in ("named", "told"):
        monkeypatch.setenv("PIPELINE_ALERTS_POLICY", str(tmp_path / "told.yaml"))
    flag = str(tmp_path / "named.yaml") if named == "named" else ""
    expected = {
        "named": tmp_path / "named.yaml",
        "told": tmp_path / "told.yaml",
        "here": tmp_path / "alerting.yaml",
        "nowhere": packaged_path(),
    }

    checked = call(check_policy.command, *([flag] if flag else [])).stdout.split(" is valid")[0]
    served = service_settings(os.environ, policy=flag).policy

    assert served == Path(checked).absolute() == expected[named]


def test_a_policy_that_is_named_and_missing_is_not_replaced_by_another(tmp_path, monkeypatch):
    (tmp_path / "alerting.yaml").write_text(packaged_path().read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    settings = service_settings({"PIPELINE_ALERTS_POLICY": "gone.yaml"})

    with pytest.raises(PolicyError, match=r"gone\.yaml"):
        load(settings.policy)


# check-policy --table

TABLE = """\
examples:
  - name: a fallback is an error
    record: {severity: WARNING, body: "it falls back"}
    becomes: ERROR
    told: {slack: [mdd]}
  - name: on duty
    record: {severity: CRITICAL, body: "gone"}
    told: {slack: [mdd, outreach, monthly_run], email: [mdd]}
    at: 2026-12-01
  - record: {severity: INFO, body: "all well", cicd.pipeline.task.name: fetch}
    told: nobody
"""


def test_a_table_that_comes_out_as_written_passes(policy, tmp_path):
    table = tmp_path / "examples.yaml"
    table.write_text(TABLE)

    result = call(check_policy.command, policy, "--table", table)

    assert result.exit_code == 0
    assert result.stdout.endswith(f"{table}: all 3 examples come out as written.\n")


def test_a_table_that_differs_shows_what_was_expected_what_came_and_why(policy, tmp_path):
    table = tmp_path / "examples.yaml"
    table.write_text(TABLE.replace("told: {slack: [mdd]}", "told: {slack: [mdd, outreach], email: [mdd]}"))

    result = call(check_policy.command, policy, "--table", table)

    assert result.exit_code == 1
    assert result.stderr.endswith(
        f"{table}:2: a fallback is an error\n"
        "    slack     - expected mdd, outreach\n"
        "              + got      mdd\n"
        "    email     - expected mdd\n"
        "              + got      nobody\n"
        f"    because   {policy}:11: severity WARNING → ERROR; audiences mdd\n"
        f"{table}: 1 of 3 examples differ\n"
    )


def test_a_severity_that_a_rule_should_have_set_is_compared(policy, tmp_path):
    table = tmp_path / "examples.yaml"
    table.write_text(TABLE.replace("becomes: ERROR", "becomes: CRITICAL"))

    result = call(check_policy.command, policy, "--table", table, "--json")

    (difference,) = json.loads(result.stdout)["examples"]["differences"]
    assert difference["points"] == [{"what": "severity", "expected": "CRITICAL", "got": "ERROR"}]


def test_the_same_table_may_be_a_spreadsheet(policy, tmp_path):
    table = tmp_path / "examples.csv"
    table.write_text(
        "name,severity,body,stage,slack,email,becomes,at\r\n"
        "fallback,WARNING,it falls back,,mdd,,ERROR,\r\n"
        "on duty,CRITICAL,gone,,mdd outreach monthly_run,mdd,,2026-12-01\r\n"
        "all well,INFO,all well,fetch,,,,\r\n"
    )

    good = call(check_policy.command, policy, "--table", table)
    table.write_text(table.read_text().replace("it falls back,,mdd", "it falls back,,outreach"))
    bad = call(check_policy.command, policy, "--table", table)

    assert (good.exit_code, bad.exit_code) == (0, 1)
    assert f"{table}:2: fallback" in bad.stderr


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.yaml", "examples: []", "holds no examples"),
        ("t.yaml", "rows: []", "must have the key `examples`"),
        ("t.yaml", "examples: [{told: nobody}]", ":1: an example needs a record"),
        ("t.yaml", "examples: [{record: {body: x}, told: {sms: [mdd]}}]", ":1: told is a mapping of slack and email"),
        ("t.yaml", "examples: [{record: {body: x}, told: nobody, then: x}]", "unknown key 'then'"),
        ("t.yaml", "examples: [{record: {body: x}, told: {slack: [mdt]}}]", "unknown audience 'mdt'"),
        ("t.yaml", "examples: [{record: {severity: BAD}, told: nobody}]", "unknown severity 'BAD'"),
        ("t.yaml", "examples: [{record: {body: x}, told: nobody, at: soon}]", "write a date such as 2026-12-01"),
        ("t.csv", "name,body\nx,y\n", ":1: the first line names the columns"),
        ("t.csv", "body,slack\nx,mdd,more\n", ":2: this line has not as many cells"),
        ("t.csv", 'body,slack\n"x,mdd\n', "not CSV"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_with_its_line(policy, tmp_path, name, content, said):
    table = tmp_path / name
    table.write_text(content)

    result = call(check_policy.command, policy, "--table", table)

    assert isinstance(result.exception, UsageError)
    assert said in str(result.exception)


def test_the_first_users_policy_tells_whom_its_examples_say():
    result = call(check_policy.command, VIEWS / "alerting.yaml", "--table", VIEWS / "examples.yaml")

    assert result.exit_code == 0, result.stderr


def test_every_rule_of_the_first_users_policy_has_an_example():
    policy = load(VIEWS / "alerting.yaml")
    from alert_bridge.cli.policy_examples import read_examples
    from alert_bridge.routing import judge

    matched = {
        line
        for example in read_examples(VIEWS / "examples.yaml", policy)
        for line, _ in judge(example.record, policy).trail
    }

    assert [rule.line for rule in policy.rules if rule.line not in matched] == []


# init


def test_init_writes_a_policy_that_loads_and_is_complete_for_two_months(tmp_path):
    result = call(init.command, "--dir", tmp_path / "new")

    policy = load(tmp_path / "new" / "alerting.yaml")
    assert result.exit_code == 0
    assert policy.warnings == ()
    assert len(policy.rotas["monthly_run"]) == 2
    assert "@replace-me" in policy.placeholders


def test_the_starter_policy_covers_the_turn_of_the_year():
    policy = init.starter_policy(date(2026, 12, 31))

    assert "2026-12: {" in policy
    assert "2027-01: {" in policy


def test_init_writes_the_schema_beside_the_policy_that_names_it(tmp_path):
    call(init.command, "--dir", tmp_path)

    named = re.search(r"\$schema=(\S+)", (tmp_path / "alerting.yaml").read_text())

    assert named is not None
    assert json.loads((tmp_path / named[1]).read_text())["title"] == "Policy"


def test_init_overwrites_nothing_unless_told_to(tmp_path):
    (tmp_path / ".env.example").write_text("mine")

    refused = call(init.command, "--dir", tmp_path)

    assert isinstance(refused.exception, UsageError)
    assert ".env.example is in" in str(refused.exception)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".env.example"]
    assert call(init.command, "--dir", tmp_path, "--force").exit_code == 0
    assert (tmp_path / ".env.example").read_text() != "mine"


def test_init_says_what_to_do_next_in_at_most_eight_lines(tmp_path):
    lines = call(init.command, "--dir", tmp_path).stdout.splitlines()

    assert len(lines) <= 8
    assert any("test-alert" in line for line in lines)


def test_the_example_environment_names_every_setting_that_the_bridge_reads_and_holds_no_value_of_a_secret(tmp_path):
    call(init.command, "--dir", tmp_path)
    text = (tmp_path / ".env.example").read_text()
    sources = [*(ROOT / "alert_bridge" / "channels").rglob("*.py"), *(ROOT / "alert_bridge" / "service").rglob("*.py")]
    read = {
        name
        for source in sources
        for name in re.findall(r"\b(?:setting|secret)\(\s*\w+,\s*\"([A-Z][A-Z_]+)\"", source.read_text())
    }
    offered = dict(re.findall(r"^#([A-Z][A-Z_]+)=(.*)$", text, re.MULTILINE))

    assert {"SLACK_BOT_TOKEN", "SMTP_HOST"} <= read
    assert read - offered.keys() - {"SSL_CERT_FILE"} == set()
    assert [name for name, value in offered.items() if value and re.search("TOKEN|KEY|PASSWORD|WEBHOOK", name)] == []
    assert re.findall(r"^(?!#|$).*", text, re.MULTILINE) == []


def test_the_slack_app_asks_for_posting_and_nothing_else(tmp_path):
    call(init.command, "--dir", tmp_path)
    manifest = yaml.safe_load((tmp_path / "slack-app-manifest.yaml").read_text())

    assert manifest["oauth_config"]["scopes"] == {"bot": ["chat:write", "chat:write.public"]}
