"""What can be an address: checks that answer with what is wrong and what was probably meant."""

from __future__ import annotations

import re

__all__ = ["PLACEHOLDER", "email_problem", "is_placeholder", "key_problem", "slack_problem"]

PLACEHOLDER = "replace-me"
"""Stands in every address of the packaged policy, so that nobody takes one for real."""

MAX_EMAIL_CHARACTERS = 254  # RFC 5321 §4.5.3.1.3, without the angle brackets
MAX_SLACK_NAME_CHARACTERS = 80

_FINE = ("", "")
_SLACK_CHANNEL = re.compile(rf"#[\w.-]{{1,{MAX_SLACK_NAME_CHARACTERS}}}")
_SLACK_ID = re.compile(r"[CGD][A-Z0-9]{2,}|@?[UW][A-Z0-9]{2,}")
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


def is_placeholder(address: str) -> bool:
    """Whether it is one of the packaged policy's, which nobody can receive."""
    return PLACEHOLDER in address


def key_problem(key: str) -> tuple[str, str]:
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", key):
        return _FINE
    return (
        f"{key!r} cannot name an audience",
        "a letter, then letters, digits, - and _; `name` may say more",
    )


def slack_problem(address: str) -> tuple[str, str]:
    """A channel by name or id, or a person by id. Slack knows nobody by @name any more."""
    if address == f"@{PLACEHOLDER}" or _SLACK_ID.fullmatch(address):
        return _FINE
    if address.startswith("#"):
        if _SLACK_CHANNEL.fullmatch(address) and address == address.lower():
            return _FINE
        tidy = re.sub(r"[^\w.-]+", "-", address[1:].strip().lower())[:MAX_SLACK_NAME_CHARACTERS]
        return (
            f"{address!r} cannot be a Slack channel",
            f'did you mean "#{tidy}"?' if tidy else "write its name after the #",
        )
    if address.startswith("@"):
        return f"{address!r} is not a Slack member id", 'in Slack: profile, ⋮, "Copy member ID"; then "@U…"'
    if address.startswith(("http://", "https://")):
        return "a webhook's address is a secret", "name the channel here and set SLACK_WEBHOOK_URL"
    if re.fullmatch(r"[\w.-]+", address):
        return f"{address!r} is not a Slack address", f'did you mean "#{address.lower()}"?'
    return f"{address!r} is not a Slack address", 'write "#channel", its id, or "@U…" for a person'


def email_problem(address: str) -> tuple[str, str]:
    """One plain address that can stand in an SMTP envelope."""
    if len(address) > MAX_EMAIL_CHARACTERS:
        return f"this address is longer than {MAX_EMAIL_CHARACTERS} characters", ""
    local, _, domain = address.partition("@")
    if _EMAIL.fullmatch(address) and ".." not in address and not (local.startswith(".") or local.endswith(".")):
        return _FINE
    inner = re.search(r"<([^<>\s]+@[^<>\s]+)>", address)
    if inner:
        return f"{address!r} carries a name", f"write only {inner[1]}"
    if "," in address or ";" in address:
        return f"{address!r} is more than one address", "write a list: [a@…, b@…]"
    if not domain:
        return f"{address!r} is not an email address", "name@domain"
    return f"{address!r} is not an email address", ""
