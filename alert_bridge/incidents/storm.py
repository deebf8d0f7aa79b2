"""A storm: more new problems than a person can be told of one by one. What is beyond is one message, counted exactly.

Only first messages of problems that nobody heard of are gathered; what somebody was told of already goes its own way.
CRITICAL does so much longer than the rest, and so do the first few problems of a pipeline while another one storms.
Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from alert_bridge.incidents.case import Case, Event
from alert_bridge.model import Fingerprint, Recipient, Record, Severity
from instrumentation import attributes as names

__all__ = [
    "STORM",
    "STORM_ALONE",
    "STORM_A_MINUTE",
    "STORM_CRITICAL_A_MINUTE",
    "STORM_CRITICAL_WAITING",
    "STORM_OVER_AFTER_S",
    "STORM_PROBLEMS_COUNTED",
    "STORM_PROBLEMS_KEPT",
    "STORM_RATE_WINDOW_S",
    "STORM_ROOM",
    "STORM_WAITING",
    "STORM_WAITING_WINDOW_S",
    "Crowd",
    "Gathered",
    "as_kept",
    "described",
    "is_storm",
    "may_be_gathered",
    "of_everywhere",
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
STORM_ALONE = 10  # problems of one pipeline that another one's storm does not keep from being told by themselves
STORM_ROOM = 30  # beyond the limits above, so many of them; what is beyond is told of all pipelines together
STORM_PROBLEMS_KEPT = 2_000  # of one storm: these have a title, an issue and a trail; of the others only the counts
STORM_PROBLEMS_COUNTED = 200_000  # told apart; beyond it their records are counted, and "more than" is said
STORM_OVER_AFTER_S = 120.0  # nothing new for so long
WORST_NAMED = 3
TITLE = "Many problems at once"
EVERYWHERE = "several pipelines"  # in place of a pipeline's name
TITLE_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Crowd:
    """New problems of an address, by pipeline: those that wait for a first message, and those of the last minute."""

    waiting: Counter[str] = field(default_factory=Counter)
    recent: Counter[str] = field(default_factory=Counter)

    def is_full_for(self, severity: Severity, pipeline: str) -> bool:
        """Whether the next problem would be one too many."""
        if not self._is_over(severity, room=0):
            return False
        is_calm = self.waiting[pipeline] < STORM_ALONE and self.recent[pipeline] < STORM_ALONE
        return not is_calm or self.is_overrun(severity)

    def is_overrun(self, severity: Severity) -> bool:
        """Whether so many pipelines are in trouble that not even each of them can be told of by itself."""
        return self._is_over(severity, room=STORM_ROOM)

    def _is_over(self, severity: Severity, *, room: int) -> bool:
        critical = severity >= Severity.CRITICAL
        waiting_most = STORM_CRITICAL_WAITING if critical else STORM_WAITING
        recent_most = STORM_CRITICAL_A_MINUTE if critical else STORM_A_MINUTE
        return self.waiting.total() >= waiting_most + room or self.recent.total() >= recent_most + room


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


def of_everywhere(event: Event, found: Fingerprint) -> Event:
    """The event of a storm as one of the storm of all pipelines, ``found``: there are too many of those, too."""
    where = {names.PIPELINE_NAME: EVERYWHERE, names.DEPLOYMENT_ENVIRONMENT: ""}
    record = replace(event.record, attributes={**event.record.attributes, **where})
    return replace(event, fingerprint=found, record=record)


def is_storm(record: Record) -> bool:
    """Whether an incident with this sample is a storm."""
    return record.attributes.get(names.WATCHED) == STORM


def described(case: Case, gathered: Gathered | None = None) -> Case:
    """The storm's incident with a text that says what it holds by now; without ``gathered``, only that it is one.

    Counting what a storm holds takes longer the more it is: done when it is told, not when a record comes.
    """
    incident = case.incident
    attributes = incident.sample.attributes
    kept = {name: value for name, value in attributes.items() if not name.startswith(("exception.", "code."))}
    kept.pop(names.TEMPLATE, None)
    sample = replace(
        incident.sample,
        body=_in_words(gathered) if gathered else TITLE,
        event_name="",
        scope="",
        attributes={**kept, names.WATCHED: STORM},
    )
    return replace(case, incident=replace(incident, title=TITLE, stage="", sample=sample))


def _in_words(gathered: Gathered) -> str:
    worst = "; ".join(
        f"{title[:TITLE_CHARACTERS].strip()} ({count:,})" for title, count in gathered.worst[:WORST_NAMED]
    )
    more_than = "more than " if gathered.uncounted else ""
    more = f"{gathered.problems:,} more problem{'' if gathered.problems == 1 else 's'}"
    records = f"{gathered.records:,} record{'' if gathered.records == 1 else 's'}"
    many = f"{more_than}{more}, too many to tell one by one"
    return f"{many}: {records}. Worst: {worst}"
