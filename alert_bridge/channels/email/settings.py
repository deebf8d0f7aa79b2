"""How to reach the mail server, from `SMTP_*`. Encrypted unless the server is this machine or someone said `none`."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parseaddr

from alert_bridge.errors import SettingsError
from alert_bridge.settings import secret, setting

__all__ = ["SmtpSettings", "is_loopback", "smtp_settings"]

_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """``security`` is starttls, tls or none. An empty ``username`` means a relay without login."""

    host: str
    port: int
    security: str
    sender: str  # as in From: a bare address, or one with a name
    username: str = ""
    password: str = field(default="", repr=False)

    @property
    def sender_address(self) -> str:
        """The bare address of the envelope."""
        return parseaddr(self.sender)[1]

    @property
    def domain(self) -> str:
        """The sender's domain, which Message-IDs end in."""
        return self.sender_address.rpartition("@")[2]


def smtp_settings(environ: Mapping[str, str]) -> SmtpSettings | None:
    """The settings, or None without `SMTP_HOST`.

    `SMTP_TLS` defaults to `tls` on port 465, to `none` on this machine, else to `starttls`. A private authority is
    trusted through `SSL_CERT_FILE`.

    Raises:
        SettingsError: a setting is missing or contradicts another; the text says which and what to do.
    """
    host = setting(environ, "SMTP_HOST")
    if not host:
        return None
    port_text = setting(environ, "SMTP_PORT")
    default = "tls" if port_text == str(_PORTS["tls"]) else "none" if is_loopback(host) else "starttls"
    security = setting(environ, "SMTP_TLS", default).lower()
    if security not in _PORTS:
        raise SettingsError(f"SMTP_TLS is {security!r}: it can be starttls, tls or none")
    port = int(port_text) if port_text.isdecimal() else 0 if port_text else _PORTS[security]
    if not 0 < port <= _MAX_PORT:
        raise SettingsError(f"SMTP_PORT is {port_text!r}: it must be a number from 1 to {_MAX_PORT}")
    username, password = setting(environ, "SMTP_USERNAME"), secret(environ, "SMTP_PASSWORD")
    if username and not password:
        raise SettingsError("SMTP_USERNAME is set but SMTP_PASSWORD is not: set it, or unset both for a relay")
    if username and security == "none" and not is_loopback(host):
        raise SettingsError(f"SMTP_TLS is none, which would send SMTP_PASSWORD to {host} for all to read: use starttls")
    sender = setting(environ, "SMTP_FROM") or (username if "@" in username else "")
    address = parseaddr(sender)[1]
    if not sender:
        raise SettingsError("SMTP_HOST is set but SMTP_FROM is not: set it to the address that mail comes from")
    if not address.isascii() or address.count("@") != 1 or not address.isprintable() or address != address.strip("@"):
        raise SettingsError(f"SMTP_FROM is {sender!r}, which is not an address: use alerts@example.org or Name <…>")
    return SmtpSettings(host, port, security, sender, username, password)


def is_loopback(host: str) -> bool:
    """Whether what is sent to this host stays on this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
