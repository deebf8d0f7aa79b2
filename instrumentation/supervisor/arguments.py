"""The plain form of `run`'s command line, read without the library that explains the others: that costs 50 ms.

The program waits for whatever happens before it. What is not plain (help, a mistake, an option that is not known here)
is none of this module's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from instrumentation.supervisor.limits import Limits, seconds_of

__all__ = ["Arguments", "read"]

OPTIONS = ("--pipeline", "--timeout", "--silent-after", "--stage")  # each takes a value; a test compares


@dataclass(frozen=True, slots=True)
class Arguments:
    """What `run` was asked for."""

    program: Sequence[str]
    pipeline: str = ""
    limits: Limits = field(default_factory=Limits)
    stages: Sequence[str] = ()


def read(words: Sequence[str]) -> Arguments | None:
    """Reads what follows `run`; None if it is not plain."""
    given: dict[str, str] = {}
    stages: list[str] = []
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "--":
        name, equals, value = rest.pop(0).partition("=")
        if name not in OPTIONS or not (equals or rest):
            return None
        if not equals:
            value = rest.pop(0)
        if name == "--stage":
            stages.append(value)
        given[name] = value
    program = rest[1:] if rest[:1] == ["--"] else rest
    timeout, silent_after = (seconds_of(given.get(name, "0")) for name in ("--timeout", "--silent-after"))
    if not program or timeout is None or silent_after is None:
        return None
    return Arguments(program, given.get("--pipeline", ""), Limits(timeout, silent_after), stages)
