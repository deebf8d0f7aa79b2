"""What else decides over an example: quiet hours, silences in force, and what people have heard already. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from alert_bridge.errors import UsageError
from alert_bridge.fingerprint import fingerprint
from alert_bridge.incidents import Case, Event, absorb, open_case, plan, told
from alert_bridge.model import Reason, Recipient, Record, Severity
from alert_bridge.outbox.planning import Rules
from alert_bridge.policy.model import Policy
from alert_bridge.policy.source import Plain
from alert_bridge.routing import Judgement
from alert_bridge.silences import Silence, covers_event, new_silence

__all__ = ["Moment", "held", "next_words", "read_moment", "silent"]

CHANNELS: Final = ("slack", "email")
EDITS: Final = frozenset({"slack"})  # a bot changes its message; a mail cannot be changed
NOTHING: Final = "nothing"
WORDS: Final = (
    *(reason.value for reason in (Reason.OPENED, Reason.REPEATED, Reason.ESCALATED, Reason.REMINDER)),
    NOTHING,
)

_FAR: Final = 2**62
_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Moment:
    """What an example says about the time it happens in. ``held`` None, ``says`` without a channel: not asked."""

    held: frozenset[str] | None = None
    silences: tuple[Silence, ...] = ()
    known_as: Severity | None = None
    says: Mapping[str, str] = field(default_factory=dict)


def read_moment(place: str, row: Mapping[str, Plain]) -> Moment:
    """The keys `held`, `silences`, `open` and `says` of one example.

    Raises:
        UsageError: one of them makes no sense; ``place`` says where.
    """
    return Moment(
        held=frozenset(_names(row["held"])) if "held" in row else None,
        silences=_silences(place, row.get("silences")),
        known_as=_severity(place, row["open"]) if row.get("open") else None,
        says=_says(place, row.get("says")),
    )


def silent(moment: Moment, record: Record, judgement: Judgement) -> bool:
    """Whether a silence of the example holds the record back."""
    event = Event(record, judgement.severity, fingerprint(record), "")
    return any(covers_event(silence, event, "") for silence in moment.silences)


def held(recipients: Sequence[Recipient], judgement: Judgement, policy: Policy, now: int) -> frozenset[str]:
    """The audiences that hear of it only when their quiet hours are over, in every channel."""
    if judgement.severity >= Severity.CRITICAL:
        return frozenset()
    rules = Rules(policy.grouping, EDITS, policy.quiet)
    late = {key for each in recipients if rules.quiet_until(each.audiences, now) for key in each.audiences}
    at_once = {key for each in recipients if not rules.quiet_until(each.audiences, now) for key in each.audiences}
    return frozenset(late - at_once)


def next_words(
    moment: Moment, recipients: Sequence[Recipient], judgement: Judgement, policy: Policy
) -> Mapping[str, str]:
    """What each channel says next: opened, repeated (the message is edited), escalated, reminder, or nothing."""
    return {channel: _next(moment, channel, recipients, judgement, policy) for channel in CHANNELS}


def _next(moment: Moment, channel: str, recipients: Sequence[Recipient], judgement: Judgement, policy: Policy) -> str:
    mine = tuple(each for each in recipients if each.channel == channel)
    if not mine:
        return NOTHING
    first = moment.known_as or judgement.severity
    case = _counted(None, mine[:1], first, 0)
    if moment.known_as is not None:
        heard = told(
            case.talks[0],
            as_of=case.incident,
            reason=Reason.OPENED,
            covers=1,
            posted=True,
            reference="known",
            now=_SECOND,
        )
        case = _counted(replace(case, talks=(heard,)), mine[:1], judgement.severity, 2 * _SECOND)
    planned = plan(
        case.incident,
        case.talks[0],
        hold=float(policy.grouping.hold.get(channel, 0.0)),
        repeat_after=policy.grouping.repeat_after,
        edits=channel in EDITS,
    )
    return NOTHING if planned is None or planned.due_at >= _FAR else planned.reason.value


def _counted(before: Case | None, recipients: tuple[Recipient, ...], severity: Severity, now: int) -> Case:
    """One more record of the problem, counted into its incident."""
    record = Record(f"example-{now}", now, now, severity, severity.name, "example")
    event = Event(record, severity, fingerprint(record), "example", recipients)
    case = before or open_case(event, incident_id="example", seen_before=0, now=now)
    return absorb(case, event, now=now)


def _silences(place: str, value: Plain) -> tuple[Silence, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, dict) and item for item in value):
        raise UsageError(f'{place}: silences is a list of conditions: [{{body: "*cache*"}}]')
    found = []
    for item in value:
        assert isinstance(item, dict)
        texts = {key: "" if text is None else str(text) for key, text in item.items()}
        critical = texts.pop("critical", "false").lower() == "true"
        try:
            found.append(
                new_silence(
                    tuple(texts.items()), ends_at=_SECOND, author="example", reason="example", critical=critical, now=0
                )
            )
        except UsageError as error:
            raise UsageError(f"{place}: {error}") from error
    return tuple(found)


def _says(place: str, value: Plain) -> Mapping[str, str]:
    if value is None:
        return {}
    words = value if isinstance(value, dict) else dict.fromkeys(CHANNELS, value)
    for channel, word in words.items():
        if channel not in CHANNELS or word not in WORDS:
            raise UsageError(f"{place}: says is one of {', '.join(WORDS)}, for each of {' and '.join(CHANNELS)}")
    return {channel: str(word) for channel, word in words.items()}


def _names(value: Plain) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else str(value or "").replace(",", " ").split()


def _severity(place: str, value: Plain) -> Severity:
    name = str(value).strip().upper()
    if name not in Severity.__members__:
        raise UsageError(f"{place}: unknown severity {value!r}: one of {', '.join(Severity.__members__)}")
    return Severity[name]
