"""What decoding gives: the good records, and why each of the others is not among them."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import Generic, TypeVar

from instrumentation.redaction import scrub_text

__all__ = ["Decoded", "Malformed", "Rejected", "rejected"]

T = TypeVar("T")


class Malformed(Exception):
    """One part of a request does not have the shape that OTLP gives it; the text says which part and what shape."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """One bad record (or ``count`` records beyond a limit): the reason, and a redacted look at it."""

    reason: str
    excerpt: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True)
class Decoded(Generic[T]):
    """What one request held, in its order."""

    records: tuple[T, ...]
    rejected: tuple[Rejected, ...] = ()

    @property
    def rejected_count(self) -> int:
        return sum(one.count for one in self.rejected)


def _short(most_chars: int) -> reprlib.Repr:
    # Never a plain repr: the sample may be megabytes, or nested deeper than Python can print.
    short = reprlib.Repr()
    short.maxlevel = 4
    short.maxdict = short.maxlist = 20
    short.maxstring = short.maxother = most_chars
    return short


def rejected(reason: str, sample: object, most_chars: int) -> Rejected:
    """A rejection with a readable, redacted excerpt of what was rejected."""
    if isinstance(sample, memoryview):
        text = bytes(sample[:most_chars]).decode("utf-8", "replace")
    else:
        text = _short(most_chars).repr(sample)
    return Rejected(reason, scrub_text(text)[:most_chars])
