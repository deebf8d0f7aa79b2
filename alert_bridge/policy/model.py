"""The policy as frozen values: who is told of what, where, and when. What `alerting.yaml` means once it is valid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from alert_bridge.model import Audience, Severity

__all__ = ["Contact", "Grouping", "Match", "Policy", "Route", "Rule", "Settings"]


@dataclass(frozen=True, slots=True)
class Contact:
    """The addresses of one month's person in a rota."""

    slack: str = ""
    email: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """All conditions must hold. Keys are `severity`, `body`, `event_name`, `pipeline`, `scope` or an attribute's name.

    Values are globs.
    """

    conditions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """What a matching rule sets; None leaves it as it was."""

    severity: Severity | None = None
    audiences: tuple[str, ...] | None = None
    owner: str | None = None
    runbook: str | None = None
    effect: str | None = None
    fingerprint: str | None = None
    drop: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """Applied in order, the later one wins. ``line`` is where it stands in the file, for the decision trail."""

    match: Match
    set: Settings
    line: int


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the decision record's table: this channel, from this severity, to these audiences."""

    channel: str
    audiences: tuple[str, ...]
    min_severity: Severity
    line: int


@dataclass(frozen=True, slots=True)
class Grouping:
    """How long to gather before the first message, by channel; never for CRITICAL. Seconds throughout."""

    hold: Mapping[str, float]
    repeat_after: float
    resolve_after: float | None  # None: by the next success of the same stage


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy file. Audiences with a rota get this month's contact through `alert_bridge.routing`."""

    path: Path
    audiences: Mapping[str, Audience]
    rotas: Mapping[str, Mapping[str, Contact]]  # audience key -> "YYYY-MM" -> contact
    routes: tuple[Route, ...]
    rules: tuple[Rule, ...]
    grouping: Grouping
    placeholders: tuple[str, ...] = ()  # addresses of the packaged example that nobody can receive
    digest: str = field(default="")  # SHA-256 of the file, to tell versions apart
