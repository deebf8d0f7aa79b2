"""What a valid policy would do, in five lines, and one each for what it watches and whom it does not wake. Pure."""

from __future__ import annotations

from alert_bridge.model import Audience, Duty, Severity
from alert_bridge.policy.model import Contact, Policy, Route
from alert_bridge.quiet import DAYS
from alert_bridge.routing import on_duty

__all__ = ["summarise"]

_CHANNELS = {"slack": "Slack", "email": "Email", "prefect": "Prefect", "wandb": "W&B", "wandb_alert": "W&B alerts"}
_UNITS = (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0))
_TWO = 2  # of a unit, from where it reads better than the next smaller one: 24 h, but 2 d


def summarise(policy: Policy, now_ns: int) -> tuple[str, ...]:
    """Who hears of what: Slack, email, exporters, the person of the month, and how often."""
    return (
        _people("slack", policy),
        _people("email", policy),
        _exporters(policy),
        _rotas(policy, now_ns),
        _rhythm(policy),
        *_watched(policy),
        *_quiet(policy),
    )


def _people(channel: str, policy: Policy) -> str:
    routes = policy.routes_to(channel)
    if not routes:
        return f"{_CHANNELS[channel]}: nobody"
    parts = [
        f"{_threshold(route)} to {', '.join(_named(key, channel, policy) for key in route.audiences)}"
        for route in routes
    ]
    return f"{_CHANNELS[channel]}: {'; '.join(parts)}"


def _named(key: str, channel: str, policy: Policy) -> str:
    audience = policy.audiences[key]
    told = " (in plain language)" if audience.duty is Duty.INFORM else ""
    if key in policy.rotas:
        return f"{audience.name}, by rota{told}"
    return f"{audience.name} {', '.join(_addresses(audience, channel))}{told}"


def _addresses(of: Audience | Contact, channel: str) -> tuple[str, ...]:
    return tuple(address for address in ((of.slack,) if channel == "slack" else of.email) if address)


def _exporters(policy: Policy) -> str:
    parts = []
    for channel in ("prefect", "wandb"):
        routes = policy.routes_to(channel)
        what = ", ".join(dict.fromkeys(_threshold(route) for route in routes)) or "nothing"
        parts.append(f"{_CHANNELS[channel]}: {what}")
    alerts = policy.routes_to("wandb_alert")
    if alerts:
        parts.append(f"{_CHANNELS['wandb_alert']}: {_threshold(min(alerts, key=lambda route: route.min_severity))}")
    return "; ".join(parts)


def _rotas(policy: Policy, now_ns: int) -> str:
    parts = []
    for key in policy.rotas:
        person = on_duty(key, policy, now_ns)
        reached = ", ".join(_addresses(person, "slack") + _addresses(person, "email"))
        name = policy.audiences[key].name
        parts.append(f"{name} is {person.name or reached}" if reached else f"{name} is nobody this month")
    return f"On top, every alert: {'; '.join(parts)}" if parts else "On top: nobody has a rota"


def _rhythm(policy: Policy) -> str:
    hold = ", ".join(
        f"{_time(policy.grouping.hold[channel])} in {_CHANNELS[channel]}" for channel in ("slack", "email")
    )
    over = policy.grouping.resolve_after
    until = "the stage's next success" if over is None else f"{_time(over)} without a new record"
    return (
        f"One message per problem: held {hold} (CRITICAL: not held), then edited; reminder after"
        f" {_time(policy.grouping.repeat_after)}; over with {until}. Exceptions: {_counted(len(policy.rules), 'rule')}"
    )


def _watched(policy: Policy) -> tuple[str, ...]:
    """What must happen, and who hears how a run went; nothing where nothing is asked for."""
    late = [key for key, run in policy.runs.items() if run.schedule and run.late_after is not None]
    silent = [key for key, run in policy.runs.items() if run.silent_after is not None]
    parts = [
        f"{_counted(len(policy.expectations), 'record')} must come" if policy.expectations else "",
        f"late starts of {', '.join(late)}" if late else "",
        f"silence of {', '.join(silent)}" if silent else "",
        f"digest of each run to {', '.join(policy.audiences[key].name for key in policy.digest_to)}"
        if policy.digest_to
        else "",
    ]
    said = "; ".join(part for part in parts if part)
    return (f"Watched: {said}",) if said else ()


def _quiet(policy: Policy) -> tuple[str, ...]:
    parts = []
    for key, times in policy.quiet.items():
        spans = ", ".join(
            f"{each.start:%H:%M}-{each.end:%H:%M} {each.zone.key}"
            + ("" if len(each.days) == len(DAYS) else f" ({' '.join(DAYS[day] for day in sorted(each.days))})")
            for each in times
        )
        parts.append(f"{policy.audiences[key].name} {spans}")
    return (f"Quiet, but for CRITICAL: {'; '.join(parts)}",) if parts else ()


def _threshold(route: Route) -> str:
    return "everything" if route.min_severity is Severity.TRACE else f"{route.min_severity.name} and worse"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number or 'no'} {noun}s"


def _time(seconds: float) -> str:
    for unit, size in _UNITS:
        if seconds >= _TWO * size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
