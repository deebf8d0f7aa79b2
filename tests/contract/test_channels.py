"""What every channel owes, proved over real sockets: nothing lost in its errors, no secret in them, no injection."""

from __future__ import annotations

import dataclasses
import json
import logging
import time
import traceback
from contextlib import contextmanager

import pytest

from alert_bridge.channels import channel_states, open_channels
from alert_bridge.errors import Ambiguous, DeliveryError, Permanent, Retryable, SettingsError
from alert_bridge.messages import compose
from alert_bridge.model import Audience, Duty, Incident, IncidentState, Message, Reason, Record, Severity, Story
from instrumentation import attributes as names
from tests.servers.slack import (
    TOKEN,
    WEBHOOK_PATH,
    SlackServer,
    close_after,
    close_before,
    error,
    hang,
    http_error,
    rate_limited,
)
from tests.servers.smtp import SmtpServer

PASSWORD = "correct-horse-battery"
SECRETS = (TOKEN, WEBHOOK_PATH, WEBHOOK_PATH.rpartition("/")[2], PASSWORD)
HOSTILE = (
    "<!channel> <@U1> <https://evil.example|click> & <script>alert(1)</script> @here\r\nBcc: all@example.org\u2028X"
)


def record(body="Cannot reach the data store", **attributes):
    known = {names.PIPELINE_NAME: "monthly_run", names.RUN_ID: "r1", names.STAGE: "fetch"}
    return Record(
        uid="t-1",
        time=1_795_604_780 * 10**9,
        observed=0,
        severity=Severity.ERROR,
        severity_text="ERROR",
        body=body,
        attributes={**known, **attributes},
    )


def message(sample=None, *, reason=Reason.OPENED, duty=Duty.ACT, key="i1-1", count=1, **about) -> Message:
    sample = sample or record()
    fields = {
        "id": "i1",
        "fingerprint": "f",
        "title": "Cannot reach the data store",
        "pipeline": sample.pipeline,
        "environment": "",
        "stage": sample.stage,
        "severity": sample.severity,
        "state": IncidentState.OPEN,
        "opened_at": sample.time,
        "first_event": sample.time,
        "last_event": sample.time,
        "count": count,
        "run_ids": ("r1",),
        "sample": sample,
    }
    return compose(
        Story(
            incident=Incident(**{**fields, **about}),
            audience=Audience("mdd", "MD&D", duty),
            reason=reason,
            now=sample.time + 10**9,
            public_url="https://alerts.example.org",
            count=count,
            notice_key=key,
        )
    )


class Kept:
    """A preview store in memory: what the real one keeps, without the database."""

    def __init__(self):
        self.payloads = {}
        self.edits = 0

    def __call__(self, channel, address, incident_id, payload, reference, /):
        reference = reference or f"preview-{len(self.payloads) + 1}"
        self.edits += reference in self.payloads
        self.payloads[reference] = (channel, address, incident_id, json.loads(payload))
        return reference


def slack_by(server, **more):
    return open_channels({"SLACK_BOT_TOKEN": server.token, "SLACK_API_URL": server.api_url, **more}, Kept())["slack"]


def webhook_by(server):
    return open_channels({"SLACK_WEBHOOK_URL": server.webhook_url}, Kept())["slack"]


def email_by(server, **more):
    return open_channels({**server.environ, **more}, Kept())["email"]


def texts(payload):
    blocks = payload.get("blocks", [])
    return [text["text"] for block in blocks for text in [block.get("text"), *block.get("elements", [])] if text]


# ── every channel


@contextmanager
def every_channel():
    """(name, deliver, what was sent last) for each channel there is, on real servers."""
    kept = Kept()
    with SlackServer() as slack, SmtpServer() as smtp:
        previews = open_channels({}, kept)

        def posted():
            return json.dumps(slack.messages[-1])

        def mailed():
            return smtp.mails[-1].raw.decode()

        def previewed():
            return json.dumps(list(kept.payloads.values())[-1])

        yield [
            ("slack", slack_by(slack), "#a", posted),
            ("webhook", webhook_by(slack), "#a", posted),
            ("email", email_by(smtp), "a@example.org", mailed),
            ("slack preview", previews["slack"], "#a", previewed),
            ("email preview", previews["email"], "a@example.org", previewed),
        ]


