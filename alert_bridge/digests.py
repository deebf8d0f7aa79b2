"""Digests as values: what one says, before it is worded. They travel inside their own record as an attribute. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from alert_bridge.model import AttributeValue

__all__ = ["QUIET", "RUN", "IncidentLine", "ModelLine", "QuietDigest", "RunDigest", "StageLine", "WarningLine"]

RUN, QUIET = "run", "quiet"


@dataclass(frozen=True, slots=True)
class StageLine:
    """One stage over all models: how often it ran and failed, and its time in seconds; ``usual_s`` < 0: unknown."""

    name: str = ""
    times: int = 0
    failed: int = 0
    seconds: float = 0.0
    usual_s: float = -1.0


@dataclass(frozen=True, slots=True)
class ModelLine:
    """One model, and the stage at which it failed; empty: it did not."""

    name: str = ""
    failed_at: str = ""


@dataclass(frozen=True, slots=True)
class IncidentLine:
    """One incident in a line. ``count``: records of it; ``told``: whether anybody heard of it apart from this."""

    id: str = ""
    severity: int = 0
    title: str = ""
    stage: str = ""
    count: int = 0
    is_over: bool = False
    told: bool = True
    pipeline: str = ""
    effect: str = ""  # what it means for those who only need to know


@dataclass(frozen=True, slots=True)
class WarningLine:
    """Warnings that say the same, and how many of them."""

    text: str = ""
    count: int = 0


@dataclass(frozen=True, slots=True)
class RunDigest:
    """How a run went. Times in nanoseconds since the epoch, 0: unknown; durations in seconds, negative: unknown.

    ``missing``: what was expected and did not happen; ``held_back``: counts by reason; ``note``: what it cannot say.
    """

    run_id: str = ""
    pipeline: str = ""
    environment: str = ""
    result: str = ""
    started: int = 0
    ended: int = 0
    usual_s: float = -1.0
    usual_run_id: str = ""
    stages: tuple[StageLine, ...] = ()
    models: tuple[ModelLine, ...] = ()
    incidents: tuple[IncidentLine, ...] = ()
    warnings: tuple[WarningLine, ...] = ()
    warnings_in_all: int = 0
    missing: tuple[str, ...] = ()
    held_back: tuple[tuple[str, int], ...] = ()
    note: str = ""

    def to_value(self) -> Mapping[str, AttributeValue]:
        """As the attribute of a record."""
        return _plain(self)

    @classmethod
    def from_value(cls, value: AttributeValue) -> RunDigest:
        """What `to_value` gave."""
        raw = _fields(cls, value)
        return cls(
            **{
                **raw,
                "stages": _lines(StageLine, raw.get("stages")),
                "models": _lines(ModelLine, raw.get("models")),
                "incidents": _lines(IncidentLine, raw.get("incidents")),
                "warnings": _lines(WarningLine, raw.get("warnings")),
                "missing": _texts(raw.get("missing")),
                "held_back": _counts(raw.get("held_back")),
            }
        )


@dataclass(frozen=True, slots=True)
class QuietDigest:
    """What happened while an audience was not to be woken, the gravest first. Nanoseconds since the epoch."""

    since: int = 0
    until: int = 0
    incidents: tuple[IncidentLine, ...] = ()

    def to_value(self) -> Mapping[str, AttributeValue]:
        """As the attribute of a record."""
        return _plain(self)

    @classmethod
    def from_value(cls, value: AttributeValue) -> QuietDigest:
        """What `to_value` gave."""
        raw = _fields(cls, value)
        return cls(**{**raw, "incidents": _lines(IncidentLine, raw.get("incidents"))})


def _plain(digest: Any) -> dict[str, AttributeValue]:
    return {field.name: _value(getattr(digest, field.name)) for field in fields(digest)}


def _value(value: object) -> AttributeValue:
    if isinstance(value, tuple):
        return tuple(_value(item) for item in value)
    if isinstance(value, str | bool | int | float):
        return value
    return _plain(value)


_KINDS: dict[str, type | tuple[type, ...]] = {"str": str, "int": int, "float": (int, float), "bool": bool}


def _fields(kind: type, value: AttributeValue) -> dict[str, Any]:
    """The plain fields whose values are of their kind, and tuples; a record from outside may hold anything."""
    if not isinstance(value, Mapping):
        return {}
    wanted = {field.name: _KINDS.get(str(field.type), tuple) for field in fields(kind)}
    return {name: item for name, item in value.items() if name in wanted and isinstance(item, wanted[name])}


def _lines(kind: type, value: object) -> tuple[Any, ...]:
    items = value if isinstance(value, tuple) else ()
    return tuple(kind(**_fields(kind, item)) for item in items if isinstance(item, Mapping))


def _texts(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, tuple) else ()


def _counts(value: object) -> tuple[tuple[str, int], ...]:
    pairs = (item for item in value if isinstance(item, tuple)) if isinstance(value, tuple) else ()
    return tuple((pair[0], pair[1]) for pair in pairs if [type(part) for part in pair] == [str, int])
