"""The preview: exactly what Slack and the mail server would have got."""

from __future__ import annotations

from alert_bridge.channels import open_channels
from alert_bridge.model import Reason
from tests.servers.channels import Kept, email_by, message, slack_by
from tests.servers.slack import (
    SlackServer,
)
from tests.servers.smtp import SmtpServer


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