def test_every_channel_takes_a_record_with_nothing_in_it():
    empty = Record(uid="", time=0, observed=0, severity=Severity.ERROR, severity_text="", body="")
    with every_channel() as channels:
        for name, channel, address, sent in channels:
            delivered = channel.deliver(message(empty, title="", pipeline="", stage="", run_ids=()), address, "")

            assert delivered.reference, name
            assert "unknown" in sent() or "no text was given" in sent(), name


@pytest.mark.parametrize("duty", list(Duty))
def test_every_channel_takes_a_megabyte_of_traceback_and_sends_little(duty):
    trace = "Traceback (most recent call last):\n" + '  File "x.py", line 1, in f\n' * 40_000 + "ValueError: <&>\n"
    sample = record(trace, **{names.EXCEPTION_STACKTRACE: trace, names.EXCEPTION_TYPE: "E" * 10**6})
    with every_channel() as channels:
        for name, channel, address, sent in channels:
            channel.deliver(message(sample, duty=duty, effect="&" * 10**6), address, "")

            assert len(sent()) < 60_000, name


def test_every_channel_sends_nothing_for_a_repeat_or_edits_what_it_sent():
    with every_channel() as channels:
        for name, channel, address, sent in channels:
            first = channel.deliver(message(), address, "")
            before = sent()

            repeated = channel.deliver(message(reason=Reason.REPEATED, count=7, key="i1-2"), address, first.reference)

            assert repeated.reference == first.reference, name
            assert (sent() != before) == channel.edits, name
            assert "7" in sent() if channel.edits else "cannot" in repeated.detail, name


def test_every_channel_tells_a_resolution():
    with every_channel() as channels:
        for name, channel, address, sent in channels:
            first = channel.deliver(message(), address, "")

            told = channel.deliver(message(reason=Reason.RESOLVED, key="i1-3"), address, first.reference)

            assert "RESOLVED" in sent(), name
            assert (told.reference == first.reference) == channel.edits, name


def test_no_channel_names_a_secret_in_its_repr_state_error_or_log(caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    for logger in (
        "slack_sdk",
        "slack_sdk.web.base_client",
        "slack_sdk.web.slack_response",
        "slack_sdk.webhook.client",
    ):
        caplog.set_level(logging.DEBUG, logger=logger)
    said = []
    with SlackServer() as slack, SmtpServer(security="tls", username="bot", password="other") as smtp:
        monkeypatch.setenv("SSL_CERT_FILE", str(smtp.certificate))
        environ = {**smtp.environ, "SMTP_PASSWORD": PASSWORD}
        channels = [slack_by(slack), webhook_by(slack), open_channels(environ, Kept())["email"]]
        replies = [
            error("invalid_auth"),
            http_error(502, f"<p>{WEBHOOK_PATH}</p>"),
            rate_limited(1),
            close_after(),
            hang(0),
        ]
        for channel, address in zip(channels, ("#a", "#a", "a@example.org"), strict=True):
            for reply in replies:
                slack.script(reply)
                with pytest.raises(DeliveryError) as caught:
                    channel.deliver(message(), address, "")
                said += [repr(caught.value), "".join(traceback.format_exception(caught.value))]
            said += [repr(channel), str(vars(channel).keys())]
        said += map(repr, channel_states({"SLACK_WEBHOOK_URL": slack.webhook_url, **environ}))
        url = slack.webhook_url
    with pytest.raises(DeliveryError) as gone:  # nobody listens there any more
        open_channels({"SLACK_WEBHOOK_URL": url}, Kept())["slack"].deliver(message(), "#a", "")
    said += ["".join(traceback.format_exception(gone.value)), caplog.text, *(repr(r.__dict__) for r in caplog.records)]

    assert not [(secret, text) for secret in SECRETS for text in said if secret in text]


# ── Slack


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
    ("answer", "wait"), [(rate_limited(7), 7.0), (rate_limited(None), 10.0), (error("ratelimited"), 10.0)]
)
@pytest.mark.parametrize("opened", [slack_by, webhook_by])
def test_a_limited_rate_waits_as_long_as_slack_says_and_is_not_tried_again_by_itself(answer, wait, opened):
    with SlackServer() as slack:
        slack.script(answer if opened is slack_by or answer.status == 429 else rate_limited(None))

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


