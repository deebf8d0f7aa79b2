"""Globs that a person on call can read: `*` any text, `?` any one character, over the whole text; no other wildcard.

Not `fnmatch`: log messages are full of brackets, and a policy must not be able to make matching slow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["Glob"]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch between two stars. Its length is fixed, so that the leftmost fit is always good enough."""

    text: str
    expression: re.Pattern[str] | None

    @classmethod
    def of(cls, text: str) -> _Piece:
        if "?" not in text:
            return cls(text, None)
        return cls(text, re.compile("".join("." if char == "?" else re.escape(char) for char in text), re.DOTALL))

    def end_after(self, text: str, start: int, end: int) -> int:
        """Where the leftmost fit within `text[start:end]` ends; -1 without one."""
        if self.expression is None:
            at = text.find(self.text, start, end)
            return -1 if at < 0 else at + len(self.text)
        found = self.expression.search(text, start, end)
        return found.end() if found else -1

    def fits_at(self, text: str, at: int) -> bool:
        if self.expression is None:
            return text.startswith(self.text, at)
        return self.expression.match(text, at) is not None


@dataclass(frozen=True, slots=True)
class Glob:
    """One compiled glob. Case matters. Linear in the text: pieces are sought from left to right, never again."""

    pattern: str
    _pieces: tuple[_Piece, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        pieces = tuple(_Piece.of(text) for text in self.pattern.split("*"))
        object.__setattr__(self, "_pieces", pieces)

    def matches(self, text: str) -> bool:
        """Whether the whole text fits."""
        pieces = self._pieces
        first, last = pieces[0], pieces[-1]
        if len(pieces) == 1:
            return len(text) == len(first.text) and first.fits_at(text, 0)
        position, end = len(first.text), len(text) - len(last.text)
        if position > end or not first.fits_at(text, 0) or not last.fits_at(text, end):
            return False
        for piece in pieces[1:-1]:
            position = piece.end_after(text, position, end)
            if position < 0:
                return False
        return True
