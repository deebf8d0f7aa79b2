"""`test-alert` through a real bridge, with a real SMTP server and a scripted Slack behind it."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from collector.process import free_port
from tests.servers.slack import TOKEN, SlackServer, error
from tests.servers.smtp import SmtpServer

START_DEADLINE_S = 120
RECEIPTS_WITHIN_S = 60.0
POLICY = """\
version: 1
audiences:
  mdd: {name: Model Development, slack: "#alerts-mdd", email: [mdd@site.test]}
  board: {name: Board, slack: "#board"}
  infrastructure: {name: Infrastructure, slack: "#alerts-infra", email: [infra@site.test]}
routes:
  - {channel: slack, min_severity: ERROR, audiences: [mdd, board, infrastructure]}
  - {channel: email, min_severity: ERROR, audiences: [mdd, infrastructure]}
rules:
  - {match: {body: "*"}, set: {audiences: [infrastructure], severity: INFO, drop: true}}  # tests go where they are sent
grouping: {hold: 60s}  # and are not held
"""


@dataclass(frozen=True)
class Bridge:
    endpoint: str
    state: Path
    slack: SlackServer
    smtp: SmtpServer

    def test_alert(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        where = ["--endpoint", self.endpoint, "--state", str(self.state)]
        command = [*where, "--timeout", f"{RECEIPTS_WITHIN_S:g}", *arguments]
        return pipeline_alerts("test-alert", *command)


def pipeline_alerts(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "alert_bridge.cli", *arguments], capture_output=True, text=True, timeout=120
    )


def is_ready(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/readyz", timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="module")
def bridge(tmp_path_factory) -> Iterator[Bridge]:
    folder = tmp_path_factory.mktemp("bridge")
    policy, state, port = folder / "alerting.yaml", folder / "state", free_port()
    policy.write_text(POLICY)
    with SlackServer() as slack, SmtpServer() as smtp:
        environ = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("PIPELINE_ALERTS", "SLACK", "SMTP"))
            },
            "SLACK_BOT_TOKEN": TOKEN,
            "SLACK_API_URL": slack.api_url,
            **smtp.environ,
        }
        command = ["serve", "--policy", str(policy), "--state", str(state), "--listen", f"127.0.0.1:{port}"]
        with (folder / "out").open("w") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "alert_bridge.cli", *command], env=environ, stdout=out, stderr=out
            )
            try:
                deadline = time.monotonic() + START_DEADLINE_S
                while not is_ready(f"http://127.0.0.1:{port}"):
                    assert process.poll() is None, (folder / "out").read_text()
                    assert time.monotonic() < deadline, (folder / "out").read_text()
                    time.sleep(0.1)
                yield Bridge(f"http://127.0.0.1:{port}", state, slack, smtp)
            finally:
                process.terminate()
                process.wait(timeout=60)


def test_a_test_alert_arrives_marked_in_both_channels_with_a_receipt_each(bridge):
    calls, mails = len(bridge.slack.calls), len(bridge.smtp.mails)

    result = bridge.test_alert("--audience", "mdd")

    assert result.returncode == 0, result.stderr
    assert [line.split(" after ")[0] for line in result.stdout.splitlines()] == [
        "delivered email mdd@site.test",
        "delivered slack #alerts-mdd",
    ]
    (call,), (mail,) = bridge.slack.calls[calls:], bridge.smtp.mails[mails:]
    assert "[TEST]" in json.dumps(dict(call.payload))
    assert "[TEST]" in mail.message["Subject"]


def test_a_test_alert_for_one_channel_leaves_the_other_alone(bridge):
    calls = len(bridge.slack.calls)

    result = bridge.test_alert("--audience", "infrastructure", "--channel", "email", "--severity", "critical", "--json")

    (receipt,) = json.loads(result.stdout)["receipts"]
    assert (receipt["channel"], receipt["address"], receipt["outcome"]) == ("email", "infra@site.test", "delivered")
    assert len(bridge.slack.calls) == calls


def test_a_channel_that_refuses_for_good_is_told_with_its_own_word(bridge):
    mails = len(bridge.smtp.mails)
    bridge.slack.script(error("is_archived"))

    result = bridge.test_alert("--audience", "board")

    bridge.smtp.wait_for_mails(mails + 1)  # to whoever looks after the bridge: no test after this one must count it

    assert result.returncode == 1
    assert result.stdout.startswith("permanent slack #board")
    assert "archived" in result.stdout


def test_a_test_alert_for_somebody_unknown_bothers_nobody_and_says_why(bridge):
    calls, mails = len(bridge.slack.calls), len(bridge.smtp.mails)

    result = bridge.test_alert("--audience", "mmd")

    assert result.returncode == 1
    assert "asks for mmd, whom the policy does not know" in result.stderr
    assert (len(bridge.slack.calls), len(bridge.smtp.mails)) == (calls, mails)


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        (
            "http://127.0.0.1:{free}",
            "nothing listens at http://127.0.0.1:{free}: start a Collector with `pipeline-alerts",
        ),
        ("127.0.0.1:4318", "'127.0.0.1:4318' is not an address: write http://127.0.0.1:4318"),
        ("http://127.0.0.1:{smtp}", "does not answer as an OTLP endpoint does"),
        ("{slack}", "did not answer as an OTLP endpoint does: what listens there?"),
    ],
)
def test_an_endpoint_that_cannot_take_it_is_one_sentence_and_exit_code_2(bridge, endpoint, said):
    places = {"free": free_port(), "smtp": bridge.smtp.port, "slack": bridge.slack.api_url.rstrip("/")}

    result = pipeline_alerts(
        "test-alert", "--audience", "mdd", "--state", str(bridge.state), "--endpoint", endpoint.format(**places)
    )

    assert result.returncode == 2
    assert said.format(**places) in result.stderr
    assert result.stderr.count("\n") == 1


def test_without_a_bridge_s_state_nothing_is_sent(bridge, tmp_path):
    mails = len(bridge.smtp.mails)

    result = pipeline_alerts("test-alert", "--audience", "mdd", "--state", str(tmp_path), "--endpoint", bridge.endpoint)

    assert result.returncode == 2
    assert "or name its --state; nothing was sent" in result.stderr
    assert len(bridge.smtp.mails) == mails
