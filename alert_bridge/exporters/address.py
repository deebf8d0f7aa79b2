"""The address of a server that an exporter writes to, looked at before a key goes there."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from alert_bridge.errors import SettingsError

__all__ = ["checked", "is_in_the_clear"]

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def checked(url: str, name: str, example: str) -> SplitResult:
    """The parts of a web address. ``name`` is the variable that it stands in, ``example`` one that would do.

    Raises:
        SettingsError: it is no web address.
    """
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        is_address = False
    if not is_address:
        raise SettingsError(f"{name} {url!r} is not a web address such as {example}")
    return parts


def is_in_the_clear(parts: SplitResult) -> bool:
    """Whether others could read what is sent there."""
    return parts.scheme == "http" and parts.hostname not in _LOOPBACK
