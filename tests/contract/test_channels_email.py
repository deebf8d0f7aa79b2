"""Email over a real socket: threads, encryption, no injection, and refusals told for their recipient alone."""

from __future__ import annotations

import dataclasses

import pytest

from alert_bridge.errors import Ambiguous, DeliveryError, Permanent, Retryable
from alert_bridge.model import Reason
from instrumentation import attributes as names
from tests.servers.channels import HOSTILE, PASSWORD, email_by, message, record
from tests.servers.smtp import SmtpServer


def test_a_mail_has_both_parts_one_recipient_and_the_link_to_the_record():
    with SmtpServer() as smtp:
        email_by(smtp).deliver(message(), "mdd@example.org", "")

        (mail,) = smtp.mails
        assert mail.recipients == ["mdd@example.org"]
        assert [part.get_content_type() for part in mail.message.iter_parts()] == ["text/plain", "text/html"]
        assert "https://alerts.example.org/runs/r1/log?around=t-1#r-t-1" in mail.part("plain")


def test_a_mail_asks_machines_not_to_answer_it():
    with SmtpServer() as smtp:
        email_by(smtp).deliver(message(), "mdd@example.org", "")

        (mail,) = smtp.mails
        assert mail.message["Auto-Submitted"] == "auto-generated"
        assert mail.message["X-Auto-Response-Suppress"] == "All"


def test_the_mails_of_an_incident_are_one_thread():
    with SmtpServer() as smtp:
        channel = email_by(smtp)

        first = channel.deliver(message(), "mdd@example.org", "")
        channel.deliver(message(reason=Reason.RESOLVED, key="i1-2"), "mdd@example.org", first.reference)

        one, two = (mail.message for mail in smtp.mails)
        assert [mail.recipients for mail in smtp.mails] == [["mdd@example.org"]] * 2
        assert one["Subject"] == two["Subject"] == "monthly_run / fetch: Cannot reach the data store"
        assert one["References"] == one["In-Reply-To"] == two["References"] == two["In-Reply-To"]
        assert first.reference == one["Message-ID"] != two["Message-ID"]


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
