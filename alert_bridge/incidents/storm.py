"""A storm: more new problems than a person can be told of one by one. What is beyond is one message, counted exactly.

Only first messages of problems that nobody heard of are gathered; what somebody was told of already goes its own way.
CRITICAL does so much longer than the rest. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from alert_bridge.incidents.case import Case, Event
from alert_bridge.model import Fingerprint, Recipient, Record, Severity
from instrumentation import attributes as names

__all__ = [
    "STORM",
    "STORM_A_MINUTE",
    "STORM_CRITICAL_A_MINUTE",
    "STORM_CRITICAL_WAITING",
    "STORM_OVER_AFTER_S",
    "STORM_PROBLEMS_COUNTED",
    "STORM_PROBLEMS_KEPT",
    "STORM_RATE_WINDOW_S",
    "STORM_WAITING",
    "STORM_WAITING_WINDOW_S",
    "Crowd",
    "Gathered",
    "as_kept",
    "described",
    "is_storm",
    "may_be_gathered",
    "of_storm",
]

STORM = "storm"  # the value of `pipeline.alerts.watch` on its record
STORM_WAITING = 30  # so many first messages already wait for one address: the next problems are gathered
STORM_WAITING_WINDOW_S = 300.0  # of these; older ones wait for something else, such as a channel that is away
STORM_A_MINUTE = 60  # or so many new problems within a minute, however fast the channel takes them
STORM_RATE_WINDOW_S = 60.0
STORM_CRITICAL_WAITING = (
    100  # the same for a CRITICAL one: at a message a second, nobody reads the last of more in time
)
STORM_CRITICAL_A_MINUTE = 200
STORM_PROBLEMS_KEPT = 2_000  # of one storm: these have a title, an issue and a trail; of the others only the counts
STORM_PROBLEMS_COUNTED = 200_000  # told apart; beyond it their records are counted, and "more than" is said
STORM_OVER_AFTER_S = 120.0  # nothing new for so long
WORST_NAMED = 3
TITLE = "Many problems at once"
TITLE_CHARACTERS = 60


@dataclass(slots=True)
class Crowd:
    """New problems of one address: how many wait for their first message, and how many came within the last minute."""

    waiting: int = 0
    recent: int = 0

    def is_full_for(self, severity: Severity) -> bool:
        """Whether the next problem would be one too many."""
        if severity >= Severity.CRITICAL:
            return self.waiting >= STORM_CRITICAL_WAITING or self.recent >= STORM_CRITICAL_A_MINUTE
        return self.waiting >= STORM_WAITING or self.recent >= STORM_A_MINUTE


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a storm holds: problems, records, and the worst of them as (title, records)."""

    problems: int
    records: int
    worst: Sequence[tuple[str, int]]
    uncounted: bool = False  # there are more problems than are told apart; their records are counted


def may_be_gathered(event: Event) -> bool:
    """Whether an event may be told in a storm's message: not what the bridge says by itself."""
    own = (names.TEST_ALERT, names.OWN_TROUBLE, names.DIGEST, names.WATCHED)
    return not any(event.record.attributes.get(name) for name in own)


def as_kept(event: Event, place: int) -> Event:
    """The event as a storm remembers it, whose problem is the ``place``-th of it: with less and less of it."""
    if place <= STORM_PROBLEMS_KEPT:
        return event
    if place <= STORM_PROBLEMS_COUNTED:
        return replace(event, title="")
    return replace(event, title="", fingerprint=replace(event.fingerprint, value=""))


def of_storm(event: Event, recipients: tuple[Recipient, ...], found: Fingerprint) -> Event:
    """The event as a record of the storm of its pipeline, ``found``, for those who are told of it that way."""
    return replace(
        event, fingerprint=found, title="many problems at once", recipients=recipients, effect="", runbook=""
    )


def is_storm(record: Record) -> bool:
    """Whether an incident with this sample is a storm."""
    return record.attributes.get(names.WATCHED) == STORM


def described(case: Case, gathered: Gathered | None = None) -> Case:
    """The storm's incident with a text that says what it holds by now; without ``gathered``, only that it is one.

    Counting what a storm holds takes longer the more it is: done when it is told, not when a record comes.
    """
    incident = case.incident
    kept = {name: value for name, value in incident.sample.attributes.items() if not name.startswith("exception.")}
    kept.pop(names.TEMPLATE, None)
    sample = replace(
        incident.sample,
        body=_in_words(gathered) if gathered else TITLE,
        event_name="",
        attributes={**kept, names.WATCHED: STORM},
    )
    return replace(case, incident=replace(incident, title=TITLE, stage="", sample=sample))


def _in_words(gathered: Gathered) -> str:
    worst = "; ".join(
        f"{title[:TITLE_CHARACTERS].strip()} ({records:,})" for title, records in gathered.worst[:WORST_NAMED]
    )
    more_than = "more than " if gathered.uncounted else ""
    more = f"{gathered.problems:,} more problem{'s' if gathered.problems > 1 else ''}"
    many = f"{more_than}{more}, too many to tell one by one"
    return f"{many}: {gathered.records:,} records. Worst: {worst}"
