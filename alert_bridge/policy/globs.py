"""Globs that a person on call can read: `*` any text, `?` any one character, over the whole text; no other wildcard.

Not `fnmatch`: log messages are full of brackets, and a policy must not be able to make matching slow.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Glob"]


@dataclass(frozen=True, slots=True)
class Glob:
    """One compiled glob. Case matters; ``matches`` says whether the whole text fits, in time linear in the text."""

    pattern: str
    matches: Callable[[str], bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "matches", _compile(self.pattern))

    @property
    def is_literal(self) -> bool:
        return "*" not in self.pattern and "?" not in self.pattern


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


def _compile(pattern: str) -> Callable[[str], bool]:
    """The cheapest test that does. The first three are what people mostly write."""
    pieces = tuple(_Piece.of(text) for text in pattern.split("*"))
    if "?" not in pattern:
        match [piece.text for piece in pieces]:
            case [literal]:
                return literal.__eq__
            case ["", fragment, ""]:
                return lambda text: fragment in text
            case [start, ""]:
                return lambda text: text.startswith(start)
    if len(pieces) == 1 and pieces[0].expression is not None:
        only = pieces[0].expression
        return lambda text: only.fullmatch(text) is not None
    return _in_order(pieces[0], pieces[1:-1], pieces[-1])


def _in_order(first: _Piece, middle: tuple[_Piece, ...], last: _Piece) -> Callable[[str], bool]:
    """From left to right, never again from the start: what backtracking would try cannot fit better."""

    def fits(text: str) -> bool:
        position, end = len(first.text), len(text) - len(last.text)
        if position > end or not first.fits_at(text, 0) or not last.fits_at(text, end):
            return False
        for piece in middle:
            position = piece.end_after(text, position, end)
            if position < 0:
                return False
        return True

    return fits
