"""Silence, acknowledge, explain and digest on a real bridge with a real Slack server: by command and by page."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing

import httpx
import pytest

from tests.servers.bridge import BridgeProcess, wait_for
from tests.servers.otlp_client import logs_request, post, record
from tests.servers.slack import TOKEN, SlackServer

POLICY = """\
version: 1
audiences:
  mdd: {name: MD&D, slack: "#mdd"}
  monthly_run: {name: Monthly-Run Responsible, slack: "@U0STANDIN", rota: {2020-01: {slack: "@U0OLD"}}}
routes:
  - {channel: slack, min_severity: ERROR, audiences: [mdd]}
rules:
  - {match: {body: "*"}, set: {audiences: [mdd]}}
grouping: {hold: 0s, repeat_after: 24h, resolve_after: next_success}
"""
RESOURCE = {"service.name": "monthly_run", "cicd.pipeline.name": "monthly_run", "cicd.pipeline.run.id": "month-7"}

PROMISED_S = 1.0
COMMAND_WITHIN_S = 120.0


@pytest.fixture(scope="module")
def slack():
    with SlackServer() as server:
        yield server


@pytest.fixture(scope="module")
def bridge(tmp_path_factory, slack):
    environ = {"SLACK_BOT_TOKEN": TOKEN, "SLACK_API_URL": slack.api_url}
    with BridgeProcess(tmp_path_factory.mktemp("bridge"), policy=POLICY, environ=environ) as running:
        running.wait_until_ready()
        yield running


def cli(bridge, *arguments: str, code: int = 0) -> dict:
    command = [sys.executable, "-m", "alert_bridge.cli", *arguments, "--state", str(bridge.state), "--json"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_WITHIN_S)
    assert result.returncode == code, result.stderr
    return json.loads(result.stdout) if result.stdout else {"error": result.stderr}


def fail(bridge, text: str, **more) -> None:
    assert post(f"{bridge.url}/v1/logs", logs_request(record(text, **more))).status == 200


def said(slack, text: str, method: str = "chat.postMessage") -> int:
    return sum(text in json.dumps(call.payload) for call in slack.calls if call.method == method)


def incident(bridge, text: str) -> str:
    reader = bridge.reader()
    try:
        return next((one.id for one in reader.incidents(open_only=False) if text in one.title), "")
    finally:
        reader.close()


def test_b14_a_silence_from_the_command_line_holds_at_once_and_tells_when_it_is_ended(bridge, slack):
    added = cli(bridge, "silence", "add", "body=*disk alpha*", "--for", "2h", "--reason", "new disk", "--by", "kim")

    fail(bridge, "disk alpha is full")
    fail(bridge, "value beta is missing")
    wait_for(lambda: said(slack, "value beta"))
    listed = cli(bridge, "silence", "list")["silences"]
    held = said(slack, "disk alpha")
    cli(bridge, "silence", "end", added["id"], "--by", "ida")

    wait_for(lambda: said(slack, "disk alpha"))
    assert held == 0
    assert added["id"] in [one["id"] for one in listed]
    assert added["id"] not in [one["id"] for one in cli(bridge, "silence", "list")["silences"]]


def test_b12_a_silence_survives_a_kill_right_after_it_was_made(bridge, slack):
    added = cli(bridge, "silence", "add", "body=*disk gamma*", "--for", "2h", "--reason", "new disk")
    bridge.kill()
    bridge.start()
    bridge.wait_until_ready()

    fail(bridge, "disk gamma is full")
    fail(bridge, "value delta is missing")

    wait_for(lambda: said(slack, "value delta"))
    assert said(slack, "disk gamma") == 0
    assert added["id"] in [one["id"] for one in cli(bridge, "silence", "list")["silences"]]


def test_the_bridge_takes_an_order_up_within_a_second_and_says_who_is_on_it(bridge, slack):
    fail(bridge, "model epsilon diverged")
    wait_for(lambda: said(slack, "model epsilon"))
    number = incident(bridge, "epsilon")

    answer = cli(bridge, "ack", number, "--by", "kim")

    assert answer["outcome"] == "done"
    with closing(sqlite3.connect(bridge.state / "control.db")) as control:
        (asked, done) = control.execute("SELECT at, carried_out_at FROM orders ORDER BY id DESC LIMIT 1").fetchone()
    assert (done - asked) / 1e9 <= PROMISED_S
    wait_for(lambda: said(slack, "acknowledged by kim", "chat.update"))
    assert said(slack, "acknowledged by kim") == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["silence", "add", "body=*x*", "--reason", "r"], "needs one end"),
        (["silence", "add", "body=*x*", "--for", "1h"], "--reason"),
        (["silence", "add", "body=*", "--for", "1h", "--reason", "r"], "match everything"),
        (["silence", "add", "--for", "1h", "--reason", "r"], "say what to silence"),
        (["silence", "add", "severity=EROR", "--for", "1h", "--reason", "r"], "unknown severity"),
        (["silence", "add", "--incident", "nonesuch", "--for", "1h", "--reason", "r"], "no incident nonesuch"),
        (["silence", "end", "nonesuch"], "no silence nonesuch"),
        (["ack", "nonesuch"], "no incident nonesuch"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_sentence(bridge, arguments, words):
    answer = cli(bridge, *arguments, code=2)

    assert words in answer["error"]
    assert "Traceback" not in answer["error"]


def test_why_tells_the_trail_the_books_and_what_comes_next(bridge, slack):
    fail(bridge, "stage zeta failed", uid="zeta-1")
    wait_for(lambda: said(slack, "stage zeta"))
    wait_for(lambda: cli(bridge, "why", incident(bridge, "zeta"))["told"][0]["records"]["told"] == 1)

    by_incident = cli(bridge, "why", incident(bridge, "zeta"))
    by_record = cli(bridge, "why", "zeta-1")

    assert by_incident["fingerprint"]["components"]
    assert {each["step"] for each in by_incident["decisions"]} >= {"fingerprint", "route", "rule", "incident"}
    assert any("line 8" in each["text"] for each in by_incident["decisions"])
    assert by_incident["told"][0]["receipts"][0]["outcome"] == "delivered"
    assert by_incident["next"][0]["reason"] == "reminder"
    assert by_record["of_incident"]["incident"] == by_incident["incident"]


def test_why_says_why_nobody_was_told_of_a_record_below_every_route(bridge):
    fail(bridge, "eta is a little odd", severity_number=13, uid="eta-1")
    wait_for(lambda: bridge.state.joinpath("telemetry.db").exists())

    found = cli(bridge, "why", "eta-1")

    assert any("WARNING is below what any route tells" in line for line in found["by_the_policy_in_force"])
    assert cli(bridge, "why", "nobody-knows-this", code=1)


def test_a_page_takes_silences_and_resolves_only_from_its_own_forms(bridge, slack):
    fail(bridge, "upload theta refused")
    wait_for(lambda: said(slack, "upload theta"))
    path = f"{bridge.url}/incidents/{incident(bridge, 'theta')}"
    ours = {"origin": bridge.url}

    foreign = httpx.post(f"{path}/resolve", data={"by": "eve"}, headers={"origin": "http://evil.test"})
    silent = httpx.post(f"{path}/resolve", data={"by": "eve"})
    taken = httpx.post(f"{path}/acknowledge", data={"by": "kim"}, headers=ours)
    muted = httpx.post(f"{path}/silence", data={"by": "kim", "reason": "known", "hours": "4"}, headers=ours)
    nameless = httpx.post(f"{path}/resolve", data={"by": " "}, headers=ours)

    assert [foreign.status_code, silent.status_code, nameless.status_code] == [403, 403, 400]
    assert [taken.status_code, muted.status_code] == [303, 303]
    wait_for(lambda: all(words in httpx.get(path).text for words in ("taken by kim", "Silenced")))
    assert "known" in httpx.get(f"{bridge.url}/silences").text
    httpx.post(f"{path}/resolve", data={"by": "kim"}, headers=ours)
    wait_for(lambda: "resolved" in httpx.get(path).text)


def test_a_silence_of_a_page_is_made_and_ended_there(bridge):
    ours = {"sec-fetch-site": "same-origin"}
    form = {"conditions": "pipeline=nightly\nbody=*iota*", "hours": "24", "reason": "moved", "by": "kim"}

    made = httpx.post(f"{bridge.url}/silences", data=form, headers=ours)
    (silence,) = [one for one in cli(bridge, "silence", "list")["silences"] if one["reason"] == "moved"]
    ended = httpx.post(f"{bridge.url}/silences/{silence['id']}/end", data={"by": "kim"}, headers=ours)

    assert (made.status_code, ended.status_code) == (303, 303)
    assert silence["conditions"] == {"pipeline": "nightly", "body": "*iota*"}
    assert silence["id"] not in [one["id"] for one in cli(bridge, "silence", "list")["silences"]]


def test_the_end_of_a_run_is_told_to_whoever_stands_in_for_the_month(bridge, slack):
    events = [
        record("started", 9, event_name="pipeline.run.start"),
        record("train ended", 9, event_name="pipeline.stage.end", **{
            "cicd.pipeline.task.name": "train", "cicd.pipeline.task.run.result": "success", "pipeline.duration": 12.5,
        }),
        record("ended", 9, event_name="pipeline.run.end", **{"cicd.pipeline.result": "success"}),
    ]  # fmt: skip

    assert post(f"{bridge.url}/v1/logs", logs_request(*events, resource=RESOURCE)).status == 200

    wait_for(lambda: said(slack, "monthly_run ended well"))
    posts = [call for call in slack.calls if "monthly_run ended well" in json.dumps(call.payload)]
    assert len(posts) == 1
    page = httpx.get(f"{bridge.url}/runs/month-7")
    assert page.status_code == 200
    assert incident(bridge, "monthly_run ended") == ""
    assert "train: 12 s" in json.dumps(posts[0].payload, ensure_ascii=False)
