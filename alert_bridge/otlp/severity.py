"""Severity of a log record: by its number, else by how its text is spelt, else INFO."""

from __future__ import annotations

from alert_bridge.model import Severity

__all__ = ["severity_of"]

HIGHEST_NUMBER = 24

_BY_NUMBER = tuple(Severity.of(number) for number in range(HIGHEST_NUMBER + 1))

# syslog (RFC 5424), Python, Java, Go, R, npm, systemd and klog; compared in lower case, without a trailing digit.
_SPELLINGS: dict[str, Severity] = {
    **dict.fromkeys(("trace", "finest", "finer", "verbose", "silly", "notset"), Severity.TRACE),
    **dict.fromkeys(("debug", "fine", "dbg", "d"), Severity.DEBUG),
    **dict.fromkeys(("info", "information", "informational", "notice", "config", "success", "i"), Severity.INFO),
    **dict.fromkeys(("warn", "warning", "w"), Severity.WARNING),
    **dict.fromkeys(("error", "err", "severe", "exception", "failure", "e"), Severity.ERROR),
    **dict.fromkeys(
        ("critical", "crit", "fatal", "alert", "emerg", "emergency", "panic", "dpanic", "f", "c"), Severity.CRITICAL
    ),
}


def severity_of(number: int, text: str) -> Severity:
    """The severity that people and rules see.

    Numbers are OTLP's 1-24; a higher one reads as CRITICAL, because a sender that counts beyond the scale hardly
    means less. 0 and below are "unspecified": then ``text`` decides, and INFO where it says nothing known.
    """
    if number > 0:
        return _BY_NUMBER[min(number, HIGHEST_NUMBER)]
    return _SPELLINGS.get(text.strip().lower().rstrip("1234"), Severity.INFO)
