"""Durations on the command line: `90`, `90s`, `30m`, `6h`, `2d`."""

from __future__ import annotations

import re
from typing import Final

import click

__all__ = ["DURATION"]

_SECONDS_OF: Final = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_SHAPE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)?")


class _Duration(click.ParamType[float]):
    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, (int, float)):
            return float(value)
        found = _SHAPE.fullmatch(str(value).strip().lower())
        if not found:
            self.fail(f"{value!r} is not a duration: write 90s, 30m, 6h or 2d", param, ctx)
        return float(found[1]) * _SECONDS_OF[found[2] or ""]


DURATION: Final = _Duration()
