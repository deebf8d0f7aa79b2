"""Email by SMTP: expanded summaries, one mail per call, one recipient per mail, so that each gets a receipt of its own.

Mails cannot be edited. A repeat sends nothing: it is counted, and the next mail about the incident (reminder,
escalation, resolution) tells the count.
"""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
from datetime import UTC, datetime
from email.message import EmailMessage

from alert_bridge.channels.base import Delivered
from alert_bridge.channels.email.mime import mail_of, mime_of
from alert_bridge.channels.email.settings import SmtpSettings
from alert_bridge.errors import Ambiguous, DeliveryError, Permanent, Retryable
from alert_bridge.model import Message, Reason

__all__ = ["Email"]

TIMEOUT_SECONDS = 20
MAX_REPLY_CHARS = 200

_READY_FOR_DATA = 354
_FIRST_NEGATIVE = 400
_FIRST_PERMANENT = 500


class Email:
    """The mail channel. Its reference is the Message-ID."""

    name = "email"
    edits = False
    pause = 0.0

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings
        self._trust = ssl.create_default_context() if settings.security != "none" else None
        # smtplib's own default asks the resolver for this machine's full name, which can take seconds.
        name = socket.gethostname()
        self._hostname = name if re.fullmatch(r"[A-Za-z0-9.-]+", name) else "localhost"

    def __repr__(self) -> str:
        return f"Email({self._settings.host}:{self._settings.port}, {self._settings.security})"

    def deliver(self, message: Message, address: str, earlier: str) -> Delivered:
        """Send one mail; a repeat is only counted."""
        if message.reason is Reason.REPEATED and earlier:
            return Delivered(earlier, "a mail cannot be edited: counted, told with the next mail")
        try:
            mail = mail_of(message, address, self._settings.domain)
            mime = mime_of(mail, self._settings.sender, address, datetime.now(UTC))
        except ValueError:
            raise Permanent(f"{address!r} is not a mail address: correct the policy", code="bad_address") from None
        with self._connection() as smtp:
            reply = self._send(smtp, mime, address)
        return Delivered(str(mime["Message-ID"]), f"{address}: {reply}")

    def _connection(self) -> _Connection:
        settings = self._settings
        try:
            smtp = self._connect()
        except (OSError, smtplib.SMTPException) as error:
            raise _before_data(error, f"the mail server {settings.host}:{settings.port} cannot be reached") from None
        try:
            smtp.ehlo_or_helo_if_needed()
            if settings.security == "starttls":
                smtp.starttls(context=self._trust)
            if settings.username:
                smtp.login(settings.username, settings.password)
        except smtplib.SMTPNotSupportedError as error:
            smtp.close()
            what = "STARTTLS" if "STARTTLS" in str(error) else "login"
            advice = (
                "set SMTP_TLS to tls, or to none if the way there is safe" if what == "STARTTLS" else "see SMTP_TLS"
            )
            raise Permanent(f"{settings.host} offers no {what}: {advice}", code=f"no_{what.lower()}") from None
        except (OSError, smtplib.SMTPException) as error:
            smtp.close()
            raise _before_data(error, f"{settings.host} does not let us in") from None
        return _Connection(smtp)

    def _connect(self) -> smtplib.SMTP:
        settings = self._settings
        if settings.security == "tls":
            return smtplib.SMTP_SSL(
                settings.host, settings.port, self._hostname, timeout=TIMEOUT_SECONDS, context=self._trust
            )
        return smtplib.SMTP(settings.host, settings.port, self._hostname, timeout=TIMEOUT_SECONDS)

    def _send(self, smtp: smtplib.SMTP, mime: EmailMessage, address: str) -> str:
        """MAIL, RCPT and DATA one by one: only what follows the end of the data is ambiguous when the line breaks."""
        content = re.sub(rb"(?m)^\.", b"..", mime.as_bytes())
        recipient = mime["To"].addresses[0].addr_spec
        try:
            _expect(smtp.mail(self._settings.sender_address), f"the sender {self._settings.sender_address}")
            _expect(smtp.rcpt(recipient), address)
            code, reply = smtp.docmd("DATA")
            if code != _READY_FOR_DATA:
                raise _refused(code, reply, address)
        except UnicodeError:
            raise Permanent(f"{address} has letters that this mail server cannot take", code="bad_address") from None
        except (OSError, smtplib.SMTPException) as error:
            raise _before_data(error, "the mail server broke off before the mail was on its way") from None
        try:
            smtp.send(content + b".\r\n")
            code, reply = smtp.getreply()
        except (OSError, smtplib.SMTPException):
            raise Ambiguous("the mail server broke off after the mail was on its way", code="disconnected") from None
        _expect((code, reply), address)
        return _text(reply, code)


class _Connection:
    """Says goodbye after a mail, and never lets a failing goodbye spoil a delivery."""

    def __init__(self, smtp: smtplib.SMTP) -> None:
        self._smtp = smtp

    def __enter__(self) -> smtplib.SMTP:
        return self._smtp

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._smtp.quit()
        except (OSError, smtplib.SMTPException):
            pass  # the mail is taken; how the line ends does not matter
        finally:
            self._smtp.close()


def _expect(answer: tuple[int, bytes], subject: str) -> None:
    code, reply = answer
    if not 0 < code < _FIRST_NEGATIVE:
        raise _refused(code, reply, subject)


def _refused(code: int, reply: bytes, subject: str) -> DeliveryError:
    """4xx heals, 5xx does not (RFC 5321 §4.2.1); 421 and a nonsensical answer are a server in trouble."""
    text = f"the mail server refuses {subject}: {_text(reply, code)}"
    return Permanent(text, code=str(code)) if code >= _FIRST_PERMANENT else Retryable(text, code=str(code))


def _before_data(error: OSError | smtplib.SMTPException, what: str) -> DeliveryError:
    """Nothing was sent yet, so nothing is ambiguous. What the server said decides; a broken line heals."""
    if isinstance(error, smtplib.SMTPAuthenticationError) and error.smtp_code >= _FIRST_PERMANENT:
        said = _text(error.smtp_error, error.smtp_code)
        return Permanent(f"{what}: {said}: check SMTP_USERNAME and SMTP_PASSWORD", code=str(error.smtp_code))
    if isinstance(error, smtplib.SMTPResponseException) and error.smtp_code > 0:
        return Retryable(f"{what}: {_text(error.smtp_error, error.smtp_code)}", code=str(error.smtp_code))
    if isinstance(error, ssl.SSLCertVerificationError):
        advice = "trust its authority with SSL_CERT_FILE, or correct SMTP_HOST"
        return Permanent(
            f"{what}: its certificate is not trusted ({error.verify_message}): {advice}", code="certificate"
        )
    if isinstance(error, ssl.SSLError):
        return Retryable(f"{what}: the TLS handshake failed: check SMTP_TLS and SMTP_PORT", code="tls")
    if isinstance(error, socket.gaierror):
        return Retryable(f"{what}: its name does not resolve", code="unreachable")
    if isinstance(error, TimeoutError):
        return Retryable(f"{what}: no answer within {TIMEOUT_SECONDS} s", code="timeout")
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return Retryable(f"{what}: it closed the connection", code="disconnected")
    return Retryable(f"{what}: {getattr(error, 'strerror', None) or 'the connection broke'}", code="unreachable")


def _text(reply: bytes | str, code: int) -> str:
    said = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    return f"{code} {' '.join(said.split())}"[:MAX_REPLY_CHARS]
