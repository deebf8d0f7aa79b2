"""A policy file becomes a `Policy`, or every reason why it cannot, at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from alert_bridge.errors import Diagnostic, PolicyError
from alert_bridge.model import Audience
from alert_bridge.policy import checks
from alert_bridge.policy.addresses import is_placeholder
from alert_bridge.policy.diagnostics import explain, without_value
from alert_bridge.policy.globs import Glob
from alert_bridge.policy.model import (
    Contact,
    Expectation,
    Grouping,
    Match,
    Policy,
    Retention,
    Route,
    Rule,
    RunPlan,
    Settings,
)
from alert_bridge.policy.shape import OPTIONAL_SECTIONS, ContactShape, PolicyShape, QuietShape, RuleShape
from alert_bridge.policy.source import Source, read_source
from alert_bridge.quiet import DAYS, QuietTime
from alert_bridge.settings import setting

__all__ = ["FILE_NAME", "load", "packaged_path", "policy_path"]

FILE_NAME = "alerting.yaml"

MAX_DIAGNOSTICS = 50  # a person mends some and looks again


def packaged_path() -> Path:
    """The decision record's table as a policy file, with placeholder recipients."""
    return Path(__file__).with_name("default.yaml")


def policy_path(environ: Mapping[str, str], named: str = "") -> Path:
    """Which policy rules: the one that was named, else `$PIPELINE_ALERTS_POLICY`, else `./alerting.yaml`, else ours.

    The same for every command. A file that is named and missing is returned all the same: another must not take its
    place without a word.
    """
    told = named or setting(environ, "PIPELINE_ALERTS_POLICY")
    if told:
        return Path(told)
    here = Path(FILE_NAME)
    return here if here.is_file() else packaged_path()


def load(path: Path, *, today: date | None = None) -> Policy:
    """Read, check and freeze a policy file.

    Args:
        path: the file.
        today: the day that rotas are checked for, UTC; the current one unless given.

    Raises:
        PolicyError: with every diagnostic, in the order of the file, each with line, column and a suggestion.
    """
    source, raw = read_source(path)
    if isinstance(source.data, dict):
        # A section whose lines are all commented out reads as null; it means what it looks like: nothing.
        for section in OPTIONAL_SECTIONS:
            if section in source.data and source.data[section] is None:
                del source.data[section]
    _list_quiet_times(source)
    found = [*source.faults, *without_value(source)]
    shape: PolicyShape | None = None
    try:
        shape = PolicyShape.model_validate(source.data)
    except ValidationError as error:
        found += explain(error, source, PolicyShape)
    draft = checks.draft(source)
    found += checks.errors(draft)
    if found or shape is None:
        # One duration for two channels is wrong once.
        found = sorted(dict.fromkeys(found), key=lambda diagnostic: (diagnostic.line, diagnostic.column))
        raise PolicyError(tuple(found[:MAX_DIAGNOSTICS]))
    warnings = tuple(checks.warnings(draft, today or datetime.now(UTC).date()))
    return _freeze(shape, source, hashlib.sha256(raw).hexdigest(), warnings)


def _list_quiet_times(source: Source) -> None:
    """One quiet time may stand without a list around it; every part of it keeps its place in the file."""
    entries = source.data.get("quiet_hours") if isinstance(source.data, dict) else None
    if not isinstance(entries, dict):
        return
    for key, entry in entries.items():
        if isinstance(entry, dict):
            entries[key] = [entry]
            around = ("quiet_hours", key)
            for places in (source.values, source.keys):
                inner = {where: place for where, place in places.items() if where[:2] == around and where != around}
                places |= {(*around, 0, *where[2:]): place for where, place in inner.items()}


def _freeze(shape: PolicyShape, source: Source, digest: str, warnings: tuple[Diagnostic, ...]) -> Policy:
    audiences = {
        key: Audience(key, value.name or key, value.duty, value.slack or "", tuple(value.email))
        for key, value in shape.audiences.items()
    }
    rotas = {
        key: {month: _contact(contact) for month, contact in value.rota.items()}
        for key, value in shape.audiences.items()
        if value.rota is not None
    }
    grouping = shape.grouping
    return Policy(
        path=source.path,
        audiences=audiences,
        rotas=rotas,
        routes=tuple(
            Route(
                route.channel, tuple(dict.fromkeys(route.audiences)), route.min_severity, _line(source, "routes", index)
            )
            for index, route in enumerate(shape.routes)
        ),
        rules=tuple(_rule(rule, _line(source, "rules", index)) for index, rule in enumerate(shape.rules)),
        grouping=Grouping(
            hold={"slack": grouping.hold.slack, "email": grouping.hold.email},
            repeat_after=grouping.repeat_after,
            resolve_after=None if isinstance(grouping.resolve_after, str) else grouping.resolve_after,
        ),
        placeholders=tuple(dict.fromkeys(address for address in _addresses(shape) if is_placeholder(address))),
        digest=digest,
        expectations=tuple(
            Expectation(
                Glob(wanted.pipeline),
                Glob(wanted.record),
                wanted.min,
                wanted.by,
                wanted.otherwise,
                tuple(wanted.audiences or ()),
                _line(source, "expect", index),
                wanted.owner or "",
                wanted.runbook or "",
                wanted.effect or "",
            )
            for index, wanted in enumerate(shape.expect)
        ),
        runs={
            name: RunPlan(name, run.schedule or "", run.late_after, run.silent_after, _line(source, "runs", name))
            for name, run in shape.runs.items()
        },
        retention=Retention(**shape.retention.model_dump()),
        warnings=warnings,
        quiet={key: tuple(_quiet_time(entry) for entry in entries) for key, entries in shape.quiet_hours.items()},
        digest_to=tuple(
            key
            for key, value in shape.audiences.items()
            if (value.rota is not None if value.digest is None else value.digest)
        ),
    )


def _rule(rule: RuleShape, line: int) -> Rule:
    wanted = rule.set
    conditions = tuple(
        (key, pattern.upper() if key == "severity" else pattern) for key, pattern in sorted(rule.match.items())
    )
    return Rule(
        Match(conditions),
        Settings(
            severity=wanted.severity,
            audiences=None if wanted.audiences is None else tuple(dict.fromkeys(wanted.audiences)),
            owner=wanted.owner,
            runbook=wanted.runbook,
            effect=wanted.effect,
            fingerprint=wanted.fingerprint,
            drop=wanted.drop,
        ),
        line,
    )


def _quiet_time(shape: QuietShape) -> QuietTime:
    """One entry of `quiet_hours`."""
    days = frozenset(DAYS.index(day) for day in shape.days)
    return QuietTime(time.fromisoformat(shape.start), time.fromisoformat(shape.end), ZoneInfo(shape.zone), days)


def _contact(shape: ContactShape) -> Contact:
    return Contact(shape.slack or "", tuple(shape.email), shape.name)


def _line(source: Source, section: str, entry: str | int) -> int:
    where = (section, entry)
    line, _ = source.keys.get(where) or source.values[where]
    return line


def _addresses(shape: PolicyShape) -> Iterator[str]:
    for audience in shape.audiences.values():
        yield from [audience.slack or "", *audience.email]
        for contact in (audience.rota or {}).values():
            yield from [contact.slack or "", *contact.email]