def test_slack_that_stays_silent_may_have_posted(monkeypatch):
    with SlackServer() as slack:
        channel = slack_by(slack)
        channel._client.timeout = 0.3
        slack.script(hang(30))
        started = time.monotonic()

        with pytest.raises(Ambiguous) as caught:
            channel.deliver(message(), "#a", "")

        assert (caught.value.code, len(slack.messages)) == ("timeout", 1)
        assert time.monotonic() - started < 5


def test_a_webhook_says_whom_a_message_is_for_because_it_cannot_choose():
    with SlackServer() as slack:
        webhook_by(slack).deliver(message(), "#alerts-infra", "")

        assert any("for #alerts-infra" in text for text in texts(slack.messages[0]))


def test_slack_channels_leave_more_than_a_second_between_two_posts():
    with SlackServer() as slack:
        assert min(slack_by(slack).pause, webhook_by(slack).pause) > 1


# ── email


def test_a_mail_has_both_parts_one_recipient_and_headers_that_thread_it():
    with SmtpServer() as smtp:
        channel = email_by(smtp)

        first = channel.deliver(message(), "mdd@example.org", "")
        channel.deliver(message(reason=Reason.RESOLVED, key="i1-2"), "mdd@example.org", first.reference)

        one, two = (mail.message for mail in smtp.mails)
        assert [mail.recipients for mail in smtp.mails] == [["mdd@example.org"]] * 2
        assert one["Subject"] == two["Subject"] == "monthly_run / fetch: Cannot reach the data store"
        assert one["References"] == one["In-Reply-To"] == two["References"] == two["In-Reply-To"]
        assert first.reference == one["Message-ID"] != two["Message-ID"]
        assert one["Auto-Submitted"] == "auto-generated"
        assert one["X-Auto-Response-Suppress"] == "All"
        assert [part.get_content_type() for part in one.iter_parts()] == ["text/plain", "text/html"]
        assert "https://alerts.example.org/runs/r1/log?around=t-1#r-t-1" in smtp.mails[0].part("plain")


def test_the_same_notice_keeps_its_message_id_and_another_recipient_has_another():
    with SmtpServer() as smtp:
        channel = email_by(smtp)

        for address in ("a@example.org", "a@example.org", "b@example.org"):
            channel.deliver(message(), address, "")

        ids = [mail.message["Message-ID"] for mail in smtp.mails]
        assert ids[0] == ids[1] != ids[2]


def test_hostile_text_neither_adds_a_header_nor_markup():
    with SmtpServer() as smtp:
        sample = record(HOSTILE, **{names.EXCEPTION_TYPE: HOSTILE, names.EXCEPTION_STACKTRACE: HOSTILE})
        hostile = message(sample, title=HOSTILE, stage=HOSTILE, owner=HOSTILE, id=HOSTILE, runbook=HOSTILE)
        hostile = dataclasses.replace(hostile, subject=HOSTILE, key=HOSTILE)  # whatever came through

        email_by(smtp).deliver(hostile, "a@example.org", "")

        (mail,) = smtp.mails
        assert mail.message["Bcc"] is None
        assert mail.recipients == ["a@example.org"]
        assert "<script" not in mail.part("html")
        assert mail.raw.isascii()
        assert max(map(len, mail.raw.split(b"\r\n"))) < 998


