"""Email: expanded summaries in text and HTML, by any SMTP server."""

from __future__ import annotations

from alert_bridge.channels.email.channel import Email
from alert_bridge.channels.email.mime import Mail, mail_of, mime_of
from alert_bridge.channels.email.settings import SmtpSettings, smtp_settings

__all__ = ["Email", "Mail", "SmtpSettings", "mail_of", "mime_of", "smtp_settings"]
