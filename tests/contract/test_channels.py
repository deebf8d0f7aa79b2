"""What every channel owes, proved over real sockets: any record is taken, no secret is named."""

from __future__ import annotations

import json
import logging
import traceback
from contextlib import contextmanager

import pytest

from alert_bridge.channels import channel_states, open_channels
from alert_bridge.errors import DeliveryError
from alert_bridge.model import Duty, Reason, Record, Severity
from instrumentation import attributes as names
from tests.servers.channels import PASSWORD, Kept, email_by, message, record, slack_by, webhook_by
from tests.servers.slack import (
    TOKEN,
    WEBHOOK_PATH,
    SlackServer,
    close_after,
    error,
    hang,
    http_error,
    rate_limited,
)
from tests.servers.smtp import SmtpServer

SECRETS = (TOKEN, WEBHOOK_PATH, WEBHOOK_PATH.rpartition("/")[2], PASSWORD)


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