def test_a_line_that_is_a_single_dot_does_not_end_the_mail():
    with SmtpServer() as smtp:
        email_by(smtp).deliver(message(record("first\n.\n..\nlast")), "a@example.org", "")

        assert "first\n.\n..\nlast" in smtp.mails[0].part("plain").replace("\r\n", "\n")


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_mail_goes_encrypted_and_logged_in(security, monkeypatch):
    with SmtpServer(security=security, username="bot", password=PASSWORD) as smtp:
        monkeypatch.setenv("SSL_CERT_FILE", str(smtp.certificate))

        email_by(smtp).deliver(message(), "a@example.org", "")

        assert [(mail.encrypted, mail.login) for mail in smtp.mails] == [(True, "bot")]


def test_a_certificate_that_nobody_trusts_is_refused_with_what_to_do():
    with SmtpServer(security="tls") as smtp:
        with pytest.raises(Permanent, match="SSL_CERT_FILE") as caught:
            email_by(smtp).deliver(message(), "a@example.org", "")

        assert (caught.value.code, smtp.mails) == ("certificate", [])


def test_a_server_without_starttls_gets_nothing_where_starttls_is_asked_for():
    with SmtpServer() as smtp:
        with pytest.raises(Permanent, match="SMTP_TLS") as caught:
            email_by(smtp, SMTP_TLS="starttls").deliver(message(), "a@example.org", "")

        assert (caught.value.code, smtp.mails) == ("no_starttls", [])


def test_a_wrong_password_is_permanent_and_says_which_settings(monkeypatch):
    with SmtpServer(security="starttls", username="bot", password=PASSWORD) as smtp:
        monkeypatch.setenv("SSL_CERT_FILE", str(smtp.certificate))

        with pytest.raises(Permanent, match="SMTP_PASSWORD") as caught:
            email_by(smtp, SMTP_PASSWORD="wrong").deliver(message(), "a@example.org", "")

        assert caught.value.code == "535"


@pytest.mark.parametrize(
    ("answer", "expected", "code"),
    [
        ("450 4.2.1 Mailbox busy", Retryable, "450"),
        ("451 4.7.1 Greylisted", Retryable, "451"),
        ("452 4.2.2 Mailbox full", Retryable, "452"),
        ("550 5.1.1 No such user", Permanent, "550"),
        ("554 5.7.1 Refused", Permanent, "554"),
    ],
)
@pytest.mark.parametrize("at_data", [False, True])
def test_a_refusal_is_told_with_the_servers_code_for_its_recipient_alone(answer, expected, code, at_data):
    with SmtpServer() as smtp:
        channel = email_by(smtp)
        if at_data:
            smtp.answer_data(answer)
        else:
            smtp.refuse("gone@example.org", answer)

        with pytest.raises(DeliveryError) as caught:
            channel.deliver(message(), "gone@example.org", "")
        channel.deliver(message(), "here@example.org", "")

        assert (type(caught.value), caught.value.code) == (expected, code)
        assert [mail.recipients for mail in smtp.mails] == [["here@example.org"]]


def test_a_line_that_breaks_after_the_data_is_ambiguous():
    with SmtpServer() as smtp:
        smtp.disconnect_after_data()

        with pytest.raises(Ambiguous):
            email_by(smtp).deliver(message(), "a@example.org", "")

        assert len(smtp.mails) == 1


def test_a_mail_server_that_is_away_took_nothing():
    with SmtpServer() as smtp:
        channel = email_by(smtp)

    with pytest.raises(Retryable) as caught:
        channel.deliver(message(), "a@example.org", "")

    assert caught.value.code == "unreachable"


@pytest.mark.parametrize("address", ["", "no-at-sign", "a@example.org\r\nBcc: b@example.org", "ü@example.org"])
def test_an_address_that_cannot_work_is_permanent(address):
    with SmtpServer() as smtp:
        with pytest.raises(Permanent) as caught:
            email_by(smtp).deliver(message(), address, "")

        assert (caught.value.code, smtp.mails) == ("bad_address", [])


# ── preview


