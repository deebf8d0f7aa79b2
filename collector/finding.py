"""One thing that a check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

__all__ = ["Finding", "Level"]


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule says about a place in the configuration."""

    level: Level
    rule: str
    """The rule's name, such as `token`."""
    where: str
    """The component's path in the configuration, or a file and a line."""
    message: str
    """What is so and, unless all is well, what to do."""

    @classmethod
    def ok(cls, rule: str, where: str, message: str) -> Self:
        """It is as it should be."""
        return cls(Level.OK, rule, where, message)

    @classmethod
    def warning(cls, rule: str, where: str, message: str) -> Self:
        """It works, but worse than it could."""
        return cls(Level.WARNING, rule, where, message)

    @classmethod
    def error(cls, rule: str, where: str, message: str) -> Self:
        """It does not work, or loses data."""
        return cls(Level.ERROR, rule, where, message)

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"
