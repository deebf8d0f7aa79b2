"""The policy as frozen values: who is told of what, where, and when. What `alerting.yaml` means once it is valid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from alert_bridge.errors import Diagnostic
from alert_bridge.model import Audience, Severity
from alert_bridge.policy.globs import Glob
from alert_bridge.quiet import QuietTime
from instrumentation.attributes import EXCEPTION_TYPE

__all__ = [
    "Contact",
    "Expectation",
    "Grouping",
    "Match",
    "Policy",
    "Retention",
    "Route",
    "Rule",
    "RunPlan",
    "Settings",
]

_DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Contact:
    """The addresses of one month's person in a rota."""

    slack: str = ""
    email: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """All conditions must hold.

    Keys are `severity`, `body`, `event_name`, `pipeline`, `environment`, `stage`, `scope` or an attribute's name;
    values are globs. ``tests`` are the same conditions, compiled once, those first that are cheapest to try.
    """

    conditions: tuple[tuple[str, str], ...] = ()
    tests: tuple[tuple[str, Callable[[str], bool]], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        globs = [(key, Glob(pattern)) for key, pattern in self.conditions]
        globs.sort(key=lambda entry: (entry[0] == "body", not entry[1].is_literal))
        object.__setattr__(self, "tests", tuple((key, _test(key, glob)) for key, glob in globs))


def _test(key: str, glob: Glob) -> Callable[[str], bool]:
    """A type is written as in the code that raises it, with or without its module."""
    if key != EXCEPTION_TYPE:
        return glob.matches
    if glob.is_literal and "." not in glob.pattern:
        name, with_module = glob.pattern, f".{glob.pattern}"
        return lambda text: text == name or text.endswith(with_module)
    return lambda text: glob.matches(text) or glob.matches(text.rpartition(".")[2])


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
class Expectation:
    """What must happen in a run: at least ``least`` records that match, else an incident of this severity."""

    pipeline: Glob
    record: Glob
    least: int
    by: str  # when it is due: "run_end", or a schedule (cron, five fields, UTC)
    severity: Severity
    audiences: tuple[str, ...]
    line: int
    owner: str = ""
    runbook: str = ""
    effect: str = ""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """When a pipeline must run, and how long it may be late or silent. Seconds; None: not watched."""

    pipeline: str
    schedule: str  # cron, five fields, UTC; empty: none
    late_after: float | None
    silent_after: float | None
    line: int


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things are kept, in seconds."""

    logs: float = 90 * _DAY_SECONDS
    traces: float = 90 * _DAY_SECONDS
    incidents: float = 400 * _DAY_SECONDS  # that are over
    issues: float = 5 * 365 * _DAY_SECONDS


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """One policy file as it was read; two are equal only if they are the same reading (``digest`` tells files apart).

    Audiences with a rota get this month's contact through `alert_bridge.routing`.
    """

    path: Path
    audiences: Mapping[str, Audience]
    rotas: Mapping[str, Mapping[str, Contact]]  # audience key -> "YYYY-MM" -> contact
    routes: tuple[Route, ...]
    rules: tuple[Rule, ...]
    grouping: Grouping
    placeholders: tuple[str, ...] = ()  # addresses of the packaged example that nobody can receive
    digest: str = field(default="")  # SHA-256 of the file, to tell versions apart
    expectations: tuple[Expectation, ...] = ()
    runs: Mapping[str, RunPlan] = field(default_factory=dict)
    retention: Retention = field(default_factory=Retention)
    quiet: Mapping[str, tuple[QuietTime, ...]] = field(default_factory=dict)  # by audience
    digest_to: tuple[str, ...] = ()  # audiences that get the digest at the end of a run
    warnings: tuple[Diagnostic, ...] = ()  # what works today but will not serve: said, never fatal

    def routes_to(self, channel: str) -> tuple[Route, ...]:
        """The rows for one channel; for `prefect`, `wandb` and `wandb_alert` they are the exporters' whole routing."""
        return tuple(route for route in self.routes if route.channel == channel)
