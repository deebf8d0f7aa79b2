"""Slack over a real socket: one message that is edited, no injection, and when trying again can help."""

from __future__ import annotations

import time

import pytest

from alert_bridge.errors import Ambiguous, DeliveryError, Permanent, Retryable
from alert_bridge.model import Reason
from instrumentation import attributes as names
from tests.servers.channels import HOSTILE, message, record, slack_by, texts, webhook_by
from tests.servers.slack import (
    SlackServer,
    close_after,
    close_before,
    error,
    hang,
    http_error,
    rate_limited,
)


def test_a_post_and_its_edit_are_one_message_with_the_latest_count():
    with SlackServer() as slack:
        channel = slack_by(slack)

        first = channel.deliver(message(), "#alerts-mdd", "")
        channel.deliver(message(reason=Reason.REPEATED, count=12), "#alerts-mdd", first.reference)

        (shown,) = slack.messages
        assert [call.method for call in slack.calls] == ["chat.postMessage", "chat.update"]
        assert first.reference.startswith("C0ALERTSMDD:")
        assert any("12×" in text for text in texts(shown))  # noqa: RUF001 - the sign of times is meant


def test_a_message_that_was_deleted_is_posted_anew():
    with SlackServer() as slack:
        channel = slack_by(slack)
        first = channel.deliver(message(), "#a", "")
        slack.delete(*first.reference.split(":"))

        again = channel.deliver(message(reason=Reason.REPEATED, count=2), "#a", first.reference)

        assert again.reference != first.reference
        assert "message_not_found" in again.detail
        assert len(slack.messages) == 1


def test_a_person_of_the_policy_is_written_to_by_their_id():
    with SlackServer() as slack:
        slack_by(slack).deliver(message(), "@U0KIM", "")

        assert slack.calls[0].payload["channel"] == "U0KIM"


def test_slack_text_cannot_mention_link_or_unfurl_anything():
    with SlackServer() as slack:
        sample = record(
            HOSTILE, **{names.EXCEPTION_TYPE: HOSTILE, names.EXCEPTION_MESSAGE: HOSTILE, names.MODEL_NAME: HOSTILE}
        )
        hostile = message(sample, owner=HOSTILE, runbook=f"https://x.example/|{HOSTILE}>", title=HOSTILE, stage=HOSTILE)

        slack_by(slack).deliver(hostile, "#a", "")

        payload = slack.calls[0].payload
        for text in (payload["text"], *texts(payload)):
            opened = [part for part in text.split("<")[1:] if not part.startswith("https://alerts.example.org/")]
            assert all(part.startswith("https://x.example/") and part.count("|") == 1 for part in opened)
            assert "<!" not in text
        assert (payload["unfurl_links"], payload["unfurl_media"]) == (False, False)
        assert "link_names" not in payload


def test_blocks_that_slack_refuses_are_sent_once_more_as_text():
    with SlackServer() as slack:
        slack.script(error("invalid_blocks"))

        slack_by(slack).deliver(message(), "#a", "")

        assert [bool(call.payload.get("blocks")) for call in slack.calls] == [True, False]
        assert "Cannot reach the data store" in slack.messages[0]["text"]
        assert "Full log" in slack.messages[0]["text"]


def test_blocks_that_slack_refuses_twice_are_given_up():
    with SlackServer() as slack:
        slack.script(error("invalid_blocks"), error("msg_too_long"))

        with pytest.raises(Permanent) as caught:
            slack_by(slack).deliver(message(), "#a", "")

        assert (caught.value.code, len(slack.calls)) == ("msg_too_long", 2)


@pytest.mark.parametrize(
    ("opened", "answer", "wait"),
    [
        (slack_by, rate_limited(7), 7.0),
        (slack_by, rate_limited(None), 10.0),
        (slack_by, error("ratelimited"), 10.0),
        (webhook_by, rate_limited(7), 7.0),
        (webhook_by, rate_limited(None), 10.0),
    ],
)
def test_a_limited_rate_waits_as_long_as_slack_says_and_is_not_tried_again_by_itself(opened, answer, wait):
    with SlackServer() as slack:
        slack.script(answer)

        with pytest.raises(Retryable) as caught:
            opened(slack).deliver(message(), "#a", "")

        assert (caught.value.retry_after, len(slack.calls)) == (wait, 1)


