"""The outbox against real channels on scripted servers: edits, deletions, pauses, refusals, and what `status` says."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.servers.bridge import BridgeProcess, wait_for
from tests.servers.otlp_client import logs_request, post, record
from tests.servers.slack import SlackServer, error, rate_limited
from tests.servers.smtp import SmtpServer

RETRY_AFTER_S = 4.0


@pytest.fixture
def world(tmp_path):
    with SlackServer(enforce_pace=True) as slack, SmtpServer() as smtp:
        environ = {"SLACK_BOT_TOKEN": slack.token, "SLACK_API_URL": slack.api_url, **smtp.environ}
        with BridgeProcess(tmp_path, environ=environ) as bridge:
            yield bridge, slack, smtp


def alert(bridge, *records):
    assert post(f"{bridge.url}/alerts/v1/logs", logs_request(*records)).status == 200


def status(bridge):
    result = subprocess.run(
        [sys.executable, "-m", "alert_bridge.cli", "status", "--json", "--state", str(bridge.state)],
        capture_output=True,
        text=True,
    )
    return result.returncode, json.loads(result.stdout)


def test_b10_a_message_that_was_deleted_is_posted_anew_with_the_whole_count(world):
    bridge, slack, _ = world
    alert(bridge, record("store broke"))
    wait_for(lambda: len(slack.messages) == 1)
    (first,) = slack.calls
    reader = bridge.reader()
    wait_for(lambda: reader.books() and all(book.queued == 0 for book in reader.books()))
    (incident,) = reader.incidents()
    channel, _, ts = next(
        one.conversation.reference
        for one in reader.deliveries(incident.id)
        if one.conversation.recipient.channel == "slack"
    ).rpartition(":")
    slack.delete(channel, ts)

    alert(bridge, record("store broke"), record("store broke"))

    wait_for(lambda: [call.method for call in slack.calls] == ["chat.postMessage", "chat.update", "chat.postMessage"])
    wait_for(lambda: {book.channel: book.delivered for book in reader.books()}["slack"] == 3)
    assert first.method == "chat.postMessage"
    reader.close()


def test_b7_a_rate_limit_delays_slack_by_what_it_says_and_email_not_at_all(world):
    bridge, slack, smtp = world
    slack.script(rate_limited(RETRY_AFTER_S))

    alert(bridge, record("store broke"))
    refused, taken = slack.wait_for_calls(2)
    mail = smtp.wait_for_mails(1)[0]

    assert RETRY_AFTER_S <= taken.at - refused.at <= RETRY_AFTER_S + 1.5  # half a second of it for a busy machine
    assert mail.at < taken.at
    assert len(slack.messages) == 1


def test_b9_a_refusing_channel_is_broken_in_status_and_the_operator_is_told_by_mail(world):
    bridge, slack, smtp = world
    slack.script(error("is_archived"))

    alert(bridge, record("store broke"))

    wait_for(
        lambda: {address for mail in smtp.mails for address in mail.recipients} >= {"mdd@site.test", "infra@site.test"}
    )
    code, found = status(bridge)
    slack_now = next(channel for channel in found["channels"] if channel["channel"] == "slack")
    assert code == 1
    assert [one["address"] for one in slack_now["broken"]] == ["#mdd"]
    assert slack_now["books"]["dead"] == 1
    assert slack_now["books"]["balance"] == 0


def test_a_channel_that_works_again_is_healthy_in_status(world):
    bridge, slack, smtp = world
    slack.script(error("channel_not_found"))
    alert(bridge, record("store broke"))
    wait_for(lambda: len(smtp.mails) >= 2)

    alert(bridge, record("another thing broke"))

    wait_for(lambda: len(slack.messages) == 1)
    wait_for(lambda: status(bridge)[0] == 0)
