"""The engine's values: an event to be judged into an incident, and an incident with all that is said about it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from alert_bridge.model import Fingerprint, Incident, Recipient, Record, Severity

__all__ = ["Case", "Event", "Talk", "TalkState"]


@dataclass(frozen=True, slots=True)
class Event:
    """One record as the policy judged it: how bad it is, which problem it is, and who must hear of it."""

    record: Record
    severity: Severity
    fingerprint: Fingerprint
    title: str
    recipients: tuple[Recipient, ...] = ()
    owner: str = ""
    runbook: str = ""
    effect: str = ""
    silent_until: int = 0  # a silence holds it back so long; 0: none does


class TalkState(enum.StrEnum):
    """Whether a recipient is still spoken to about an incident."""

    OPEN = "open"
    DEAD = "dead"  # the channel will not take it until a person mends something
    FOLDED = "folded"  # the incident is a consequence of another, which is told instead


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation as the engine needs it: the books of one recipient, and what they last heard.

    ``id`` is 0 until it is stored. matched = told + queued + suppressed + dead.
    """

    recipient: Recipient
    opened_at: int
    first_event: int
    id: int = 0
    state: TalkState = TalkState.OPEN
    matched: int = 0
    told: int = 0
    queued: int = 0
    suppressed: int = 0
    dead: int = 0
    reference: str = ""
    first_told_at: int = 0
    last_told_at: int = 0
    last_post_at: int = 0
    posted: int = 0  # records told when the last new message was posted
    told_severity: int = 0
    told_resolved: bool = False
    reminders: int = 0
    stands_in_for: str = ""
    silenced: int = 0  # of the suppressed: held back by a silence, and told when it ends if it is still open
    silent_until: int = 0  # a silence covers the incident; 0: none
    retell_at: int = 0  # when the last silence ended: what is still open then is told once
    quiet_until: int = 0  # the end of the quiet hours that its next message waited for; 0: it did not
    told_folded: bool = False  # the message says that it is part of another incident

    @property
    def key(self) -> tuple[str, str]:
        return self.recipient.channel, self.recipient.address


@dataclass(frozen=True, slots=True)
class Case:
    """One incident with its stages and conversations.

    ``closed_event`` is the event time of what resolved it (0 while open): records after it are a new episode.
    """

    incident: Incident
    stages: frozenset[str]
    last_taken_at: int
    talks: tuple[Talk, ...] = ()
    models: frozenset[str] = frozenset()  # names of the models that reported it
    folded: int = 0  # consequences counted here, but not as the problem itself
    closed_event: int = 0
    closed_by_run: str = ""
