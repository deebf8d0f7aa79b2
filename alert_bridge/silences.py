"""Silences: what people do not want to hear for a while, and which of it a record or an incident is. Pure, but for ids.

A silence never loses anything: what it holds back is counted, shown, and told when the silence ends if it is still
open. CRITICAL is held back only where somebody said so.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from alert_bridge.errors import UsageError
from alert_bridge.incidents import Event
from alert_bridge.model import Incident, Record, Severity
from alert_bridge.policy.model import Match
from alert_bridge.routing import value_of

__all__ = [
    "FINGERPRINT",
    "LONGEST_S",
    "SEVERITY",
    "Silence",
    "covering",
    "covers_event",
    "covers_incident",
    "in_words",
    "new_silence",
]

FINGERPRINT = "fingerprint"
SEVERITY = "severity"
LONGEST_S = 366 * 86_400.0  # whoever wants it for longer wants a rule, where others read it
ID_BYTES = 5  # 8 characters: typed by people; whoever could guess one can also list them

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Silence:
    """What is held back, until when, and who wants it.

    ``match`` has the keys of a policy's rules, and `fingerprint`; `severity` is what the policy made of the record. An
    ``incident_id`` stands instead of conditions. Times are nanoseconds since the epoch.
    """

    id: str
    match: Match
    author: str
    reason: str
    created_at: int
    ends_at: int
    incident_id: str = ""
    critical: bool = False
    ended_by: str = ""
    applied_at: int = 0
    released_at: int = 0

    def is_in_force(self, now: int) -> bool:
        """Whether it holds anything back at this moment."""
        return self.created_at <= now < self.ends_at


def covers_event(silence: Silence, event: Event, incident_id: str) -> bool:
    """Whether this record of this incident is held back."""
    return _covers(silence, event.record, event.severity, event.fingerprint.value, incident_id)


def covers_incident(silence: Silence, incident: Incident) -> bool:
    """Whether an open incident is held back, judged by its latest record."""
    return _covers(silence, incident.sample, incident.severity, incident.fingerprint, incident.id)


def covering(silences: Iterable[Silence], incident: Incident, now: int) -> Silence | None:
    """The silence in force that covers an incident for the longest time."""
    found = [silence for silence in silences if silence.is_in_force(now) and covers_incident(silence, incident)]
    return max(found, key=lambda silence: (silence.ends_at, silence.id), default=None)


def in_words(silence: Silence) -> str:
    """What it holds back: `incident abc`, or `pipeline=monthly_run, body=*disk*`; and CRITICAL, where it does."""
    conditions = silence.match.conditions
    what = f"incident {silence.incident_id}" if silence.incident_id else ", ".join(f"{k}={v}" for k, v in conditions)
    return f"{what}, CRITICAL too" if silence.critical else what


def new_silence(
    conditions: tuple[tuple[str, str], ...],
    incident: str = "",
    *,
    ends_at: int,
    author: str,
    reason: str,
    critical: bool,
    now: int,
) -> Silence:
    """A silence as a person wants it, with an id of its own.

    Raises:
        UsageError: it would hold back nothing, everything, or for ever, or nobody says why.
    """
    if bool(conditions) == bool(incident):
        raise UsageError("say what to silence: conditions such as pipeline=monthly_run, or one incident")
    if conditions and all(not pattern.strip("*") for _, pattern in conditions):
        raise UsageError("these conditions match everything: name at least one thing that is to be silent")
    for key, pattern in conditions:
        if key == SEVERITY and not set(pattern) & set("*?") and pattern.upper() not in Severity.__members__:
            raise UsageError(f"unknown severity {pattern!r}: one of {', '.join(Severity.__members__)}")
    if not author.strip() or not reason.strip():
        raise UsageError("say who you are and why: whoever misses an alert will ask")
    if ends_at <= now:
        raise UsageError("the end of the silence is past")
    if ends_at - now > LONGEST_S * _NS:
        raise UsageError("a silence of more than a year is a rule: write it into the policy file, where others read it")
    exact = tuple((key, pattern.upper() if key == SEVERITY else pattern) for key, pattern in sorted(conditions))
    silence_id = base64.b32encode(secrets.token_bytes(ID_BYTES)).decode().lower()
    return Silence(silence_id, Match(exact), author.strip(), reason.strip(), now, ends_at, incident, critical)


def _covers(silence: Silence, record: Record, severity: Severity, fingerprint: str, incident_id: str) -> bool:
    if severity >= Severity.CRITICAL and not silence.critical:
        return False
    if silence.incident_id:
        return silence.incident_id == incident_id
    for key, fits in silence.match.tests:
        value = severity.name if key == SEVERITY else fingerprint if key == FINGERPRINT else value_of(record, key)
        if value is None or not fits(value):
            return False
    return bool(silence.match.tests)
