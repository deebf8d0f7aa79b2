"""What the parts of a policy mean together: names that nobody has, routes that add nothing, addresses that are missing.

Runs on the parts that are well-formed, so that one wrong line does not hide the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from alert_bridge.errors import Diagnostic
from alert_bridge.model import Severity
from alert_bridge.policy import schedules
from alert_bridge.policy.diagnostics import closest
from alert_bridge.policy.shape import (
    AudienceShape,
    ContactShape,
    ExpectationShape,
    QuietShape,
    RouteShape,
    RuleShape,
)
from alert_bridge.policy.source import Plain, Source, Step, nulls
from alert_bridge.quiet import DAYS

__all__ = ["Draft", "draft", "errors", "warnings"]

_DAY_MINUTES = 1_440

TOLD_CHANNELS = ("slack", "email")
"""The channels that reach people; the others are filled by the exporters."""

_Shape = TypeVar("_Shape", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Draft:
    """The well-formed parts of a policy file. ``names`` has the malformed audiences too: they are meant to exist."""

    source: Source
    names: tuple[str, ...]
    audiences: dict[str, AudienceShape]
    routes: dict[int, RouteShape]
    rules: dict[int, RuleShape]
    expectations: dict[int, ExpectationShape]
    quiet: dict[str, tuple[QuietShape, ...]]  # the well-formed entries of every audience that is named

    def serves(self, channel: str, audience: str) -> bool:
        """Whether a message in this channel can reach the audience: by a route, or on top of all by a rota."""
        on_top = audience in self.audiences and self.audiences[audience].rota is not None
        return any(
            route.channel == channel and (on_top or audience in route.audiences) for route in self.routes.values()
        )


def draft(source: Source) -> Draft:
    """What can be used of a file that may have mistakes."""
    data = source.data if isinstance(source.data, dict) else {}
    audiences = data.get("audiences")
    entries = audiences if isinstance(audiences, dict) else {}
    return Draft(
        source,
        tuple(entries),
        {key: shape for key, value in entries.items() if (shape := _valid(AudienceShape, value)) is not None},
        _valid_items(RouteShape, data.get("routes")),
        _valid_items(RuleShape, data.get("rules")),
        _valid_items(ExpectationShape, data.get("expect")),
        _quiet(data.get("quiet_hours")),
    )


def errors(policy: Draft) -> Iterator[Diagnostic]:
    """Everything that would keep an alert from somebody who is named, or send it to nobody."""
    yield from _unknown_audiences(policy)
    yield from _missing_addresses(policy)
    yield from _rota_months(policy)
    yield from _unreachable_routes(policy)
    yield from _unserved_audiences(policy)
    yield from _unknown_levels(policy)
    yield from _never_awake(policy)


def warnings(policy: Draft, today: date) -> Iterator[Diagnostic]:
    """Everything that works today and will surprise somebody."""
    for key, audience in policy.audiences.items():
        where = ("audiences", key)
        if audience.rota is not None:
            stand_in = bool(audience.slack or audience.email)
            then = "its own addresses stand in" if stand_in else "nobody will be told in their place"
            for month in (schedules.month_of(today), schedules.month_after(today)):
                if month not in audience.rota:
                    yield policy.source.at_key(
                        (*where, "rota"),
                        f"the rota of {key} has nobody for {month}: {then}",
                        f"add a line {month}: {{…}}",
                    )
        elif not any(key in route.audiences for route in policy.routes.values()):
            yield policy.source.at_key(where, f"no route names {key}: it will never be told", "add it to a route")
    yield from _shadowed_rules(policy)


def _references(policy: Draft) -> Iterator[tuple[Step, str]]:
    """Every place that names an audience."""
    for index, route in policy.routes.items():
        for place, name in enumerate(route.audiences):
            yield ("routes", index, "audiences", place), name
    for index, rule in policy.rules.items():
        for place, name in enumerate(rule.set.audiences or ()):
            yield ("rules", index, "set", "audiences", place), name
    for index, expectation in policy.expectations.items():
        for place, name in enumerate(expectation.audiences or ()):
            yield ("expect", index, "audiences", place), name
    for name in policy.quiet:
        yield ("quiet_hours", name), name


def _unknown_audiences(policy: Draft) -> Iterator[Diagnostic]:
    for where, name in _references(policy):
        if name not in policy.names:
            place = policy.source.at_key if where[0] == "quiet_hours" else policy.source.at
            yield place(where, f"unknown audience {name!r}", closest(name, policy.names))


def _missing_addresses(policy: Draft) -> Iterator[Diagnostic]:
    for index, route in policy.routes.items():
        if route.channel not in TOLD_CHANNELS:
            continue
        for place, name in enumerate(route.audiences):
            audience = policy.audiences.get(name)
            if audience is None or getattr(audience, route.channel) or audience.rota is not None:
                continue
            line, _ = policy.source.keys["audiences", name]
            yield policy.source.at(
                ("routes", index, "audiences", place),
                f"{name} has no {route.channel} address",
                f"give it one at line {line}, or take it out of this route",
            )


def _rota_months(policy: Draft) -> Iterator[Diagnostic]:
    for key, audience in policy.audiences.items():
        for month, contact in (audience.rota or {}).items():
            where = ("audiences", key, "rota", month)
            if not contact.slack and not contact.email:
                yield policy.source.at_key(
                    where, f"{month} has nobody: the person needs an address", 'slack: "@U…", email: [name@domain]'
                )
                continue
            for channel in TOLD_CHANNELS:
                named = any(route.channel == channel and key in route.audiences for route in policy.routes.values())
                if named and not _reachable(contact, audience, channel):
                    yield policy.source.at_key(
                        where,
                        f"{month} has no {channel} address, but the {channel} route names {key}",
                        f"add {channel}: …",
                    )


def _reachable(contact: ContactShape, audience: AudienceShape, channel: str) -> bool:
    return bool(getattr(contact, channel) or getattr(audience, channel))


def _unreachable_routes(policy: Draft) -> Iterator[Diagnostic]:
    """A route that another one covers wholly; of two equal ones, the later."""
    for index, route in policy.routes.items():
        for other_index, other in policy.routes.items():
            if index == other_index or route.channel != other.channel:
                continue
            covered = set(route.audiences) <= set(other.audiences) and other.min_severity <= route.min_severity
            equal = set(route.audiences) == set(other.audiences) and other.min_severity == route.min_severity
            if covered and (not equal or other_index < index):
                line, _ = policy.source.values["routes", other_index]
                yield policy.source.at(
                    ("routes", index),
                    f"this route adds nothing: line {line} already tells everybody it names",
                    "delete it, or narrow the other",
                )
                break


def _unserved_audiences(policy: Draft) -> Iterator[Diagnostic]:
    """A rule or an expectation narrows the table; it cannot reach somebody whom no route serves."""
    for where, name in _references(policy):
        if where[0] in ("routes", "quiet_hours") or name not in policy.audiences:
            continue
        if not any(policy.serves(channel, name) for channel in TOLD_CHANNELS):
            yield policy.source.at(
                where, f"no slack or email route names {name}: this tells nobody", "add it to a route first"
            )


def _unknown_levels(policy: Draft) -> Iterator[Diagnostic]:
    levels = tuple(Severity.__members__)
    for index, rule in policy.rules.items():
        pattern = rule.match.get("severity")
        if pattern is not None and "*" not in pattern and "?" not in pattern and pattern.upper() not in levels:
            yield policy.source.at(
                ("rules", index, "match", "severity"), f"unknown severity {pattern!r}", closest(pattern.upper(), levels)
            )


def _never_awake(policy: Draft) -> Iterator[Diagnostic]:
    """Quiet times that leave no gap would hold everything back that is not CRITICAL."""
    for key, entries in policy.quiet.items():
        minutes = set[int]()
        for entry in entries:
            start, end = (int(text[:2]) * 60 + int(text[3:]) for text in (entry.start, entry.end))
            length = (end - start) % _DAY_MINUTES or _DAY_MINUTES
            for day in entry.days:
                first = DAYS.index(day) * _DAY_MINUTES + start
                minutes.update(minute % (7 * _DAY_MINUTES) for minute in range(first, first + length))
        if len({entry.zone for entry in entries}) == 1 and len(minutes) == 7 * _DAY_MINUTES:
            yield policy.source.at_key(
                ("quiet_hours", key),
                f"{key} would always be quiet: nothing below CRITICAL would reach them in time",
                "leave a time of the week in which they are told",
            )


def _shadowed_rules(policy: Draft) -> Iterator[Diagnostic]:
    rules = list(policy.rules.items())
    for position, (index, rule) in enumerate(rules):
        for other_index, other in rules[position + 1 :]:
            if rule.match == other.match and rule.set.model_fields_set <= other.set.model_fields_set:
                line, _ = policy.source.values["rules", other_index]
                yield policy.source.at(
                    ("rules", index), f"this rule has no effect: line {line} matches the same and sets all of it again"
                )
                break


def _valid(shape: type[_Shape], value: Plain) -> _Shape | None:
    if next(nulls(value), None) is not None:
        return None
    try:
        return shape.model_validate(value)
    except ValidationError:
        return None


def _quiet(value: Plain) -> dict[str, tuple[QuietShape, ...]]:
    entries = value if isinstance(value, dict) else {}
    lists = {key: found if isinstance(found, list) else [found] for key, found in entries.items()}
    return {
        key: tuple(valid for item in items if (valid := _valid(QuietShape, item)) is not None)
        for key, items in lists.items()
    }


def _valid_items(shape: type[_Shape], value: Plain) -> dict[int, _Shape]:
    items: Sequence[Plain] = value if isinstance(value, list) else ()
    return {index: valid for index, item in enumerate(items) if (valid := _valid(shape, item)) is not None}
