"""Everything that can go wrong, as one tree. A class's docstring says when; the text of an instance says what to do.

PipelineAlertsError
├── UsageError            wrong flags, settings or files: exit code 2
│   ├── SettingsError
│   └── PolicyError       carries diagnostics with file, line and column
├── IntakeError           what a sender did
│   ├── Undecodable       not OTLP at all: 400, the Collector drops it
│   ├── TooLarge          over a limit: 413 is final for a Collector, so the answer is 400 with the limit named
│   └── Refused           wrong or missing token: 503, because a Collector throws data away on 401
├── StoreBusy             our own trouble with the disk or a lock: 503 + Retry-After
└── DeliveryError         what a channel did
    ├── Permanent         will not heal by itself: stop, mark the channel broken, use the fallback
    ├── Retryable         try again, not before ``retry_after`` seconds if it is set
    └── Ambiguous         may have been delivered: try again only where a duplicate is known to be avoided or accepted
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "Ambiguous",
    "DeliveryError",
    "Diagnostic",
    "IntakeError",
    "Permanent",
    "PipelineAlertsError",
    "PolicyError",
    "Refused",
    "Retryable",
    "SettingsError",
    "StoreBusy",
    "TooLarge",
    "Undecodable",
    "UsageError",
]


class PipelineAlertsError(Exception):
    """Something went wrong that we know the name of."""


class UsageError(PipelineAlertsError):
    """The command cannot do what was asked with what it was given."""


class SettingsError(UsageError):
    """A setting is missing, unreadable or contradicts another."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing wrong in a file: where (1-based line and column), what, and what was probably meant."""

    path: Path
    line: int
    column: int
    message: str
    suggestion: str = ""

    def __str__(self) -> str:
        hint = f" ({self.suggestion})" if self.suggestion else ""
        return f"{self.path}:{self.line}:{self.column}: {self.message}{hint}"


class PolicyError(UsageError):
    """The policy file would not work."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__("\n".join(str(diagnostic) for diagnostic in diagnostics))
        self.diagnostics = diagnostics


class IntakeError(PipelineAlertsError):
    """A request that we do not take."""


class Undecodable(IntakeError):
    """The body is not the OTLP message it claims to be."""


class TooLarge(IntakeError):
    """The body is over a limit."""


class Refused(IntakeError):
    """The token is wrong or missing."""


class StoreBusy(PipelineAlertsError):
    """The store cannot take it now; nothing was written."""


class DeliveryError(PipelineAlertsError):
    """A channel did not take a message. ``code`` is the channel's own word for it, for metrics and receipts."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class Permanent(DeliveryError):
    """Trying again cannot help until a person changes something."""


class Retryable(DeliveryError):
    """Trying again later can help. ``retry_after`` in seconds, where the channel said so."""

    def __init__(self, message: str, *, code: str, retry_after: float | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class Ambiguous(DeliveryError):
    """The channel may have taken it: the answer was lost."""