@pytest.mark.parametrize(
    ("reply", "expected", "code"),
    [
        (error("is_archived"), Permanent, "is_archived"),
        (error("invalid_auth"), Permanent, "invalid_auth"),
        (error("token_revoked"), Permanent, "token_revoked"),
        (error("token_something_new"), Permanent, "token_something_new"),
        (error("restricted_action_new"), Permanent, "restricted_action_new"),
        (error("channel_not_found"), Permanent, "channel_not_found"),
        (error("not_in_channel"), Permanent, "not_in_channel"),
        (error("missing_scope"), Permanent, "missing_scope"),
        (error("service_unavailable"), Retryable, "service_unavailable"),
        (error("request_timeout"), Retryable, "request_timeout"),
        (error("a_word_of_next_year"), Retryable, "a_word_of_next_year"),
        (http_error(503, "<html>down</html>"), Retryable, "http_503"),
        (http_error(502, "<html>bad gateway</html>"), Ambiguous, "http_502"),
        (http_error(500, ""), Ambiguous, "http_500"),
        (error("internal_error"), Ambiguous, "internal_error"),
        (error("fatal_error"), Ambiguous, "fatal_error"),
        (close_before(), Ambiguous, "connection_broken"),
        (close_after(), Ambiguous, "connection_broken"),
    ],
)
def test_slacks_answers_say_whether_trying_again_can_help(reply, expected, code):
    with SlackServer() as slack:
        slack.script(reply)

        with pytest.raises(DeliveryError) as caught:
            slack_by(slack).deliver(message(), "#a", "")

        assert (type(caught.value), caught.value.code, len(slack.calls)) == (expected, code, 1)


@pytest.mark.parametrize(
    ("status", "body", "expected", "code"),
    [
        (404, "no_service", Permanent, "no_service"),
        (403, "action_prohibited", Permanent, "action_prohibited"),
        (403, "invalid_token", Permanent, "invalid_token"),
        (410, "channel_is_archived", Permanent, "channel_is_archived"),
        (404, "<html>who?</html>", Permanent, "http_404"),
        (503, "", Retryable, "http_503"),
        (500, "rollup_error", Ambiguous, "rollup_error"),
    ],
)
def test_a_webhooks_answers_say_whether_trying_again_can_help(status, body, expected, code):
    with SlackServer() as slack:
        slack.script(http_error(status, body))

        with pytest.raises(DeliveryError) as caught:
            webhook_by(slack).deliver(message(), "#a", "")

        assert (type(caught.value), caught.value.code) == (expected, code)


def test_slack_that_cannot_be_reached_took_nothing():
    with SlackServer() as slack:
        channel = slack_by(slack)

    with pytest.raises(Retryable) as caught:
        channel.deliver(message(), "#a", "")

    assert caught.value.code == "unreachable"


def test_slack_that_stays_silent_may_have_posted():
    silent_s = 30.0
    with SlackServer() as slack:
        channel = slack_by(slack)
        channel._client.timeout = 0.3
        slack.script(hang(silent_s))
        started = time.monotonic()

        with pytest.raises(Ambiguous) as caught:
            channel.deliver(message(), "#a", "")

        waited_s = time.monotonic() - started
        slack.wait_for_calls(1)
        assert (caught.value.code, len(slack.messages)) == ("timeout", 1)
        assert waited_s < silent_s


def test_a_webhook_says_whom_a_message_is_for_because_it_cannot_choose():
    with SlackServer() as slack:
        webhook_by(slack).deliver(message(), "#alerts-infra", "")

        assert any("for #alerts-infra" in text for text in texts(slack.messages[0]))


def test_slack_channels_leave_more_than_a_second_between_two_posts():
    with SlackServer() as slack:
        assert min(slack_by(slack).pause, webhook_by(slack).pause) > 1
