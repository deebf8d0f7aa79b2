"""A message as a mail: text and HTML from templates, headers that thread it and keep robots from answering. Pure.

Sources: RFC 3834 (Auto-Submitted), RFC 5322 §3.6.4 (References). Gmail threads by the same subject and a reference that
all mails of the thread name; the incident's id is such a reference, to a mail that was never sent.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from alert_bridge.channels.headline import in_two
from alert_bridge.model import Message, Reason, Severity

__all__ = ["MAX_HTML_BYTES", "Mail", "mail_of", "mime_of"]

MAX_HTML_BYTES = 100_000  # Gmail clips at 102 kB and hides the rest behind a link
MAX_SUBJECT_CHARS = 150
_ID_DIGITS = 24
_TOO_LONG = "Too long for a mail: the full log has it."

# Band and text colour per state; contrast of white on each is at least 4.5:1.
_COLOURS = {Severity.CRITICAL: "#8e1230", Severity.ERROR: "#b42318", Severity.WARNING: "#8a5a00"}
_RESOLVED_COLOUR, _TEST_COLOUR, _OTHER_COLOUR = "#0b6b43", "#475467", "#1f5fbf"

_UNSAFE_IN_ID = re.compile(r"[^A-Za-z0-9.-]+")


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail to one recipient, rendered but not yet encoded."""

    subject: str
    headers: tuple[tuple[str, str], ...]
    text: str
    html: str


def mail_of(message: Message, address: str, domain: str) -> Mail:
    """Render for one recipient. The same notice gives the same Message-ID, so that a repeated try is recognised."""
    html = _render("message.html", message)
    if len(html.encode()) > MAX_HTML_BYTES:
        html = _render("message.html", message, shortened=True)
    thread = f"<incident-{_id(message.incident_id)}@{domain}>"
    headers = (
        ("Message-ID", f"<notice-{_id(message.key, address)}@{domain}>"),
        ("In-Reply-To", thread),
        ("References", thread),
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "All"),
    )
    return Mail(_header_safe(message.subject), headers, _render("message.txt", message), html)


def mime_of(mail: Mail, sender: str, recipient: str, date: datetime) -> EmailMessage:
    """The mail with its parts encoded; every line is ASCII, whatever the server supports.

    Raises:
        ValueError: the recipient is not an address that a header can carry.
    """
    mime = EmailMessage(policy=SMTP)
    mime["Subject"] = mail.subject
    mime["From"] = _address(sender)
    mime["To"] = _address(recipient)
    mime["Date"] = date
    for name, value in mail.headers:
        mime[name] = value
    mime.set_content(mail.text, cte="quoted-printable")
    mime.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    return mime


def _render(template: str, message: Message, *, shortened: bool = False) -> str:
    state, _, reason = in_two(message)
    text = (
        _templates()
        .get_template(template)
        .render(
            message=message,
            state=state,
            reason=reason,
            colour=_colour(message),
            log_tail=() if shortened else message.log_tail,
            log_title=_TOO_LONG if shortened and message.log_tail else message.log_title,
            stacktrace=_TOO_LONG if shortened and message.stacktrace else message.stacktrace,
        )
    )
    return text.encode("utf-8", "replace").decode()


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _colour(message: Message) -> str:
    if message.resolved:
        return _RESOLVED_COLOUR
    if message.reason is Reason.TEST:
        return _TEST_COLOUR
    return _COLOURS.get(message.severity, _OTHER_COLOUR)


def _address(text: str) -> Address:
    """Parsed apart, so that no character of it can become another header or another recipient."""
    name, address = parseaddr(text)
    if not text.isprintable() or address.count("@") != 1:
        raise ValueError(f"not a mail address: {text!r}")
    return Address(display_name=name, addr_spec=address)


def _id(*parts: str) -> str:
    """Readable where it can be, unique in any case."""
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:_ID_DIGITS]
    readable = _UNSAFE_IN_ID.sub("-", parts[0])[:40].strip("-.")
    return f"{readable}-{digest}" if readable else digest


def _header_safe(text: str) -> str:
    """One line of printable characters: CR, LF, NEL and the Unicode separators would end a header."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line[:MAX_SUBJECT_CHARS] or "pipeline alert"
