"""Durations on the command line: `90`, `90s`, `30m`, `6h`, `2d`."""

from __future__ import annotations

from typing import Final

import click

from instrumentation.supervisor.limits import seconds_of

__all__ = ["DURATION"]


class _Duration(click.ParamType[float]):
    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, (int, float)):
            return float(value)
        seconds = seconds_of(str(value))
        if seconds is None:
            self.fail(f"{value!r} is not a duration: write 90s, 30m, 6h or 2d", param, ctx)
        return seconds


DURATION: Final = _Duration()
