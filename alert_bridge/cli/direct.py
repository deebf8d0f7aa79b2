"""`run` without what explains command lines: the program starts 50 ms earlier."""

from __future__ import annotations

from collections.abc import Sequence

from instrumentation.supervisor.arguments import read

__all__ = ["run_if_plain"]


def run_if_plain(words: Sequence[str]) -> None:
    """Becomes the supervisor if what follows `run` is as it should be; returns if somebody has to explain it."""
    arguments = read(words)
    if arguments is not None:
        from instrumentation.supervisor.command import run

        run(arguments)
