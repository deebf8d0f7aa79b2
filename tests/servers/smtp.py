"""A real SMTP server on port 0: plain relay, STARTTLS or TLS with a certificate made on the spot, AUTH, and a script.

    with SmtpServer(security="starttls", username="bot", password="pw") as smtp:
        smtp.refuse("gone@example.org", "550 5.1.1 No such user")
        ...
        assert [mail.recipients for mail in smtp.mails] == [["mdd@example.org"]]

A client that checks certificates finds the server's own in `certificate` (`SSL_CERT_FILE=…` makes Python trust it).
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
import threading
import time
from collections import deque
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Literal, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.servers.certificate import write_certificate

__all__ = ["Mail", "SmtpServer"]

Security = Literal["none", "starttls", "tls"]
DISCONNECT = "disconnect"


@dataclass(frozen=True, slots=True)
class Mail:
    """One message that the server took. ``at`` is monotonic seconds."""

    sender: str
    recipients: list[str]
    raw: bytes
    at: float
    encrypted: bool
    login: str

    @property
    def message(self) -> EmailMessage:
        """Parsed by the standard library, as a mail client would."""
        parsed = message_from_bytes(self.raw, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    def part(self, subtype: str) -> str:
        """The decoded text of the `text/<subtype>` part."""
        part = self.message.get_body((subtype,))
        assert part is not None, f"no text/{subtype} part"
        return str(part.get_content())


class SmtpServer:
    """Runs its own event loop in a thread while entered."""

    def __init__(self, *, security: Security = "none", username: str = "", password: str = "") -> None:
        self.security: Security = security
        self.username, self.password = username, password
        self.port = 0
        self.host = "127.0.0.1"
        self._changed = threading.Condition()
        self._mails: list[Mail] = []
        self._connections = 0
        self._recipients: dict[str, deque[str]] = {}
        self._always: dict[str, str] = {}
        self._data: deque[str] = deque()
        self._folder = tempfile.TemporaryDirectory(prefix="smtp-server-")
        self.certificate: Path | None = None
        self._context: ssl.SSLContext | None = None
        if security != "none":
            self.certificate, key = write_certificate(Path(self._folder.name))
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(self.certificate, key)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="smtp-server")
        self._server: asyncio.Server | None = None

    @property
    def environ(self) -> dict[str, str]:
        """The bridge's settings that reach this server."""
        return {
            "SMTP_HOST": self.host,
            "SMTP_PORT": str(self.port),
            "SMTP_TLS": self.security,
            "SMTP_FROM": "Pipeline alerts <alerts@example.org>",
            **({"SMTP_USERNAME": self.username, "SMTP_PASSWORD": self.password} if self.username else {}),
        }

    @property
    def mails(self) -> list[Mail]:
        """What was taken, in order."""
        with self._changed:
            return list(self._mails)

    @property
    def connections(self) -> int:
        """How many sessions said EHLO or HELO."""
        with self._changed:
            return self._connections

    def refuse(self, recipient: str, *answers: str) -> None:
        """Answer RCPT for this address so, once per answer; then take it."""
        with self._changed:
            self._recipients.setdefault(recipient, deque()).extend(answers)

    def refuse_always(self, recipient: str, answer: str) -> None:
        """Answer every RCPT for this address so."""
        with self._changed:
            self._always[recipient] = answer

    def answer_data(self, *answers: str) -> None:
        """Answer the end of DATA so, once per answer; only a 2xx takes the mail."""
        with self._changed:
            self._data.extend(answers)

    def disconnect_after_data(self) -> None:
        """Take the next mail and close the connection without an answer."""
        self.answer_data(DISCONNECT)

    def wait_for_mails(self, count: int, within_seconds: float = 60.0) -> list[Mail]:
        """The mails once there are this many; fails with what there is when the time is over."""
        deadline = time.monotonic() + within_seconds
        with self._changed:
            while len(self._mails) < count:
                left = deadline - time.monotonic()
                assert left > 0, f"{count} mails expected, got {len(self._mails)}"
                self._changed.wait(left)
            return list(self._mails)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._folder.cleanup()

    async def _listen(self) -> asyncio.Server:
        implicit = self._context if self.security == "tls" else None
        return await self._loop.create_server(self._session, self.host, 0, ssl=implicit)

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        sessions = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in sessions:
            task.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)
        await asyncio.sleep(0)  # lets the transports that were closed say so

    def _session(self) -> SMTP:
        starttls = self.security == "starttls"
        return SMTP(
            _Handler(self),
            hostname="mail.test",
            tls_context=self._context if starttls else None,
            require_starttls=starttls,
            authenticator=self._check,
            auth_required=False,  # the handler asks for it: this option warns without STARTTLS, TLS or not
            auth_require_tls=starttls,
            loop=self._loop,
        )

    def _check(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object
    ) -> AuthResult:
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (
            self.username.encode(),
            self.password.encode(),
        )
        return AuthResult(success=good, handled=False, auth_data=data)

    def greet(self) -> None:
        with self._changed:
            self._connections += 1

    def answer_recipient(self, address: str) -> str:
        with self._changed:
            planned = self._recipients.get(address)
            return planned.popleft() if planned else self._always.get(address, "250 2.1.5 OK")

    def take(self, mail: Mail) -> str:
        with self._changed:
            answer = self._data.popleft() if self._data else "250 2.0.0 Taken"
            if answer == DISCONNECT or answer.startswith("2"):
                self._mails.append(mail)
                self._changed.notify_all()
            return answer


class _Handler:
    """aiosmtpd's hooks, told to a server that tests can read."""

    def __init__(self, owner: SmtpServer) -> None:
        self._owner = owner

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self._owner.greet()
        return responses

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._owner.username and not session.authenticated:
            return "530 5.7.0 Authentication required"
        answer = self._owner.answer_recipient(address)
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        login = session.auth_data.login.decode() if isinstance(session.auth_data, LoginPassword) else ""
        content = envelope.original_content or b""
        mail = Mail(
            envelope.mail_from or "",
            list(envelope.rcpt_tos),
            content,
            time.monotonic(),
            session.ssl is not None or self._owner.security == "tls",
            login,
        )
        answer = self._owner.take(mail)
        if answer == DISCONNECT:
            assert server.transport is not None
            server.transport.abort()
            return "250 nobody hears this"
        return answer