def test_a_preview_keeps_exactly_what_slack_and_the_mail_server_would_have_got():
    kept = Kept()
    with SlackServer() as slack, SmtpServer() as smtp:
        previews = open_channels({}, kept)
        for name, address, real in (("slack", "#a", slack_by(slack)), ("email", "a@example.org", email_by(smtp))):
            told = previews[name].deliver(message(), address, "")
            real.deliver(message(), address, "")
            assert told.previewed

        (_, _, _, shown), (_, _, _, mail) = kept.payloads.values()
        assert shown == {"text": slack.calls[0].payload["text"], "blocks": slack.calls[0].payload["blocks"]}
        assert mail["subject"] == smtp.mails[0].message["Subject"]
        assert mail["html"].split() == smtp.mails[0].part("html").split()
        assert mail["text"].split() == smtp.mails[0].part("plain").split()


def test_an_edit_of_a_preview_counts_as_an_edit():
    kept = Kept()
    channel = open_channels({}, kept)["slack"]

    first = channel.deliver(message(), "#a", "")
    channel.deliver(message(reason=Reason.REPEATED, count=3), "#a", first.reference)

    assert (len(kept.payloads), kept.edits) == (1, 1)


# ── opening


def test_channels_without_settings_are_previewed_and_say_which_setting_is_missing():
    states = {state.name: state for state in channel_states({})}

    assert not states["slack"].configured
    assert "SLACK_BOT_TOKEN" in states["slack"].why
    assert "SMTP_HOST" in states["email"].why


def test_a_webhook_says_in_its_state_what_it_cannot_do():
    slack, _ = channel_states({"SLACK_WEBHOOK_URL": "https://hooks.example.org/services/x"})

    assert slack.configured
    assert "no edits" in slack.why


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"SLACK_BOT_TOKEN": "xoxb 1"}, "SLACK_BOT_TOKEN"),
        ({"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_API_URL": "http://slack.example.org/api/"}, "SLACK_API_URL"),
        ({"SLACK_WEBHOOK_URL": "http://hooks.example.org/x"}, "SLACK_WEBHOOK_URL"),
        ({"SLACK_WEBHOOK_URL": "hooks.example.org/x"}, "SLACK_WEBHOOK_URL"),
        ({"SMTP_HOST": "m.example.org"}, "SMTP_FROM"),
        ({"SMTP_HOST": "m.example.org", "SMTP_FROM": "not an address"}, "SMTP_FROM"),
        ({"SMTP_HOST": "m.example.org", "SMTP_FROM": "a@b.c", "SMTP_TLS": "ssl"}, "SMTP_TLS"),
        ({"SMTP_HOST": "m.example.org", "SMTP_FROM": "a@b.c", "SMTP_PORT": "99999"}, "SMTP_PORT"),
        ({"SMTP_HOST": "m.example.org", "SMTP_FROM": "a@b.c", "SMTP_USERNAME": "u"}, "SMTP_PASSWORD"),
        (
            {
                "SMTP_HOST": "m.example.org",
                "SMTP_FROM": "a@b.c",
                "SMTP_USERNAME": "u",
                "SMTP_PASSWORD": "p",
                "SMTP_TLS": "none",
            },
            "starttls",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_with_the_name_of_the_setting(environ, named):
    with pytest.raises(SettingsError, match=named):
        open_channels(environ, Kept())


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"SMTP_HOST": "m.example.org"}, (587, "starttls")),
        ({"SMTP_HOST": "m.example.org", "SMTP_PORT": "465"}, (465, "tls")),
        ({"SMTP_HOST": "127.0.0.1"}, (25, "none")),
        ({"SMTP_HOST": "localhost", "SMTP_PORT": "1025"}, (1025, "none")),
    ],
)
def test_mail_is_encrypted_by_default_except_on_this_machine(environ, expected):
    from alert_bridge.channels.email import smtp_settings

    settings = smtp_settings({"SMTP_FROM": "Alerts <a@example.org>", **environ})

    assert (settings.port, settings.security) == expected
