"""The scripted servers are measuring instruments: they are tested before anything is measured with them."""

from __future__ import annotations

import json
import smtplib
import ssl
import urllib.error
import urllib.request

import pytest

from tests.servers.slack import SlackServer, close_after, error, rate_limited
from tests.servers.smtp import SmtpServer

ANSWER_WITHIN_S = 60


def call(server, method, payload):
    request = urllib.request.Request(
        server.api_url + method,
        data=json.dumps(payload).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {server.token}"},
    )
    with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S) as response:
        return json.load(response)


def test_a_post_gets_a_ts_and_only_the_channel_id_that_it_answered_can_be_edited():
    with SlackServer() as slack:
        posted = call(slack, "chat.postMessage", {"channel": "#alerts", "text": "one"})

        by_name = call(slack, "chat.update", {"channel": "#alerts", "ts": posted["ts"], "text": "two"})
        by_id = call(slack, "chat.update", {"channel": posted["channel"], "ts": posted["ts"], "text": "two"})

        assert (by_name["error"], by_id["ok"]) == ("channel_not_found", True)
        assert [message["text"] for message in slack.messages] == ["two"]


def test_a_deleted_message_cannot_be_edited():
    with SlackServer() as slack:
        posted = call(slack, "chat.postMessage", {"channel": "#alerts", "text": "one"})
        slack.delete(posted["channel"], posted["ts"])

        answer = call(slack, "chat.update", {"channel": posted["channel"], "ts": posted["ts"], "text": "two"})

        assert answer == {"ok": False, "error": "message_not_found"}


def test_the_script_is_answered_in_order_and_then_slack_behaves_again():
    with SlackServer() as slack:
        slack.script(rate_limited(2), error("is_archived"), close_after())

        with pytest.raises(urllib.error.HTTPError) as limited:
            call(slack, "chat.postMessage", {"channel": "#a", "text": "1"})
        archived = call(slack, "chat.postMessage", {"channel": "#a", "text": "2"})
        with pytest.raises(OSError, match="closed connection"):
            call(slack, "chat.postMessage", {"channel": "#a", "text": "3"})
        good = call(slack, "chat.postMessage", {"channel": "#a", "text": "4"})

        limited.value.close()
        assert limited.value.headers["Retry-After"] == "2"
        assert (archived["error"], good["ok"]) == ("is_archived", True)
        assert [message["text"] for message in slack.messages] == ["3", "4"]
        assert [call.status for call in slack.calls] == [429, 200, 0, 200]


def test_blocks_that_slack_would_refuse_are_refused():
    with SlackServer() as slack:
        section = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}

        answer = call(slack, "chat.postMessage", {"channel": "#a", "text": "1", "blocks": [section]})

        assert answer["error"] == "invalid_blocks"


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_mail_over_tls_with_a_login_is_taken_from_a_client_that_checks_the_certificate(security):
    with SmtpServer(security=security, username="bot", password="pw") as server:
        trust = ssl.create_default_context(cafile=str(server.certificate))
        if security == "tls":
            client = smtplib.SMTP_SSL(server.host, server.port, timeout=ANSWER_WITHIN_S, context=trust)
        else:
            client = smtplib.SMTP(server.host, server.port, timeout=ANSWER_WITHIN_S)
            client.starttls(context=trust)
        with client:
            client.login("bot", "pw")
            client.sendmail("a@example.org", ["b@example.org"], "Subject: x\r\n\r\nbody")

        (mail,) = server.mails
        assert (mail.recipients, mail.encrypted, mail.login) == (["b@example.org"], True, "bot")
        assert mail.message["Subject"] == "x"


def test_a_refused_recipient_and_a_lost_answer_follow_the_script():
    with SmtpServer() as server:
        server.refuse("gone@example.org", "550 5.1.1 No such user")
        server.disconnect_after_data()
        client = smtplib.SMTP(server.host, server.port, timeout=ANSWER_WITHIN_S)

        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            client.sendmail("a@example.org", ["gone@example.org"], "Subject: x\r\n\r\nbody")
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.sendmail("a@example.org", ["b@example.org"], "Subject: y\r\n\r\nbody")
        client.close()

        assert refused.value.recipients["gone@example.org"][0] == 550
        assert [mail.message["Subject"] for mail in server.mails] == ["y"]
