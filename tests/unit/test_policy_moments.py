"""`check-policy --table`: records, times and what people know already, and who hears what when (B24); quiet hours."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from alert_bridge.cli.check_policy import command
from alert_bridge.errors import PolicyError
from alert_bridge.policy.load import load

POLICY = """\
version: 1
audiences:
  mdd: {name: MD&D, slack: "#mdd", email: [mdd@site.test]}
  outreach: {name: Outreach, slack: "#outreach", duty: inform}
routes:
  - {channel: slack, min_severity: ERROR, audiences: [mdd, outreach]}
  - {channel: email, min_severity: ERROR, audiences: [mdd]}
quiet_hours:
  mdd: {from: "20:00", to: "07:00", zone: Europe/Oslo, days: mon-fri}
  outreach:
    - {from: "18:00", to: "08:00", zone: Europe/Oslo}
    - {from: "00:00", to: "00:00", zone: Europe/Oslo, days: [sat, sun]}
expect:
  - {pipeline: monthly_run, record: "Published*", by: "0 12 3 * *", audiences: [outreach], owner: Ida}
runs: {monthly_run: {schedule: "0 6 1 * *", late_after: 3h, silent_after: 30m}}
"""

TABLE = """\
examples:
  - name: at night only the one who is awake is told at once
    record: {severity: ERROR, body: boom}
    told: {slack: [mdd, outreach], email: [mdd]}
    at: 2026-11-25T18:30+01:00
    held: [outreach]
  - name: CRITICAL comes through
    record: {severity: CRITICAL, body: boom}
    told: {slack: [mdd, outreach], email: [mdd]}
    at: 2026-11-26T03:00+01:00
    held: []
  - name: after the change of the clock it is still night at six on the wall
    record: {severity: ERROR, body: boom}
    told: {slack: [mdd, outreach], email: [mdd]}
    at: 2026-03-30T06:30+02:00
    held: [outreach]
  - name: a silence in force leaves nobody
    record: {severity: ERROR, body: "falls back to cache"}
    silences: [{body: "*cache*"}]
    told: nobody
    says: nothing
  - name: but not from what is CRITICAL
    record: {severity: CRITICAL, body: "falls back to cache"}
    silences: [{body: "*cache*"}]
    told: {slack: [mdd, outreach], email: [mdd]}
  - name: what is known is edited, and worse is told
    record: {severity: ERROR, body: boom}
    open: ERROR
    told: {slack: [mdd, outreach], email: [mdd]}
    says: {slack: repeated, email: reminder}
  - name: worse than known
    record: {severity: CRITICAL, body: boom}
    open: ERROR
    told: {slack: [mdd, outreach], email: [mdd]}
    says: escalated
  - name: new
    record: {severity: ERROR, body: boom}
    told: {slack: [mdd, outreach], email: [mdd]}
    says: opened
"""


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "alerting.yaml"
    path.write_text(POLICY)
    return path


def check(policy, tmp_path, table: str):
    path = tmp_path / "examples.yaml"
    path.write_text(table)
    return CliRunner().invoke(command, [str(policy), "--table", str(path)])


def test_b24_a_table_of_records_times_silences_and_known_incidents_comes_out_as_written(policy, tmp_path):
    result = check(policy, tmp_path, TABLE)

    assert result.exit_code == 0, result.output
    assert "all 8 examples come out as written" in result.output


@pytest.mark.parametrize(
    ("written", "instead", "said"),
    [
        ("held: [outreach]", "held: [mdd]", "held       - expected mdd"),
        ("says: escalated", "says: repeated", "says slack - expected repeated"),
        ("told: nobody", "told: {slack: [mdd]}", "slack      - expected mdd"),
    ],
)
def test_b24_what_comes_out_otherwise_is_shown_and_ends_with_1(policy, tmp_path, written, instead, said):
    result = check(policy, tmp_path, TABLE.replace(written, instead, 1))

    assert result.exit_code == 1
    assert " ".join(said.split()) in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("written", "instead", "said"),
    [
        ("says: escalated", "says: shouted", "says is one of opened"),
        ('silences: [{body: "*cache*"}]', 'silences: "*cache*"', "silences is a list"),
        ('silences: [{body: "*cache*"}]', 'silences: [{body: "*"}]', "match everything"),
        ("open: ERROR", "open: BAD", "unknown severity 'BAD'"),
    ],
)
def test_b24_a_key_that_makes_no_sense_is_refused_with_its_line(policy, tmp_path, written, instead, said):
    result = check(policy, tmp_path, TABLE.replace(written, instead, 1))

    assert said in str(result.exception)
    assert "examples.yaml:" in str(result.exception)


def test_the_summary_says_what_is_watched_and_whom_it_does_not_wake(policy):
    result = CliRunner().invoke(command, [str(policy)])

    assert "Watched: 1 record must come; late starts of monthly_run; silence of monthly_run" in result.output
    assert "Quiet, but for CRITICAL: MD&D 20:00-07:00 Europe/Oslo (mon tue wed thu fri)" in result.output


@pytest.mark.parametrize(
    ("good", "bad", "place", "said"),
    [
        ('from: "20:00", to: "07:00"', 'from: "20", to: "07:00"', (9, 15), 'did you mean "20:00"?'),
        ("zone: Europe/Oslo, days: mon-fri", "zone: Oslo, days: mon-fri", (9, 43), "did you mean Europe/Oslo?"),
        ("days: mon-fri", "days: mon-fry", (9, 62), "'mon-fry' is not a day"),
        ("days: mon-fri", "day: mon-fri", (9, 56), "did you mean days?"),
        ("  mdd: {from", "  mmd: {from", (9, 3), "unknown audience 'mmd'"),
        (
            'from: "20:00", to: "07:00", zone: Europe/Oslo, days: mon-fri',
            'from: "07:00", to: "07:00"',
            (9, 3),
            "always",
        ),
        ('by: "0 12 3 * *"', 'by: "0 12 3 13 *"', (14, 55), "'13' is not a month"),
    ],
)
def test_a_mistake_in_quiet_hours_is_named_with_its_place(tmp_path, good, bad, place, said):
    path = tmp_path / "alerting.yaml"
    assert good in POLICY
    path.write_text(POLICY.replace(good, bad, 1))

    with pytest.raises(PolicyError) as caught:
        load(path)

    first = caught.value.diagnostics[0]
    assert (first.line, first.column) == place
    assert said in str(first)


def test_who_has_a_rota_gets_the_digest_unless_it_is_turned_off(tmp_path):
    path = tmp_path / "alerting.yaml"
    rota = '  kim: {name: Kim, slack: "@U0123456789", rota: {}}\n'
    path.write_text(POLICY.replace("routes:", rota + "routes:", 1))
    on = load(path).digest_to
    path.write_text(POLICY.replace("routes:", rota.replace("rota: {}", "rota: {}, digest: false") + "routes:", 1))

    assert (on, load(path).digest_to) == (("kim",), ())


def test_an_expectation_may_have_an_owner_and_a_time(policy):
    (expectation,) = load(policy).expectations

    assert (expectation.by, expectation.owner) == ("0 12 3 * *", "Ida")
