"""A policy file becomes a `Policy`, or every reason why it cannot, at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

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
from alert_bridge.policy.shape import OPTIONAL_SECTIONS, ContactShape, PolicyShape, RuleShape
from alert_bridge.policy.source import Source, read_source

__all__ = ["load", "packaged_path"]

MAX_DIAGNOSTICS = 50  # a person mends some and looks again


def packaged_path() -> Path:
    """The decision record's table as a policy file, with placeholder recipients."""
    return Path(__file__).with_name("default.yaml")


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
            )
            for index, wanted in enumerate(shape.expect)
        ),
        runs={
            name: RunPlan(name, run.schedule or "", run.late_after, run.silent_after, _line(source, "runs", name))
            for name, run in shape.runs.items()
        },
        retention=Retention(shape.retention.logs, shape.retention.traces, shape.retention.issues),
        warnings=warnings,
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
