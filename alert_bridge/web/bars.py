"""Events per day as bars of an inline SVG. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["HEIGHT", "Bar", "bars"]

HEIGHT: Final = 48  # SVG units
STEP: Final = 14
_GAP: Final = 3
_MIN_HEIGHT: Final = 3  # a single event beside a storm is still seen


@dataclass(frozen=True, slots=True)
class Bar:
    """One day: where its bar stands, and what it says."""

    x: int
    y: int
    width: int
    height: int
    day: str
    count: int


def bars(days: Sequence[tuple[str, int]]) -> tuple[Bar, ...]:
    """A bar per day, as high as its share of the fullest day."""
    fullest = max((count for _, count in days), default=0)
    drawn = []
    for index, (day, count) in enumerate(days):
        height = max(round(count / fullest * HEIGHT), _MIN_HEIGHT) if count else 1
        drawn.append(Bar(index * STEP, HEIGHT - height, STEP - _GAP, height, day, count))
    return tuple(drawn)
